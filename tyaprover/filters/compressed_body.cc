#include "tyaprover/filters/compressed_body.h"

#include <cassert>
#include <optional>
#include <utility>

#include "tyaprover/http/buffer_pool.h"
#include "tyaprover/http/task.h"
#include "tyaprover/http/timer_wheel.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::filters {

using http::BodyError;
using http::BodyPiece;
using http::BodyPtr;
using http::BodySource;
using http::Task;

namespace {

constexpr std::size_t kPiece = 16 * 1024;
constexpr Nanos kTurn = std::chrono::microseconds(500);

// One writer: a plain addition that other threads may read.
void add(std::atomic<std::uint64_t>& counter, std::uint64_t n) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

}  // namespace

// Invariant: source_ is touched by fetch() alone while fetching_.
// Invariant: callbacks_ counts the fetch and the posted turn that will still touch this object; it
// does not go back to its pool before they have.
class CompressedBody final : public BodySource {
 public:
  explicit CompressedBody(http::Worker& worker)
      : worker_(worker), timer_([this] { wake_.set(); }) {}

  void begin(std::shared_ptr<CompressionPool> pool, CompressorPtr encoder, Nanos flush_after) {
    pool_ = std::move(pool);
    encoder_ = std::move(encoder);
    flush_after_ = flush_after;
    output_ = worker_.buffers().take(kPiece);
    add(pool_->stats().responses, 1);
  }
  void set_source(BodyPtr source) noexcept { source_ = std::move(source); }
  void set_content(std::string_view content, std::shared_ptr<const void> owner) noexcept {
    input_ = content;
    input_last_ = true;
    content_owner_ = std::move(owner);
  }

  std::optional<BodyPiece> poll() override;
  Task<Result<BodyPiece, BodyError>> read() override;
  [[nodiscard]] const http::Fields* trailers() const noexcept override {
    return source_ ? source_->trailers() : nullptr;
  }
  // The source's read goes on in the background; a later read() takes what it brings.
  void cancel_read() override;
  void release() noexcept override;

 private:
  enum class Progress : std::uint8_t {
    piece,   // there is output to hand out
    wait,    // the source has nothing at hand
    tired,   // the event loop should turn
    failed,  // error_ says how
  };

  Progress advance();
  void encode(std::string_view input, Flush flush);
  bool take_input();
  void accept(const Result<BodyPiece, BodyError>& piece);
  BodyPiece hand_out() noexcept;
  [[nodiscard]] bool is_flushed() const noexcept { return oldest_ == TimePoint::max(); }
  [[nodiscard]] bool flush_due() const noexcept {
    return !is_flushed() && oldest_ + flush_after_ <= worker_.now();
  }
  Task<void> fetch();
  void post_turn();
  void callback_done() noexcept;
  void go_home() noexcept;

  http::Worker& worker_;
  std::shared_ptr<CompressionPool> pool_;  // null while idle in it
  CompressorPtr encoder_;
  Nanos flush_after_{};

  BodyPtr source_;
  std::shared_ptr<const void> content_owner_;
  std::string_view input_;   // of the source's last piece, not yet encoded
  bool input_last_ = false;  // nothing comes after input_
  std::optional<Result<BodyPiece, BodyError>> fetched_;
  bool fetching_ = false;

  http::Buffer output_;
  std::size_t used_ = 0;
  bool handed_out_ = false;  // output_ is free at the next call
  bool flushing_ = false;
  bool ended_ = false;  // the encoder has said everything
  std::optional<BodyError> error_;
  TimePoint oldest_ =
      TimePoint::max();  // when the oldest byte came into the encoder; max: it is empty
  Nanos worked_{};       // encoding since the event loop turned

  http::Event wake_;
  http::Timer timer_;
  bool waiting_ = false;    // read() waits for wake_
  bool cancelled_ = false;  // and is to end
  unsigned callbacks_ = 0;
  bool given_up_ = false;
};

std::optional<BodyPiece> CompressedBody::poll() {
  if (advance() == Progress::piece) return hand_out();
  return std::nullopt;
}

Task<Result<BodyPiece, BodyError>> CompressedBody::read() {
  for (;;) {
    const Progress progress = advance();
    if (progress == Progress::piece) co_return hand_out();
    if (progress == Progress::failed) co_return err(*error_);
    wake_.clear();
    if (progress == Progress::tired) {
      post_turn();
    } else {
      if (!fetching_) {
        fetching_ = true;
        ++callbacks_;
        http::spawn(fetch());
        if (fetched_) continue;
      }
      if (!is_flushed()) worker_.timers().set(timer_, oldest_ + flush_after_);
    }
    waiting_ = true;
    co_await wake_;
    waiting_ = false;
    timer_.cancel();
    if (std::exchange(cancelled_, false)) co_return err(BodyError::aborted);
    worked_ = Nanos(0);
  }
}

