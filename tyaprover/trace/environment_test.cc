#include "tyaprover/trace/environment.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace tyaprover::trace {
namespace {

using namespace std::chrono_literals;
using Variables = std::map<std::string, std::string, std::less<>>;

TraceSettings read(const Variables& variables) {
  return read_trace_environment([&](std::string_view name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

// "kind url" or "kind".
std::string exporter(const Variables& variables) {
  const TraceSettings settings = read(variables);
  std::string text(to_string(settings.exporter));
  if (settings.endpoint) {
    text += " " + std::string(to_string(settings.endpoint->format)) + " " + settings.endpoint->url;
  }
  if (!settings.warnings.empty()) text += " (" + settings.warnings[0].variable + ")";
  return text;
}

TEST(TraceEnvironment, DefaultsWithoutVariables) {
  const TraceSettings settings = read({});
  EXPECT_FALSE(settings.disabled);
  EXPECT_EQ(settings.exporter, ExporterKind::none);
  EXPECT_EQ(settings.sampler.kind, SamplerKind::parentbased_always_on);
  EXPECT_TRUE(settings.propagators.has(Propagator::tracecontext));
  EXPECT_TRUE(settings.propagators.has(Propagator::baggage));
  EXPECT_EQ(settings.batch.max_queue_size, 2048u);
  EXPECT_EQ(settings.limits.attributes, 128u);
  EXPECT_TRUE(settings.warnings.empty());
}

// T22.
TEST(TraceEnvironment, ChoosesTheSampler) {
  struct Case {
    Variables variables;
    std::string_view description;
    std::string_view warning;
  };
  const Case cases[] = {
      {{}, "parent_based(always_on)", ""},
      {{{"NODE_ENV", "production"}}, "parent_based(ratio(0.1))", ""},
      {{{"NODE_ENV", "development"}}, "parent_based(always_on)", ""},
      {{{"TRACE_SAMPLE_RATE", "0.25"}}, "parent_based(ratio(0.25))", ""},
      {{{"TRACE_SAMPLE_RATE", "1"}, {"NODE_ENV", "production"}}, "parent_based(ratio(1))", ""},
      {{{"TRACE_SAMPLE_RATE", "0.5"}, {"OTEL_TRACES_SAMPLER", "always_off"}},
       "parent_based(ratio(0.5))",
       ""},
      {{{"TRACE_SAMPLE_RATE", "2"}}, "parent_based(always_on)", "TRACE_SAMPLE_RATE"},
      {{{"TRACE_SAMPLE_RATE", "many"}, {"NODE_ENV", "production"}},
       "parent_based(ratio(0.1))",
       "TRACE_SAMPLE_RATE"},
      {{{"OTEL_TRACES_SAMPLER", "always_on"}}, "always_on", ""},
      {{{"OTEL_TRACES_SAMPLER", "always_off"}, {"NODE_ENV", "production"}}, "always_off", ""},
      {{{"OTEL_TRACES_SAMPLER", "traceidratio"}, {"OTEL_TRACES_SAMPLER_ARG", "0.2"}},
       "ratio(0.2)",
       ""},
      {{{"OTEL_TRACES_SAMPLER", "traceidratio"}}, "ratio(1)", ""},
      {{{"OTEL_TRACES_SAMPLER", "traceidratio"}, {"OTEL_TRACES_SAMPLER_ARG", "-1"}},
       "ratio(1)",
       "OTEL_TRACES_SAMPLER_ARG"},
      {{{"OTEL_TRACES_SAMPLER", "parentbased_always_on"}}, "parent_based(always_on)", ""},
      {{{"OTEL_TRACES_SAMPLER", "parentbased_always_off"}}, "parent_based(always_off)", ""},
      {{{"OTEL_TRACES_SAMPLER", "parentbased_traceidratio"}, {"OTEL_TRACES_SAMPLER_ARG", "0.3"}},
       "parent_based(ratio(0.3))",
       ""},
      {{{"OTEL_TRACES_SAMPLER", "jaeger_remote"}},
       "parent_based(always_on)",
       "OTEL_TRACES_SAMPLER"},
  };
  for (const Case& each : cases) {
    const TraceSettings settings = read(each.variables);
    EXPECT_EQ(make_sampler(settings.sampler)->description(), each.description);
    EXPECT_EQ(settings.warnings.empty() ? "" : settings.warnings[0].variable, each.warning);
  }
}

// T43.
TEST(TraceEnvironment, ChoosesTheExporter) {
  struct Case {
    Variables variables;
    std::string_view expected;
  };
  const Case cases[] = {
      {{}, "none"},
      {{{"TRACE_EXPORTER_ENDPOINT", ""}}, "none"},
      {{{"TRACE_EXPORTER_ENDPOINT", "console"}}, "console"},
      {{{"TRACE_EXPORTER_ENDPOINT", "stdout"}}, "console"},
      {{{"TRACE_EXPORTER_ENDPOINT", "none"}, {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://h"}}, "none"},
      {{{"TRACE_EXPORTER_ENDPOINT", "http://jaeger:14268/api/traces"}},
       "http jaeger-thrift http://jaeger:14268/api/traces"},
      {{{"TRACE_EXPORTER_ENDPOINT", "http://h:4318"}, {"TRACE_EXPORTER_PROTOCOL", "otlp-json"}},
       "http otlp-json http://h:4318/v1/traces"},
      {{{"TRACE_EXPORTER_ENDPOINT", "http://h:9411"}, {"TRACE_EXPORTER_PROTOCOL", "jaeger-thrift"}},
       "http jaeger-thrift http://h:9411/api/traces"},
      {{{"TRACE_EXPORTER_ENDPOINT", "http://h"}, {"TRACE_EXPORTER_PROTOCOL", "console"}},
       "console"},
      {{{"TRACE_EXPORTER_ENDPOINT", "http://h"}, {"TRACE_EXPORTER_PROTOCOL", "none"}}, "none"},
      {{{"TRACE_EXPORTER_ENDPOINT", "http://h"}, {"TRACE_EXPORTER_PROTOCOL", "carrier-pigeon"}},
       "http otlp-proto http://h/v1/traces (TRACE_EXPORTER_PROTOCOL)"},
      {{{"TRACE_EXPORTER_PROTOCOL", "zipkin"}}, "none (TRACE_EXPORTER_PROTOCOL)"},
      {{{"TRACE_EXPORTER_ENDPOINT", "http://h:4317"}}, "none (TRACE_EXPORTER_ENDPOINT)"},
      {{{"TRACE_EXPORTER_ENDPOINT", "http://a"}, {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://b"}},
       "http otlp-proto http://a/v1/traces"},
      {{{"TRACE_EXPORTER_ENDPOINT", "http://h:4318"}, {"OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"}},
       "http otlp-json http://h:4318/v1/traces"},
      {{{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:4318"}},
       "http otlp-proto http://h:4318/v1/traces"},
      {{{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://h/base/"}},
       "http otlp-proto http://h/base/v1/traces"},
      {{{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://h:4318"}}, "http otlp-proto http://h:4318"},
      {{{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t/x"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://b"}},
       "http otlp-proto http://t/x"},
      {{{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://h"},
        {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}},
       "http otlp-json http://h/v1/traces"},
      {{{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://h"}, {"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}},
       "http otlp-proto http://h/v1/traces (OTEL_EXPORTER_OTLP_PROTOCOL)"},
      {{{"OTEL_EXPORTER_OTLP_ENDPOINT", "nonsense"}}, "none (OTEL_EXPORTER_OTLP_ENDPOINT)"},
      {{{"OTEL_TRACES_EXPORTER", "otlp"}}, "http otlp-proto http://localhost:4318/v1/traces"},
      {{{"OTEL_TRACES_EXPORTER", "console"}}, "console"},
      {{{"OTEL_TRACES_EXPORTER", "none"}, {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://h"}}, "none"},
      {{{"OTEL_TRACES_EXPORTER", "none"}, {"TRACE_EXPORTER_ENDPOINT", "http://h"}},
       "http otlp-proto http://h/v1/traces"},
      {{{"OTEL_TRACES_EXPORTER", "zipkin"}}, "http zipkin http://localhost:9411/api/v2/spans"},
      {{{"OTEL_TRACES_EXPORTER", "xml"}}, "none (OTEL_TRACES_EXPORTER)"},
  };
  for (const Case& each : cases) EXPECT_EQ(exporter(each.variables), each.expected);
}

TEST(TraceEnvironment, SaysWhereTheChoiceCameFrom) {
  EXPECT_EQ(read({{"TRACE_EXPORTER_ENDPOINT", "http://h"}}).endpoint_variable,
            "TRACE_EXPORTER_ENDPOINT");
  EXPECT_EQ(read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://h"}}).endpoint_variable,
            "OTEL_EXPORTER_OTLP_ENDPOINT");
  EXPECT_EQ(read({}).endpoint_variable, "");
}

TEST(TraceEnvironment, WarningsShowNoSecrets) {
  const TraceSettings settings = read({{"TRACE_EXPORTER_ENDPOINT", "http://user:secret@h:4317"},
                                       {"OTEL_EXPORTER_OTLP_HEADERS", "key=\"secret\""}});
  ASSERT_EQ(settings.warnings.size(), 2u);
  for (const EnvironmentWarning& warning : settings.warnings) {
    EXPECT_EQ((warning.value + warning.message).find("secret"), std::string::npos) << warning.value;
  }
}

TEST(TraceEnvironment, ReadsTheResource) {
  const auto resource = [](const Variables& variables) {
    std::string text;
    for (const auto& [key, value] : read(variables).resource) text += key + "=" + value + ";";
    return text;
  };
  EXPECT_EQ(resource({{"OTEL_SERVICE_NAME", "shop"}}), "service.name=shop;");
  EXPECT_EQ(resource({{"OTEL_RESOURCE_ATTRIBUTES", "service.name=a,b=x%20y"}}),
            "service.name=a;b=x y;");
  EXPECT_EQ(
      resource({{"OTEL_RESOURCE_ATTRIBUTES", "b=1,service.name=a"}, {"OTEL_SERVICE_NAME", "shop"}}),
      "service.name=shop;b=1;");
  EXPECT_EQ(resource({{"OTEL_RESOURCE_ATTRIBUTES", "a=1,rubbish"}}), "");
  EXPECT_EQ(read({{"OTEL_RESOURCE_ATTRIBUTES", "a=1,rubbish"}}).warnings[0].variable,
            "OTEL_RESOURCE_ATTRIBUTES");
}

TEST(TraceEnvironment, ReadsPropagators) {
  const auto propagators = [](std::string text) {
    std::string names;
    for (const Propagator each : read({{"OTEL_PROPAGATORS", std::move(text)}}).propagators) {
      names += std::string(to_string(each)) + " ";
    }
    return names;
  };
  EXPECT_EQ(propagators("b3, tracecontext"), "b3 tracecontext ");
  EXPECT_EQ(propagators("b3multi,jaeger,xray,baggage"), "b3multi jaeger xray baggage ");
  EXPECT_EQ(propagators("none"), "");
  EXPECT_EQ(propagators("b3,b3"), "b3 ");
  EXPECT_EQ(propagators("b3,pigeon"), "b3 ");
  EXPECT_EQ(read({{"OTEL_PROPAGATORS", "pigeon"}}).warnings.size(), 1u);
}

TEST(TraceEnvironment, ReadsNumbers) {
  const TraceSettings settings = read({{"OTEL_BSP_SCHEDULE_DELAY", "200"},
                                       {"OTEL_BSP_EXPORT_TIMEOUT", "1000"},
                                       {"OTEL_BSP_MAX_QUEUE_SIZE", "100"},
                                       {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10"},
                                       {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "5"},
                                       {"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "7"},
                                       {"OTEL_SPAN_EVENT_COUNT_LIMIT", "8"},
                                       {"OTEL_SPAN_LINK_COUNT_LIMIT", "9"},
                                       {"OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "11"},
                                       {"OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "0"}});
  EXPECT_EQ(settings.batch.schedule_delay, 200ms);
  EXPECT_EQ(settings.batch.export_timeout, 1s);
  EXPECT_EQ(settings.batch.max_queue_size, 100u);
  EXPECT_EQ(settings.batch.max_batch_size, 10u);
  EXPECT_EQ(settings.limits.attributes, 5u);
  EXPECT_EQ(settings.limits.value_length, 7u);
  EXPECT_EQ(settings.limits.events, 8u);
  EXPECT_EQ(settings.limits.links, 9u);
  EXPECT_EQ(settings.limits.attributes_per_event, 11u);
  EXPECT_EQ(settings.limits.attributes_per_link, 0u);
  EXPECT_TRUE(settings.warnings.empty());
}

TEST(TraceEnvironment, ABadNumberIsOneWarningWithTheDefaultUsed) {
  struct Case {
    std::string_view variable;
    std::string_view value;
    std::string_view used;
  };
  const Case cases[] = {
      {"OTEL_BSP_SCHEDULE_DELAY", "soon", "using 5000"},
      {"OTEL_BSP_SCHEDULE_DELAY", "0", "using 5000"},
      {"OTEL_BSP_MAX_QUEUE_SIZE", "-1", "using 2048"},
      {"OTEL_BSP_MAX_QUEUE_SIZE", "99999999999", "using 2048"},
      {"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "long", "using no limit"},
      {"OTEL_SPAN_EVENT_COUNT_LIMIT", "1.5", "using 128"},
  };
  for (const Case& each : cases) {
    const TraceSettings settings = read({{std::string(each.variable), std::string(each.value)}});
    ASSERT_EQ(settings.warnings.size(), 1u) << each.variable;
    EXPECT_EQ(settings.warnings[0].variable, each.variable);
    EXPECT_EQ(settings.warnings[0].value, each.value);
    EXPECT_TRUE(settings.warnings[0].message.ends_with(each.used)) << settings.warnings[0].message;
  }
}

TEST(TraceEnvironment, ABatchNeverExceedsItsQueue) {
  EXPECT_EQ(read({{"OTEL_BSP_MAX_QUEUE_SIZE", "100"}}).batch.max_batch_size, 100u);
  EXPECT_TRUE(read({{"OTEL_BSP_MAX_QUEUE_SIZE", "100"}}).warnings.empty());
  EXPECT_EQ(read({{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5000"}}).warnings.size(), 1u);
}

TEST(TraceEnvironment, ReadsOtlpOptions) {
  const TraceSettings settings = read({{"OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%2Cb, x=1"},
                                       {"OTEL_EXPORTER_OTLP_TIMEOUT", "500"},
                                       {"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none"},
                                       {"OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"}});
  EXPECT_EQ(settings.headers, (HttpHeaders{{"api-key", "a,b"}, {"x", "1"}}));
  EXPECT_EQ(settings.batch.export_timeout, 500ms);
  EXPECT_FALSE(settings.compress);
  EXPECT_TRUE(settings.warnings.empty());
}

TEST(TraceEnvironment, AHeaderCannotHoldALineEnd) {
  const TraceSettings settings = read({{"OTEL_EXPORTER_OTLP_HEADERS", "a=b%0D%0Ac: d,e=f"}});
  EXPECT_EQ(settings.headers, (HttpHeaders{{"e", "f"}}));
  EXPECT_EQ(settings.warnings.size(), 1u);
}

TEST(TraceEnvironment, CanBeSwitchedOff) {
  EXPECT_TRUE(read({{"OTEL_SDK_DISABLED", "TRUE"}}).disabled);
  EXPECT_FALSE(read({{"OTEL_SDK_DISABLED", "false"}}).disabled);
  EXPECT_FALSE(read({{"OTEL_SDK_DISABLED", "1"}}).disabled);
  EXPECT_EQ(read({{"OTEL_SDK_DISABLED", "1"}}).warnings.size(), 1u);
}

TEST(ChosenShare, IsTheRatioOnlyWhereTheSamplerHasOne) {
  const std::pair<SamplerKind, double> cases[] = {
      {SamplerKind::always_on, 1},
      {SamplerKind::always_off, 0},
      {SamplerKind::traceidratio, 0.25},
      {SamplerKind::parentbased_always_on, 1},
      {SamplerKind::parentbased_always_off, 0},
      {SamplerKind::parentbased_traceidratio, 0.25},
  };
  for (const auto& [kind, share] : cases) {
    EXPECT_EQ(chosen_share({.kind = kind, .ratio = 0.25}), share) << to_string(kind);
  }
}

}  // namespace
}  // namespace tyaprover::trace
