#include "tyaprover/metrics/cells.h"

#include <cstdlib>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

namespace tyaprover::metrics::detail {

constinit CellDirectory no_pages{};

namespace {

constexpr std::size_t kCacheLine = 64;

// A copy without pages. From calloc, which takes so large a block straight from the system: the
// parts of the directory that are never used never become memory.
CellDirectory* make_directory() noexcept {
  static_assert(Cell::is_always_lock_free && sizeof(std::atomic<Cell*>) == sizeof(Cell*));
  void* memory = std::calloc(1, sizeof(CellDirectory));
  if (memory == nullptr) std::abort();  // as new in a noexcept function does
  return static_cast<CellDirectory*>(memory);
}

// Every copy, who may use it, and which ranges are given out. Never destroyed: threads may still
// count while the program ends.
class Space {
 public:
  static Space& instance() noexcept {
    // Without memory for this there is nothing that a caller could do.
    static Space& space = *new Space;  // NOLINT(bugprone-unhandled-exception-at-new)
    return space;
  }

  // A copy for the calling thread, or the shared one.
  CellDirectory* take_copy() noexcept {
    const std::lock_guard lock(mutex_);
    if (!free_copies_.empty()) {
      CellDirectory* copy = free_copies_.back();
      free_copies_.pop_back();
      return copy;
    }
    const std::size_t used = copies_used_.load(std::memory_order_relaxed);
    if (used > kMaxThreads) return shared();
    copies_[used] = make_directory();
    // Release: a reader that sees the count sees the pointer.
    copies_used_.store(used + 1, std::memory_order_release);
    return copies_[used];
  }
  void leave_copy(CellDirectory* copy) noexcept {
    const std::lock_guard lock(mutex_);
    if (copy != shared()) free_copies_.push_back(copy);
  }
  [[nodiscard]] CellDirectory* shared() const noexcept { return copies_[0]; }

  Cell* page_of(CellDirectory& copy, CellIndex first) noexcept {
    std::atomic<Cell*>& entry = copy[first / kCellsPerPage];
    // Locked: of the threads that share a copy, one makes the page.
    const std::lock_guard lock(mutex_);
    Cell* page = entry.load(std::memory_order_relaxed);
    if (page == nullptr) {
      // Aligned, so that pages of two threads never share a cache line.
      // NOLINTNEXTLINE(bugprone-unhandled-exception-at-new): ends the program, as everywhere
      page = new (std::align_val_t{kCacheLine}) Cell[kCellsPerPage]{};
      // Release: a reader that finds the page finds it zeroed.
      entry.store(page, std::memory_order_release);
    }
    return page + first % kCellsPerPage;
  }

  CellIndex allocate(std::size_t count) {
    const std::lock_guard lock(mutex_);
    Size& size = sizes_[count];
    if (!size.free.empty()) {
      const CellIndex first = size.free.back();
      size.free.pop_back();
      return first;
    }
    if (size.next == size.end) {
      if (pages_used_ == kMaxPages) return kNoCells;
      size.next = static_cast<CellIndex>(pages_used_ * kCellsPerPage);
      size.end = size.next + static_cast<CellIndex>(kCellsPerPage / count * count);
      ++pages_used_;
    }
    const CellIndex first = size.next;
    size.next += static_cast<CellIndex>(count);
    return first;
  }

  void free(CellIndex first, std::size_t count) noexcept {
    if (first < kCellsPerPage) return;  // kNoCells
    const std::lock_guard lock(mutex_);
    for_each_copy([&](const CellDirectory& copy) {
      Cell* page = copy[first / kCellsPerPage].load(std::memory_order_acquire);
      if (page == nullptr) return;
      for (std::size_t i = 0; i < count; ++i) {
        page[first % kCellsPerPage + i].store(0, std::memory_order_relaxed);
      }
    });
    sizes_[count].free.push_back(first);
  }

