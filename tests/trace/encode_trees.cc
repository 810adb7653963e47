// Writes trees of spans in every wire format, and what was asked for beside them, for decoders of
// other people to compare: see tests/node/decode_spans.mjs.
//
//   encode_trees FOLDER SEED
//
// FOLDER gets, for every tree N: N.expected.json, N.otlp.pb, N.otlp.json, N.zipkin.json, N.jaeger.
// Tree 0 is fixed and is the one that tests/node/decode_spans.mjs makes with the OpenTelemetry SDK
// too; the others are random.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tyaprover/base/json_writer.h"
#include "tyaprover/trace/encode_jaeger.h"
#include "tyaprover/trace/encode_otlp.h"
#include "tyaprover/trace/encode_zipkin.h"
#include "tyaprover/trace/trace_testing.h"

namespace tyaprover::trace {
namespace {

using Nanoseconds = std::chrono::nanoseconds;
using Value =
    std::variant<std::string, bool, std::int64_t, double, std::vector<std::string>,
                 std::vector<std::int64_t>, std::vector<double>, std::vector<std::uint8_t>>;
using Attributes = std::vector<std::pair<std::string, Value>>;

struct EventPlan {
  std::string name;
  std::int64_t unix_nanos;
  Attributes attributes;
};

struct SpanPlan {
  std::string name;
  int parent = -1;  // index of a plan; -1 = none, -2 = a remote one
  SpanKind kind = SpanKind::internal;
  std::int64_t start = 0;
  std::int64_t end = 0;
  SpanStatus status = SpanStatus::unset;
  std::string description;
  Attributes attributes;
  std::vector<EventPlan> events;
  std::vector<SpanContext> links;
  bool other_library = false;
};

constexpr std::int64_t kStart = 1'700'000'000'000'000'000;

std::vector<SpanPlan> fixed_tree() {
  // The largest that JavaScript's numbers can tell from its neighbours; random trees have larger
  // ones.
  constexpr std::int64_t kLarge = (std::int64_t{1} << 53) - 1;
  return {
      {.name = "GET /items/{id}",
       .kind = SpanKind::server,
       .start = kStart,
       .end = kStart + 10'000'000,
       .attributes = {{"http.request.method", "GET"},
                      {"url.path", "/items/7"},
                      {"http.response.status_code", std::int64_t{200}},
                      {"cached", false},
                      {"load", 0.25},
                      {"text", "quote \" backslash \\ umlaut \u00e4 smile \U0001f600"}},
       .links = {SpanContext({1, 2}, {3}, {1})}},
      {.name = "query",
       .parent = 0,
       .kind = SpanKind::client,
       .start = kStart + 1'000'000,
       .end = kStart + 6'500'000,
       .status = SpanStatus::error,
       .description = "too slow",
       .attributes = {{"rows", std::int64_t{-1}},
                      {"large", kLarge},
                      {"words", std::vector<std::string>{"a", "b"}},
                      {"numbers", std::vector<std::int64_t>{1, 2, 3}},
                      {"reals", std::vector<double>{0.5, 1.5}}},
       .events = {{"retry", kStart + 3'000'000, {{"n", std::int64_t{1}}, {"why", "timeout"}}}}},
      {.name = "render",
       .parent = 0,
       .start = kStart + 7'000'000,
       .end = kStart + 9'000'000,
       .status = SpanStatus::ok},
      {.name = "publish",
       .parent = 2,
       .kind = SpanKind::producer,
       .start = kStart + 8'000'000,
       .end = kStart + 8'500'000},
      {.name = "consume",
       .parent = 3,
       .kind = SpanKind::consumer,
       .start = kStart + 8'100'000,
       .end = kStart + 8'200'000},
  };
}

class RandomTree {
 public:
  explicit RandomTree(unsigned seed) : random_(seed) {}

