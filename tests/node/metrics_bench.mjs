// The work of tyaprover/metrics/metrics_bench.cc, done by prom-client in Node.
//
//   node tests/node/metrics_bench.mjs
import { Counter, Histogram, Registry } from 'prom-client';

const seconds = [.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10];
const bytes = [1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8];
const labelNames = ['method', 'route', 'status'];

// CPU nanoseconds: what others do on the machine does not count.
function cpu(since) {
  const used = process.cpuUsage(since);
  return (used.user + used.system) * 1000;
}

// Nanoseconds per call: the least of five runs, after one to warm up.
function measure(calls, work) {
  let best = Infinity;
  for (let run = 0; run < 6; ++run) {
    const start = process.cpuUsage();
    for (let i = 0; i < calls; ++i) work(i);
    if (run > 0) best = Math.min(best, cpu(start) / calls);
  }
  return best;
}

const report = (name, nanos) => console.log(`${name.padEnd(24)} ${nanos.toFixed(1)} ns`);
const scale = process.argv.includes('--smoke') ? 1000 : 1;

const registers = [new Registry()];
// A handle of one series, as ours has.
const child = new Counter({ name: 'inc_total', help: 'Increments.', labelNames: ['series'], registers })
  .labels({ series: 'all' });
report('inc', measure(1e6 / scale, () => child.inc()));

const labelled = new Counter({ name: 'lookup_total', help: 'Look-ups.', labelNames, registers });
for (let i = 0; i < 1000; ++i) labelled.inc({ method: 'GET', route: `/apps${i}`, status: '200' });
report('lookup_and_inc', measure(1e6 / scale, () =>
  labelled.inc({ method: 'GET', route: '/apps500', status: '200' })));

const histogram = new Histogram({ name: 'observe_seconds', help: 'Times.', buckets: seconds, registers });
let nanos = 1;
report('observe', measure(1e6 / scale, () => {
  histogram.observe(nanos * 1e-9);
  nanos = nanos * 5 % 10000000019;
}));

const many = new Registry();
const page = new Counter({ name: 'page_total', help: 'Counts.', labelNames, registers: [many] });
for (let i = 0; i < 10000; ++i) page.inc({ method: 'GET', route: `/apps${i}`, status: '200' }, i);
let best = Infinity;
for (let run = 0; run < 6; ++run) {
  const start = process.cpuUsage();
  await many.metrics();
  if (run > 0) best = Math.min(best, cpu(start));
}
console.log(`${'page_of_10000_series'.padEnd(24)} ${(best / 1e6).toFixed(2)} ms`);

// Exact only with --expose-gc.
globalThis.gc?.();
const before = process.memoryUsage().heapUsed;
const http = { labelNames, registers: [new Registry()] };
const requests = new Counter({ name: 'requests_total', help: 'Requests.', ...http });
const durations = new Histogram({ name: 'duration_seconds', help: 'Time.', buckets: seconds, ...http });
const received = new Histogram({ name: 'received_bytes', help: 'Sizes.', buckets: bytes, ...http });
const sent = new Histogram({ name: 'sent_bytes', help: 'Sizes.', buckets: bytes, ...http });
for (let i = 0; i < 1000; ++i) {
  const labels = { method: 'GET', route: `/api/v1/apps${i}/{name}`, status: '200' };
  requests.inc(labels);
  durations.observe(labels, 0.007);
  received.observe(labels, 100);
  sent.observe(labels, 5000);
}
globalThis.gc?.();
console.log(`${'memory_of_1000'.padEnd(24)} ${process.memoryUsage().heapUsed - before} bytes`);
