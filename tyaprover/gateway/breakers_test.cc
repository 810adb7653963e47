// The gateway's circuit breakers: what they are made of, and what is told about them.
#include "tyaprover/gateway/breakers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tyaprover/gateway/upstream_breaker.h"

namespace tyaprover::gateway {
namespace {

using resilience::Outcome;
using testing::ElementsAre;
using testing::HasSubstr;

Config shop_and_blog() {
  Config config;
  config.apps.resize(2);
  config.apps[0].name = "shop";
  config.apps[1].name = "blog";
  config.apps[1].breaker.failure_threshold = 2;
  return config;
}

std::vector<std::string> names_of(Breakers& breakers) {
  std::vector<std::string> names;
  for (const auto& breaker : breakers.registry().all()) names.push_back(breaker->name());
  return names;
}

TEST(Breakers, OnePerAppAndThoseOfTheGatewayItselfR38) {
  metrics::Registry registry;
  Config config = shop_and_blog();
  Breakers breakers(config, registry);
  EXPECT_THAT(names_of(breakers),
              ElementsAre("docker-api", "external-http", "test", "upstream:blog", "upstream:shop"));
  EXPECT_EQ(breakers.upstream(1).name(), "upstream:blog");
  const auto docker = breakers.registry().find("docker-api");
  EXPECT_EQ(docker->options().failure_threshold, 3u);
  EXPECT_EQ(docker->options().timeout, 5s);
  EXPECT_EQ(breakers.external_http().options().failure_threshold, 5u);
  EXPECT_EQ(breakers.external_http().options().timeout, 10s);
}

TEST(Breakers, ThatOfTheTestsIsAbsentInProductionR41) {
  metrics::Registry registry;
  Config config;
  config.environment = Environment::production;
  Breakers breakers(config, registry);
  EXPECT_EQ(breakers.test(), nullptr);
  EXPECT_THAT(names_of(breakers), ElementsAre("docker-api", "external-http"));
}

TEST(Breakers, OptionsAreThoseOfTheAppR32) {
  AppConfig app;
  app.name = "shop";
  resilience::CircuitBreakerOptions options = breaker_options(app);
  const resilience::CircuitBreakerOptions library;
  EXPECT_EQ(options.failure_threshold, library.failure_threshold);
  EXPECT_EQ(options.error_threshold_percentage, library.error_threshold_percentage);
  EXPECT_EQ(options.minimum_requests, library.minimum_requests);
  EXPECT_EQ(options.rolling_window, library.rolling_window);
  EXPECT_EQ(options.reset_timeout, library.reset_timeout);
  EXPECT_EQ(options.half_open_max, library.half_open_max);
  EXPECT_FALSE(options.backoff);
  EXPECT_GT(options.half_open_lease, app.timeouts.request);
  EXPECT_EQ(options.validate(), std::nullopt);

  app.breaker.backoff_factor = 3;
  app.breaker.timeout = 2s;
  options = breaker_options(app);
  EXPECT_EQ(options.backoff->factor, 3);
  EXPECT_EQ(options.timeout, 2s);
}

TEST(Breakers, TransitionsAndCallsAreOnTheMetricsPageR39) {
  metrics::Registry registry;
  Config config = shop_and_blog();
  Breakers breakers(config, registry);
  for (int i = 0; i < 2; ++i) breakers.upstream(1).try_acquire()->failure();
  EXPECT_FALSE(breakers.upstream(1).try_acquire());
  const std::string page = registry.expose({}).text();
  for (const char* const line : {
           R"(circuit_breaker_state{name="upstream:blog",state="open"} 1)",
           R"(circuit_breaker_state{name="upstream:shop",state="closed"} 1)",
           R"(circuit_breaker_calls_total{name="upstream:blog",outcome="failure"} 2)",
           R"(circuit_breaker_calls_total{name="upstream:blog",outcome="rejected"} 1)",
           R"(circuit_breaker_transitions_total{name="upstream:blog",from="closed",to="open"} 1)",
           R"(circuit_breaker_call_duration_seconds_count{name="upstream:blog"} 2)",
           R"(circuit_breaker_failure_ratio{name="upstream:blog"} 1)",
           R"(circuit_breaker_in_flight{name="upstream:blog"} 0)",
       }) {
    EXPECT_THAT(page, HasSubstr(line));
  }
}

TEST(Breakers, AnOpenOneDegradesHealthButNotThatOfTheTests) {
  metrics::Registry registry;
  Config config = shop_and_blog();
  Breakers breakers(config, registry);
  EXPECT_EQ(breakers.check().status, HealthStatus::healthy);
  breakers.test()->open();
  EXPECT_EQ(breakers.check().status, HealthStatus::healthy);
  breakers.upstream(0).open();
  const CheckResult result = breakers.check();
  EXPECT_EQ(result.status, HealthStatus::degraded);
  EXPECT_EQ(result.detail, "open: upstream:shop");
  EXPECT_THAT(result.figures, testing::Contains(std::pair<std::string, std::string>("upstream:blog",
                                                                                    "\"closed\"")));
}

TEST(BreakerJudgement, OfReasonsR31) {
  using http::Reason;
  const std::pair<Reason, Outcome> cases[] = {
      {Reason::upstream_connect_failed, Outcome::failure},
      {Reason::upstream_reset, Outcome::failure},
      {Reason::upstream_protocol_error, Outcome::failure},
      {Reason::upstream_connect_timeout, Outcome::timeout},
      {Reason::upstream_response_timeout, Outcome::timeout},
      {Reason::request_timeout, Outcome::timeout},
      {Reason::client_disconnected, Outcome::cancelled},
      {Reason::bad_request, Outcome::cancelled},
      {Reason::body_too_large, Outcome::cancelled},
      {Reason::shutting_down, Outcome::cancelled},
      {Reason::no_healthy_upstream, Outcome::ignored},
      {Reason::overloaded, Outcome::shed},
      {Reason::rate_limited, Outcome::shed},
  };
  for (const auto& [reason, outcome] : cases) {
    EXPECT_EQ(outcome_of(reason), outcome) << to_string(reason);
  }
}

TEST(BreakerJudgement, OfStatusesR31) {
  for (const int status : {500, 502, 503, 504}) EXPECT_EQ(outcome_of(status), Outcome::failure);
  for (const int status : {101, 200, 204, 304, 400, 404, 429, 499, 501, 505, 507, 599}) {
    EXPECT_EQ(outcome_of(status), Outcome::success) << status;
  }
}

}  // namespace
}  // namespace tyaprover::gateway
