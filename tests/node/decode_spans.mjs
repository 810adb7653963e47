// Reads the trees that encode_trees wrote with decoders that are not ours, and compares every one with what
// was asked for: OTLP protobuf by OpenTelemetry's generated decoder, OTLP JSON field by field, Zipkin JSON by
// the rules of its schema, Jaeger by its own IDL. Tree 0 is also made with the OpenTelemetry SDK, whose output
// must say the same.
//
//   node decode_spans.mjs ENCODE_TREES [SEED]
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'

const require = createRequire(import.meta.url)
const modules = path.join(import.meta.dirname, 'node_modules')
const inside = (name) => require(path.join(modules, name))

const hex = (bytes) => Buffer.from(bytes).toString('hex')
const KINDS = ['internal', 'server', 'client', 'producer', 'consumer']
const STATUSES = ['unset', 'ok', 'error']
const text = (value) => value.toString() // Long, number or BigInt

// ---- OTLP ----

const { opentelemetry } = inside('@opentelemetry/otlp-transformer/build/src/generated/root.js')
const Request = opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest

// AnyValue → ["type", value]. `integer` reads an intValue.
function otlpValue(value, integer) {
  if (value.stringValue !== undefined && value.stringValue !== null) return ['string', value.stringValue]
  if (value.boolValue !== undefined && value.boolValue !== null) return ['bool', value.boolValue]
  if (value.intValue !== undefined && value.intValue !== null) return ['int', integer(value.intValue)]
  if (value.doubleValue !== undefined && value.doubleValue !== null) return ['double', value.doubleValue]
  assert.ok(value.arrayValue, `a value of no type: ${JSON.stringify(value)}`)
  const values = (value.arrayValue.values ?? []).map((each) => otlpValue(each, integer))
  return [values.length ? `${values[0][0]}s` : 'empty', values.map((each) => each[1])]
}

const otlpAttributes = (list, integer) =>
  Object.fromEntries((list ?? []).map(({ key, value }) => [key, otlpValue(value, integer)]))

// `id` reads ids, `integer` 64-bit numbers.
function otlpSpans(request, id, integer) {
  const spans = []
  for (const { resource, scopeSpans } of request.resourceSpans) {
    for (const { scope, spans: list } of scopeSpans) {
      for (const span of list) {
        spans.push({
          traceId: id(span.traceId),
          spanId: id(span.spanId),
          parentSpanId: span.parentSpanId?.length ? id(span.parentSpanId) : '',
          parentIsRemote: (span.flags & 0x200) !== 0,
          traceState: span.traceState ?? '',
          flags: span.flags & 0xff,
          name: span.name,
          kind: KINDS[span.kind - 1],
          start: integer(span.startTimeUnixNano),
          end: integer(span.endTimeUnixNano),
          status: STATUSES[span.status?.code ?? 0],
          description: span.status?.message ?? '',
          library: scope.name,
          attributes: otlpAttributes(span.attributes, integer),
          events: (span.events ?? []).map((event) => ({
            name: event.name,
            time: integer(event.timeUnixNano),
            attributes: otlpAttributes(event.attributes, integer),
          })),
          links: (span.links ?? []).map((link) => ({ traceId: id(link.traceId), spanId: id(link.spanId) })),
          parentIsKnown: (span.flags & 0x100) !== 0,
          resource: otlpAttributes(resource.attributes, integer),
        })
      }
    }
  }
  return spans
}

const decodeProtobuf = (bytes) => otlpSpans(Request.decode(bytes), hex, text)

function decodeOtlpJson(bytes) {
  const request = JSON.parse(bytes.toString())
  const lowerHex = (id) => {
    assert.match(id, /^([0-9a-f]{16}|[0-9a-f]{32})$/)
    return id
  }
  const integer = (value) => {
    assert.equal(typeof value, 'string', '64-bit integers are strings')
    assert.match(value, /^-?[0-9]+$/)
    return value
  }
  return otlpSpans(request, lowerHex, integer)
}

// An empty array has no element that tells its type.
const withoutEmptyTypes = (attributes) =>
  Object.fromEntries(
    Object.entries(attributes).map(([key, [type, value]]) => [
      key,
      Array.isArray(value) && value.length === 0 ? ['empty', []] : [type, value],
    ]),
  )

function expectedOtlp(span) {
  return {
    ...span,
    attributes: withoutEmptyTypes(span.attributes),
    events: span.events.map((event) => ({ ...event, attributes: withoutEmptyTypes(event.attributes) })),
  }
}

const RESOURCE = { 'service.name': 'shop', 'host.name': 'hä', 'telemetry.sdk.name': 'tyaprover', 'telemetry.sdk.language': 'cpp' }

