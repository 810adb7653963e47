#include "tyaprover/trace/context.h"

#include <gtest/gtest.h>

#include <coroutine>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tyaprover/trace/trace_testing.h"

namespace tyaprover::trace {
namespace {

class ContextTest : public testing::Test {
 protected:
  Recorder recorder;
  Tracer tracer = recorder.tracer();
};

TEST_F(ContextTest, IsEmptyOutsideEveryScope) {
  EXPECT_FALSE(current_context().span_context().is_valid());
  EXPECT_EQ(current_span(), nullptr);
}

TEST_F(ContextTest, AScopeMakesItsSpanTheParent) {
  Span outer = tracer.start_span("outer");
  const Scope scope(outer);
  Span inner = tracer.start_span("inner");
  EXPECT_EQ(inner.context().trace_id(), outer.context().trace_id());
  inner.end();
  EXPECT_EQ(recorder.one()->parent_span_id, outer.context().span_id());
}

TEST_F(ContextTest, ScopesNest) {
  Span outer = tracer.start_span("outer");
  const Scope outer_scope(outer);
  {
    Span inner = tracer.start_span("inner");
    const Scope inner_scope(inner);
    EXPECT_EQ(current_span(), &inner);
  }
  EXPECT_EQ(current_span(), &outer);
}

TEST_F(ContextTest, TheCurrentSpanTakesEvents) {
  {
    Span span = tracer.start_span("work");
    const Scope scope(span);
    current_span()->add_event("breaker opened");
  }
  EXPECT_EQ(recorder.one()->events[0].name.view(), "breaker opened");
}

TEST_F(ContextTest, AnExplicitParentWins) {
  Span outer = tracer.start_span("outer");
  const Scope scope(outer);
  const SpanContext other(make_trace_id(), make_span_id(), {1}, true);
  EXPECT_EQ(tracer.start_span("a", {.parent = other}).context().trace_id(), other.trace_id());
  EXPECT_NE(tracer.start_span("b", {.root = true}).context().trace_id(),
            outer.context().trace_id());
}

TEST_F(ContextTest, NothingCrossesThreadsByItself) {
  Span span = tracer.start_span("work");
  const Scope scope(span);
  bool crossed = true;
  std::thread([&] { crossed = current_context().span_context().is_valid(); }).join();
  EXPECT_FALSE(crossed);
}

TEST_F(ContextTest, BindTakesItAlong) {
  Span span = tracer.start_span("work");
  const Scope scope(span);
  SpanId there;
  auto bound = current_context().bind([&](int add) {
    there = current_context().span_context().span_id();
    return add + 1;
  });
  int result = 0;
  std::thread([&] {
    result = bound(1);
    EXPECT_FALSE(current_context().span_context().is_valid());
  }).join();
  EXPECT_EQ(there, span.context().span_id());
  EXPECT_EQ(result, 2);
}

TEST_F(ContextTest, BaggageGoesWithIt) {
  auto baggage = std::make_shared<Baggage>();
  baggage->set("tenant", "a");
  const Scope outer(Context({}, baggage));
  Span span = tracer.start_span("work");
  const Scope inner(span);
  EXPECT_EQ(current_context().baggage()->get("tenant"), "a");
}

// 64 requests on two threads, each going on a step at a time in a mixed order: every span keeps its
// own trace and parent.
TEST_F(ContextTest, InterleavedRequestsNeverMix) {
  struct Request {
    Span span;
    Context context;
    std::vector<Span> children;
  };
  const auto work = [&](unsigned seed) {
    std::vector<Request> requests(32);
    unsigned random = seed;
    for (int step = 0; step < 32 * 20; ++step) {
      random = random * 1664525 + 1013904223;
      Request& request = requests[random >> 16 & 31];
      if (!request.span.is_recording()) {
        request.span = tracer.start_span("request", {.root = true});
        request.context = Context(request.span.context());
      } else if (request.children.size() < 4) {
        const Scope scope(request.context);
        request.children.push_back(tracer.start_span("child"));
      } else {
        request.children.clear();
        request.span.end();
      }
    }
  };
  std::thread first(work, 1);
  std::thread second(work, 2);
  first.join();
  second.join();

  std::map<TraceId, SpanId> roots;
  const std::vector<OwnedSpan> spans = recorder.take();
  for (const OwnedSpan& span : spans) {
    if (span->name.view() == "request") roots[span->trace_id] = span->span_id;
  }
  std::size_t children = 0;
  for (const OwnedSpan& span : spans) {
    if (span->name.view() != "child") continue;
    ++children;
    EXPECT_EQ(roots.at(span->trace_id), span->parent_span_id);
  }
  EXPECT_GT(children, 100u);
}

TEST_F(ContextTest, TraceCallGivesTheResultAndASpan) {
  const int result = tracer.trace_call("work", [&] {
    EXPECT_TRUE(current_context().span_context().is_valid());
    return 42;
  });
  EXPECT_EQ(result, 42);
  EXPECT_EQ(recorder.one()->name.view(), "work");
}

TEST_F(ContextTest, TraceCallPassesTheSpanAndReferences) {
  int value = 1;
  int& result = tracer.trace_call("work", [&](Span& span) -> int& {
    span.set_attribute("a", 1);
    return value;
  });
  EXPECT_EQ(&result, &value);
  EXPECT_EQ(recorder.one()->attributes.size(), 1u);
}

TEST_F(ContextTest, TraceCallRecordsAndThrowsOn) {
  EXPECT_THROW(tracer.trace_call("work", [] { throw std::runtime_error("broken"); }),
               std::runtime_error);
  const OwnedSpan span = recorder.one();
  EXPECT_EQ(span->status, SpanStatus::error);
  EXPECT_EQ(span->events[0].name.view(), "exception");
}

TEST_F(ContextTest, TraceAsyncWrapsAFunction) {
  auto traced = tracer.trace_async("expensive-operation",
                                   [](int a, std::string b) { return b + std::to_string(a); },
                                   {.attributes = {{"operation.type", "computation"}}});
  EXPECT_EQ(traced(1, "x"), "x1");
  EXPECT_EQ(traced(2, "y"), "y2");
  const std::vector<OwnedSpan> spans = recorder.take();
  ASSERT_EQ(spans.size(), 2u);
  EXPECT_NE(spans[0]->trace_id, spans[1]->trace_id);
  EXPECT_EQ(spans[0]->find("operation.type")->value().text().view(), "computation");
}

TEST_F(ContextTest, TraceAsyncRecordsWhatAFunctionThrows) {
  auto traced = tracer.trace_async("work", [](int) -> int { throw std::logic_error("no"); });
  EXPECT_THROW(traced(1), std::logic_error);
  EXPECT_EQ(recorder.one()->status, SpanStatus::error);
}

// The smallest coroutine type that can be awaited: lazy, resumed by its awaiter.
template <class T>
class Lazy {
 public:
  struct promise_type {
    std::coroutine_handle<> awaiter = std::noop_coroutine();
    std::exception_ptr error;
    T value{};

