#include "tyaprover/trace/endpoint.h"

#include <gtest/gtest.h>

#include <string>

namespace tyaprover::trace {
namespace {

std::string detect(std::string_view url, WireFormat otlp = WireFormat::otlp_protobuf) {
  const auto endpoint = detect_endpoint(url, otlp);
  if (!endpoint) return "error: " + endpoint.error();
  return std::string(to_string(endpoint->format)) + " " + endpoint->url;
}

// T43.
TEST(Endpoint, IsDetectedByPathThenByPort) {
  struct Case {
    std::string_view url;
    std::string_view expected;
  };
  const Case cases[] = {
      {"http://jaeger:14268/api/traces", "jaeger-thrift http://jaeger:14268/api/traces"},
      {"http://h/prefix/api/traces", "jaeger-thrift http://h/prefix/api/traces"},
      {"http://h/api/traces?format=jaeger.thrift",
       "jaeger-thrift http://h/api/traces?format=jaeger.thrift"},
      {"http://zipkin:9411/api/v2/spans", "zipkin http://zipkin:9411/api/v2/spans"},
      {"http://h:4317/api/v2/spans", "zipkin http://h:4317/api/v2/spans"},
      {"http://h:9411/v1/traces", "otlp-proto http://h:9411/v1/traces"},
      {"http://h:4318/v1/traces/", "otlp-proto http://h:4318/v1/traces/"},
      {"http://jaeger:14268", "jaeger-thrift http://jaeger:14268/api/traces"},
      {"http://jaeger:14268/", "jaeger-thrift http://jaeger:14268/api/traces"},
      {"http://zipkin:9411", "zipkin http://zipkin:9411/api/v2/spans"},
      {"http://collector:4318", "otlp-proto http://collector:4318/v1/traces"},
      {"https://collector", "otlp-proto https://collector/v1/traces"},
      {"http://collector?key=1", "otlp-proto http://collector/v1/traces?key=1"},
      {"http://[::1]:9411", "zipkin http://[::1]:9411/api/v2/spans"},
      {"http://[::1]", "otlp-proto http://[::1]/v1/traces"},
      {"HTTP://h:14268", "jaeger-thrift HTTP://h:14268/api/traces"},
      {"http://u:p@h:14268", "jaeger-thrift http://u:p@h:14268/api/traces"},
      {"http://h/ingest", "otlp-proto http://h/ingest"},
      {"http://h:14268/ingest", "otlp-proto http://h:14268/ingest"},
  };
  for (const Case& each : cases) EXPECT_EQ(detect(each.url), each.expected);
  EXPECT_EQ(detect("http://h:4318", WireFormat::otlp_json), "otlp-json http://h:4318/v1/traces");
  EXPECT_EQ(detect("http://h:9411", WireFormat::otlp_json), "zipkin http://h:9411/api/v2/spans");
}

TEST(Endpoint, WhatCannotWorkIsAnErrorWithAHint) {
  struct Case {
    std::string_view url;
    std::string_view hint;
  };
  const Case cases[] = {
      {"http://h:9411/api/v1/spans", "/api/v2/spans"},
      {"http://h:4317", "4318"},
      {"h:4318", "http://"},
      {"", "http://"},
      {"ftp://h", "http://"},
      {"http://", "no host"},
      {"http://:4318", "no host"},
      {"http://h:port", "port"},
      {"http://h:0", "port"},
      {"http://h:65536", "port"},
      {"http://h:", "port"},
      {"http://h/a b", "blanks"},
      {"http://h/\r\nx", "blanks"},
      {"http://h/#x", "fragment"},
  };
  for (const Case& each : cases) {
    EXPECT_NE(detect(each.url).find(each.hint), std::string::npos)
        << each.url << ": " << detect(each.url);
    EXPECT_TRUE(detect(each.url).starts_with("error: ")) << each.url;
  }
}

TEST(Endpoint, AKnownFormatNeedsNoDetection) {
  EXPECT_EQ(endpoint_for("http://h:9411", WireFormat::otlp_json)->url, "http://h:9411/v1/traces");
  EXPECT_EQ(endpoint_for("http://h/x", WireFormat::zipkin)->url, "http://h/x");
  EXPECT_FALSE(endpoint_for("nonsense", WireFormat::zipkin));
}

}  // namespace
}  // namespace tyaprover::trace
