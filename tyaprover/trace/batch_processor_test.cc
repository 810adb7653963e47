#include "tyaprover/trace/batch_processor.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tyaprover/trace/trace_testing.h"

namespace tyaprover::trace {
namespace {

using namespace std::chrono_literals;

constexpr Nanos kLong = 1h;

void expect_exact(const ProcessorStats& stats) {
  EXPECT_EQ(stats.produced, stats.exported + stats.dropped() + stats.queued);
}

// A batch processor that exports only when it is told or half full, unless options say otherwise.
template <class E>
struct Batch {
  explicit Batch(std::shared_ptr<E> with, BatchOptions options = {.schedule_delay = kLong})
      : exporter(std::move(with)),
        processor(batch(exporter, std::move(options))),
        provider({.processor = processor}) {}

  void end_spans(int count) {
    const Tracer tracer = provider.tracer("test");
    for (int i = 0; i < count; ++i) tracer.start_span("work").set_attribute("i", i).end();
  }

  std::shared_ptr<E> exporter;
  SpanProcessorPtr processor;
  TracerProvider provider;
};

using Keeping = Batch<KeepingExporter>;
using Scripted = Batch<ScriptedExporter>;

std::shared_ptr<ScriptedExporter> script(std::deque<ExportResult> answers) {
  return std::make_shared<ScriptedExporter>(std::move(answers));
}

const ExportResult kTryAgain = {.outcome = ExportOutcome::try_again, .message = "no answer"};
const ExportResult kRefused = {.outcome = ExportOutcome::refused, .message = "400"};

RetryOptions quick_retries() {
  return {.first = 1us, .longest = 10us};
}

TEST(BatchProcessor, FlushExportsWhatIsQueued) {
  Keeping test(std::make_shared<KeepingExporter>());
  test.end_spans(3);
  EXPECT_EQ(test.processor->stats().queued, 3u);
  const FlushResult result = test.provider.flush(10s);
  EXPECT_TRUE(result.complete());
  EXPECT_EQ(result.delivered, 3u);
  EXPECT_EQ(test.exporter->take().size(), 3u);
  EXPECT_EQ(test.processor->stats().queued, 0u);
}

TEST(BatchProcessor, ExportsInOrderAndInBatches) {
  Keeping test(std::make_shared<KeepingExporter>(),
               {.max_queue_size = 1000, .max_batch_size = 10, .schedule_delay = kLong});
  test.end_spans(25);
  (void)test.provider.flush(10s);
  EXPECT_EQ(test.exporter->batches(), (std::vector<std::size_t>{10, 10, 5}));
  std::int64_t expected = 0;
  for (const OwnedSpan& span : test.exporter->take()) {
    EXPECT_EQ(span->find("i")->value().integer(), expected++);
  }
}

TEST(BatchProcessor, ExportsAfterItsDelay) {
  Keeping test(std::make_shared<KeepingExporter>(), {.schedule_delay = 1ms});
  test.end_spans(1);
  test.exporter->wait_for(1);
}

TEST(BatchProcessor, ExportsEarlyWhenHalfFull) {
  Keeping test(std::make_shared<KeepingExporter>(),
               {.max_queue_size = 100, .max_batch_size = 100, .schedule_delay = kLong});
  test.end_spans(50);
  test.exporter->wait_for(50);
  // The exporter has them; only when their room is free again do the next fifty fill half of it.
  while (test.processor->stats().queued > 0) std::this_thread::yield();
  test.end_spans(50);
  test.exporter->wait_for(100);
}

TEST(BatchProcessor, DropsTheNewestWhenFullAndCounts) {
  Scripted test(script({{}}),
                {.max_queue_size = 10, .max_batch_size = 10, .schedule_delay = kLong});
  test.exporter->hold(true);
  test.end_spans(5);
  test.exporter->wait_for_calls(1);  // half full: those five are being sent and still in the queue
  test.end_spans(8);
  ProcessorStats stats = test.processor->stats();
  EXPECT_EQ(stats.dropped_queue_full, 3u);
  EXPECT_EQ(stats.queued, 10u);
  EXPECT_EQ(stats.queue_capacity, 10u);
  expect_exact(stats);
  test.exporter->hold(false);
  EXPECT_TRUE(test.provider.flush(10s).complete());
  stats = test.processor->stats();
  EXPECT_EQ(stats.exported, 10u);
  expect_exact(stats);
}

TEST(BatchProcessor, CountsExactlyAtEveryMoment) {
  Keeping test(std::make_shared<KeepingExporter>(),
               {.max_queue_size = 64, .max_batch_size = 16, .schedule_delay = 1ms});
  std::atomic<int> running{3};
  std::vector<std::thread> producers;
  for (int i = 0; i < 3; ++i) {
    producers.emplace_back([&] {
      test.end_spans(3000);
      running.fetch_sub(1);
    });
  }
  while (running.load() > 0) expect_exact(test.processor->stats());
  for (std::thread& each : producers) each.join();
  EXPECT_TRUE(test.provider.flush(10s).complete());
  const ProcessorStats stats = test.processor->stats();
  EXPECT_EQ(stats.produced, 9000u);
  EXPECT_EQ(stats.exported + stats.dropped_queue_full, 9000u);
  EXPECT_EQ(test.exporter->take().size(), stats.exported);
}

TEST(BatchProcessor, SpansOfThreadsThatEndedAreExported) {
  Keeping test(std::make_shared<KeepingExporter>());
  for (int i = 0; i < 20; ++i) std::thread([&] { test.end_spans(5); }).join();
  (void)test.provider.flush(10s);
  EXPECT_EQ(test.exporter->take().size(), 100u);
  EXPECT_EQ(test.processor->stats().queue_capacity, 2048u);  // one ring was handed on
}

TEST(BatchProcessor, TriesAgainAndSucceeds) {
  Scripted test(script({kTryAgain, kTryAgain, {}}),
                {.schedule_delay = kLong, .retry = quick_retries()});
  test.end_spans(4);
  const FlushResult result = test.provider.flush(10s);
  EXPECT_EQ(result.delivered, 4u);
  const ProcessorStats stats = test.processor->stats();
  EXPECT_EQ(stats.exports, 3u);
  EXPECT_EQ(stats.retries, 2u);
}

TEST(BatchProcessor, GivesUpAfterSoManyTries) {
  Scripted test(script({kTryAgain}), {.schedule_delay = kLong, .retry = quick_retries()});
  test.end_spans(4);
  const FlushResult result = test.provider.flush(10s);
  EXPECT_EQ(result.dropped, 4u);
  EXPECT_EQ(test.exporter->calls(), 5);
  EXPECT_EQ(test.processor->stats().dropped_export_failed, 4u);
  expect_exact(test.processor->stats());
}

TEST(BatchProcessor, GivesUpWhenTheWaitWouldBeTooLong) {
  Scripted test(script({{.outcome = ExportOutcome::try_again, .retry_after = 61s}}),
                {.schedule_delay = kLong});
  test.end_spans(1);
  EXPECT_EQ(test.provider.flush(10s).dropped, 1u);
  EXPECT_EQ(test.exporter->calls(), 1);
}

TEST(BatchProcessor, WaitsAsLongAsItWasAsked) {
  Scripted test(script({{.outcome = ExportOutcome::try_again, .retry_after = 20ms}, {}}),
                {.schedule_delay = kLong, .retry = quick_retries()});
  test.end_spans(1);
  const TimePoint begin = SteadyClock::instance().now();
  EXPECT_EQ(test.provider.flush(10s).delivered, 1u);
  EXPECT_GE(SteadyClock::instance().now() - begin, 20ms);
}

TEST(BatchProcessor, ARefusalIsNotRepeated) {
  Scripted test(script({kRefused, {}}), {.schedule_delay = kLong, .retry = quick_retries()});
  test.end_spans(2);
  EXPECT_EQ(test.provider.flush(10s).dropped, 2u);
  EXPECT_EQ(test.exporter->calls(), 1);
}

TEST(BatchProcessor, WhatAPartialSuccessRejectsIsCounted) {
  Scripted test(script({{.rejected = 3}, {.rejected = 1000}}), {.schedule_delay = kLong});
  test.end_spans(5);
  const FlushResult result = test.provider.flush(10s);
  EXPECT_EQ(result.delivered, 2u);
  EXPECT_EQ(result.dropped, 3u);
  test.end_spans(5);  // a collector that cannot count
  EXPECT_EQ(test.provider.flush(10s).dropped, 5u);
  expect_exact(test.processor->stats());
}

class ThrowingExporter final : public SpanExporter {
 public:
  ExportResult export_spans(std::span<const SpanData>, TimePoint) override {
    throw std::runtime_error("broken");
  }
};

TEST(BatchProcessor, AnExporterThatThrowsLosesOnlyItsBatch) {
  Batch<ThrowingExporter> test(std::make_shared<ThrowingExporter>());
  test.end_spans(2);
  EXPECT_EQ(test.provider.flush(10s).dropped, 2u);
  test.end_spans(2);
  EXPECT_EQ(test.provider.flush(10s).dropped, 2u);
}

TEST(BatchProcessor, AnOutageIsTwoEvents) {
  std::vector<ExportEvent> events;
  Scripted test(script({kRefused, kRefused, kRefused, {}, {}}),
                {.schedule_delay = kLong,
                 .on_event = [&](const ExportEvent& event) { events.push_back(event); }});
  for (int i = 0; i < 5; ++i) {
    test.end_spans(2);
    (void)test.provider.flush(10s);
  }
  test.provider.shutdown(10s);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].kind, ExportEvent::Kind::failing);
  EXPECT_EQ(events[0].message, "400");
  EXPECT_EQ(events[1].kind, ExportEvent::Kind::recovered);
  EXPECT_EQ(events[1].dropped, 6u);
}