function compareOtlp(decoded, expected, what) {
  const byId = new Map(decoded.map((span) => [span.spanId, span]))
  assert.equal(byId.size, expected.length, `${what}: number of spans`)
  for (const want of expected) {
    const { resource, parentIsKnown, ...got } = byId.get(want.spanId)
    assert.ok(parentIsKnown, `${what}: it is known whether the parent is remote`)
    assert.deepEqual(got, expectedOtlp(want), what)
    for (const [key, value] of Object.entries(RESOURCE)) assert.deepEqual(resource[key], ['string', value], what)
  }
}

// ---- values as text, for Zipkin and Jaeger ----

// What our encoders make of arrays: JSON, with integers as numbers. Numbers are compared as numbers.
function sameText(got, [type, value], what) {
  if (type === 'string') return assert.equal(got, value, what)
  if (type === 'bool' || type === 'int') return assert.equal(got, String(value), what)
  if (type === 'double') return assert.equal(Number(got), value, what)
  if (type === 'ints') return assert.equal(got, `[${value.join(',')}]`, what)
  return assert.deepEqual(JSON.parse(got), value, what)
}

const micros = (nanos) => (BigInt(nanos) / 1000n).toString()

// ---- Zipkin: the rules of zipkin2-api.yaml ----

function checkZipkinSchema(span) {
  assert.match(span.traceId, /^[0-9a-f]{16,32}$/)
  assert.match(span.id, /^[0-9a-f]{16}$/)
  if ('parentId' in span) assert.match(span.parentId, /^[0-9a-f]{16}$/)
  if ('kind' in span) assert.ok(['CLIENT', 'SERVER', 'PRODUCER', 'CONSUMER'].includes(span.kind))
  assert.equal(typeof span.name, 'string')
  assert.ok(Number.isSafeInteger(span.timestamp) && span.timestamp > 0)
  assert.ok(Number.isSafeInteger(span.duration) && span.duration >= 1)
  assert.equal(typeof span.localEndpoint.serviceName, 'string')
  for (const value of Object.values(span.tags)) assert.equal(typeof value, 'string')
  for (const { timestamp, value } of span.annotations ?? []) {
    assert.ok(Number.isSafeInteger(timestamp))
    assert.equal(typeof value, 'string')
  }
  const known = ['traceId', 'id', 'parentId', 'name', 'kind', 'timestamp', 'duration', 'localEndpoint', 'annotations', 'tags']
  for (const key of Object.keys(span)) assert.ok(known.includes(key), `unknown field ${key}`)
}

function compareZipkin(spans, expected, what) {
  assert.equal(spans.length, expected.length, what)
  spans.forEach((span) => checkZipkinSchema(span))
  const byId = new Map(spans.map((span) => [span.id, span]))
  for (const want of expected) {
    const span = byId.get(want.spanId)
    assert.equal(span.traceId, want.traceId, what)
    assert.equal(span.parentId ?? '', want.parentSpanId, what)
    assert.equal(span.name, want.name, what)
    assert.equal((span.kind ?? 'INTERNAL').toLowerCase(), want.kind, what)
    assert.equal(String(span.timestamp), micros(want.start), what)
    const duration = (BigInt(want.end) - BigInt(want.start)) / 1000n
    assert.equal(String(span.duration), String(duration > 0n ? duration : 1n), what)
    assert.equal(span.localEndpoint.serviceName, 'shop', what)
    for (const [key, value] of Object.entries(want.attributes)) sameText(span.tags[key], value, `${what}: ${key}`)
    assert.equal(span.tags['host.name'], 'hä', what)
    assert.equal(span.tags['otel.scope.name'], want.library, what)
    assert.equal(span.tags['otel.status_code'], { unset: undefined, ok: 'OK', error: 'ERROR' }[want.status], what)
    assert.equal('error' in span.tags, want.status === 'error', what)
    const annotations = span.annotations ?? []
    assert.equal(annotations.length, want.events.length, what)
    want.events.forEach((event, i) => {
      assert.equal(String(annotations[i].timestamp), micros(event.time), what)
      assert.ok(annotations[i].value.startsWith(event.name), what)
    })
  }
}

// ---- Jaeger: jaeger.thrift, as its own client ships it ----

const { Thrift } = require('thriftrw')
const jaegerFolder = path.join(modules, 'jaeger-client/dist/src/jaeger-idl/thrift')
const jaeger = new Thrift({ entryPoint: path.join(jaegerFolder, 'jaeger.thrift'), allowFilesystemAccess: true })