  template <class Visit>
  void for_each_copy(Visit&& visit) const noexcept {
    const std::size_t used = copies_used_.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < used; ++i) visit(*copies_[i]);
  }

 private:
  Space() { copies_[0] = make_directory(); }

  // The ranges of one length: those that came back, and the rest of the page they are cut from.
  struct Size {
    std::vector<CellIndex> free;
    CellIndex next = 0;
    CellIndex end = 0;
  };

  std::mutex mutex_;
  std::array<CellDirectory*, kMaxThreads + 1> copies_{};  // the first is the shared one
  std::atomic<std::size_t> copies_used_{1};
  std::vector<CellDirectory*> free_copies_;
  std::unordered_map<std::size_t, Size> sizes_;
  std::size_t pages_used_ = 1;  // page 0 belongs to kNoCells
};

// Takes a copy at a thread's first write, and leaves it to others when the thread ends.
struct Membership {
  Membership() : copy(Space::instance().take_copy()) {
    if (copy != Space::instance().shared()) t_directory = copy;
  }
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;
  ~Membership() {
    t_directory = &no_pages;
    ended = true;
    Space::instance().leave_copy(copy);
  }

  CellDirectory* copy;
  // What counts in a thread after this point (destructors of other thread-locals) uses the shared
  // copy.
  static thread_local bool ended;
};
thread_local bool Membership::ended = false;

CellDirectory& own_copy() noexcept {
  if (Membership::ended) return *Space::instance().shared();
  thread_local const Membership membership;
  return *membership.copy;
}

}  // namespace

CellsToWrite make_cells(CellIndex first) noexcept {
  Space& space = Space::instance();
  CellDirectory& copy = own_copy();
  return {space.page_of(copy, first), &copy == space.shared()};
}

void add_real_shared(Cell& cell, double value) noexcept {
  std::uint64_t before = cell.load(std::memory_order_relaxed);
  while (!cell.compare_exchange_weak(
      before, std::bit_cast<std::uint64_t>(std::bit_cast<double>(before) + value),
      std::memory_order_relaxed)) {
  }
}

void add_real_to_cell(CellIndex index, double value) noexcept {
  if (Cell* cell = own_cells(index)) {
    add_real(*cell, value);
    return;
  }
  const CellsToWrite made = make_cells(index);
  made.shared ? add_real_shared(*made.cells, value) : add_real(*made.cells, value);
}

CellIndex allocate_cells(std::size_t count) {
  return Space::instance().allocate(count);
}

void free_cells(CellIndex first, std::size_t count) noexcept {
  Space::instance().free(first, count);
}

void read_cells(CellIndex first, std::span<std::uint64_t> sums) noexcept {
  for (std::uint64_t& sum : sums) sum = 0;
  if (first < kCellsPerPage) return;
  Space::instance().for_each_copy([&](const CellDirectory& copy) {
    const Cell* page = copy[first / kCellsPerPage].load(std::memory_order_acquire);
    if (page == nullptr) return;
    // Acquire, from the last to the first: Histogram says what it needs this order for.
    for (std::size_t i = sums.size(); i-- > 0;) {
      sums[i] += page[first % kCellsPerPage + i].load(std::memory_order_acquire);
    }
  });
}

double read_real_cell(CellIndex index) noexcept {
  double sum = 0;
  if (index < kCellsPerPage) return sum;
  Space::instance().for_each_copy([&](const CellDirectory& copy) {
    const Cell* page = copy[index / kCellsPerPage].load(std::memory_order_acquire);
    if (page == nullptr) return;
    sum += std::bit_cast<double>(page[index % kCellsPerPage].load(std::memory_order_relaxed));
  });
  return sum;
}

std::size_t cell_copies() noexcept {
  std::size_t copies = 0;
  Space::instance().for_each_copy([&](const CellDirectory&) { ++copies; });
  return copies;
}

}  // namespace tyaprover::metrics::detail
