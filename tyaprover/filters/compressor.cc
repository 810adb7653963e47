// How each encoder is kept from thinking for too long.
//
// R7.3 allows a millisecond of encoding at a time. zlib works off what it is given, about half a
// millisecond per 16 KiB. Brotli and Zstandard collect: Brotli puts up to 1 MiB into one meta-block
// and then needs 5 to 10 ms for it, Zstandard collects 128 KiB. So both are told to flush by the
// time they hold kBrotliSlice or kZstdSlice, which caps a step and costs 1.5 % of size with Brotli
// and 0.7 % with Zstandard (JSON, levels 5 and 3). Their windows are 512 KiB: the usual 4 and 2 MiB
// would be most of a context's memory.
#include "tyaprover/filters/compressor.h"

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>

namespace tyaprover::filters {
namespace {

constexpr int kWindowLog = 19;
constexpr std::size_t kBrotliSlice = 16 * 1024;
constexpr std::size_t kZstdSlice = 32 * 1024;

class GzipCompressor final : public Compressor {
 public:
  explicit GzipCompressor(int level) : Compressor(Coding::gzip, level) {
    constexpr int kGzipFormat = 16 + MAX_WBITS;
    constexpr int kDefaultMemory = 8;
    if (deflateInit2(&stream_, level, Z_DEFLATED, kGzipFormat, kDefaultMemory,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
      throw std::bad_alloc();
    }
  }
  ~GzipCompressor() override { deflateEnd(&stream_); }

  void reset() noexcept override { deflateReset(&stream_); }

  CompressorStep step(std::string_view input, std::span<char> output,
                      Flush flush) noexcept override {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream_.avail_in = static_cast<uInt>(input.size());
    stream_.next_out = reinterpret_cast<Bytef*>(output.data());
    stream_.avail_out = static_cast<uInt>(output.size());
    const int mode = flush == Flush::finish ? Z_FINISH
                     : flush == Flush::sync ? Z_SYNC_FLUSH
                                            : Z_NO_FLUSH;
    const int result = deflate(&stream_, mode);

    CompressorStep step;
    step.consumed = input.size() - stream_.avail_in;
    step.produced = output.size() - stream_.avail_out;
    if (flush == Flush::finish) {
      step.complete = result == Z_STREAM_END;
    } else {
      // Z_BUF_ERROR: nothing was left to do. A sync is over when it left room.
      step.complete = stream_.avail_in == 0 && (flush == Flush::none || stream_.avail_out > 0);
    }
    step.failed = result == Z_STREAM_ERROR;
    return step;
  }

 private:
  z_stream stream_{};
};

// An encoder that collects input and must be stopped from collecting too much of it.
class CollectingCompressor : public Compressor {
 public:
  CompressorStep step(std::string_view input, std::span<char> output, Flush flush) noexcept final {
    CompressorStep step;
    if (flushing_) {
      // A flush under way takes no further input.
      if (!run(Flush::sync, {}, output, step)) return step;
      forget_held();
    }
    const bool too_much = flush == Flush::none && held_ + input.size() >= slice_;
    const bool drained = run(too_much ? Flush::sync : flush, input, output, step);
    held_ += step.consumed;
    step.complete = step.consumed == input.size() && (flush == Flush::none || drained);
    if (too_much && step.complete) flushing_ = true;
    if (drained && (too_much || flush == Flush::sync)) forget_held();
    return step;
  }

 protected:
  CollectingCompressor(Coding coding, int level, std::size_t slice) noexcept
      : Compressor(coding, level), slice_(slice) {}

  // One call of the encoder, added to `step`; `output` is what the step as a whole has. True when
  // all input was taken and, unless `flush` is none, everything has come out.
  virtual bool run(Flush flush, std::string_view input, std::span<char> output,
                   CompressorStep& step) noexcept = 0;

  void forget_held() noexcept {
    held_ = 0;
    flushing_ = false;
  }

