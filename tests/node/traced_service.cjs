// A service as other people trace theirs: OpenTelemetry's SDK with its HTTP instrumentation. It answers every
// request; with NEXT it first asks that URL and passes on what came back.
//
//   NAME=front PROPAGATOR=w3c|b3|b3multi COLLECTOR=http://…/v1/traces [NEXT=http://…] node traced_service.cjs
//
// Prints its port, and runs until its standard input ends.
const { NodeTracerProvider } = require('@opentelemetry/sdk-trace-node')
const { SimpleSpanProcessor } = require('@opentelemetry/sdk-trace-base')
const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-http')
const { B3InjectEncoding, B3Propagator } = require('@opentelemetry/propagator-b3')
const { W3CTraceContextPropagator } = require('@opentelemetry/core')
const { registerInstrumentations } = require('@opentelemetry/instrumentation')
const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http')
const { resourceFromAttributes } = require('@opentelemetry/resources')

const { NAME, PROPAGATOR, COLLECTOR, NEXT } = process.env
const propagators = {
  w3c: () => new W3CTraceContextPropagator(),
  b3: () => new B3Propagator(),
  b3multi: () => new B3Propagator({ injectEncoding: B3InjectEncoding.MULTI_HEADER }),
}
new NodeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': NAME }),
  spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter({ url: COLLECTOR }))],
}).register({ propagator: propagators[PROPAGATOR]() })
registerInstrumentations({ instrumentations: [new HttpInstrumentation()] })

const http = require('node:http') // after the instrumentation, which wraps it
const server = http.createServer((request, response) => {
  if (!NEXT) return response.end(JSON.stringify(request.headers))
  http.get(NEXT + request.url, (answer) => answer.pipe(response)).on('error', (error) => {
    response.statusCode = 502
    response.end(String(error))
  })
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.on('end', () => process.exit(0)).resume()
