// TraceTransport: posts spans to a collector with the product's own HTTP client.
//
// Thread-safe. One thread with an event loop of its own, started at the first post and again in the
// child of a fork; connections are kept and reused. Plain HTTP only: a URL with https is answered
// with an error.
//
//   auto transport = std::make_shared<TraceTransport>();
//   trace::HttpSpanExporter exporter(url, {.transport = transport, .gzip = gzip_text});
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "tyaprover/trace/http_exporter.h"

namespace tyaprover::filters {

class TraceTransport final : public trace::HttpTransport {
 public:
  TraceTransport();
  // Ends a running post.
  ~TraceTransport() override;

  [[nodiscard]] trace::HttpReply post(const trace::HttpPost& request, TimePoint deadline) override;
  void cancel() noexcept override;

 private:
  class Loop;

  std::mutex mutex_;  // guards what follows
  std::unique_ptr<Loop> loop_;
  int process_ = 0;  // that loop_ was made in
  bool cancelled_ = false;
};

// Replaces `out` with a gzip stream of `in`; false without memory.
[[nodiscard]] bool gzip_text(std::string_view in, std::string& out);

}  // namespace tyaprover::filters
