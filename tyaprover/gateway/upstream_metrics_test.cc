#include "tyaprover/gateway/upstream_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tyaprover/base/clock.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::gateway {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class UpstreamMetricsTest : public testing::Test {
 protected:
  std::string page() { return registry_.expose().text(); }

  ManualClock clock_;
  http::Worker worker_{0, clock_};
  metrics::Registry registry_;
  UpstreamMetrics metrics_{registry_};
};

TEST_F(UpstreamMetricsTest, ResultsAreStatusClassesAndReasons) {
  const auto target =
      metrics_.target("shop", "10.0.0.1:80", std::make_shared<http::PoolCounters>());
  target->finished(200, http::Reason::none, Nanos(0));
  target->finished(204, http::Reason::none, Nanos(0));
  target->finished(500, http::Reason::none, Nanos(0));
  target->finished(0, http::Reason::upstream_reset, Nanos(-1));
  target->finished(0, http::Reason::upstream_reset, Nanos(-1));
  const std::string labels =
      "tyaprover_upstream_requests_total{app=\"shop\",target=\"10.0.0.1:80\",";
  EXPECT_THAT(page(), HasSubstr(labels + "result=\"2xx\"} 2\n"));
  EXPECT_THAT(page(), HasSubstr(labels + "result=\"5xx\"} 1\n"));
  EXPECT_THAT(page(), HasSubstr(labels + "result=\"upstream_reset\"} 2\n"));
  EXPECT_THAT(page(), Not(HasSubstr(labels + "result=\"3xx\"}")));
}

TEST_F(UpstreamMetricsTest, OnlyAnswersHaveATimeToTheFirstByte) {
  const auto target = metrics_.target("shop", "a:1", std::make_shared<http::PoolCounters>());
  target->finished(0, http::Reason::upstream_connect_failed, Nanos(-1));
  target->finished(200, http::Reason::none, std::chrono::milliseconds(1500));
  EXPECT_THAT(page(), HasSubstr("tyaprover_upstream_first_byte_seconds_sum{app=\"shop\","
                                "target=\"a:1\"} 1.5\n"));
  EXPECT_THAT(page(), HasSubstr("tyaprover_upstream_first_byte_seconds_count{app=\"shop\","
                                "target=\"a:1\"} 1\n"));
}

TEST_F(UpstreamMetricsTest, PoolsOfAllWorkersAddUp) {
  http::ConnectionPool one(worker_, {});
  http::ConnectionPool two(worker_, {});
  const auto first = metrics_.target("shop", "a:1", one.counters());
  const auto second = metrics_.target("shop", "a:1", two.counters());
  http::ClientConnection* const a = one.create();
  http::ClientConnection* const b = two.create();
  EXPECT_THAT(page(), HasSubstr("tyaprover_upstream_connections{app=\"shop\",target=\"a:1\","
                                "state=\"in_use\"} 2\n"));
  a->release();
  b->release();
  EXPECT_THAT(page(), HasSubstr("tyaprover_upstream_connections{app=\"shop\",target=\"a:1\","
                                "state=\"in_use\"} 0\n"));
  EXPECT_THAT(page(), HasSubstr("tyaprover_upstream_connections_created_total{app=\"shop\","
                                "target=\"a:1\"} 2\n"));
}

TEST_F(UpstreamMetricsTest, WhatAPoolCountedStaysWhenItIsGone) {
  {
    http::ConnectionPool pool(worker_, {});
    const auto target = metrics_.target("shop", "a:1", pool.counters());
    pool.create()->release();
    page();
  }
  http::ConnectionPool next(worker_, {});
  const auto target = metrics_.target("shop", "a:1", next.counters());
  next.create()->release();
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(page(), HasSubstr("tyaprover_upstream_connections_created_total{app=\"shop\","
                                  "target=\"a:1\"} 2\n"));
  }
}

}  // namespace
}  // namespace tyaprover::gateway