 private:
  const std::size_t slice_;
  std::size_t held_ = 0;   // input since the last flush
  bool flushing_ = false;  // a flush of our own is under way
};

// Brotli has no reset, its state must be made anew: this keeps the memory of the last one for the
// next.
class BlockCache {
 public:
  BlockCache() = default;
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;
  ~BlockCache() {
    for (const Block& block : free_) std::free(block.memory);
    for (const Block& block : used_) std::free(block.memory);
  }

  static void* allocate(void* self, std::size_t size) {
    return static_cast<BlockCache*>(self)->take(size);
  }
  static void free(void* self, void* memory) {
    if (memory != nullptr) static_cast<BlockCache*>(self)->give_back(memory);
  }

 private:
  struct Block {
    void* memory;
    std::size_t size;
  };
  static constexpr std::size_t kMaxFree = 24;

  void* take(std::size_t size) noexcept {
    auto best = free_.end();
    for (auto block = free_.begin(); block != free_.end(); ++block) {
      if (block->size < size || block->size / 2 > size) continue;
      if (best == free_.end() || block->size < best->size) best = block;
    }
    if (best != free_.end()) {
      void* const memory = best->memory;
      used_.push_back(*best);
      free_.erase(best);
      return memory;
    }
    void* const memory = std::malloc(size);
    if (memory != nullptr) used_.push_back({memory, size});
    return memory;
  }

  void give_back(void* memory) noexcept {
    const auto block = std::find_if(used_.begin(), used_.end(),
                                    [memory](const Block& b) { return b.memory == memory; });
    free_.push_back(*block);
    used_.erase(block);
    if (free_.size() > kMaxFree) {
      std::free(free_.front().memory);
      free_.erase(free_.begin());
    }
  }

  std::vector<Block> free_;
  std::vector<Block> used_;
};

class BrotliCompressor final : public CollectingCompressor {
 public:
  explicit BrotliCompressor(int level) : CollectingCompressor(Coding::br, level, kBrotliSlice) {
    renew();
    if (encoder_ == nullptr) throw std::bad_alloc();
  }
  ~BrotliCompressor() override { BrotliEncoderDestroyInstance(encoder_); }

  void reset() noexcept override {
    forget_held();
    renew();
  }

 private:
  void renew() noexcept {
    BrotliEncoderDestroyInstance(encoder_);
    encoder_ = BrotliEncoderCreateInstance(&BlockCache::allocate, &BlockCache::free, &memory_);
    if (encoder_ == nullptr) return;
    BrotliEncoderSetParameter(encoder_, BROTLI_PARAM_QUALITY, static_cast<std::uint32_t>(level()));
    BrotliEncoderSetParameter(encoder_, BROTLI_PARAM_LGWIN, kWindowLog);
  }

  bool run(Flush flush, std::string_view input, std::span<char> output,
           CompressorStep& step) noexcept override {
    const auto operation = flush == Flush::finish ? BROTLI_OPERATION_FINISH
                           : flush == Flush::sync ? BROTLI_OPERATION_FLUSH
                                                  : BROTLI_OPERATION_PROCESS;
    std::size_t input_left = input.size();
    auto* next_in = reinterpret_cast<const std::uint8_t*>(input.data());
    std::size_t output_left = output.size() - step.produced;
    auto* next_out = reinterpret_cast<std::uint8_t*>(output.data() + step.produced);
    step.failed = encoder_ == nullptr ||
                  !BrotliEncoderCompressStream(encoder_, operation, &input_left, &next_in,
                                               &output_left, &next_out, nullptr);
    if (step.failed) return false;
    step.consumed += input.size() - input_left;
    step.produced = output.size() - output_left;
    if (flush == Flush::finish) return BrotliEncoderIsFinished(encoder_) != 0;
    return input_left == 0 && (flush == Flush::none || !BrotliEncoderHasMoreOutput(encoder_));
  }

