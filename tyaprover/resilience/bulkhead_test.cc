#include "tyaprover/resilience/bulkhead.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace tyaprover::resilience {
namespace {

using namespace std::chrono_literals;
using Entry = Bulkhead::Entry;

TEST(BulkheadTest, AdmitsUpToItsLimit) {
  Bulkhead bulkhead({.limit = 2});
  auto a = bulkhead.try_acquire();
  const auto b = bulkhead.try_acquire();
  EXPECT_FALSE(bulkhead.try_acquire());
  EXPECT_EQ(bulkhead.in_flight(), 2u);
  a.reset();
  EXPECT_TRUE(bulkhead.try_acquire());
  EXPECT_EQ(bulkhead.in_flight(), 1u);
}

TEST(BulkheadTest, WaitersAreServedInTheirOrder) {
  Bulkhead bulkhead({.limit = 1, .queue = 3});
  auto place = bulkhead.try_acquire();
  std::vector<int> order;
  Bulkhead::Waiting first([&] { order.push_back(1); });
  Bulkhead::Waiting second([&] { order.push_back(2); });
  EXPECT_EQ(bulkhead.enter(first), Entry::queued);
  EXPECT_EQ(bulkhead.enter(second), Entry::queued);
  EXPECT_FALSE(bulkhead.try_acquire()) << "nobody overtakes";
  place.reset();
  EXPECT_THAT(order, testing::ElementsAre(1));
  { const auto taken = first.take(); }
  EXPECT_THAT(order, testing::ElementsAre(1, 2));
}

TEST(BulkheadTest, QueueIsBounded) {
  Bulkhead bulkhead({.limit = 1, .queue = 1});
  const auto place = bulkhead.try_acquire();
  Bulkhead::Waiting first([] {});
  Bulkhead::Waiting second([] {});
  EXPECT_EQ(bulkhead.enter(first), Entry::queued);
  EXPECT_EQ(bulkhead.enter(second), Entry::full);
}

TEST(BulkheadTest, CancelledWaiterIsSkippedAndItsPlaceIsNotLost) {
  Bulkhead bulkhead({.limit = 1, .queue = 3});
  auto place = bulkhead.try_acquire();
  std::vector<int> order;
  Bulkhead::Waiting first([&] { order.push_back(1); });
  Bulkhead::Waiting second([&] { order.push_back(2); });
  EXPECT_EQ(bulkhead.enter(first), Entry::queued);
  EXPECT_EQ(bulkhead.enter(second), Entry::queued);
  EXPECT_TRUE(first.cancel());
  EXPECT_FALSE(first.cancel());
  place.reset();
  EXPECT_THAT(order, testing::ElementsAre(2));
  EXPECT_FALSE(second.cancel()) << "it has the place";
  EXPECT_TRUE(second.take());
  EXPECT_EQ(bulkhead.in_flight(), 0u);
  EXPECT_EQ(bulkhead.waiting(), 0u);
}

TEST(BulkheadTest, GrantedPlaceThatNobodyTakesIsGivenBack) {
  Bulkhead bulkhead({.limit = 1, .queue = 1});
  auto place = bulkhead.try_acquire();
  {
    Bulkhead::Waiting waiting([] {});
    EXPECT_EQ(bulkhead.enter(waiting), Entry::queued);
    place.reset();
  }
  EXPECT_EQ(bulkhead.in_flight(), 0u);
}

TEST(BulkheadTest, BlockedCallerGetsThePlaceThatBecomesFree) {
  Bulkhead bulkhead({.limit = 1, .queue = 1, .max_wait = 1h});
  auto place = bulkhead.try_acquire();
  std::jthread other([&] { EXPECT_TRUE(bulkhead.acquire(Deadline())); });
  while (bulkhead.waiting() == 0) std::this_thread::yield();
  place.reset();
  other.join();
  EXPECT_EQ(bulkhead.in_flight(), 0u);
}

TEST(BulkheadTest, BlockedCallerLeavesWhenItsTimeIsOverOrItIsTold) {
  Bulkhead bulkhead({.limit = 1, .queue = 1, .max_wait = 1ms});
  const auto place = bulkhead.try_acquire();
  EXPECT_EQ(bulkhead.acquire(Deadline()).error().kind, CallError::Kind::shed);
  std::stop_source source;
  source.request_stop();
  const Deadline stopped(TimePoint::max(), SteadyClock::instance(), source.get_token());
  EXPECT_EQ(bulkhead.acquire(stopped).error().kind, CallError::Kind::cancelled);
  EXPECT_EQ(bulkhead.waiting(), 0u);
}

// Random entering, leaving and cancelling on one thread, against counts.
TEST(BulkheadTest, RandomOperationsKeepTheCounts) {
  std::mt19937_64 random(5);
  Bulkhead bulkhead({.limit = 3, .queue = 4});
  std::vector<Bulkhead::Place> places;
  std::deque<std::unique_ptr<Bulkhead::Waiting>> waiting;
  std::size_t granted = 0;
  for (int step = 0; step < 100'000; ++step) {
    switch (random() % 4) {
      case 0:
        if (auto place = bulkhead.try_acquire()) {
          ASSERT_TRUE(waiting.empty());
          places.push_back(std::move(*place));
        } else {
          ASSERT_EQ(places.size(), 3u);
        }
        break;
      case 1: {
        auto node = std::make_unique<Bulkhead::Waiting>([&] { ++granted; });
        const Entry entry = bulkhead.enter(*node);
        ASSERT_EQ(entry == Entry::full, places.size() == 3 && waiting.size() == 4);
        if (entry == Entry::granted) places.push_back(std::move(*node->take()));
        if (entry == Entry::queued) waiting.push_back(std::move(node));
        break;
      }
      case 2:
        if (places.empty()) break;
        granted = 0;
        std::swap(places.back(), places[random() % places.size()]);
        places.pop_back();
        ASSERT_EQ(granted, waiting.empty() ? 0u : 1u);
        if (granted > 0) {
          places.push_back(std::move(*waiting.front()->take()));
          waiting.pop_front();
        }
        break;
      case 3:
        if (waiting.empty()) break;
        const auto which = static_cast<std::ptrdiff_t>(random() % waiting.size());
        if (random() % 2) {
          ASSERT_TRUE(waiting[static_cast<std::size_t>(which)]->cancel());
        }
        waiting.erase(waiting.begin() + which);
        break;
    }
    ASSERT_EQ(bulkhead.in_flight(), places.size());
    ASSERT_EQ(bulkhead.waiting(), waiting.size());
  }
}

TEST(BulkheadTest, ThreadsNeverExceedTheLimitAndAllPlacesReturn) {
  constexpr unsigned kLimit = 2;
  Bulkhead bulkhead({.limit = kLimit, .queue = 2, .max_wait = 1h});
  std::atomic<unsigned> inside{0};
  std::atomic<unsigned> most{0};
  std::atomic<int> served{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 500; ++i) {
          const Nanos wait = (i + t) % 3 == 0 ? Nanos(0) : Nanos(1h);
          const Deadline deadline(after(SteadyClock::instance().now(), wait));
          if (const auto place = bulkhead.acquire(deadline)) {
            const unsigned now = inside.fetch_add(1) + 1;
            unsigned seen = most.load();
            while (seen < now && !most.compare_exchange_weak(seen, now)) {
            }
            std::this_thread::yield();
            inside.fetch_sub(1);
            served.fetch_add(1);
          }
        }
      });
    }
  }
  EXPECT_LE(most.load(), kLimit);
  EXPECT_GT(served.load(), 500);
  EXPECT_EQ(bulkhead.in_flight(), 0u);
  EXPECT_EQ(bulkhead.waiting(), 0u);
}

TEST(BulkheadTest, BadOptionsFail) {
  EXPECT_THROW(Bulkhead({.limit = 0}), std::invalid_argument);
  EXPECT_THROW(Bulkhead({.max_wait = -1s}), std::invalid_argument);
}

}  // namespace
}  // namespace tyaprover::resilience
