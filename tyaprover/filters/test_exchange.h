// For tests: an exchange whose head was parsed a moment ago, on a worker whose clock stands still.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tyaprover/filters/route_settings.h"
#include "tyaprover/filters/test_clock.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::filters {

class ExchangeTest : public ::testing::Test {
 protected:
  ExchangeTest() {
    exchange.settings = &settings;
    exchange.request.method = "GET";
    exchange.request.method_id = http::Method::get;
    exchange.request.path = "/";
    exchange.response.status = 200;
    exchange.timings.accepted = exchange.timings.head_begun = exchange.timings.head_parsed =
        clock.now();
  }

  // Field values must outlive the exchange's use: literals.
  void request_field(std::string_view name, std::string_view value) {
    exchange.request.fields.add(name, value);
  }
  void response_field(std::string_view name, std::string_view value) {
    exchange.response.fields.add(name, value);
  }
  // "-" when there is none; more than one are joined by " | ".
  [[nodiscard]] std::string sent(std::string_view name) const {
    std::string all;
    const http::KnownField id = http::classify_field(name);
    for (const http::Field& field : exchange.response.fields) {
      if (field.id != id || (id == http::KnownField::other && field.name != name)) continue;
      if (!all.empty()) all += " | ";
      all += field.value;
    }
    return all.empty() ? "-" : all;
  }

  TestClock clock;
  http::Worker worker{0, clock};
  RouteSettings settings;
  Exchange exchange{worker};
};

}  // namespace tyaprover::filters
