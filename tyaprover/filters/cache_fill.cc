#include "tyaprover/filters/cache_fill.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tyaprover::filters {

using http::BodyError;
using http::BodyPiece;
using http::Task;

void Wakeup::notify() {
  // Acquire and release: what was done before a wake-up that is on its way already must be seen by
  // the coroutine that it wakes.
  if (posted_.exchange(true, std::memory_order_acq_rel)) return;
  worker_.post([self = shared_from_this()] {
    self->posted_.store(false, std::memory_order_release);
    self->event_.set();
  });
}

// Wakes all, outside of the lock.
void CacheFill::enter(State state, std::unique_lock<std::mutex>& lock) {
  state_ = state;
  const std::vector<std::shared_ptr<Wakeup>> watchers = watchers_;
  lock.unlock();
  for (const auto& watcher : watchers) watcher->notify();
}

void CacheFill::expect(std::uint64_t length) {
  if (length == 0) return;
  const std::lock_guard lock(mutex_);
  const auto room = static_cast<std::size_t>(length);
  blocks_.push_back({std::make_shared_for_overwrite<char[]>(room), room, 0});
}

void CacheFill::stream(Head head) {
  std::unique_lock lock(mutex_);
  head_ = std::move(head);
  enter(State::streaming, lock);
}

void CacheFill::append(std::string_view data) {
  if (data.empty()) return;
  std::unique_lock lock(mutex_);
  while (!data.empty()) {
    if (blocks_.empty() || blocks_.back().size == blocks_.back().room) {
      const std::size_t last = blocks_.empty() ? 0 : blocks_.back().room;
      const std::size_t room = std::clamp(last * 2, kFirstBlock, kLargestBlock);
      blocks_.push_back({std::make_shared_for_overwrite<char[]>(room), room, 0});
    }
    Block& block = blocks_.back();
    const std::size_t n = std::min(data.size(), block.room - block.size);
    std::memcpy(block.data.get() + block.size, data.data(), n);
    block.size += n;
    size_ += n;
    data.remove_prefix(n);
  }
  enter(state_, lock);
}

// What was too large to be stored comes without a response.
void CacheFill::complete(StoredResponse stored, bool revalidated) {
  std::unique_lock lock(mutex_);
  if (stored) head_ = {stored.head, stored.size};
  stored_ = std::move(stored);
  revalidated_ = revalidated;
  enter(State::complete, lock);
}

void CacheFill::break_off() {
  std::unique_lock lock(mutex_);
  enter(State::broken, lock);
}

void CacheFill::fail(Failure failure) {
  std::unique_lock lock(mutex_);
  failure_ = std::move(failure);
  enter(State::failed, lock);
}

void CacheFill::release() {
  std::unique_lock lock(mutex_);
  enter(State::released, lock);
}

StoredBytes CacheFill::join() {
  const std::lock_guard lock(mutex_);
  if (size_ == 0) return nullptr;
  if (blocks_.size() == 1 && blocks_.front().size == blocks_.front().room) {
    return blocks_.front().data;
  }
  auto joined = std::make_shared_for_overwrite<char[]>(static_cast<std::size_t>(size_));
  std::size_t at = 0;
  for (const Block& block : blocks_) {
    std::memcpy(joined.get() + at, block.data.get(), block.size);
    at += block.size;
  }
  return joined;
}

std::uint64_t CacheFill::size() const {
  const std::lock_guard lock(mutex_);
  return size_;
}

void CacheFill::forget_what_was_read() {
  const std::lock_guard lock(mutex_);
  forgetting_ = true;
  drop_read();
}

std::uint64_t CacheFill::slowest_lag() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t lag = 0;
  for (const Reader* reader : readers_) lag = std::max(lag, size_ - reader->read_);
  return lag;
}

bool CacheFill::is_followed() const {
  const std::lock_guard lock(mutex_);
  return !watchers_.empty() || !readers_.empty();
}

void CacheFill::set_filler(std::shared_ptr<Wakeup> filler) {
  const std::lock_guard lock(mutex_);
  filler_ = std::move(filler);
}

