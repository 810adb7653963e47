// What the encoders write, where it can be read by eye. Whether other programs read the same from
// all of them is tested with their decoders in tests/node/decode_spans.mjs.
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "tyaprover/trace/console_exporter.h"
#include "tyaprover/trace/encode_jaeger.h"
#include "tyaprover/trace/encode_otlp.h"
#include "tyaprover/trace/encode_zipkin.h"
#include "tyaprover/trace/trace_testing.h"

namespace tyaprover::trace {
namespace {

using namespace std::chrono_literals;

class EncodeTest : public testing::Test {
 protected:
  // One span with everything in it, at fixed times.
  SpanData full() {
    const SpanContext parent({0x0102030405060708, 0x090a0b0c0d0e0f10}, {0x1112131415161718}, {3},
                             true, "a=1");
    const SpanContext other({1, 2}, {3}, {1}, false);
    Span span = tracer.start_span(
        "work", {.parent = parent,
                 .kind = SpanKind::server,
                 .attributes = {{"text", "x"}, {"int", 42}, {"yes", true}, {"real", 1.5}},
                 .links = {{other, {{"why", "test"}}}},
                 .start_time = WallTime{1700000000s}});
    span.set_attribute("list", std::vector<std::int64_t>{1, 2});
    span.add_event("retry", {{"n", 1}}, WallTime{1700000000s + 1ms});
    span.set_status(SpanStatus::error, "bad");
    span.end(WallTime{1700000000s + 2ms});
    kept.push_back(recorder.one());
    SpanData data = *kept.back();
    data.span_id = {0x2122232425262728};
    return data;
  }
  template <class F>
  std::string encode(F encoder, std::vector<SpanData> spans) {
    std::string out = "what was there before";
    encoder(spans, out);
    return out;
  }

  Recorder recorder{{.resource = {{"service.name", "shop"}}}};
  Tracer tracer = recorder.tracer();
  std::vector<OwnedSpan> kept;
};

TEST_F(EncodeTest, OtlpJson) {
  const std::string version = TYAPROVER_VERSION;
  EXPECT_EQ(
      encode(encode_otlp_json, {full()}),
      R"({"resourceSpans":[{"resource":{"attributes":[)"
      R"({"key":"service.name","value":{"stringValue":"shop"}},)"
      R"({"key":"telemetry.sdk.name","value":{"stringValue":"tyaprover"}},)"
      R"({"key":"telemetry.sdk.language","value":{"stringValue":"cpp"}},)"
      R"({"key":"telemetry.sdk.version","value":{"stringValue":")" +
          version +
          R"("}}]},)"
          R"("scopeSpans":[{"scope":{"name":"test","version":"1"},"spans":[)"
          R"({"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"2122232425262728","traceState":"a=1",)"
          R"("parentSpanId":"1112131415161718","flags":771,"name":"work","kind":2,)"
          R"("startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000002000000",)"
          R"("attributes":[{"key":"text","value":{"stringValue":"x"}},{"key":"int","value":{"intValue":"42"}},)"
          R"({"key":"yes","value":{"boolValue":true}},{"key":"real","value":{"doubleValue":1.5}},)"
          R"({"key":"list","value":{"arrayValue":{"values":[{"intValue":"1"},{"intValue":"2"}]}}}],)"
          R"("droppedAttributesCount":0,)"
          R"("events":[{"timeUnixNano":"1700000000001000000","name":"retry","attributes":[{"key":"n","value":{"intValue":"1"}}],)"
          R"("droppedAttributesCount":0}],"droppedEventsCount":0,)"
          R"("links":[{"traceId":"00000000000000010000000000000002","spanId":"0000000000000003",)"
          R"("attributes":[{"key":"why","value":{"stringValue":"test"}}],"droppedAttributesCount":0,"flags":257}],)"
          R"("droppedLinksCount":0,"status":{"code":2,"message":"bad"}}]}]}]})");
}

TEST_F(EncodeTest, Zipkin) {
  const std::string version = TYAPROVER_VERSION;
  EXPECT_EQ(
      encode(encode_zipkin, {full()}),
      R"([{"traceId":"0102030405060708090a0b0c0d0e0f10","id":"2122232425262728","parentId":"1112131415161718",)"
      R"("name":"work","kind":"SERVER","timestamp":1700000000000000,"duration":2000,)"
      R"("localEndpoint":{"serviceName":"shop"},)"
      R"("annotations":[{"timestamp":1700000000001000,"value":"retry: {\"n\":1}"}],)"
      R"("tags":{"text":"x","int":"42","yes":"true","real":"1.5","list":"[1,2]",)"
      R"("telemetry.sdk.name":"tyaprover","telemetry.sdk.language":"cpp","telemetry.sdk.version":")" +
          version +
          R"(","otel.scope.name":"test","otel.scope.version":"1",)"
          R"("otel.status_code":"ERROR","error":"bad"}}])");
}

