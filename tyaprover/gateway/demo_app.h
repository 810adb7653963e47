// DemoApp: a small app to put behind the gateway on the first day: fast, slow, large, failing and
// streaming.
//
// Confined to one worker. `tyaprover --demo` serves it on a loopback port and proxies to it like to
// any app.
//
//   DemoApp app;
//   http::Server server(worker, app, {}, counters);
#pragma once

#include <memory>

#include "tyaprover/http/server.h"

namespace tyaprover::gateway {

class DemoApp final : public http::Application {
 public:
  std::unique_ptr<http::Exchange> new_exchange(http::Worker& worker) override;
  http::Task<void> handle(http::Exchange& exchange) override;
  void refuse(http::Exchange& exchange, const http::ParseError& error) override;
  void finish(http::Exchange&) noexcept override {}
};

}  // namespace tyaprover::gateway
