// PerThread<T>: a T for each thread that asks, and all of them for whoever adds them up. Internal.
//
// Thread-safe without locks, so that the child of a fork can never find one held. A T belongs to
// one thread at a time; when its thread ends the next new thread takes it over as it is, so there
// are never more than threads were alive at once. They are freed with the PerThread, or, where
// threads are still alive then, with the last of these.
//
//   PerThread<Counter> counters;
//   if (Counter* mine = counters.local()) mine->add(1);   // null while the thread is being
//   destroyed counters.for_each([&](Counter& each) { sum += each.get(); });
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace tyaprover::trace::detail {

// Unique in the process and never used again; 0 is nobody's.
inline std::uint64_t next_identity() noexcept {
  static constinit std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

template <class T>
class PerThread {
 public:
  // Makes each T with `make`, which must not throw for want of anything but memory.
  explicit PerThread(std::function<std::unique_ptr<T>()> make)
      : cells_(std::make_shared<Cells>()), make_(std::move(make)) {}
  PerThread(const PerThread&) = delete;
  PerThread& operator=(const PerThread&) = delete;

  [[nodiscard]] T* local() {
    if (recent.identity == cells_->identity) [[likely]]
      return recent.value;
    return find();
  }

  // Visits also those whose thread has ended.
  template <class F>
  void for_each(F visit) const {
    for (const Cell* cell = cells_->first.load(std::memory_order_acquire); cell != nullptr;
         cell = cell->next) {
      visit(*cell->value);
    }
  }

 private:
  struct Cell {
    std::unique_ptr<T> value;
    std::atomic<bool> in_use{true};
    Cell* next = nullptr;  // constant once the cell is in the list
  };
  struct Cells {
    const std::uint64_t identity = next_identity();
    std::atomic<Cell*> first{nullptr};

    Cells() = default;
    Cells(const Cells&) = delete;
    Cells& operator=(const Cells&) = delete;
    ~Cells() {
      for (Cell* cell = first.load(std::memory_order_relaxed); cell != nullptr;) {
        const std::unique_ptr<Cell> last(cell);
        cell = last->next;
      }
    }
  };
  struct Claim {
    std::shared_ptr<Cells> cells;
    Cell* cell;
  };
  // The claims of one thread, given up at its end.
  struct Claims {
    std::vector<Claim> all;
    ~Claims() {
      closed = true;
      recent = {};
      // Release: what this thread did with it happens before the next one takes it over.
      for (const Claim& claim : all) claim.cell->in_use.store(false, std::memory_order_release);
    }
  };
  // Constant-initialised and without destructor, so that the fast path costs no guard.
  struct Recent {
    std::uint64_t identity = 0;
    T* value = nullptr;
  };
  inline static constinit thread_local Recent recent = {};
  inline static constinit thread_local bool closed = false;

  [[gnu::noinline]] T* find() {
    if (closed) return nullptr;
    thread_local Claims claims;
    std::erase_if(claims.all, [](const Claim& claim) { return claim.cells.use_count() == 1; });
    auto found = std::find_if(claims.all.begin(), claims.all.end(),
                              [&](const Claim& claim) { return claim.cells == cells_; });
    if (found == claims.all.end()) found = claims.all.insert(found, {cells_, take_cell()});
    recent = {cells_->identity, found->cell->value.get()};
    return recent.value;
  }

  Cell* take_cell() {
    for (Cell* cell = cells_->first.load(std::memory_order_acquire); cell != nullptr;
         cell = cell->next) {
      bool expected = false;
      if (cell->in_use.compare_exchange_strong(expected, true, std::memory_order_acquire)) {
        return cell;
      }
    }
    auto cell = std::make_unique<Cell>();
    cell->value = make_();
    cell->next = cells_->first.load(std::memory_order_relaxed);
    // Release: who finds the cell in the list finds it complete.
    while (!cells_->first.compare_exchange_weak(cell->next, cell.get(), std::memory_order_release,
                                                std::memory_order_relaxed)) {
    }
    return cell.release();
  }

  std::shared_ptr<Cells> cells_;
  std::function<std::unique_ptr<T>()> make_;
};

}  // namespace tyaprover::trace::detail