TEST(BatchProcessor, StatsSayWhetherItFails) {
  Scripted test(script({kRefused, {}}));
  test.end_spans(1);
  (void)test.provider.flush(10s);
  EXPECT_TRUE(test.processor->stats().failing);
  test.end_spans(1);
  (void)test.provider.flush(10s);
  EXPECT_FALSE(test.processor->stats().failing);
}

TEST(BatchProcessor, FlushReturnsInTimeWithADeadCollector) {
  Scripted test(script({{}}));
  test.exporter->hold(true);
  test.end_spans(3);
  const FlushResult result = test.provider.flush(10ms);
  EXPECT_FALSE(result.complete());
  EXPECT_EQ(result.remaining, 3u);
  test.exporter->hold(false);
}

TEST(BatchProcessor, ShutdownDeliversWhatIsQueued) {
  Keeping test(std::make_shared<KeepingExporter>());
  test.end_spans(1000);
  const FlushResult result = test.provider.shutdown(10s);
  EXPECT_EQ(result.delivered, 1000u);
  EXPECT_EQ(result.dropped, 0u);
  EXPECT_EQ(test.exporter->take().size(), 1000u);
}

TEST(BatchProcessor, AfterShutdownSpansAreDroppedAndCounted) {
  Keeping test(std::make_shared<KeepingExporter>());
  test.end_spans(1);
  test.provider.shutdown(10s);
  test.end_spans(2);
  const ProcessorStats stats = test.processor->stats();
  EXPECT_EQ(stats.exported, 1u);
  EXPECT_EQ(stats.dropped_shutdown, 2u);
  EXPECT_EQ(stats.queued, 0u);
  expect_exact(stats);
  EXPECT_EQ(test.provider.shutdown(10s).delivered, 0u);
  EXPECT_TRUE(test.provider.flush(10s).complete());
}

