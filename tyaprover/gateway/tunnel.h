// UpgradeTunnel: carries bytes both ways between a client and an upstream that switched protocols
// (R4.20).
//
// Confined to one worker. Owns the upstream connection.
//
//   exchange.response.tunnel = std::make_unique<UpgradeTunnel>(http::BodyPtr(connection), idle);
#pragma once

#include <memory>

#include "tyaprover/http/client.h"
#include "tyaprover/http/exchange.h"

namespace tyaprover::gateway {

struct ConnectionRelease {
  void operator()(http::ClientConnection* c) const noexcept { c->release(); }
};
// A connection in use; goes back to its pool, or is closed, when let go.
using ConnectionPtr = std::unique_ptr<http::ClientConnection, ConnectionRelease>;

class UpgradeTunnel final : public http::Tunnel {
 public:
  // `idle`: closed when no byte goes either way for so long.
  UpgradeTunnel(http::Worker& worker, ConnectionPtr upstream, Nanos idle)
      : worker_(worker), upstream_(std::move(upstream)), idle_(idle) {}

  http::Task<void> run(http::Stream& client, std::string_view early, std::uint64_t& bytes_in,
                       std::uint64_t& bytes_out) override;

 private:
  http::Task<void> copy(http::Stream& from, http::Stream& to, std::uint64_t& bytes);

  http::Worker& worker_;
  ConnectionPtr upstream_;
  const Nanos idle_;
  TimePoint last_byte_;
  bool one_side_ended_ = false;
};

}  // namespace tyaprover::gateway
