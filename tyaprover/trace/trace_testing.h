// For tests: exporters and transports that do as they are told, and a provider that keeps its
// spans.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "tyaprover/trace/http_exporter.h"
#include "tyaprover/trace/tracer.h"

// Whether a test may start threads in the child of a process that has some: TSan cannot follow it.
#if defined(__SANITIZE_THREAD__)
#define TYAPROVER_TEST_FORK 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TYAPROVER_TEST_FORK 0
#endif
#endif
#ifndef TYAPROVER_TEST_FORK
#define TYAPROVER_TEST_FORK 1
#endif

namespace tyaprover::trace {

// Keeps copies of what it is given. Thread-safe.
class KeepingExporter : public SpanExporter {
 public:
  ExportResult export_spans(std::span<const SpanData> spans, TimePoint) override {
    const std::lock_guard lock(mutex_);
    for (const SpanData& span : spans) spans_.emplace_back(span);
    batches_.push_back(spans.size());
    changed_.notify_all();
    return {};
  }
  std::vector<OwnedSpan> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(spans_, {});
  }
  std::vector<std::size_t> batches() {
    const std::lock_guard lock(mutex_);
    return batches_;
  }
  // Until it has been given `count` spans in all.
  void wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return spans_.size() >= count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<OwnedSpan> spans_;
  std::vector<std::size_t> batches_;
};

// Answers as it was told, one answer per call and the last one for ever, and can be held.
class ScriptedExporter final : public SpanExporter {
 public:
  explicit ScriptedExporter(std::deque<ExportResult> answers) : answers_(std::move(answers)) {}

  ExportResult export_spans(std::span<const SpanData> spans, TimePoint deadline) override {
    std::unique_lock lock(mutex_);
    ++calls_;
    last_size_ = spans.size();
    last_deadline_ = deadline;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !held_ || cancelled_; });
    if (cancelled_) return {.outcome = ExportOutcome::try_again, .message = "cancelled"};
    ExportResult answer = answers_.front();
    if (answers_.size() > 1) answers_.pop_front();
    return answer;
  }
  void cancel() noexcept override {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    changed_.notify_all();
  }
  void hold(bool held) {
    const std::lock_guard lock(mutex_);
    held_ = held;
    changed_.notify_all();
  }
  void wait_for_calls(int calls) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return calls_ >= calls; });
  }
  int calls() {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  std::size_t last_size() {
    const std::lock_guard lock(mutex_);
    return last_size_;
  }
  TimePoint last_deadline() {
    const std::lock_guard lock(mutex_);
    return last_deadline_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<ExportResult> answers_;
  bool held_ = false;
  bool cancelled_ = false;
  int calls_ = 0;
  std::size_t last_size_ = 0;
  TimePoint last_deadline_;
};

// Keeps the requests and gives one reply to all.
class FakeTransport final : public HttpTransport {
 public:
  struct Request {
    std::string url;
    HttpHeaders headers;
    std::string body;
    [[nodiscard]] std::string header(std::string_view name) const {
      for (const auto& [key, value] : headers) {
        if (key == name) return value;
      }
      return "(none)";
    }
  };

  HttpReply post(const HttpPost& request, TimePoint) override {
    requests.push_back({std::string(request.url), request.headers, std::string(request.body)});
    return reply;
  }

  HttpReply reply = [] {
    HttpReply ok;
    ok.status = 200;
    return ok;
  }();
  std::vector<Request> requests;
};

// A provider whose finished spans can be looked at.
class Recorder {
 public:
  explicit Recorder(TracerProviderOptions options = {}) : provider_(with(std::move(options))) {}

  Tracer tracer() { return provider_.tracer("test", "1"); }
  TracerProvider& provider() { return provider_; }
  std::vector<OwnedSpan> take() { return exporter_->take(); }
  // The only span that has ended since.
  OwnedSpan one() {
    std::vector<OwnedSpan> spans = take();
    if (spans.size() != 1) throw std::logic_error(std::to_string(spans.size()) + " spans");
    return std::move(spans.front());
  }

 private:
  TracerProviderOptions with(TracerProviderOptions options) {
    options.processor = simple(exporter_);
    return options;
  }

  std::shared_ptr<KeepingExporter> exporter_ = std::make_shared<KeepingExporter>();
  TracerProvider provider_;
};

}  // namespace tyaprover::trace
