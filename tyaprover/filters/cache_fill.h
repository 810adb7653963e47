// CacheFill: one request to an origin whose answer others wait for, and stream as it comes.
//
// Thread-safe. One coroutine on one worker fills it; any number of requests on any worker follow
// it, each at its own speed. A follower asks, and is woken when there is more to ask for.
//
// States: pending ─► streaming ─► complete
//            │           └──────► broken           the origin stopped in the middle
//            ├──────────────────► complete         at once: a 304, or a body that was there
//            ├──────────────────► failed           no answer
//            └──────────────────► released         the answer cannot be shared: go yourselves
//
//   auto wakeup = std::make_shared<Wakeup>(worker);
//   fill->watch(wakeup);
//   while (fill->state() == CacheFill::State::pending) co_await wakeup->wait();
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/cache/reuse.h"
#include "tyaprover/filters/stored_response.h"
#include "tyaprover/http/body.h"
#include "tyaprover/http/reason.h"
#include "tyaprover/http/task.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::filters {

// Wakes a coroutine on its own worker, from any thread.
class Wakeup : public std::enable_shared_from_this<Wakeup> {
 public:
  explicit Wakeup(http::Worker& worker) : worker_(worker) {}

  // Thread-safe. Several before the coroutine runs are one.
  void notify();

  // The rest on the worker's thread only.
  void notify_here() { event_.set(); }
  // The client has left: whoever waits gives up.
  void give_up() {
    given_up_ = true;
    event_.set();
  }
  [[nodiscard]] bool given_up() const noexcept { return given_up_; }
  [[nodiscard]] http::Event& wait() noexcept {
    event_.clear();
    return event_;
  }

 private:
  http::Worker& worker_;
  http::Event event_;
  bool given_up_ = false;
  std::atomic<bool> posted_{false};
};

class CacheFill {
 public:
  enum class State : std::uint8_t { pending, streaming, complete, broken, failed, released };

  // Why there was no answer.
  struct Failure {
    cache::OriginFailure kind = cache::OriginFailure::unreachable;
    int status = 502;
    http::Reason reason = http::Reason::upstream_reset;
    std::string detail;
  };
  struct Head {
    std::shared_ptr<const StoredHead> head;
    std::optional<std::uint64_t> length;  // of the body
  };

  // --- the side that fills ---

  // Makes room for a body of a known length.
  void expect(std::uint64_t length);
  void stream(Head head);
  void append(std::string_view data);
  void complete(StoredResponse stored, bool revalidated);
  void break_off();
  void fail(Failure failure);
  void release();
  // The body's bytes as one block of exactly their size.
  [[nodiscard]] StoredBytes join();
  [[nodiscard]] std::uint64_t size() const;
  // From now on what every follower has read is let go.
  void forget_what_was_read();
  // How far the slowest reader is behind.
  [[nodiscard]] std::uint64_t slowest_lag() const;
  [[nodiscard]] bool is_followed() const;
  // Told when a follower has read on, or left.
  void set_filler(std::shared_ptr<Wakeup> filler);

  // --- the side that follows ---

  // False when the beginning of the body is gone.
  [[nodiscard]] bool can_be_followed() const;
  [[nodiscard]] State state() const;
  void watch(const std::shared_ptr<Wakeup>& wakeup);
  void unwatch(const std::shared_ptr<Wakeup>& wakeup);
  // REQUIRES: streaming, complete or broken.
  [[nodiscard]] Head head() const;
  // REQUIRES: complete.
  [[nodiscard]] StoredResponse stored() const;
  [[nodiscard]] bool revalidated() const;
  // REQUIRES: failed.
  [[nodiscard]] Failure failure() const;

  // A follower's place in the body.
  class Reader {
   public:
    explicit Reader(std::shared_ptr<CacheFill> fill);
    ~Reader();
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    // What comes next, or nothing yet, or that it will never come. The piece before is let go.
    [[nodiscard]] Result<std::optional<http::BodyPiece>, http::BodyError> next();

   private:
    friend class CacheFill;
    const std::shared_ptr<CacheFill> fill_;
    std::uint64_t read_ = 0;   // let go
    std::uint64_t taken_ = 0;  // given out
  };

 private:
  struct Block {
    std::shared_ptr<char[]> data;
    std::size_t room = 0;
    std::size_t size = 0;
  };
  static constexpr std::size_t kFirstBlock = 4 * 1024;
  static constexpr std::size_t kLargestBlock = 256 * 1024;

  void enter(State state, std::unique_lock<std::mutex>& lock);
  void drop_read();

  mutable std::mutex mutex_;  // guards all below
  State state_ = State::pending;
  Head head_;
  StoredResponse stored_;
  bool revalidated_ = false;
  Failure failure_;
  std::vector<Block> blocks_;
  std::uint64_t dropped_ = 0;  // bytes of blocks that were let go
  std::uint64_t size_ = 0;     // bytes that came
  bool forgetting_ = false;
  std::vector<std::shared_ptr<Wakeup>> watchers_;
  std::vector<Reader*> readers_;
  std::shared_ptr<Wakeup> filler_;
};

// A body that follows a fill.
class FollowingBody final : public http::BodySource {
 public:
  FollowingBody(std::shared_ptr<CacheFill> fill, std::shared_ptr<Wakeup> wakeup,
                std::optional<std::uint64_t> length);
  ~FollowingBody() override;

  [[nodiscard]] std::optional<std::uint64_t> length() const noexcept override { return length_; }
  [[nodiscard]] std::optional<http::BodyPiece> poll() override;
  [[nodiscard]] http::Task<Result<http::BodyPiece, http::BodyError>> read() override;
  void cancel_read() override { wakeup_->give_up(); }

 private:
  const std::shared_ptr<CacheFill> fill_;
  const std::shared_ptr<Wakeup> wakeup_;
  const std::optional<std::uint64_t> length_;
  CacheFill::Reader reader_;
};

}  // namespace tyaprover::filters