function decodeJaeger(bytes) {
  const { err, value } = require('bufrw').fromBufferResult(jaeger.Batch.rw, bytes)
  assert.ifError(err)
  return value
}

const i64 = (buffer) => (Buffer.isBuffer(buffer) ? buffer.readBigInt64BE() : BigInt(buffer)).toString()
const i64hex = (buffer) => BigInt.asUintN(64, BigInt(i64(buffer))).toString(16).padStart(16, '0')

function jaegerTags(list, what) {
  const tags = {}
  for (const tag of list) {
    assert.ok(!(tag.key in tags), `${what}: the tag ${tag.key} comes twice`)
    const values = {
      STRING: ['string', tag.vStr],
      DOUBLE: ['double', tag.vDouble],
      BOOL: ['bool', tag.vBool],
      LONG: ['int', tag.vLong && i64(tag.vLong)],
    }
    tags[tag.key] = values[tag.vType]
    assert.ok(tags[tag.key], `${what}: type ${tag.vType}`)
  }
  return tags
}

function sameTag(got, want, what) {
  if (Array.isArray(want[1])) {
    assert.equal(got[0], 'string', what)
    sameText(got[1], want, what)
  } else {
    assert.deepEqual(got, want, what)
  }
}

function compareJaeger(batch, expected, what) {
  assert.equal(batch.process.serviceName, 'shop', what)
  assert.deepEqual(jaegerTags(batch.process.tags, what)['host.name'], ['string', 'hä'], what)
  assert.equal(batch.spans.length, expected.length, what)
  const byId = new Map(batch.spans.map((span) => [i64hex(span.spanId), span]))
  for (const want of expected) {
    const span = byId.get(want.spanId)
    assert.equal(i64hex(span.traceIdHigh) + i64hex(span.traceIdLow), want.traceId, what)
    assert.equal(i64hex(span.parentSpanId), want.parentSpanId || '0'.repeat(16), what)
    assert.equal(span.operationName, want.name, what)
    assert.equal(span.flags, want.flags & 1, what)
    assert.equal(i64(span.startTime), micros(want.start), what)
    assert.equal(i64(span.duration), String((BigInt(want.end) - BigInt(want.start)) / 1000n), what)
    const tags = jaegerTags(span.tags, what)
    for (const [key, value] of Object.entries(want.attributes)) sameTag(tags[key], value, `${what}: ${key}`)
    assert.equal(tags['span.kind']?.[1] ?? 'internal', want.kind, what)
    assert.equal(tags['otel.status_code']?.[1], { unset: undefined, ok: 'OK', error: 'ERROR' }[want.status], what)
    assert.deepEqual(tags.error, want.status === 'error' ? ['bool', true] : undefined, what)
    assert.equal(tags['otel.status_description']?.[1] ?? '', want.description, what)
    assert.equal(tags['otel.scope.name'][1], want.library, what)
    const references = (span.references ?? []).map((each) => ({
      traceId: i64hex(each.traceIdHigh) + i64hex(each.traceIdLow),
      spanId: i64hex(each.spanId),
    }))
    for (const each of span.references ?? []) assert.equal(each.refType, 'FOLLOWS_FROM', what)
    assert.deepEqual(references, want.links, what)
    const logs = span.logs ?? []
    assert.equal(logs.length, want.events.length, what)
    want.events.forEach((event, i) => {
      assert.equal(i64(logs[i].timestamp), micros(event.time), what)
      const fields = jaegerTags(logs[i].fields, what)
      assert.deepEqual(fields.event, ['string', event.name], what)
      for (const [key, value] of Object.entries(event.attributes)) sameTag(fields[key], value, what)
    })
  }
}

// ---- the same tree from the OpenTelemetry SDK ----

const { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } = require('@opentelemetry/sdk-trace-base')
const { resourceFromAttributes } = require('@opentelemetry/resources')
const api = require('@opentelemetry/api')