    Lazy get_return_object() { return Lazy(Handle::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    auto final_suspend() noexcept {
      struct Final {
        bool await_ready() noexcept { return false; }
        std::coroutine_handle<> await_suspend(Handle handle) noexcept {
          return handle.promise().awaiter;
        }
        void await_resume() noexcept {}
      };
      return Final{};
    }
    void return_value(T result) { value = std::move(result); }
    void unhandled_exception() { error = std::current_exception(); }
  };
  using Handle = std::coroutine_handle<promise_type>;

  explicit Lazy(Handle handle) : handle_(handle) {}
  Lazy(Lazy&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Lazy(const Lazy&) = delete;
  Lazy& operator=(const Lazy&) = delete;
  ~Lazy() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiter) noexcept {
    handle_.promise().awaiter = awaiter;
    return handle_;
  }
  T await_resume() { return result(); }

  // Starts it, or goes on after a Pause.
  void resume() { handle_.resume(); }
  bool done() const { return handle_.done(); }
  T result() {
    if (handle_.promise().error) std::rethrow_exception(handle_.promise().error);
    return handle_.promise().value;
  }

 private:
  Handle handle_;
};

// Suspends until somebody resumes the handle.
struct Pause {
  std::coroutine_handle<>& waiting;
  bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) noexcept { waiting = handle; }
  void await_resume() noexcept {}
};

TEST_F(ContextTest, TraceAsyncSpansACoroutineFromItsStartToItsEnd) {
  std::coroutine_handle<> waiting;
  auto traced = tracer.trace_async("work", [&](std::string text) -> Lazy<std::string> {
    co_await Pause{waiting};
    co_return text + "!";
  });
  Lazy<std::string> running = traced("hello");
  running.resume();
  EXPECT_TRUE(recorder.take().empty());  // it waits, so its span has not ended
  waiting.resume();
  ASSERT_TRUE(running.done());
  EXPECT_EQ(running.result(), "hello!");
  EXPECT_EQ(recorder.one()->name.view(), "work");
}

TEST_F(ContextTest, TraceAsyncGivesACoroutineItsSpan) {
  auto traced = tracer.trace_async("work", [this](Span& span, int n) -> Lazy<int> {
    tracer.start_span("child", {.parent = span.context()}).end();
    co_return n;
  });
  Lazy<int> running = traced(7);
  running.resume();
  EXPECT_EQ(running.result(), 7);
  const std::vector<OwnedSpan> spans = recorder.take();
  ASSERT_EQ(spans.size(), 2u);
  EXPECT_EQ(spans[0]->parent_span_id, spans[1]->span_id);
}

TEST_F(ContextTest, TraceAsyncRecordsWhatACoroutineThrows) {
  auto traced = tracer.trace_async("work", [](int n) -> Lazy<int> {
    if (n > 0) throw std::runtime_error("broken");
    co_return n;
  });
  Lazy<int> running = traced(1);
  running.resume();
  EXPECT_THROW(running.result(), std::runtime_error);
  const OwnedSpan span = recorder.one();
  EXPECT_EQ(span->status, SpanStatus::error);
  EXPECT_EQ(span->events[0].attributes[1].value().text().view(), "broken");
}

TEST_F(ContextTest, AnAbandonedCoroutineEndsItsSpan) {
  std::coroutine_handle<> waiting;
  auto traced = tracer.trace_async("work", [&](int) -> Lazy<int> {
    co_await Pause{waiting};
    co_return 1;
  });
  {
    Lazy<int> running = traced(1);
    running.resume();
  }
  EXPECT_EQ(recorder.take().size(), 1u);
}

}  // namespace
}  // namespace tyaprover::trace
