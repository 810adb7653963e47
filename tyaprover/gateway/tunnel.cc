#include "tyaprover/gateway/tunnel.h"

#include <algorithm>
#include <chrono>

#include "tyaprover/http/buffer_pool.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::gateway {
namespace {

constexpr std::size_t kBuffer = 16 * 1024;
// What the other side may still say after one has ended.
constexpr Nanos kLastWords = std::chrono::seconds(10);

http::Task<void> run_and_set(http::Task<void> task, http::Event& done) {
  co_await task;
  done.set();
}

}  // namespace

http::Task<void> UpgradeTunnel::run(http::Stream& client, std::string_view early,
                                    std::uint64_t& bytes_in, std::uint64_t& bytes_out) {
  http::Stream& upstream = upstream_->stream();
  last_byte_ = worker_.now();
  bytes_in += early.size();
  bytes_out += upstream_->unread().size();
  http::IoError error = co_await upstream.write(idle_, early);
  if (error == http::IoError::none) error = co_await client.write(idle_, upstream_->unread());
  if (error == http::IoError::none) {
    http::Event upload_ended;
    spawn(run_and_set(copy(client, upstream, bytes_in), upload_ended));
    co_await copy(upstream, client, bytes_out);
    co_await upload_ended;
  }
  upstream.close();
  client.close();
}

http::Task<void> UpgradeTunnel::copy(http::Stream& from, http::Stream& to, std::uint64_t& bytes) {
  http::Buffer buffer = worker_.buffers().take(kBuffer);
  for (;;) {
    const Nanos limit = one_side_ended_ ? kLastWords : idle_;
    if (!from.read_standing()) from.start_read(buffer.data(), buffer.size());
    const http::IoResult r = co_await from.wait_read(last_byte_ + limit);
    if (r.error == http::IoError::timeout) {
      // A byte the other way, or the other side's end, has moved the deadline.
      const Nanos now_limit = one_side_ended_ ? kLastWords : idle_;
      if (worker_.now() < last_byte_ + now_limit) continue;
      break;
    }
    if (r.error == http::IoError::end) {
      to.shutdown_send();
      last_byte_ = worker_.now();
      if (one_side_ended_) co_return;
      one_side_ended_ = true;
      to.set_read_deadline(last_byte_ + kLastWords);
      co_return;
    }
    if (r.error != http::IoError::none) break;
    last_byte_ = worker_.now();
    bytes += r.bytes;
    const http::IoError error = co_await to.write(idle_, std::string_view(buffer.data(), r.bytes));
    if (error != http::IoError::none) break;
  }
  from.close();
  to.close();
}

}  // namespace tyaprover::gateway