function makeWithSdk(expected) {
  const ids = expected.map((span) => span.spanId)
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'shop', 'host.name': 'hä' }),
    idGenerator: { generateTraceId: () => expected[0].traceId, generateSpanId: () => ids.shift() },
    spanProcessors: [new SimpleSpanProcessor(exporter)],
  })
  const tracer = provider.getTracer('test', '1.0')
  const time = (nanos) => [Number(BigInt(nanos) / 1_000_000_000n), Number(BigInt(nanos) % 1_000_000_000n)]
  const plain = (attributes) =>
    Object.fromEntries(
      Object.entries(attributes).map(([key, [type, value]]) => [
        key,
        type === 'int' ? Number(value) : type === 'ints' ? value.map(Number) : value,
      ]),
    )
  const spans = new Map()
  for (const want of expected) {
    const parent = spans.get(want.parentSpanId)
    const context = parent ? api.trace.setSpan(api.ROOT_CONTEXT, parent) : api.ROOT_CONTEXT
    const options = {
      kind: KINDS.indexOf(want.kind),
      startTime: time(want.start),
      attributes: plain(want.attributes),
      links: want.links.map((link) => ({ context: { ...link, traceFlags: 1 } })),
    }
    spans.set(want.spanId, tracer.startSpan(want.name, options, context))
  }
  for (const want of expected) {
    const span = spans.get(want.spanId)
    for (const event of want.events) span.addEvent(event.name, plain(event.attributes), time(event.time))
    if (want.status !== 'unset') span.setStatus({ code: STATUSES.indexOf(want.status), message: want.description || undefined })
    span.end(time(want.end))
  }
  return exporter.getFinishedSpans()
}

// JavaScript has one type of number, so integers and doubles compare as numbers.
const asNumbers = (attributes) =>
  Object.fromEntries(
    Object.entries(attributes).map(([key, [type, value]]) => [
      key,
      type === 'int' || type === 'double' ? ['number', Number(value)] : type === 'ints' || type === 'doubles' ? ['numbers', value.map(Number)] : [type, value],
    ]),
  )

// Level 2's random flag is ours alone, and the SDK marks no parent as known; all else must be equal.
const comparable = ({ resource, flags, parentIsRemote, parentIsKnown, ...span }) => ({
  ...span,
  attributes: asNumbers(span.attributes),
  events: span.events.map((event) => ({ ...event, attributes: asNumbers(event.attributes) })),
})

function compareWithSdk(ours, expected, files) {
  const { ProtobufTraceSerializer, JsonTraceSerializer } = require('@opentelemetry/otlp-transformer')
  const finished = makeWithSdk(expected)
  const sort = (spans) => spans.map(comparable).sort((a, b) => (a.spanId < b.spanId ? -1 : 1))
  const theirs = decodeProtobuf(ProtobufTraceSerializer.serializeRequest(finished))
  assert.deepEqual(sort(ours), sort(theirs), 'OTLP protobuf: ours and the SDK agree')

  const theirJson = JSON.parse(Buffer.from(JsonTraceSerializer.serializeRequest(finished)).toString())
  const theirsFromJson = otlpSpans(theirJson, (id) => id, text)
  assert.deepEqual(sort(ours), sort(theirsFromJson), 'OTLP JSON: ours and the SDK agree')

  const { toZipkinSpan } = inside('@opentelemetry/exporter-zipkin/build/src/transform.js')
  const zipkin = new Map(JSON.parse(files('zipkin.json')).map((span) => [span.id, span]))
  for (const span of finished) {
    const their = toZipkinSpan(span, 'shop', 'otel.status_code', 'error')
    const our = zipkin.get(their.id)
    for (const key of ['traceId', 'parentId', 'name', 'kind', 'timestamp', 'duration']) {
      assert.equal(our[key], their[key], `Zipkin: ${key} of ours and the SDK's`)
    }
    assert.deepEqual(our.localEndpoint, their.localEndpoint)
    assert.equal(our.tags['otel.status_code'], their.tags['otel.status_code'])
    assert.equal(our.tags.error, their.tags.error)
  }
}

// ---- all of it ----

const [program, seed = String(Date.now() % 1_000_000)] = process.argv.slice(2)
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trees-'))
try {
  execFileSync(program, [folder, seed])
  let trees = 0
  let total = 0
  for (; fs.existsSync(path.join(folder, `${trees}.expected.json`)); ++trees) {
    const files = (kind) => fs.readFileSync(path.join(folder, `${trees}.${kind}`))
    const expected = JSON.parse(files('expected.json'))
    const what = (format) => `tree ${trees} of seed ${seed} as ${format}`
    const decoded = decodeProtobuf(files('otlp.pb'))
    compareOtlp(decoded, expected, what('OTLP protobuf'))
    compareOtlp(decodeOtlpJson(files('otlp.json')), expected, what('OTLP JSON'))
    compareZipkin(JSON.parse(files('zipkin.json')), expected, what('Zipkin'))
    compareJaeger(decodeJaeger(files('jaeger')), expected, what('Jaeger'))
    if (trees === 0) compareWithSdk(decoded, expected, files)
    total += expected.length
  }
  assert.ok(trees > 1)
  console.log(`${total} spans in ${trees} trees (seed ${seed}) decode alike from 4 formats; tree 0 equals the SDK's`)
} finally {
  fs.rmSync(folder, { recursive: true })
}
