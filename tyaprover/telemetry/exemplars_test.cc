#include "tyaprover/telemetry/exemplars.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tyaprover/metrics/registry.h"
#include "tyaprover/trace/context.h"
#include "tyaprover/trace/tracer.h"

namespace tyaprover::telemetry {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Exemplars : public testing::Test {
 protected:
  void SetUp() override { connect_exemplars(); }
  void TearDown() override { metrics::set_exemplar_hook(nullptr); }

  std::string page() { return registry.expose({.accept = "application/openmetrics-text"}).text(); }

  metrics::Registry registry;
  metrics::Histogram latency = registry.histogram("latency_seconds", "Latency.").with({});
  metrics::Counter jobs = registry.counter("jobs_total", "Jobs.").with({});
};

TEST_F(Exemplars, AreThoseOfTheSampledSpanInScope) {
  trace::TracerProvider provider({.sampler = trace::always_on()});
  trace::Span span = provider.tracer("test").start_span("work");
  {
    const trace::Scope scope(span);
    latency.observe(0.3);
    jobs.inc();
  }
  const auto id = span.context().trace_id().to_hex();
  const std::string exemplar =
      " # {trace_id=\"" + std::string(id.data(), id.size()) + "\",span_id=\"";
  EXPECT_THAT(page(), HasSubstr("latency_seconds_bucket{le=\"0.5\"} 1" + exemplar));
  EXPECT_THAT(page(), HasSubstr("jobs_total 1" + exemplar));
}

TEST_F(Exemplars, ThereAreNoneOutsideAScopeOrOfASpanThatIsNotSampled) {
  trace::TracerProvider provider({.sampler = trace::always_off()});
  trace::Span span = provider.tracer("test").start_span("work");
  latency.observe(0.3);
  const trace::Scope scope(span);
  latency.observe(0.3);
  EXPECT_THAT(page(), Not(HasSubstr("trace_id")));
  EXPECT_THAT(page(), HasSubstr("latency_seconds_count 2"));
}

}  // namespace
}  // namespace tyaprover::telemetry