// Output is handed out when there is a whole piece of it, after a flush and at the end: what an
// encoder says before, a gzip header for instance, is not worth a packet.
CompressedBody::Progress CompressedBody::advance() {
  if (std::exchange(handed_out_, false)) used_ = 0;
  for (;;) {
    if (ended_ || used_ == output_.size()) return Progress::piece;
    if (worked_ >= kTurn) return Progress::tired;
    if (error_) return used_ > 0 ? Progress::piece : Progress::failed;
    if (flushing_) {
      encode({}, Flush::sync);
    } else if (flush_due()) {
      flushing_ = true;
    } else if (!input_.empty() || input_last_) {
      const std::string_view slice = input_.substr(0, kPiece);
      encode(slice, input_last_ && slice.size() == input_.size() ? Flush::finish : Flush::none);
    } else if (!take_input()) {
      return used_ > 0 && is_flushed() ? Progress::piece : Progress::wait;
    }
  }
}

void CompressedBody::encode(std::string_view input, Flush flush) {
  const TimePoint begin = worker_.now();
  const std::span<char> room(output_.data() + used_, output_.size() - used_);
  const CompressorStep step = encoder_->step(input, room, flush);
  worked_ += worker_.now() - begin;
  input_.remove_prefix(step.consumed);
  used_ += step.produced;
  add(pool_->stats().bytes_in, step.consumed);
  add(pool_->stats().bytes_out, step.produced);
  if (step.consumed > 0 && is_flushed()) oldest_ = begin;
  if (step.failed) error_ = BodyError::aborted;
  if (!step.complete || flush == Flush::none) return;
  flushing_ = false;
  oldest_ = TimePoint::max();
  if (flush == Flush::finish) ended_ = true;
}

// True when there was a piece, an end or an error at hand.
bool CompressedBody::take_input() {
  if (fetched_) {
    const Result<BodyPiece, BodyError> piece = *fetched_;
    fetched_.reset();
    accept(piece);
    return true;
  }
  if (fetching_) return false;
  const std::optional<BodyPiece> piece = source_->poll();
  if (!piece) return false;
  accept(*piece);
  return true;
}

void CompressedBody::accept(const Result<BodyPiece, BodyError>& piece) {
  if (!piece) {
    error_ = piece.error();
    return;
  }
  input_ = piece->data;
  input_last_ = piece->last;
}

BodyPiece CompressedBody::hand_out() noexcept {
  handed_out_ = true;
  return {std::string_view(output_.data(), used_), ended_};
}

// Waits for the source's next piece, also when nobody waits for this body.
Task<void> CompressedBody::fetch() {
  {
    Task<Result<BodyPiece, BodyError>> reading = source_->read();
    fetched_.emplace(co_await reading);
  }
  fetching_ = false;
  callback_done();
}

void CompressedBody::post_turn() {
  ++callbacks_;
  worker_.post([this] { callback_done(); });
}

// The last thing a callback does: this may be gone or in other use afterwards.
void CompressedBody::callback_done() noexcept {
  --callbacks_;
  if (!given_up_) {
    wake_.set();
  } else if (callbacks_ == 0) {
    go_home();
  }
}

void CompressedBody::cancel_read() {
  if (!waiting_) return;
  cancelled_ = true;
  wake_.set();
}

void CompressedBody::release() noexcept {
  assert(pool_ != nullptr && !given_up_);
  given_up_ = true;
  timer_.cancel();
  wake_.forget();
  encoder_.reset();
  if (callbacks_ == 0) {
    go_home();
  } else if (fetching_) {
    source_->cancel_read();
  }
}

void CompressedBody::go_home() noexcept {
  source_.reset();
  content_owner_.reset();
  input_ = {};
  fetched_.reset();
  output_ = {};
  error_.reset();
  used_ = 0;
  input_last_ = handed_out_ = flushing_ = ended_ = waiting_ = cancelled_ = given_up_ = false;
  oldest_ = TimePoint::max();
  worked_ = Nanos(0);
  const std::shared_ptr<CompressionPool> pool = std::move(pool_);
  pool->give_back(this);
}

CompressionPool::CompressionPool(http::Worker& worker) : worker_(worker) {
  idle_.reserve(kMaxIdle);
}

CompressionPool::~CompressionPool() = default;

CompressedBody* CompressionPool::take() {
  if (idle_.empty()) return new CompressedBody(worker_);
  CompressedBody* const body = idle_.back().release();
  idle_.pop_back();
  return body;
}

void CompressionPool::give_back(CompressedBody* body) noexcept {
  std::unique_ptr<CompressedBody> owned(body);
  if (idle_.size() < kMaxIdle) idle_.push_back(std::move(owned));
}

void CompressionPool::note_encoded(std::uint64_t bytes_in, std::uint64_t bytes_out) noexcept {
  add(stats_.responses, 1);
  add(stats_.bytes_in, bytes_in);
  add(stats_.bytes_out, bytes_out);
}

BodyPtr CompressionPool::wrap(BodyPtr source, CompressorPtr encoder, Nanos flush_after) {
  CompressedBody* const body = take();
  body->begin(shared_from_this(), std::move(encoder), flush_after);
  body->set_source(std::move(source));
  return BodyPtr(body);
}

BodyPtr CompressionPool::wrap(std::string_view content, std::shared_ptr<const void> owner,
                              CompressorPtr encoder) {
  CompressedBody* const body = take();
  body->begin(shared_from_this(), std::move(encoder), Nanos::max() / 2);
  body->set_content(content, std::move(owner));
  return BodyPtr(body);
}

}  // namespace tyaprover::filters
