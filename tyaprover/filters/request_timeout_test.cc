#include "tyaprover/filters/request_timeout.h"

#include <gtest/gtest.h>

#include "tyaprover/filters/test_exchange.h"

namespace tyaprover::filters {
namespace {

using namespace std::chrono_literals;

class RequestTimeoutTest : public ExchangeTest {
 protected:
  void run() { EXPECT_EQ(filter.on_request(exchange, state), Verdict::proceed); }

  RequestTimeout filter;
  RequestTimeout::State state;
};

TEST_F(RequestTimeoutTest, CountsFromTheParsedHead) {
  settings.request_timeout.timeout = 7s;
  clock.advance(1s);
  run();
  EXPECT_EQ(exchange.deadline, exchange.timings.head_parsed + 7s);
}

TEST_F(RequestTimeoutTest, ZeroIsOff) {
  settings.request_timeout.timeout = 0s;
  run();
  EXPECT_EQ(exchange.deadline, TimePoint::max());
}

}  // namespace
}  // namespace tyaprover::filters