  std::vector<SpanPlan> make() {
    std::vector<SpanPlan> plans(1 + below(20));
    for (std::size_t i = 0; i < plans.size(); ++i) {
      SpanPlan& plan = plans[i];
      plan.name = text();
      plan.parent = i == 0 ? (below(2) ? -2 : -1) : static_cast<int>(below(i));
      plan.kind = static_cast<SpanKind>(below(5));
      plan.start = kStart + static_cast<std::int64_t>(below(1'000'000'000));
      plan.end = plan.start + static_cast<std::int64_t>(below(1'000'000'000));
      plan.status = static_cast<SpanStatus>(below(3));
      if (plan.status == SpanStatus::error) plan.description = text();
      plan.attributes = attributes(30);
      plan.other_library = below(3) == 0;
      for (std::size_t n = below(4); n > 0; --n) {
        plan.events.push_back(
            {text(), plan.start + static_cast<std::int64_t>(below(1000)), attributes(4)});
      }
      for (std::size_t n = below(3); n > 0; --n) {
        plan.links.emplace_back(make_trace_id(), make_span_id(),
                                TraceFlags{static_cast<std::uint8_t>(below(2))});
      }
    }
    return plans;
  }

 private:
  std::size_t below(std::size_t limit) { return random_() % limit; }
  std::string text() {
    static constexpr std::string_view kPieces[] = {
        "a",    "Z",      "\"",     "\\",     "/",          "<", "\n", "\t", "\x01",
        "\x7f", "\u00e4", "\u2028", "\u20ac", "\U0001f600", " ", "{}", "0"};
    std::string result = "t";
    for (std::size_t n = below(below(20) == 0 ? 400 : 12); n > 0; --n)
      result += kPieces[below(std::size(kPieces))];
    return result;
  }
  std::int64_t integer() {
    switch (below(5)) {
      case 0:
        return std::numeric_limits<std::int64_t>::min();
      case 1:
        return std::numeric_limits<std::int64_t>::max();
      default:
        return static_cast<std::int64_t>(random_()) - 100;
    }
  }
  double real() { return static_cast<double>(integer()) / (1 + static_cast<double>(below(1000))); }
  Value value() {
    switch (below(8)) {
      case 0:
        return below(2) == 1;
      case 1:
        return integer();
      case 2:
        return real();
      case 3: {
        std::vector<std::string> all(below(4));
        for (std::string& each : all) each = below(4) ? text() : "";
        return all;
      }
      case 4: {
        std::vector<std::int64_t> all(below(4));
        for (std::int64_t& each : all) each = integer();
        return all;
      }
      case 5: {
        std::vector<double> all(below(4));
        for (double& each : all) each = real();
        return all;
      }
      case 6: {
        std::vector<std::uint8_t> all(below(4));
        for (std::uint8_t& each : all) each = static_cast<std::uint8_t>(below(2));
        return all;
      }
      default:
        return below(5) ? text() : std::string();
    }
  }
  Attributes attributes(std::size_t limit) {
    Attributes all;
    for (std::size_t n = below(limit); n > 0; --n)
      all.emplace_back("k" + std::to_string(n) + text(), value());
    return all;
  }

  std::mt19937_64 random_;
};

// Calls use(key, AttributeValue) with a view of a plan's value.
template <class F>
void with_value(const Value& value, F use) {
  if (const auto* strings = std::get_if<std::vector<std::string>>(&value)) {
    const std::vector<std::string_view> views(strings->begin(), strings->end());
    use(AttributeValue(views));
  } else if (const auto* bits = std::get_if<std::vector<std::uint8_t>>(&value)) {
    const auto booleans = std::make_unique<bool[]>(bits->size());
    std::copy(bits->begin(), bits->end(), booleans.get());
    use(AttributeValue(std::span<const bool>(booleans.get(), bits->size())));
  } else {
    std::visit(
        [&](const auto& each) {
          if constexpr (!std::is_same_v<std::decay_t<decltype(each)>, std::vector<std::string>> &&
                        !std::is_same_v<std::decay_t<decltype(each)>, std::vector<std::uint8_t>>) {
            use(AttributeValue(each));
          }
        },
        value);
  }
}

// The expectation: ["type", value], with integers as text.
void write_scalar(JsonWriter& json, const std::string& value) {
  json.string(value);
}
void write_scalar(JsonWriter& json, bool value) {
  json.boolean(value);
}
void write_scalar(JsonWriter& json, std::int64_t value) {
  json.string(std::to_string(value));
}
void write_scalar(JsonWriter& json, double value) {
  json.number(value);
}
void write_scalar(JsonWriter& json, std::uint8_t value) {
  json.boolean(value != 0);
}

template <class T>
void write_scalar(JsonWriter& json, const std::vector<T>& values) {
  json.begin_array();
  for (const T& each : values) write_scalar(json, each);
  json.end_array();
}

void write_attributes(JsonWriter& json, const Attributes& attributes) {
  static constexpr std::string_view kTypes[] = {"string",  "bool", "int",     "double",
                                                "strings", "ints", "doubles", "bools"};
  json.key("attributes").begin_object();
  for (const auto& [key, value] : attributes) {
    json.key(key).begin_array().string(kTypes[value.index()]);
    std::visit([&](const auto& each) { write_scalar(json, each); }, value);
    json.end_array();
  }
  json.end_object();
}

std::string hex(const auto& id) {
  const auto digits = id.to_hex();
  return {digits.begin(), digits.end()};
}

void write_expected(JsonWriter& json, const SpanPlan& plan, const SpanContext& context,
                    const SpanContext& parent) {
  json.begin_object()
      .key("traceId")
      .string(hex(context.trace_id()))
      .key("spanId")
      .string(hex(context.span_id()));
  json.key("parentSpanId").string(parent.is_valid() ? hex(parent.span_id()) : "");
  json.key("parentIsRemote")
      .boolean(parent.is_remote())
      .key("traceState")
      .string(context.trace_state());
  json.key("flags")
      .integer(static_cast<unsigned>(context.flags().bits))
      .key("name")
      .string(plan.name);
  json.key("kind").string(to_string(plan.kind)).key("start").string(std::to_string(plan.start));
  json.key("end").string(std::to_string(plan.end)).key("status").string(to_string(plan.status));
  json.key("description")
      .string(plan.description)
      .key("library")
      .string(plan.other_library ? "other" : "test");
  write_attributes(json, plan.attributes);
  json.key("events").begin_array();
  for (const EventPlan& event : plan.events) {
    json.begin_object()
        .key("name")
        .string(event.name)
        .key("time")
        .string(std::to_string(event.unix_nanos));
    write_attributes(json, event.attributes);
    json.end_object();
  }
  json.end_array().key("links").begin_array();
  for (const SpanContext& link : plan.links) {
    json.begin_object()
        .key("traceId")
        .string(hex(link.trace_id()))
        .key("spanId")
        .string(hex(link.span_id()))
        .end_object();
  }
  json.end_array().end_object();
}

WallTime wall(std::int64_t unix_nanos) {
  return WallTime(Nanoseconds(unix_nanos));
}

void write_file(const std::string& name, const std::string& text) {
  std::ofstream file(name, std::ios::binary);
  file << text;
  if (!file.flush()) {
    std::fprintf(stderr, "cannot write %s\n", name.c_str());
    std::exit(1);
  }
}

void write_tree(const std::string& prefix, const std::vector<SpanPlan>& plans) {
  Recorder recorder({.resource = {{"service.name", "shop"}, {"host.name", "h\u00e4"}}});
  const Tracer tracer = recorder.provider().tracer("test", "1.0");
  const Tracer other = recorder.provider().tracer("other");
  const SpanContext remote(make_trace_id(), make_span_id(), {1}, true, "foo=1,bar=2");
  std::vector<Span> spans;
  std::string expected;
  JsonWriter json(expected);
  json.begin_array();
  for (const SpanPlan& plan : plans) {
    const SpanContext parent = plan.parent == -1 ? SpanContext()
                               : plan.parent == -2
                                   ? remote
                                   : spans[static_cast<std::size_t>(plan.parent)].context();
    Span span = (plan.other_library ? other : tracer)
                    .start_span(plan.name, {.parent = parent,
                                            .root = !parent.is_valid(),
                                            .kind = plan.kind,
                                            .start_time = wall(plan.start)});
    for (const auto& [key, value] : plan.attributes) {
      with_value(value, [&, name = std::string_view(key)](AttributeValue each) {
        span.set_attribute(name, each);
      });
    }
    for (const SpanContext& link : plan.links) span.add_link(link);
    span.set_status(plan.status, plan.description);
    write_expected(json, plan, span.context(), parent);
    spans.push_back(std::move(span));
  }
  json.end_array();
  std::vector<OwnedSpan> finished;
  std::vector<SpanData> data;
  std::vector<std::vector<EventData>> events;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    spans[i].end(wall(plans[i].end));
    finished.push_back(recorder.one());
  }
  // An event's attributes are given as a list in braces, so those of a plan are made by a span that
  // has them as its own.
  std::vector<OwnedSpan> carriers;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    std::vector<EventData> made;
    for (const EventPlan& event : plans[i].events) {
      Span carrier = tracer.start_span(event.name);
      for (const auto& [key, value] : event.attributes) {
        with_value(value, [&, name = std::string_view(key)](AttributeValue each) {
          carrier.set_attribute(name, each);
        });
      }
      carrier.end();
      carriers.push_back(recorder.one());
      made.push_back({.name = carriers.back()->name,
                      .unix_nanos = event.unix_nanos,
                      .attributes = carriers.back()->attributes});
    }
    events.push_back(std::move(made));
  }
  for (std::size_t i = 0; i < plans.size(); ++i) {
    data.push_back(*finished[i]);
    data.back().events = events[i];
  }

  std::string body;
  write_file(prefix + ".expected.json", expected);
  encode_otlp_protobuf(data, body);
  write_file(prefix + ".otlp.pb", body);
  encode_otlp_json(data, body);
  write_file(prefix + ".otlp.json", body);
  encode_zipkin(data, body);
  write_file(prefix + ".zipkin.json", body);
  encode_jaeger(data, body);
  write_file(prefix + ".jaeger", body);
}

}  // namespace
}  // namespace tyaprover::trace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s FOLDER SEED\n", argv[0]);
    return 2;
  }
  constexpr unsigned kTrees = 50;
  const std::string folder = argv[1];
  tyaprover::trace::RandomTree random(static_cast<unsigned>(std::atoi(argv[2])));
  tyaprover::trace::write_tree(folder + "/0", tyaprover::trace::fixed_tree());
  for (unsigned i = 1; i < kTrees; ++i) {
    tyaprover::trace::write_tree(folder + "/" + std::to_string(i), random.make());
  }
  return 0;
}