TEST(BatchProcessor, ShutdownReturnsInTimeWithADeadCollector) {
  const auto exporter = script({{}});
  {
    Scripted test(exporter);
    exporter->hold(true);
    test.end_spans(3);
    const TimePoint begin = SteadyClock::instance().now();
    const FlushResult result = test.provider.shutdown(10ms);
    EXPECT_LT(SteadyClock::instance().now() - begin, 5s);
    EXPECT_EQ(result.delivered, 0u);
    EXPECT_EQ(result.dropped, 3u);
    const ProcessorStats stats = test.processor->stats();
    EXPECT_EQ(stats.dropped_shutdown, 3u);
    expect_exact(stats);
  }
  exporter->hold(false);  // the thread that was left behind ends
}

TEST(BatchProcessor, ShutdownCutsALongRetryShort) {
  Scripted test(script({{.outcome = ExportOutcome::try_again, .retry_after = 50s}, {}}),
                {.schedule_delay = kLong});
  test.end_spans(3);
  std::thread flusher([&] { (void)test.provider.flush(10s); });
  test.exporter->wait_for_calls(1);
  const FlushResult result = test.provider.shutdown(5s);
  flusher.join();
  EXPECT_EQ(result.delivered, 3u);
  EXPECT_EQ(test.exporter->calls(), 2);
}

TEST(BatchProcessor, TriesEndWithTheShutdown) {
  Scripted test(script({kTryAgain}), {.schedule_delay = kLong, .export_timeout = 1h});
  test.end_spans(1);
  const TimePoint before = SteadyClock::instance().now();
  test.provider.shutdown(20ms);
  EXPECT_LE(test.exporter->last_deadline(), before + 5s);
}

TEST(BatchProcessor, ACollectorThatComesBackGetsTheRest) {
  Scripted test(script({kTryAgain, kTryAgain, {}}), {.max_queue_size = 100,
                                                     .max_batch_size = 50,
                                                     .schedule_delay = kLong,
                                                     .retry = quick_retries()});
  test.end_spans(40);
  EXPECT_EQ(test.provider.flush(10s).delivered, 40u);
}

