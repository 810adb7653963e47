// Compressor: gzip, Brotli and Zstandard encoders behind one interface, and their pool.
//
// Confined to one worker. Encoder contexts are large (0.3–2 MiB), so they are kept for the next
// response.
//
//   CompressorPool pool;
//   CompressorPtr encoder = pool.acquire(Coding::zstd, 3);
//   CompressorStep step = encoder->step("hello", buffer, Flush::finish);
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/filters/negotiation.h"

namespace tyaprover::filters {

enum class Flush : std::uint8_t {
  none,    // the encoder may keep input back for a better ratio
  sync,    // everything put in so far comes out and can be decoded
  finish,  // the end of the stream
};

struct CompressorStep {
  std::size_t consumed = 0;
  std::size_t produced = 0;
  // none: all input was taken. sync, finish: and everything has come out. Otherwise call again with
  // the rest of the input, the same flush and room for output.
  bool complete = false;
  bool failed = false;  // out of memory; the encoder is useless now
};

class Compressor {
 public:
  virtual ~Compressor() = default;
  // REQUIRES: after a sync or finish that is not complete, nothing but the same again.
  [[nodiscard]] virtual CompressorStep step(std::string_view input, std::span<char> output,
                                            Flush flush) noexcept = 0;
  // Ready for a new stream.
  virtual void reset() noexcept = 0;

  [[nodiscard]] Coding coding() const noexcept { return coding_; }
  [[nodiscard]] int level() const noexcept { return level_; }

 protected:
  Compressor(Coding coding, int level) noexcept : coding_(coding), level_(level) {}

 private:
  Coding coding_;
  int level_;
};

// Appends what the encoder makes of `text`, all of it with sync and finish. False when it failed.
[[nodiscard]] bool append_encoded(Compressor& encoder, std::string_view text, Flush flush,
                                  std::string& out);

class CompressorPool;

struct CompressorRelease {
  CompressorPool* pool = nullptr;
  void operator()(Compressor* compressor) const noexcept;
};
// Goes back to its pool.
using CompressorPtr = std::unique_ptr<Compressor, CompressorRelease>;

class CompressorPool {
 public:
  // So many slow readers can hold an encoder each; the next ones get their responses plain.
  static constexpr std::size_t kMaxActive = 128;
  // Kept per coding while unused.
  static constexpr std::size_t kMaxIdle = 4;

  CompressorPool() = default;
  CompressorPool(const CompressorPool&) = delete;
  CompressorPool& operator=(const CompressorPool&) = delete;

  // Null for identity, when kMaxActive are out, or without memory. Levels are clamped to the
  // coding's range.
  [[nodiscard]] CompressorPtr acquire(Coding coding, int level);

 private:
  friend struct CompressorRelease;
  void release(Compressor* compressor) noexcept;

  std::array<std::vector<std::unique_ptr<Compressor>>, kCodings> idle_;
  std::size_t active_ = 0;
};

}  // namespace tyaprover::filters
