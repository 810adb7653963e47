#include "tyaprover/metrics/cells.h"

#include <gtest/gtest.h>

#include <barrier>
#include <cstdint>
#include <limits>
#include <set>
#include <thread>
#include <vector>

namespace tyaprover::metrics::detail {
namespace {

std::uint64_t read(CellIndex index) {
  std::uint64_t sum = 0;
  read_cells(index, {&sum, 1});
  return sum;
}

// A range for the time of a test.
class Range {
 public:
  explicit Range(std::size_t count) : first(allocate_cells(count)), count_(count) {}
  ~Range() { free_cells(first, count_); }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;

  const CellIndex first;

 private:
  std::size_t count_;
};

TEST(Cells, SumWhatAllThreadsAdded) {
  const Range cell(1);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10000; ++i) add_to_cell(cell.first, 1);
    });
  }
  for (std::thread& thread : threads) thread.join();
  add_to_cell(cell.first, 2);
  EXPECT_EQ(read(cell.first), 40002U);
}

TEST(Cells, OfThreadsThatEndedKeepTheirValuesAndAreUsedAgain) {
  const Range cell(1);
  std::thread([&] { add_to_cell(cell.first, 1); }).join();
  const std::size_t copies = cell_copies();
  for (int i = 0; i < 1000; ++i) std::thread([&] { add_to_cell(cell.first, 1); }).join();
  EXPECT_EQ(read(cell.first), 1001U);
  EXPECT_EQ(cell_copies(), copies) << "threads that follow each other need one copy";
}

TEST(Cells, AreSharedByThreadsBeyondTheLimit) {
  constexpr int kThreads = static_cast<int>(kMaxThreads) + 16;
  const Range cells(2);
  std::barrier all_alive(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      add_to_cell(cells.first, 1);
      add_real_to_cell(cells.first + 1, 0.5);
      all_alive.arrive_and_wait();  // so that no copy is free yet for another
      for (int i = 0; i < 1000; ++i) {
        add_to_cell(cells.first, 1);
        add_real_to_cell(cells.first + 1, 0.5);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(cell_copies(), kMaxThreads + 1);
  EXPECT_EQ(read(cells.first), kThreads * 1001U);
  EXPECT_EQ(read_real_cell(cells.first + 1), kThreads * 1001 * 0.5);
}

TEST(Cells, CountToTheLastIntegerAndWrap) {
  const Range cell(1);
  std::thread([&] {
    add_to_cell(cell.first, std::numeric_limits<std::uint64_t>::max() - 1);
  }).join();
  add_to_cell(cell.first, 1);
  EXPECT_EQ(read(cell.first), std::numeric_limits<std::uint64_t>::max());
  add_to_cell(cell.first, 1);
  EXPECT_EQ(read(cell.first), 0U);
}

TEST(Cells, AreZeroWhenTheirRangeIsGivenOutAgain) {
  const CellIndex first = allocate_cells(7);
  add_to_cell(first + 6, 5);
  std::thread([&] { add_to_cell(first + 6, 5); }).join();
  free_cells(first, 7);
  const Range again(7);
  EXPECT_EQ(again.first, first) << "a range that came back is the next one given out";
  EXPECT_EQ(read(again.first + 6), 0U);
}

TEST(Cells, OfARangeLieInOnePageAndApartFromOthers) {
  std::set<CellIndex> used;
  std::vector<std::pair<CellIndex, std::size_t>> ranges;
  for (const std::size_t count : {1U, 3U, 16U, 100U, 512U}) {
    for (int i = 0; i < 40; ++i) {
      const CellIndex first = allocate_cells(count);
      ranges.emplace_back(first, count);
      EXPECT_EQ(first / kCellsPerPage, (first + count - 1) / kCellsPerPage);
      for (std::size_t c = 0; c < count; ++c) {
        EXPECT_TRUE(used.insert(first + static_cast<CellIndex>(c)).second);
      }
    }
  }
  for (const auto& [first, count] : ranges) free_cells(first, count);
}

TEST(Cells, OfTwoThreadsShareNoCacheLine) {
  const Range cell(1);
  std::set<std::uintptr_t> pages;
  std::barrier both(2);
  std::uintptr_t addresses[2];
  std::vector<std::thread> threads;
  for (std::uintptr_t& address : addresses) {
    threads.emplace_back([&] {
      add_to_cell(cell.first, 1);
      address =
          reinterpret_cast<std::uintptr_t>(own_cells(cell.first) - cell.first % kCellsPerPage);
      both.arrive_and_wait();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_NE(addresses[0], addresses[1]);
  for (const std::uintptr_t address : addresses) EXPECT_EQ(address % 64, 0U);
}

TEST(NoCells, TakeWritesAndReadAsZero) {
  add_to_cell(kNoCells, 3);
  EXPECT_EQ(read(kNoCells), 0U);
  free_cells(kNoCells, 1);
}

// Counts when the thread's other thread-locals are destroyed, maybe after its copy is left.
struct CountsAtTheEnd {
  ~CountsAtTheEnd() { add_to_cell(index, 1); }
  CellIndex index;
};

TEST(Cells, CountWhatIsAddedWhileAThreadEnds) {
  const Range cell(1);
  std::thread([&] {
    thread_local const CountsAtTheEnd late{cell.first};  // made first, destroyed last
    add_to_cell(late.index, 1);
  }).join();
  EXPECT_EQ(read(cell.first), 2U);
}

}  // namespace
}  // namespace tyaprover::metrics::detail
