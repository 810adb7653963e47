// Compression: gzip, Brotli and Zstandard for whoever asks, and only where it pays (R7.3).
//
// Confined to one worker; movable. Encoders and their buffers are pooled per worker, so that a
// response allocates nothing after warm-up. Small replies in memory are encoded at once, everything
// else while it streams: at most half a millisecond of encoding, then the event loop turns. What a
// stream has put into an encoder comes out after options.flush_after at the latest.
//
//   Pipeline<…, Compression, …> pipeline(…, Compression(worker), …);
//   pipeline.get<Compression>().stats().bytes_out
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tyaprover/filters/negotiation.h"
#include "tyaprover/filters/pipeline.h"
#include "tyaprover/http/buffer_pool.h"

namespace tyaprover::filters {

struct CompressionOptions {
  bool enabled = true;
  std::uint64_t threshold =
      1024;  // bytes; smaller responses stay as they are when the size is known
  // Codings offered; the order decides where the client has no preference. Unknown names are
  // ignored.
  std::vector<std::string> encodings = {"zstd", "br", "gzip"};
  int gzip_level = 6;    // 1–9
  int brotli_level = 5;  // 0–11; from 10 on one step can take longer than the 1 ms we promise
  int zstd_level = 3;    // 1–19; likewise from 13 on
  Nanos flush_after = std::chrono::milliseconds(50);  // oldest byte in the encoder → to the client
  bool operator==(const CompressionOptions&) const = default;
};

// Relaxed: statistics that other threads may read; nothing else is published through them.
struct CompressionStats {
  std::atomic<std::uint64_t> responses{0};
  std::atomic<std::uint64_t> bytes_in{0};   // before encoding
  std::atomic<std::uint64_t> bytes_out{0};  // after it
};

class CompressionPool;

// The coding in which a response to this request goes out, if it is one that is encoded at all.
[[nodiscard]] Coding negotiated_coding(const http::RequestHead& request,
                                       const CompressionOptions& options) noexcept;

class Compression {
 public:
  struct State {
    http::Buffer encoded;  // of a small reply
  };

  explicit Compression(http::Worker& worker);

  void on_response(Exchange& exchange, State& state) noexcept;
  void on_finish(Exchange& exchange, State& state) noexcept;

  [[nodiscard]] const CompressionStats& stats() const noexcept;

 private:
  // Shared with the bodies under way, which may outlive the filter.
  std::shared_ptr<CompressionPool> pool_;
};

}  // namespace tyaprover::filters
