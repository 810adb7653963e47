#include "tyaprover/trace/recent_traces.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "tyaprover/trace/trace_testing.h"

namespace tyaprover::trace {
namespace {

using namespace std::chrono_literals;

class RecentTracesTest : public testing::Test {
 protected:
  struct Given {
    std::string name = "GET /";
    TraceId trace = {1, 1};
    std::uint64_t id = 1;
    std::uint64_t parent = 0;
    Nanos start{};
    Nanos duration = 1ms;
    SpanStatus status = SpanStatus::unset;
    std::string route;
  };
  void add(const Given& given) {
    const AttributeData route("http.route", std::string_view(given.route));
    SpanData span;
    span.trace_id = given.trace;
    span.span_id = {given.id};
    span.parent_span_id = {given.parent};
    span.name = given.name;
    span.start_unix_nanos = 1'000'000'000 + given.start.count();
    span.end_unix_nanos = span.start_unix_nanos + given.duration.count();
    span.status = given.status;
    if (!given.route.empty()) span.attributes = {&route, 1};
    span.scope = &intern({"lib", "", {{"service.name", "shop"}}});
    (void)traces.export_spans({&span, 1}, {});
  }
  std::string names(const TraceQuery& query) {
    std::string text;
    for (const TraceSummary& each : traces.find(query)) text += each.name + " ";
    return text;
  }
  // Name, depth and offset in milliseconds of every node.
  std::string tree(TraceId id) {
    std::string text;
    for (const TraceNode& node : traces.tree(id)) {
      text += std::string(node.depth, '.') + std::string(node.span->name) + "+" +
              std::to_string(node.offset / 1ms) + " ";
    }
    return text;
  }

  RecentTraces traces{3};
};

TEST_F(RecentTracesTest, SumsUpATrace) {
  add({.name = "query",
       .id = 2,
       .parent = 1,
       .start = 2ms,
       .duration = 5ms,
       .status = SpanStatus::error});
  add({.name = "GET /items", .id = 1, .start = 0ms, .duration = 10ms, .route = "/items"});
  const std::vector<TraceSummary> found = traces.find({});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].name, "GET /items");
  EXPECT_EQ(found[0].route, "/items");
  EXPECT_EQ(found[0].service, "shop");
  EXPECT_EQ(found[0].start_unix_nanos, 1'000'000'000);
  EXPECT_EQ(found[0].duration, 10ms);
  EXPECT_EQ(found[0].spans, 2u);
  EXPECT_EQ(found[0].failed_spans, 1u);
}

TEST_F(RecentTracesTest, TheLocalRootNamesATraceFromElsewhere) {
  add({.name = "child", .id = 2, .parent = 1, .start = 1ms});
  add({.name = "root", .id = 1, .parent = 99, .start = 0ms});
  EXPECT_EQ(names({}), "root ");
}

TEST_F(RecentTracesTest, KeepsTheLastOnes) {
  for (std::uint64_t i = 1; i <= 5; ++i) add({.name = std::to_string(i), .trace = {i, i}});
  EXPECT_EQ(names({}), "5 4 3 ");
  EXPECT_TRUE(traces.tree({1, 1}).empty());
  EXPECT_FALSE(traces.tree({5, 5}).empty());
}

TEST_F(RecentTracesTest, AnswersQueries) {
  add({.name = "quick", .trace = {1, 1}, .duration = 1ms, .route = "/a"});
  add({.name = "slow", .trace = {2, 2}, .duration = 100ms, .route = "/b"});
  add({.name = "failed", .trace = {3, 3}, .status = SpanStatus::error, .route = "/a"});
  EXPECT_EQ(names({}), "failed slow quick ");
  EXPECT_EQ(names({.limit = 1}), "failed ");
  EXPECT_EQ(names({.limit = 0}), "");
  EXPECT_EQ(names({.min_duration = 100ms}), "slow ");
  EXPECT_EQ(names({.failed_only = true}), "failed ");
  EXPECT_EQ(names({.route = "/a"}), "failed quick ");
  EXPECT_EQ(names({.limit = 1, .route = "/b"}), "slow ");
}

TEST_F(RecentTracesTest, ShowsATreeDepthFirst) {
  add({.name = "c", .id = 4, .parent = 2, .start = 3ms});
  add({.name = "b", .id = 3, .parent = 1, .start = 5ms});
  add({.name = "a", .id = 2, .parent = 1, .start = 1ms});
  add({.name = "root", .id = 1});
  EXPECT_EQ(tree({1, 1}), "root+0 .a+1 ..c+3 .b+5 ");
}

TEST_F(RecentTracesTest, ShowsEverySpanOfABrokenTree) {
  add({.name = "orphan", .id = 7, .parent = 99, .start = 4ms});
  add({.name = "x", .id = 2, .parent = 3, .start = 1ms});
  add({.name = "y", .id = 3, .parent = 2, .start = 2ms});
  add({.name = "self", .id = 5, .parent = 5, .start = 3ms});
  EXPECT_EQ(tree({1, 1}), "orphan+3 x+0 .y+1 self+2 ");
  EXPECT_EQ(traces.find({}).size(), 1u);
}

TEST_F(RecentTracesTest, IsBoundedPerTrace) {
  for (std::uint64_t i = 0; i < RecentTraces::kMaxSpansPerTrace + 10; ++i)
    add({.id = i + 1, .parent = i});
  EXPECT_EQ(traces.tree({1, 1}).size(), RecentTraces::kMaxSpansPerTrace);
}

TEST_F(RecentTracesTest, IsFilledByAProcessor) {
  const auto recent = std::make_shared<RecentTraces>();
  TracerProvider provider({.processor = keep_recent(recent)});
  Span root = provider.tracer("test").start_span("root");
  const TraceId id = root.context().trace_id();
  provider.tracer("test").start_span("child", {.parent = root.context()}).end();
  root.end();
  EXPECT_TRUE(provider.flush(10s).complete());
  EXPECT_EQ(recent->tree(id).size(), 2u);
}

// A thousand traces a second and more: each is offered as a program would offer it.
class BusyRecentTraces : public testing::Test {
 protected:
  // Traces of two spans at even distances; how many of them were kept whole, in part and not.
  struct Kept {
    int whole = 0;
    int parts = 0;
    int none = 0;
  };
  Kept run(int count, Nanos distance) {
    Kept kept;
    for (int i = 0; i < count; ++i) {
      now_ += distance.count();
      SpanData span;
      span.trace_id = make_trace_id();
      span.scope = &intern({"lib", "", {}});
      span.start_unix_nanos = span.end_unix_nanos = now_;
      int spans = 0;
      for (const std::uint64_t id : {1, 2}) {
        span.span_id = {id};
        if (!traces.wants(span)) continue;
        (void)traces.export_spans({&span, 1}, {});
        ++spans;
      }
      ++(spans == 2 ? kept.whole : spans == 1 ? kept.parts : kept.none);
    }
    return kept;
  }