TEST_F(EncodeTest, ZipkinTagErrorComesFromTheStatusAlone) {
  tracer.start_span("work").set_attribute("error", false).end();
  kept.push_back(recorder.one());
  EXPECT_EQ(encode(encode_zipkin, {*kept.back()}).find("\"error\""), std::string::npos);
}

TEST_F(EncodeTest, ZipkinTimesAreNeverZero) {
  tracer.start_span("work", {.start_time = WallTime{}}).end(WallTime{});
  kept.push_back(recorder.one());
  EXPECT_NE(encode(encode_zipkin, {*kept.back()}).find("\"timestamp\":1,\"duration\":1,"),
            std::string::npos);
}

TEST_F(EncodeTest, Console) {
  std::string line;
  append_console_json(line, full());
  EXPECT_TRUE(line.starts_with(
      R"({"name":"work","trace_id":"0102030405060708090a0b0c0d0e0f10","span_id":"2122232425262728",)"
      R"("parent_span_id":"1112131415161718","kind":"server","start":"2023-11-14T22:13:20.000Z",)"
      R"("start_unix_nanos":1700000000000000000,"duration_nanos":2000000,"status":"error",)"
      R"("status_description":"bad","trace_state":"a=1",)"
      R"("attributes":{"text":"x","int":42,"yes":true,"real":1.5,"list":[1,2]},)"))
      << line;
  EXPECT_EQ(line.find('\n'), std::string::npos);
}

TEST_F(EncodeTest, NobodyGetsInvalidUtf8) {
  tracer.start_span(std::string("na\xffme")).set_attribute("key", std::string("\xc3(")).end();
  kept.push_back(recorder.one());
  const std::string name = "na\xef\xbf\xbdme";
  const std::string value = "\xef\xbf\xbd(";
  for (const auto& encoded :
       {encode(encode_otlp_protobuf, {*kept.back()}), encode(encode_otlp_json, {*kept.back()}),
        encode(encode_zipkin, {*kept.back()}), encode(encode_jaeger, {*kept.back()})}) {
    EXPECT_NE(encoded.find(name), std::string::npos);
    EXPECT_NE(encoded.find(value), std::string::npos);
    EXPECT_EQ(encoded.find("na\xff"), std::string::npos);
    EXPECT_EQ(encoded.find("\xc3("), std::string::npos);
  }
}

TEST_F(EncodeTest, JsonHasWordsForWhatNumbersCannotSay) {
  tracer.start_span("work")
      .set_attribute("a", std::numeric_limits<double>::quiet_NaN())
      .set_attribute("b", -std::numeric_limits<double>::infinity())
      .end();
  kept.push_back(recorder.one());
  const std::string otlp = encode(encode_otlp_json, {*kept.back()});
  EXPECT_NE(otlp.find(R"({"doubleValue":"NaN"})"), std::string::npos);
  EXPECT_NE(otlp.find(R"({"doubleValue":"-Infinity"})"), std::string::npos);
  EXPECT_NE(encode(encode_zipkin, {*kept.back()}).find(R"("a":"NaN")"), std::string::npos);
}

TEST_F(EncodeTest, SpansAreGroupedByResourceAndScope) {
  Recorder other({.resource = {{"service.name", "other"}}});
  const auto add = [&](Recorder& from, std::string_view library) {
    from.provider().tracer(library).start_span("work").end();
    kept.push_back(from.one());
  };
  add(recorder, "a");
  add(other, "a");
  add(recorder, "b");
  add(recorder, "a");
  std::vector<SpanData> spans;
  for (const OwnedSpan& each : kept) spans.push_back(*each);
  const std::string json = encode(encode_otlp_json, spans);
  const auto count = [&](std::string_view text) {
    std::size_t found = 0;
    for (std::size_t at = 0; (at = json.find(text, at)) != std::string::npos; ++at) ++found;
    return found;
  };
  EXPECT_EQ(count("\"resource\":"), 2u);
  EXPECT_EQ(count("\"scope\":"), 3u);
  EXPECT_EQ(count("\"spanId\":"), 4u);
}

