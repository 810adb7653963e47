#include "tyaprover/filters/request_id.h"

#include <gtest/gtest.h>

#include <string>

#include "tyaprover/filters/millis.h"
#include "tyaprover/filters/test_exchange.h"

namespace tyaprover::filters {
namespace {

using namespace std::chrono_literals;

class RequestIdTest : public ExchangeTest {
 protected:
  std::string id() {
    EXPECT_EQ(filter.on_request(exchange, state), Verdict::proceed);
    return std::string(exchange.request_id);
  }
  static bool is_uuid_v7(std::string id) {
    if (id.size() != 36 || id[14] != '7') return false;
    for (char& c : id) {
      if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) c = 'x';
    }
    return id == "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  }

  RequestId filter;
  RequestId::State state;
};

TEST_F(RequestIdTest, IsANewUuidV7) {
  EXPECT_TRUE(is_uuid_v7(id())) << exchange.request_id;
}

TEST_F(RequestIdTest, IsTakenFromATrustedPeer) {
  exchange.peer_trusted = true;
  request_field("X-Request-ID", "abc-123");
  EXPECT_EQ(id(), "abc-123");
}

TEST_F(RequestIdTest, IsNotTakenFromAnybodyElse) {
  request_field("X-Request-ID", "abc-123");
  EXPECT_TRUE(is_uuid_v7(id()));
}

TEST_F(RequestIdTest, IsNotTakenWhenThereAreTwo) {
  exchange.peer_trusted = true;
  request_field("X-Request-ID", "abc-123");
  request_field("X-Request-ID", "abc-124");
  EXPECT_TRUE(is_uuid_v7(id()));
}

TEST_F(RequestIdTest, IsNotTakenWhenInvalid) {
  exchange.peer_trusted = true;
  request_field("X-Request-ID", "a b");
  EXPECT_TRUE(is_uuid_v7(id()));
}

TEST(ValidRequestIdTest, IsAWordOfUpTo128Bytes) {
  const std::string longest(128, 'x');
  const std::string too_long(129, 'x');
  for (const std::string_view good :
       {std::string_view("a"), std::string_view("AZaz09._:/+=-"), std::string_view(longest)}) {
    EXPECT_TRUE(is_valid_request_id(good)) << good;
  }
  for (const std::string_view bad :
       {std::string_view(""), std::string_view("a b"), std::string_view("a\"b"),
        std::string_view("a,b"), std::string_view("\x7f"), std::string_view("\xc3\xa9"),
        std::string_view("a\nb"), std::string_view("a\0b", 3), std::string_view("{}"),
        std::string_view(too_long)}) {
    EXPECT_FALSE(is_valid_request_id(bad)) << bad;
  }
}

TEST_F(RequestIdTest, ComesBackWithTheTimeItTook) {
  exchange.peer_trusted = true;
  request_field("X-Request-ID", "mine");
  id();
  response_field("X-Request-ID", "the app's");
  response_field("X-Request-ID", "twice");
  clock.advance(12'345'999ns);
  filter.on_response(exchange, state);
  EXPECT_EQ(sent("X-Request-ID"), "mine");
  EXPECT_EQ(sent("X-Response-Time"), "12.345ms");
}

TEST_F(RequestIdTest, ARefusedHeadIsTimedFromItsFirstByte) {
  exchange.timings.head_parsed = TimePoint();
  id();
  clock.advance(10s);
  filter.on_response(exchange, state);
  EXPECT_EQ(sent("X-Response-Time"), "10000.000ms");
}

TEST(MillisTextTest, HasThreeDecimals) {
  EXPECT_EQ(MillisText(0ns).view(), "0.000");
  EXPECT_EQ(MillisText(999ns).view(), "0.000");
  EXPECT_EQ(MillisText(1us).view(), "0.001");
  EXPECT_EQ(MillisText(45us).view(), "0.045");
  EXPECT_EQ(MillisText(1ms).view(), "1.000");
  EXPECT_EQ(MillisText(12345us).view(), "12.345");
  EXPECT_EQ(MillisText(-1s).view(), "0.000");
  EXPECT_EQ(MillisText(Nanos::max()).view(), "9223372036854.775");
}

}  // namespace
}  // namespace tyaprover::filters
