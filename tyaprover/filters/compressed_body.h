// CompressedBody: the encoded form of another body, or of bytes in memory, made while it is pulled.
//
// Confined to one worker, pooled there. Pulls its source in pieces, encodes at most 16 KiB at a
// time, and after half a millisecond of that lets the event loop turn (R7.3). What has been in the
// encoder for `flush_after` is flushed, also when the source gives nothing: the source is then
// being read in the background, and that read goes on over many calls of read().
//
// A source cannot be destroyed while it is read. So a body that is given up then cancels that read
// and stays behind, without its encoder, until the read has ended.
//
//   response.body = pool->wrap(std::move(response.body), std::move(encoder), 50ms);
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "tyaprover/filters/compression.h"
#include "tyaprover/filters/compressor.h"
#include "tyaprover/http/body.h"

namespace tyaprover::filters {

class CompressedBody;

// One worker's encoders, the bodies that use them, and what they have done.
class CompressionPool : public std::enable_shared_from_this<CompressionPool> {
 public:
  explicit CompressionPool(http::Worker& worker);
  ~CompressionPool();
  CompressionPool(const CompressionPool&) = delete;
  CompressionPool& operator=(const CompressionPool&) = delete;

  [[nodiscard]] http::Worker& worker() noexcept { return worker_; }
  [[nodiscard]] CompressorPool& compressors() noexcept { return compressors_; }
  [[nodiscard]] CompressionStats& stats() noexcept { return stats_; }

  // Counts a response that was encoded without a body.
  void note_encoded(std::uint64_t bytes_in, std::uint64_t bytes_out) noexcept;

  // REQUIRES: encoder is not null.
  [[nodiscard]] http::BodyPtr wrap(http::BodyPtr source, CompressorPtr encoder, Nanos flush_after);
  // `owner` keeps `content` alive, or is null.
  [[nodiscard]] http::BodyPtr wrap(std::string_view content, std::shared_ptr<const void> owner,
                                   CompressorPtr encoder);

 private:
  friend class CompressedBody;
  static constexpr std::size_t kMaxIdle = 64;

  CompressedBody* take();
  void give_back(CompressedBody* body) noexcept;

  http::Worker& worker_;
  CompressorPool compressors_;
  CompressionStats stats_;
  std::vector<std::unique_ptr<CompressedBody>> idle_;
};

}  // namespace tyaprover::filters
