// One request through: client ► Node service ► tyaprover ► Node service, the services traced by OpenTelemetry's
// own SDK. All of them report to one collector, which must see one trace of one unbroken chain, whatever
// propagation format they speak.
//
//   node join_traces.mjs TYAPROVER
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import os from 'node:os'
import path from 'node:path'
import readline from 'node:readline'
import { fileURLToPath } from 'node:url'

const tyaprover = process.argv[2]
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'join-traces-'))
const children = []
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  fs.rmSync(folder, { recursive: true })
})

const KINDS = ['', 'internal', 'server', 'client'] // as OTLP counts them

// ---- the collector: OTLP JSON, from all three ----

let spans = []
let arrived = () => {}
const collector = http.createServer(async (request, response) => {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  for (const { resource, scopeSpans } of JSON.parse(Buffer.concat(chunks)).resourceSpans) {
    const service = resource.attributes.find(({ key }) => key === 'service.name').value.stringValue
    for (const span of scopeSpans.flatMap((scope) => scope.spans)) spans.push({ service, ...span })
  }
  response.setHeader('Content-Type', 'application/json').end('{}')
  arrived()
})
collector.listen(0, '127.0.0.1')
await once(collector, 'listening')
const collectorUrl = `http://127.0.0.1:${collector.address().port}/v1/traces`

async function spansOfOneRequest(count) {
  while (spans.length < count) {
    await new Promise((resolve) => {
      arrived = resolve
    })
  }
  const all = spans
  spans = []
  return all
}

// ---- the programs ----

// Nothing else of the environment may change what they do.
const kept = Object.fromEntries(
  ['PATH', 'ASAN_OPTIONS', 'UBSAN_OPTIONS', 'TSAN_OPTIONS'].flatMap((name) =>
    process.env[name] ? [[name, process.env[name]]] : [],
  ),
)

function start(program, args, environment) {
  const child = spawn(program, args, {
    env: { ...kept, ...environment },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  children.push(child)
  child.on('exit', (code, signal) => {
    if (!stopping) throw new Error(`${program} ended: ${code ?? signal}`)
  })
  return child
}
let stopping = false
async function stop(...running) {
  stopping = true
  await Promise.all(
    running.map((child) => {
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      return ended
    }),
  )
  stopping = false
}

async function startService(name, propagator, next) {
  const child = start(process.execPath, [fileURLToPath(new URL('traced_service.cjs', import.meta.url))], {
    NAME: name,
    PROPAGATOR: propagator,
    COLLECTOR: collectorUrl,
    NEXT: next ?? '',
  })
  const [port] = await once(readline.createInterface({ input: child.stdout }), 'line')
  return { child, url: `http://127.0.0.1:${port}` }
}

async function startGateway(target, propagators) {
  const configuration = path.join(folder, 'tyaprover.yaml')
  fs.writeFileSync(
    configuration,
    `listen: ["127.0.0.1:0"]
apps:
  - name: back
    upstream:
      targets: ["${target}"]
tracing:
  exporter_endpoint: ${collectorUrl}
  exporter_protocol: otlp-json
  propagators: [${propagators}]
`,
  )
  const child = start(tyaprover, ['run', '-c', configuration], {
    OTEL_SERVICE_NAME: 'gateway',
    OTEL_BSP_SCHEDULE_DELAY: '10',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'none',
  })
  const [banner] = await once(readline.createInterface({ input: child.stdout }), 'line')
  return { child, url: JSON.parse(banner).listeners[0] }
}

// ---- one chain ----

const get = (url, headers = {}) =>
  new Promise((resolve, reject) => {
    http
      .get(url, { headers, agent: false }, async (response) => {
        const chunks = []
        for await (const chunk of response) chunks.push(chunk)
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() })
      })
      .on('error', reject)
  })

const only = (all, what, test) => {
  const found = all.filter(test)
  assert.equal(found.length, 1, `${what}: ${found.length} such spans`)
  return found[0]
}

// The chain that every request must give, the caller first.
const CHAIN = [
  ['front', 'server'],
  ['front', 'client'],
  ['gateway', 'server'],
  ['gateway', 'client'],
  ['back', 'server'],
]

async function checkChain(propagator, propagators, fieldsOf) {
  const back = await startService('back', propagator)
  const gateway = await startGateway(back.url, propagators)
  const front = await startService('front', propagator, gateway.url)

  // Without a caller's context, and with one.
  for (const caller of [null, { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' }]) {
    const what = `${propagator}, ${caller ? 'with' : 'without'} a caller`
    const answer = await get(`${front.url}/basket`, caller ? fieldsOf(caller) : {})
    assert.equal(answer.status, 200, what)
    const all = await spansOfOneRequest(CHAIN.length)
    assert.equal(all.length, CHAIN.length, what)
    const traceId = caller ? caller.traceId : all[0].traceId
    let parent = caller ? caller.spanId : undefined
    for (const [service, kind] of CHAIN) {
      const span = only(all, `${what}: ${service} ${kind}`, (each) => each.service === service && KINDS[each.kind] === kind)
      assert.equal(span.traceId, traceId, `${what}: the trace of ${service} ${kind}`)
      assert.equal(span.parentSpanId || undefined, parent, `${what}: the parent of ${service} ${kind}`)
      parent = span.spanId
    }
    // What the last service was sent is the gateway's client span, in the service's format.
    const sent = JSON.parse(answer.body)
    const client = only(all, what, (each) => each.service === 'gateway' && each.kind === 3)
    for (const [name, value] of Object.entries(fieldsOf(client))) {
      if (name === 'traceparent') assert.equal(sent[name].slice(0, 52), value.slice(0, 52), what)
      else assert.equal(sent[name], value, `${what}: ${name}`)
    }
    console.log(`ok: ${what}: one trace of ${all.length} spans, each the child of the one before`)
  }
  // A caller's decision not to sample holds to the end: a sampled request after it is the next to arrive.
  const deny = { traceId: '11111111111111111111111111111111', spanId: '2222222222222222' }
  await get(`${front.url}/`, fieldsOf(deny, '0'))
  await get(`${front.url}/`)
  const next = await spansOfOneRequest(CHAIN.length)
  for (const span of next) assert.notEqual(span.traceId, deny.traceId, `${propagator}: a trace that was not to be sampled`)
  console.log(`ok: ${propagator}: a caller's decision not to sample holds for all`)
  await stop(front.child, gateway.child, back.child)
}

await checkChain('w3c', 'tracecontext', ({ traceId, spanId }, sampled = '1') => ({
  traceparent: `00-${traceId}-${spanId}-0${sampled}`,
}))
await checkChain('b3', 'b3', ({ traceId, spanId }, sampled = '1') => ({ b3: `${traceId}-${spanId}-${sampled}` }))
await checkChain('b3multi', 'b3multi', ({ traceId, spanId }, sampled = '1') => ({
  'x-b3-traceid': traceId,
  'x-b3-spanid': spanId,
  'x-b3-sampled': sampled,
}))
process.exit(0)
