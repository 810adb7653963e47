// What lru-cache and node-cache take for the operations of tyaprover/cache/cache_bench.cc, and our own numbers
// beside them when a cache_bench program is given. Best of several rounds, in ns per operation.
//
//   node tests/node/cache_bench.mjs [build/release/cache_bench]
import { execFileSync } from 'node:child_process';
import { LRUCache } from 'lru-cache';
import NodeCache from 'node-cache';

const entries = 32 << 10;
const rounds = 7;

const keyOf = (i) => `key:${String(i).padStart(19, '0')}k`;
const inOrder = Array.from({ length: entries * 4 }, (_, i) => keyOf(i));
// A fixed permutation: walks neither the table nor the keys in a row.
const shuffled = inOrder.slice(0, entries);
let state = 1;
for (let i = shuffled.length - 1; i > 0; --i) {
  state = (state * 48271) % 2147483647;
  const j = state % (i + 1);
  [shuffled[i], shuffled[j]] = [shuffled[j], shuffled[i]];
}

function best(run, operations) {
  let least = Infinity;
  for (let round = 0; round < rounds; ++round) {
    const began = process.hrtime.bigint();
    run();
    least = Math.min(least, Number(process.hrtime.bigint() - began) / operations);
  }
  return least;
}

let sink = 0;
function getHit(cache) {
  for (let i = 0; i < entries; ++i) cache.set(keyOf(i), i);
  const repeats = 20;
  return best(() => {
    for (let r = 0; r < repeats; ++r) {
      for (const key of shuffled) sink += cache.get(key);
    }
  }, repeats * entries);
}
function setWithEviction(cache) {
  return best(() => {
    for (let i = 0; i < inOrder.length; ++i) cache.set(inOrder[i], i);
  }, inOrder.length);
}

// The least real time of each of our benchmarks, over repetitions.
function ours(program) {
  const json = execFileSync(program, ['--benchmark_format=json', '--benchmark_repetitions=7',
    '--benchmark_min_time=0.1'], { stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 1 << 26 });
  const least = new Map();
  for (const run of JSON.parse(String(json).replaceAll(/: (NaN|-?nan|inf)\b/gi, ": null")).benchmarks) {
    if (run.run_type !== 'iteration' || run.error_occurred) continue;
    least.set(run.run_name, Math.min(least.get(run.run_name) ?? Infinity, run.real_time));
  }
  return least;
}

const rows = [
  ['get hit, 32k entries, 24-byte keys', 'get_hit/0/real_time', getHit(new LRUCache({ max: entries * 2 })),
    getHit(new NodeCache({ useClones: false, checkperiod: 0 }))],
  ['get hit, exact LRU', 'lru_get_hit', getHit(new LRUCache({ max: entries * 2 })), NaN],
  // node-cache does not evict: it throws when it is full.
  ['set with eviction', 'set_with_eviction/real_time', setWithEviction(new LRUCache({ max: entries })), NaN],
];
const own = process.argv[2] ? ours(process.argv[2]) : new Map();
const cell = (ns) => (Number.isFinite(ns) ? ns.toFixed(0) : '-').padStart(10);
console.log(`${'ns per operation'.padEnd(38)}${'tyaprover'.padStart(10)}${'lru-cache'.padStart(10)}${'node-cache'.padStart(11)}`);
for (const [what, name, lru, node] of rows) {
  console.log(`${what.padEnd(38)}${cell(own.get(name))}${cell(lru)} ${cell(node)}`);
}
const one = own.get('get_hit/0/real_time');
const two = own.get('get_hit/0/real_time/threads:2');
if (two) console.log(`two threads: ${(one / two).toFixed(2)} times the look-ups of one`);
if (!Number.isFinite(sink)) process.exitCode = 1;  // some look-up missed
