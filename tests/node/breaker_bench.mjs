// What a call through the circuit breakers of opossum and cockatiel costs, beside ours.
//
//   node tests/node/breaker_bench.mjs [path to resilience_bench]
//
// Each peer is given the options that are nearest to the defaults of ours, and a function that returns at once. CPU
// time is measured, and the smallest of several rounds counts. With the path, our benchmark runs too and its lines are
// added; without it, only the peers are measured.
import { execFileSync } from 'node:child_process';
import { BrokenCircuitError, ConsecutiveBreaker, SamplingBreaker, circuitBreaker, handleAll } from 'cockatiel';
import CircuitBreaker from 'opossum';

const ROUNDS = 7;
const CALLS = 50_000;
const nothing = async () => 1;
const fail = async () => {
  throw new Error('down');
};

async function nanosecondsPerCall(call) {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const began = process.cpuUsage();
    for (let i = 0; i < CALLS; i++) await call();
    const { user, system } = process.cpuUsage(began);
    best = Math.min(best, (user + system) * 1000 / CALLS);
  }
  return Math.round(best);
}

const rejected = async (call, isRejection) => {
  try {
    await call();
  } catch (error) {
    if (isRejection(error)) return;
    throw error;
  }
  throw new Error('was admitted');
};

async function opossum() {
  const options = { timeout: 10_000, errorThresholdPercentage: 50, resetTimeout: 3_600_000, rollingCountTimeout: 10_000 };
  const closed = new CircuitBreaker(nothing, options);
  const open = new CircuitBreaker(nothing, options);
  open.open();
  const result = {
    admitted: await nanosecondsPerCall(() => closed.fire()),
    rejected: await nanosecondsPerCall(() => rejected(() => open.fire(), (error) => error.code === 'EOPENBREAKER')),
  };
  closed.shutdown();
  open.shutdown();
  return result;
}

async function cockatiel(breaker) {
  const closed = circuitBreaker(handleAll, { halfOpenAfter: 3_600_000, breaker });
  const open = circuitBreaker(handleAll, { halfOpenAfter: 3_600_000, breaker: new ConsecutiveBreaker(1) });
  await open.execute(fail).catch(() => {});
  return {
    admitted: await nanosecondsPerCall(() => closed.execute(nothing)),
    rejected: await nanosecondsPerCall(() => rejected(() => open.execute(nothing), (error) => error instanceof BrokenCircuitError)),
  };
}

function ours(program) {
  const text = execFileSync(
    program,
    ['--benchmark_filter=^breaker_(execute_clock|rejected_execute_clock|admitted|rejected)$', '--benchmark_format=json',
      `--benchmark_repetitions=${ROUNDS}`, '--benchmark_min_time=0.1'],
    { encoding: 'utf8' },
  );
  // The spread of a counter that is always zero is written as NaN, which JSON does not have.
  const report = JSON.parse(text.replaceAll(': NaN', ': null'));
  const best = (name) => Math.min(...report.benchmarks
    .filter((run) => run.run_type === 'iteration' && run.run_name === name).map((run) => run.cpu_time));
  const round = (value) => Math.round(value * 10) / 10;
  return {
    'tyaprover execute()': { admitted: round(best('breaker_execute_clock')), rejected: round(best('breaker_rejected_execute_clock')) },
    'tyaprover permit, no clock reads': { admitted: round(best('breaker_admitted')), rejected: round(best('breaker_rejected')) },
  };
}

const rows = {
  opossum: await opossum(),
  'cockatiel, consecutive': await cockatiel(new ConsecutiveBreaker(5)),
  'cockatiel, sampling': await cockatiel(new SamplingBreaker({ threshold: 0.5, duration: 10_000 })),
  ...(process.argv[2] ? ours(process.argv[2]) : {}),
};
console.log('ns per call                            admitted   rejected');
for (const [name, { admitted, rejected: refused }] of Object.entries(rows)) {
  console.log(`${name.padEnd(36)} ${String(admitted).padStart(10)} ${String(refused).padStart(10)}`);
}
