// The public suite http-cache-tests against caching proxies.
//
//   node run.mjs check TYAPROVER              ours; fails when it differs from expected.txt (the test of ctest)
//   node run.mjs compare TYAPROVER            ours and Debian's peers: the table of docs/caching.md
//   node run.mjs failures TYAPROVER PROXY     what one of them does not pass, and why
//   node run.mjs explain TYAPROVER PROXY ID   one test, with what was said on the wire
//
// Proxies: see below. Every run has a network of its own, because the suite's origin is bound to port 8000; where
// such networks are forbidden `check` ends with 77, which ctest shows as skipped.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

import { KINDS, counts, differences, provisions, readExpected, score } from './score.mjs'
import { suites } from './suite.mjs'

const SKIPPED = 77
const here = path.dirname(fileURLToPath(import.meta.url))
const settings = (file) => path.join(here, 'proxies', file)

// name → [title, command]
const [command, tyaprover, proxy, id] = process.argv.slice(2)
const PROXIES = {
  uncached: ['no cache', [path.resolve(tyaprover ?? ''), 'run', '-c', settings('uncached.yaml')]],
  tyaprover: ['Tyaprover', [path.resolve(tyaprover ?? ''), 'run', '-c', settings('tyaprover.yaml')]],
  nginx: ['nginx', ['/usr/sbin/nginx', '-e', '/dev/null', '-p', '.', '-c', settings('nginx.conf')]],
  haproxy: ['HAProxy', ['/usr/sbin/haproxy', '-db', '-q', '-f', settings('haproxy.cfg')]],
  varnish: [
    'Varnish',
    ['/usr/sbin/varnishd', '-F', '-j', 'none', '-n', './varnish', '-a', '127.0.0.1:8080', '-s', 'malloc,64m',
      '-p', 'default_ttl=0', '-f', settings('varnish.vcl')],
  ],
}

// Root makes a network by itself, others as the root of a user namespace.
const unshare = ['unshare', '--net', '--pid', '--fork', '--kill-child', ...(process.getuid() === 0 ? [] : ['--map-root-user'])]

function networksAreAllowed() {
  const { status, stderr } = spawnSync(unshare[0], [...unshare.slice(1), 'ip', 'link', 'set', 'lo', 'up'])
  if (status !== 0) console.log(`No network of our own here: ${stderr}`)
  return status === 0
}

// What the suite printed about this proxy.
function printed(name, test = '') {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'cache-conformance-'))
  try {
    const { status, stdout } = spawnSync(
      unshare[0],
      [...unshare.slice(1), process.execPath, path.join(here, 'in_namespace.mjs'), folder, test, ...PROXIES[name][1]],
      { stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8', maxBuffer: 1 << 26 },
    )
    if (status !== 0) throw new Error(`the suite did not run against ${name}`)
    return stdout
  } finally {
    rmSync(folder, { recursive: true })
  }
}
const verdictsOf = (name) => score(provisions(suites), JSON.parse(printed(name)))
const shown = (totals) => Object.entries(totals).map(([kind, { passed, total }]) => `${kind} ${passed}/${total}`).join(', ')

function compare() {
  console.log(`| proxy | ${Object.keys(KINDS).join(' | ')} |`)
  console.log('|---|' + '---|'.repeat(Object.keys(KINDS).length))
  for (const [name, [title]] of Object.entries(PROXIES)) {
    const totals = Object.values(counts(verdictsOf(name)))
    console.log(`| ${title} | ${totals.map(({ passed, total }) => `${passed}/${total}`).join(' | ')} |`)
  }
  return 0
}

function failures() {
  const verdicts = verdictsOf(proxy)
  for (const { id, kind, passed, why } of verdicts) if (!passed) console.log(`${kind.padEnd(8)} ${id}  ${why}`)
  console.log(shown(counts(verdicts)))
  return 0
}

function check() {
  const verdicts = verdictsOf('tyaprover')
  const found = differences(verdicts, readExpected(readFileSync(path.join(here, 'expected.txt'), 'utf8')))
  for (const difference of found) console.log(difference)
  console.log(shown(counts(verdicts)))
  return found.length === 0 ? 0 : 1
}

function explain() {
  console.log(printed(proxy, id))
  return 0
}

const run = { check, compare, failures, explain }[command]
const knows = proxy === undefined ? ['check', 'compare'].includes(command) : proxy in PROXIES
if (!run || !tyaprover || !knows) {
  console.error(`usage: run.mjs check|compare TYAPROVER, or failures|explain TYAPROVER ${Object.keys(PROXIES).join('|')} [ID]`)
  process.exit(2)
}
if (!networksAreAllowed()) process.exit(SKIPPED)
try {
  process.exit(run())
} catch (error) {
  console.error(`run.mjs: ${error.message}`)
  process.exit(1)
}