// Blocks that everybody is through with.
void CacheFill::drop_read() {
  if (!forgetting_ || readers_.empty()) return;
  std::uint64_t read = size_;
  for (const Reader* reader : readers_) read = std::min(read, reader->read_);
  while (blocks_.size() > 1 && dropped_ + blocks_.front().size <= read) {
    dropped_ += blocks_.front().size;
    blocks_.erase(blocks_.begin());
  }
}

bool CacheFill::can_be_followed() const {
  const std::lock_guard lock(mutex_);
  return !forgetting_;
}

CacheFill::State CacheFill::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

void CacheFill::watch(const std::shared_ptr<Wakeup>& wakeup) {
  const std::lock_guard lock(mutex_);
  watchers_.push_back(wakeup);
}

void CacheFill::unwatch(const std::shared_ptr<Wakeup>& wakeup) {
  const std::lock_guard lock(mutex_);
  const auto at = std::find(watchers_.begin(), watchers_.end(), wakeup);
  if (at == watchers_.end()) return;
  std::swap(*at, watchers_.back());
  watchers_.pop_back();
}

CacheFill::Head CacheFill::head() const {
  const std::lock_guard lock(mutex_);
  return head_;
}

StoredResponse CacheFill::stored() const {
  const std::lock_guard lock(mutex_);
  return stored_;
}

bool CacheFill::revalidated() const {
  const std::lock_guard lock(mutex_);
  return revalidated_;
}

CacheFill::Failure CacheFill::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

CacheFill::Reader::Reader(std::shared_ptr<CacheFill> fill) : fill_(std::move(fill)) {
  const std::lock_guard lock(fill_->mutex_);
  fill_->readers_.push_back(this);
}

CacheFill::Reader::~Reader() {
  std::shared_ptr<Wakeup> filler;
  {
    const std::lock_guard lock(fill_->mutex_);
    std::erase(fill_->readers_, this);
    fill_->drop_read();
    filler = fill_->filler_;
  }
  if (filler) filler->notify();
}

Result<std::optional<BodyPiece>, BodyError> CacheFill::Reader::next() {
  std::shared_ptr<Wakeup> filler;
  std::optional<BodyPiece> piece;
  {
    CacheFill& f = *fill_;
    const std::lock_guard lock(f.mutex_);
    if (read_ != taken_) {
      read_ = taken_;
      f.drop_read();
      if (f.forgetting_) filler = f.filler_;
    }
    std::uint64_t at = f.dropped_;
    if (taken_ < at) return err(BodyError::aborted);
    for (const Block& block : f.blocks_) {
      if (taken_ < at + block.size) {
        const auto offset = static_cast<std::size_t>(taken_ - at);
        const std::string_view data(block.data.get() + offset, block.size - offset);
        taken_ += data.size();
        piece = BodyPiece{data, f.state_ == State::complete && taken_ == f.size_};
        break;
      }
      at += block.size;
    }
    if (!piece && f.state_ == State::complete) piece = BodyPiece{{}, true};
    if (!piece && f.state_ == State::broken) return err(BodyError::disconnected);
  }
  if (filler) filler->notify();
  return piece;
}

FollowingBody::FollowingBody(std::shared_ptr<CacheFill> fill, std::shared_ptr<Wakeup> wakeup,
                             std::optional<std::uint64_t> length)
    : fill_(std::move(fill)), wakeup_(std::move(wakeup)), length_(length), reader_(fill_) {
  fill_->watch(wakeup_);
}

FollowingBody::~FollowingBody() {
  fill_->unwatch(wakeup_);
}

std::optional<BodyPiece> FollowingBody::poll() {
  auto piece = reader_.next();
  return piece ? *piece : std::nullopt;
}

Task<Result<BodyPiece, BodyError>> FollowingBody::read() {
  for (;;) {
    if (wakeup_->given_up()) co_return err(BodyError::aborted);
    auto piece = reader_.next();
    if (!piece) co_return err(piece.error());
    if (*piece) co_return **piece;
    co_await wakeup_->wait();
  }
}

}  // namespace tyaprover::filters