TEST(BatchProcessor, LargeSpansSurviveTheQueue) {
  Keeping test(std::make_shared<KeepingExporter>());
  const Tracer tracer = test.provider.tracer("test");
  for (int i = 0; i < 20; ++i) {
    tracer.start_span("work")
        .set_attribute("text", std::string(static_cast<std::size_t>(i) * 3000, 'x'))
        .end();
  }
  (void)test.provider.flush(10s);
  std::size_t size = 0;
  for (const OwnedSpan& span : test.exporter->take()) {
    EXPECT_EQ(span->find("text")->value().text().view(), std::string(size, 'x'));
    size += 3000;
  }
  EXPECT_EQ(size, 60'000u);
}

TEST(BatchProcessor, WaitsGrowToTheirLimit) {
  const RetryOptions retry;
  const std::vector<Nanos> expected = {1s, 2s, 4s, 8s, 16s, 30s, 30s};
  for (unsigned tries = 1; tries <= expected.size(); ++tries) {
    EXPECT_EQ(detail::longest_wait(retry, tries), expected[tries - 1]);
  }
}

TEST(BatchProcessor, RefusesImpossibleOptions) {
  const auto exporter = std::make_shared<KeepingExporter>();
  EXPECT_THROW((void)batch(nullptr), std::invalid_argument);
  EXPECT_THROW((void)batch(exporter, {.max_batch_size = 0}), std::invalid_argument);
  EXPECT_THROW((void)batch(exporter, {.max_queue_size = 10, .max_batch_size = 11}),
               std::invalid_argument);
  EXPECT_THROW((void)batch(exporter, {.schedule_delay = 0s}), std::invalid_argument);
  EXPECT_THROW((void)batch(exporter, {.export_timeout = -1s}), std::invalid_argument);
}

// T36. The child reports over a pipe which spans it exported.
#if TYAPROVER_TEST_FORK
TEST(BatchProcessor, AChildOfAForkHasAnEmptyQueueAndAWorkingExporter) {
  Keeping test(std::make_shared<KeepingExporter>());
  test.end_spans(3);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::uint64_t report[3] = {};
    report[0] = test.processor->stats().queued;
    test.end_spans(2);
    report[1] = test.provider.flush(10s).delivered;
    report[2] = (*test.exporter->take().back()).span_id.value;
    const bool written = write(ends[1], report, sizeof(report)) == sizeof(report);
    _exit(written ? 0 : 1);
  }
  std::uint64_t report[3] = {};
  ASSERT_EQ(read(ends[0], report, sizeof(report)), static_cast<ssize_t>(sizeof(report)));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(report[0], 0u) << "the parent's spans stay with the parent";
  EXPECT_EQ(report[1], 2u);
  test.end_spans(2);
  EXPECT_EQ(test.provider.flush(10s).delivered, 5u);
  EXPECT_NE((*test.exporter->take().back()).span_id.value, report[2]) << "ids differ";
  close(ends[0]);
  close(ends[1]);
}
#endif

TEST(SimpleProcessor, ExportsAtOnceAndCounts) {
  const auto exporter = script({{}, kRefused, {.rejected = 1}});
  const SpanProcessorPtr processor = simple(exporter);
  TracerProvider provider({.processor = processor});
  const Tracer tracer = provider.tracer("test");
  for (int i = 0; i < 3; ++i) tracer.start_span("work").end();
  const ProcessorStats stats = processor->stats();
  EXPECT_EQ(stats.exported, 1u);
  EXPECT_EQ(stats.dropped_export_failed, 1u);
  EXPECT_EQ(stats.dropped_rejected, 1u);
  expect_exact(stats);
  provider.shutdown(1s);
  tracer.start_span("late").end();
  EXPECT_EQ(processor->stats().dropped_shutdown, 1u);
}

TEST(FanOut, GivesEverySpanToAll) {
  const auto first = std::make_shared<KeepingExporter>();
  const auto second = std::make_shared<KeepingExporter>();
  TracerProvider provider(
      {.processor = fan_out({batch(first, {.schedule_delay = kLong}), simple(second)})});
  provider.tracer("test").start_span("work").end();
  EXPECT_EQ(second->take().size(), 1u);
  EXPECT_EQ(provider.flush(10s).delivered, 1u);
  EXPECT_EQ(first->take().size(), 1u);
  EXPECT_THROW((void)fan_out({}), std::invalid_argument);
}

}  // namespace
}  // namespace tyaprover::trace