  RecentTraces traces{1000};

 private:
  std::int64_t now_ = 1'700'000'000'000'000'000;
};

TEST_F(BusyRecentTraces, KeepAllUpToAThousandASecond) {
  const Kept kept = run(5000, 1001us);
  EXPECT_EQ(kept.whole, 5000);
}

TEST_F(BusyRecentTraces, KeepAShareOfMore) {
  (void)run(10'000, 20us);  // until the share is chosen
  const Kept kept = run(100'000, 20us);
  // Two seconds' worth. The share may be chosen anew between the two spans of a trace.
  EXPECT_GT(kept.whole, 1500);
  EXPECT_LT(kept.whole, 2500);
  EXPECT_LT(kept.parts, 10);
}

TEST_F(BusyRecentTraces, KeepAllAgainWhenItIsOver) {
  (void)run(100'000, 20us);
  EXPECT_EQ(run(1, 2s).whole, 1);
  EXPECT_EQ(run(1000, 10ms).whole, 1000);
}

TEST_F(BusyRecentTraces, FollowTheRate) {
  (void)run(200'000, 20us);
  (void)run(10'000, 500us);  // five seconds
  const Kept kept = run(10'000, 500us);
  EXPECT_GT(kept.whole, 4000);
  EXPECT_LT(kept.whole, 6000);
}

TEST_F(BusyRecentTraces, ChooseNeitherByTheSamplersBits) {
  (void)run(10'000, 20us);
  // Ids that a ratio of 1 % lets through: its bits are all near their largest value.
  int wanted = 0;
  SpanData span;
  span.end_unix_nanos = 1'700'000'000'000'000'000 + Nanos(200ms).count();
  for (int i = 0; i < 100'000; ++i) {
    span.trace_id = make_trace_id();
    span.trace_id.low |= 0x00fe'0000'0000'0000;
    wanted += traces.wants(span) ? 1 : 0;
  }
  EXPECT_GT(wanted, 1500);
  EXPECT_LT(wanted, 2500);
}

TEST(RecentTracesOptions, NeedACapacity) {
  EXPECT_THROW(RecentTraces(0), std::invalid_argument);
}

}  // namespace
}  // namespace tyaprover::trace
