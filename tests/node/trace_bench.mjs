// What a span costs in the OpenTelemetry SDK for JavaScript, to stand beside trace_bench: start, ten attributes and
// end into the batch processor, and a span that is not sampled. Prints nanoseconds, the best of several rounds.
//
//   node trace_bench.mjs
import { ROOT_CONTEXT, SpanKind } from '@opentelemetry/api'
import { ExportResultCode } from '@opentelemetry/core'
import { AlwaysOffSampler, BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base'

const PATH = '/api/items/4711/details'
const sink = {
  export: (spans, done) => done({ code: ExportResultCode.SUCCESS }),
  shutdown: async () => {},
}

function setTenAttributes(span) {
  span.setAttribute('http.request.method', 'GET')
  span.setAttribute('url.path', PATH)
  span.setAttribute('url.scheme', 'http')
  span.setAttribute('http.route', '/api/items/{id}')
  span.setAttribute('http.response.status_code', 200)
  span.setAttribute('server.address', PATH.slice(0, 9))
  span.setAttribute('server.port', 8080)
  span.setAttribute('client.address', PATH.slice(1, 10))
  span.setAttribute('network.protocol.version', '1.1')
  span.setAttribute('user_agent.original', PATH.slice(0, 20))
}

// The batch processor exports between rounds, as it would between requests.
async function measure(name, options, attributes) {
  const provider = new BasicTracerProvider({
    ...options,
    spanProcessors: [new BatchSpanProcessor(sink, { maxQueueSize: 20_000 })],
  })
  const tracer = provider.getTracer('bench')
  let best = Infinity
  for (let round = 0; round < 60; ++round) {
    const begin = process.hrtime.bigint()
    for (let i = 0; i < 10_000; ++i) {
      const span = tracer.startSpan('GET /api/items/{id}', { kind: SpanKind.SERVER }, ROOT_CONTEXT)
      if (attributes) setTenAttributes(span)
      span.end()
    }
    best = Math.min(best, Number(process.hrtime.bigint() - begin) / 10_000)
    await provider.forceFlush()
  }
  console.log(`${name.padEnd(40)} ${best.toFixed(0)} ns`)
  await provider.shutdown()
}

await measure('OpenTelemetry JS: sampled, 10 attributes', {}, true)
await measure('OpenTelemetry JS: not sampled', { sampler: new AlwaysOffSampler() }, false)