  BlockCache memory_;
  BrotliEncoderState* encoder_ = nullptr;
};

class ZstdCompressor final : public CollectingCompressor {
 public:
  explicit ZstdCompressor(int level)
      : CollectingCompressor(Coding::zstd, level, kZstdSlice), context_(ZSTD_createCCtx()) {
    if (context_ == nullptr) throw std::bad_alloc();
    ZSTD_CCtx_setParameter(context_, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(context_, ZSTD_c_windowLog, kWindowLog);
  }
  ~ZstdCompressor() override { ZSTD_freeCCtx(context_); }

  void reset() noexcept override {
    forget_held();
    ZSTD_CCtx_reset(context_, ZSTD_reset_session_only);
  }

 private:
  bool run(Flush flush, std::string_view input, std::span<char> output,
           CompressorStep& step) noexcept override {
    const auto operation = flush == Flush::finish ? ZSTD_e_end
                           : flush == Flush::sync ? ZSTD_e_flush
                                                  : ZSTD_e_continue;
    ZSTD_inBuffer in{input.data(), input.size(), 0};
    ZSTD_outBuffer out{output.data(), output.size(), step.produced};
    const std::size_t left = ZSTD_compressStream2(context_, &out, &in, operation);
    step.failed = ZSTD_isError(left) != 0;
    if (step.failed) return false;
    step.consumed += in.pos;
    step.produced = out.pos;
    return in.pos == in.size && (flush == Flush::none || left == 0);
  }

  ZSTD_CCtx* context_;
};

std::unique_ptr<Compressor> make_compressor(Coding coding, int level) {
  switch (coding) {
    case Coding::identity:
      return nullptr;
    case Coding::gzip:
      return std::make_unique<GzipCompressor>(level);
    case Coding::br:
      return std::make_unique<BrotliCompressor>(level);
    case Coding::zstd:
      return std::make_unique<ZstdCompressor>(level);
  }
  return nullptr;
}

int clamp_level(Coding coding, int level) noexcept {
  switch (coding) {
    case Coding::identity:
      return 0;
    case Coding::gzip:
      return std::clamp(level, 1, 9);
    case Coding::br:
      return std::clamp(level, 0, 11);
    case Coding::zstd:
      return std::clamp(level, 1, 19);
  }
  return 0;
}

}  // namespace

void CompressorRelease::operator()(Compressor* compressor) const noexcept {
  pool->release(compressor);
}

bool append_encoded(Compressor& encoder, std::string_view text, Flush flush, std::string& out) {
  char buffer[16 * 1024];
  for (;;) {
    const CompressorStep step = encoder.step(text, buffer, flush);
    if (step.failed) return false;
    out.append(buffer, step.produced);
    text.remove_prefix(step.consumed);
    if (step.complete) return true;
  }
}

CompressorPtr CompressorPool::acquire(Coding coding, int level) {
  level = clamp_level(coding, level);
  if (coding == Coding::identity || active_ >= kMaxActive) return {};
  auto& idle = idle_[static_cast<std::size_t>(coding)];
  std::unique_ptr<Compressor> found;
  for (auto& candidate : idle) {
    if (candidate->level() != level) continue;
    found = std::move(candidate);
    candidate = std::move(idle.back());
    idle.pop_back();
    break;
  }
  if (!found) {
    try {
      found = make_compressor(coding, level);
    } catch (const std::bad_alloc&) {
      return {};
    }
  }
  ++active_;
  return CompressorPtr(found.release(), CompressorRelease{this});
}

void CompressorPool::release(Compressor* compressor) noexcept {
  std::unique_ptr<Compressor> owned(compressor);
  --active_;
  auto& idle = idle_[static_cast<std::size_t>(compressor->coding())];
  if (idle.size() == kMaxIdle) idle.erase(idle.begin());  // maybe of a level nobody uses any more
  owned->reset();
  idle.push_back(std::move(owned));
}

}  // namespace tyaprover::filters
