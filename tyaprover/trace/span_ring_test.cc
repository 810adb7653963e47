#include "tyaprover/trace/span_ring.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <string>
#include <thread>

namespace tyaprover::trace::detail {
namespace {

// A span whose id is a number and whose text has a size.
void fill(SpanData& span, std::uint64_t id, const std::string& text) {
  span.span_id = {id};
  span.name = Text(text, false);
}

// Against a queue, with random sizes, for many turns of the ring.
TEST(SpanRing, BehavesAsAQueue) {
  struct Waiting {
    std::uint64_t id;
    std::string text;
  };
  std::mt19937 random(7);
  for (const std::size_t capacity : {1u, 3u, 40u}) {
    SpanRing ring(capacity);
    std::deque<Waiting> model;  // pushed and not released
    std::size_t taken = 0;      // of these, at the front
    std::uint64_t next = 1;
    std::uint64_t dropped = 0;
    for (int step = 0; step < 20'000; ++step) {
      switch (random() % 4) {
        case 0:
        case 1: {
          const std::size_t size = random() % 20 == 0 ? random() % 20'000 : random() % 300;
          SpanData span;
          const std::string text(size, static_cast<char>('a' + next % 26));
          fill(span, next, text);
          if (ring.push(span) == SpanRing::Push::full) {
            ++dropped;
          } else {
            model.push_back({next, text});
          }
          ++next;
          break;
        }
        case 2: {
          const SpanData* const span = ring.take();
          ASSERT_EQ(span != nullptr, taken < model.size());
          if (span == nullptr) break;
          EXPECT_EQ(span->span_id.value, model[taken].id);
          EXPECT_EQ(span->name.view(), model[taken].text);
          ++taken;
          break;
        }
        default:
          ring.release();
          model.erase(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(taken));
          taken = 0;
      }
      ASSERT_LE(model.size(), capacity);
    }
    const SpanRing::Counts counts = ring.counts();
    EXPECT_EQ(counts.produced, next - 1);
    EXPECT_EQ(counts.dropped_full, dropped);
    EXPECT_GT(dropped, 0u);
  }
}

TEST(SpanRing, SaysWhenItIsHalfFull) {
  SpanRing ring(8);
  SpanData span;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ring.push(span), SpanRing::Push::queued);
  EXPECT_EQ(ring.push(span), SpanRing::Push::queued_half_full);
  while (ring.take() != nullptr) {
  }
  ring.release();
  EXPECT_EQ(ring.push(span), SpanRing::Push::queued);
}

TEST(SpanRing, FreesLargeSpansThatNobodyTook) {
  SpanRing ring(8);
  const std::string text(50'000, 'x');
  SpanData span;
  fill(span, 1, text);
  EXPECT_NE(ring.push(span), SpanRing::Push::full);  // ASan would see the leak
}

TEST(SpanRing, PassesEverythingBetweenTwoThreads) {
  constexpr std::uint64_t kSpans = 20'000;
  SpanRing ring(64);
  std::thread producer([&] {
    const std::string text(200, 'x');
    for (std::uint64_t id = 1; id <= kSpans;) {
      SpanData span;
      fill(span, id, text);
      if (ring.push(span) == SpanRing::Push::full) {
        std::this_thread::yield();
      } else {
        ++id;
      }
    }
  });
  std::uint64_t expected = 1;
  while (expected <= kSpans) {
    while (const SpanData* span = ring.take()) {
      ASSERT_EQ(span->span_id.value, expected++);
      ASSERT_EQ(span->name.view().size(), 200u);
    }
    ring.release();
  }
  producer.join();
}

}  // namespace
}  // namespace tyaprover::trace::detail
