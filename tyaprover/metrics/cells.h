// Cells: the 64-bit numbers behind counters and histograms, one copy per writing thread.
//
// Every series owns a range of cell numbers. A thread that writes to a range has its own copy of
// it, in pages of its own, so an increment is a plain load, add and store: no lock prefix, and no
// cache line shared with another thread. A reader sums the copies. A page comes into being at the
// thread's first write to any cell of it.
//
// A thread that ends leaves its copies to the next thread that starts: nothing is folded, so a
// reader can never see a number twice or not at all, and memory grows with the threads alive at
// once, not with those that ever were. Beyond kMaxThreads at once, threads share one copy and add
// to it atomically.
//
// Thread-safe. Process-wide: thread-local pointers cannot belong to an object. The cost of reading
// grows with the number of copies.
//
// Internal to the metrics library: use Counter and Histogram.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tyaprover::metrics::detail {

using Cell = std::atomic<std::uint64_t>;
using CellIndex = std::uint32_t;

constexpr std::size_t kCellsPerPage = 512;
constexpr std::size_t kMaxPages = 32768;
// The largest range: a range never crosses a page, so that one look-up serves all of it.
constexpr std::size_t kMaxRange = kCellsPerPage;
constexpr std::size_t kMaxThreads = 64;

// The pages of one copy. Written by its thread, read by anyone.
using CellDirectory = std::array<std::atomic<Cell*>, kMaxPages>;

// What a thread has before its first write, and again when it is ending: no page at all. Never
// written; not const so that it takes no room in the program's file.
extern CellDirectory no_pages;
inline constinit thread_local const CellDirectory* t_directory = &no_pages;

// The calling thread's copy of the range that begins at `first`, or null at its first write there
// and in threads beyond kMaxThreads.
[[nodiscard]] inline Cell* own_cells(CellIndex first) noexcept {
  // Relaxed: only this thread stores here.
  Cell* page = (*t_directory)[first / kCellsPerPage].load(std::memory_order_relaxed);
  return page == nullptr ? nullptr : page + first % kCellsPerPage;
}

// Makes the calling thread's copy. `shared` is true when it is the copy of many threads, which must
// add atomically.
struct CellsToWrite {
  Cell* cells;
  bool shared;
};
[[nodiscard]] CellsToWrite make_cells(CellIndex first) noexcept;

// Relaxed unless said otherwise: a cell says only how much its owner has added. Readers may be
// late, never wrong, and one cell never goes back.
inline void add(Cell& cell, std::uint64_t n,
                std::memory_order order = std::memory_order_relaxed) noexcept {
  cell.store(cell.load(std::memory_order_relaxed) + n, order);
}
inline void add_shared(Cell& cell, std::uint64_t n,
                       std::memory_order order = std::memory_order_relaxed) noexcept {
  cell.fetch_add(n, order);
}
// Cells that hold a double's bits.
inline void add_real(Cell& cell, double value) noexcept {
  cell.store(std::bit_cast<std::uint64_t>(
                 std::bit_cast<double>(cell.load(std::memory_order_relaxed)) + value),
             std::memory_order_relaxed);
}
void add_real_shared(Cell& cell, double value) noexcept;

// Adds to one cell of the calling thread's copy.
inline void add_to_cell(CellIndex index, std::uint64_t n,
                        std::memory_order order = std::memory_order_relaxed) noexcept {
  if (Cell* cell = own_cells(index)) [[likely]] {
    add(*cell, n, order);
    return;
  }
  const CellsToWrite made = make_cells(index);
  made.shared ? add_shared(*made.cells, n, order) : add(*made.cells, n, order);
}
void add_real_to_cell(CellIndex index, double value) noexcept;

// A new range of `count` zero cells, 1 to kMaxRange. When the space is exhausted (16 million
// cells), kNoCells: its writes are harmless and read as zero nowhere.
constexpr CellIndex kNoCells = 0;
[[nodiscard]] CellIndex allocate_cells(std::size_t count);
// REQUIRES: nobody writes to the range any more, and everything that was written to it happened
// before this call.
void free_cells(CellIndex first, std::size_t count) noexcept;

// The sums over all copies.
void read_cells(CellIndex first, std::span<std::uint64_t> sums) noexcept;
[[nodiscard]] double read_real_cell(CellIndex index) noexcept;

// How many copies exist: threads that write at once, at their peak.
[[nodiscard]] std::size_t cell_copies() noexcept;

}  // namespace tyaprover::metrics::detail
