// RequestTimeout: gives the whole request a deadline (§5); the engine and the proxy keep it.
//
// Confined to one worker. Once the response head is out the deadline has no meaning: streams may
// run on.
#pragma once

#include <chrono>

#include "tyaprover/filters/pipeline.h"

namespace tyaprover::filters {

struct RequestTimeoutOptions {
  Nanos timeout = std::chrono::seconds(30);  // request head parsed → response head sent; 0 = off
  bool operator==(const RequestTimeoutOptions&) const = default;
};

class RequestTimeout {
 public:
  struct State {};
  Verdict on_request(Exchange& exchange, State& state) noexcept;
};

}  // namespace tyaprover::filters