// The nested messages of a protobuf message, by field; everything else is passed over. False when
// a length is wrong or takes more bytes than it must.
bool read_messages(std::string_view message,
                   std::vector<std::pair<std::uint64_t, std::string_view>>& found) {
  const auto varint = [&](std::uint64_t& value) {
    value = 0;
    for (unsigned shift = 0; !message.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(message.front());
      message.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if ((byte & 0x80) == 0) return byte != 0 || shift == 0;
    }
    return false;
  };
  while (!message.empty()) {
    std::uint64_t tag = 0;
    std::uint64_t size = 0;
    if (!varint(tag)) return false;
    switch (tag & 7) {
      case 0:
        if (!varint(size)) return false;
        continue;
      case 1:
        size = 8;
        break;
      case 5:
        size = 4;
        break;
      case 2:
        if (!varint(size)) return false;
        break;
      default:
        return false;
    }
    if (size > message.size()) return false;
    if ((tag & 7) == 2) found.emplace_back(tag >> 3, message.substr(0, size));
    message.remove_prefix(size);
  }
  return true;
}

// What lies at a path of fields, in order; nothing where a message on the way is broken.
std::vector<std::string_view> at_path(std::string_view message, std::span<const unsigned> path) {
  if (path.empty()) return {message};
  std::vector<std::pair<std::uint64_t, std::string_view>> fields;
  if (!read_messages(message, fields)) return {};
  std::vector<std::string_view> found;
  for (const auto& [field, bytes] : fields) {
    if (field != path.front()) continue;
    for (const std::string_view each : at_path(bytes, path.subspan(1))) found.push_back(each);
  }
  return found;
}

TEST_F(EncodeTest, OtlpLengthsFitMessagesOfEverySize) {
  // ResourceSpans, ScopeSpans, Span, then an attribute's key, or its value's text.
  constexpr unsigned kKey[] = {1, 2, 2, 9, 1};
  constexpr unsigned kText[] = {1, 2, 2, 9, 2, 1};
  for (const std::size_t size :
       {0,   1,   100, 120,    121,    122,    123,    124,    125,     126,
        127, 128, 300, 16'000, 16'250, 16'300, 16'383, 16'384, 100'000, 3'000'000}) {
    const std::string text(size, 'x');
    const AttributeData attribute("k", std::string_view(text));
    SpanData span = full();
    span.attributes = {&attribute, 1};
    for (const std::size_t count : {1, 3}) {
      const std::string body = encode(encode_otlp_protobuf, std::vector<SpanData>(count, span));
      EXPECT_EQ(at_path(body, kKey), std::vector<std::string_view>(count, "k")) << size;
      EXPECT_EQ(at_path(body, kText), std::vector<std::string_view>(count, text)) << size;
    }
  }
}

TEST_F(EncodeTest, NoSpansAreAnEmptyMessage) {
  EXPECT_EQ(encode(encode_otlp_protobuf, {}), "");
  EXPECT_EQ(encode(encode_otlp_json, {}), R"({"resourceSpans":[]})");
  EXPECT_EQ(encode(encode_zipkin, {}), "[]");
  EXPECT_EQ(encode(encode_jaeger, {}), "");
}

TEST(OtlpResponse, IsReadStrictly) {
  const auto rejected = [](std::string_view body) -> std::string {
    const auto partial = decode_otlp_response_protobuf(body);
    return partial ? std::to_string(partial->rejected_spans) + partial->message : "invalid";
  };
  using std::string_view_literals::operator""sv;
  EXPECT_EQ(rejected(""), "0");
  EXPECT_EQ(rejected("\x0a\x00"sv), "0");
  EXPECT_EQ(rejected("\x0a\x02\x08\x05"sv), "5");
  EXPECT_EQ(rejected("\x0a\x03\x12\x01!"sv), "0!");
  EXPECT_EQ(rejected("\x12\x01x\x0a\x02\x08\x05"sv), "5") << "unknown fields are skipped";
  EXPECT_EQ(rejected("\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"sv), "0") << "negative";
  EXPECT_EQ(rejected("\x0a\x05\x08\x05"sv), "invalid") << "too short";
  EXPECT_EQ(rejected("\x0a"sv), "invalid");
  EXPECT_EQ(rejected("\xff\xff"sv), "invalid");
  EXPECT_EQ(rejected("<html>"sv), "invalid");
}

TEST(OtlpResponse, IsFoundInJson) {
  const auto rejected = [](std::string_view body) {
    return scan_otlp_response_json(body).rejected_spans;
  };
  EXPECT_EQ(rejected(""), 0u);
  EXPECT_EQ(rejected("{}"), 0u);
  EXPECT_EQ(rejected(R"({"partialSuccess":{"rejectedSpans":"7"}})"), 7u);
  EXPECT_EQ(rejected(R"({"partialSuccess":{ "rejectedSpans" : 7 }})"), 7u);
  EXPECT_EQ(rejected(R"({"rejectedSpans")"), 0u);
  EXPECT_EQ(rejected(R"({"rejectedSpans":-7})"), 0u);
}

}  // namespace
}  // namespace tyaprover::trace
