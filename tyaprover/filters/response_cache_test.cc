// The cache before a scripted origin, on a clock that only the test moves.

#include "tyaprover/filters/response_cache.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <coroutine>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tyaprover/filters/route_settings.h"
#include "tyaprover/filters/test_clock.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::filters {
namespace {

using namespace std::chrono_literals;
using http::BodyError;
using http::BodyPiece;
using http::KnownField;
using http::Reason;
using http::Task;
using Lines = std::vector<std::pair<std::string, std::string>>;

// A body whose pieces the test hands out.
struct Tap {
  std::deque<BodyPiece> pieces;
  bool broken = false;
  http::Event more;

  void give(std::string_view data, bool last = false) {
    pieces.push_back({data, last});
    more.set();
  }
  void cut() {
    broken = true;
    more.set();
  }
};

class TapBody final : public http::BodySource {
 public:
  TapBody(Tap& tap, std::optional<std::uint64_t> length) : tap_(tap), length_(length) {}
  [[nodiscard]] std::optional<std::uint64_t> length() const noexcept override { return length_; }
  [[nodiscard]] std::optional<BodyPiece> poll() override {
    if (tap_.pieces.empty()) return std::nullopt;
    const BodyPiece piece = tap_.pieces.front();
    tap_.pieces.pop_front();
    return piece;
  }
  [[nodiscard]] Task<Result<BodyPiece, BodyError>> read() override {
    while (tap_.pieces.empty() && !tap_.broken) {
      tap_.more.clear();
      co_await tap_.more;
    }
    if (tap_.pieces.empty()) co_return err(BodyError::disconnected);
    co_return *poll();
  }
  void cancel_read() override { tap_.cut(); }

 private:
  Tap& tap_;
  std::optional<std::uint64_t> length_;
};

// Holds calls of the origin until the test lets them go on.
class Gate {
 public:
  void open() {
    open_ = true;
    for (const auto waiting : std::exchange(waiting_, {})) http::resume(waiting);
  }
  struct Awaiter {
    Gate* gate;
    bool await_ready() const noexcept { return gate->open_; }
    void await_suspend(std::coroutine_handle<> h) const { gate->waiting_.push_back(h); }
    void await_resume() const noexcept {}
  };
  Awaiter operator co_await() noexcept { return {this}; }

 private:
  bool open_ = false;
  std::vector<std::coroutine_handle<>> waiting_;
};

class ScriptedOrigin final : public Origin {
 public:
  using Answer = std::function<void(Exchange&)>;

  Task<void> call(Exchange& e) override {
    ++calls;
    methods.emplace_back(e.request.method);
    last_request.clear();
    for (const http::Field& field : e.request.fields) {
      last_request.emplace_back(field.name, field.value);
    }
    if (gate != nullptr) {
      Gate* const waits_for = gate;
      e.connection->watch_client([waits_for] { waits_for->open(); });
      co_await *waits_for;
    }
    answer(e);
  }

  [[nodiscard]] std::string sent(std::string_view name) const {
    for (const auto& [known, value] : last_request) {
      if (known == name) return value;
    }
    return "-";
  }

  int calls = 0;
  std::vector<std::string> methods;
  Lines last_request;
  Answer answer;
  Gate* gate = nullptr;
};

ScriptedOrigin::Answer say(int status, Lines lines, std::string body = "body") {
  return [=](Exchange& e) {
    e.response.status = status;
    for (const auto& [name, value] : lines) {
      e.response.fields.add(e.arena.store(name), e.arena.store(value));
    }
    if (status != 304) e.response.content = e.arena.store(body);
  };
}

ScriptedOrigin::Answer fail_with(Reason reason) {
  return [=](Exchange& e) { reply(e, reason, "it failed", {}); };
}

class NobodyWatches final : public http::ConnectionControl {
 public:
  Task<bool> send_interim(int, const http::Fields&) override { co_return true; }
  void watch_client(std::function<void()> gone) override { gone_ = std::move(gone); }
  [[nodiscard]] bool body_invited() const noexcept override { return true; }
  void leave() {
    if (gone_) std::exchange(gone_, nullptr)();
  }

 private:
  std::function<void()> gone_;
};

// A client and its request.
struct Client {
  Client(http::Worker& worker, const RouteSettings& settings) : exchange(worker) {
    exchange.connection = &control;
    exchange.settings = &settings;
    exchange.request.authority = "shop";
    exchange.request.minor_version = 1;
    exchange.timings.head_parsed = worker.now();
  }
  void ask(std::string_view method, std::string_view target, const Lines& lines) {
    http::RequestHead& r = exchange.request;
    r.method = exchange.arena.store(method);
    r.method_id = http::classify_method(method);
    r.target = r.origin_form = exchange.arena.store(target);
    const std::size_t question = r.target.find('?');
    r.path = r.target.substr(0, question);
    r.has_query = question != std::string_view::npos;
    if (r.has_query) r.query = r.target.substr(question + 1);
    for (const auto& [name, value] : lines) {
      r.fields.add(exchange.arena.store(name), exchange.arena.store(value));
    }
  }
  [[nodiscard]] std::string field(std::string_view name) const {
    const http::Field* found = exchange.response.fields.find(name);
    return found != nullptr ? std::string(found->value) : "-";
  }
  [[nodiscard]] int status() const { return exchange.response.status; }
  [[nodiscard]] std::string cache() const { return field("X-Cache"); }

  NobodyWatches control;
  Exchange exchange;
  bool answered = false;
  std::string body;
  bool body_ended = false;
  bool truncated = false;
};

class ResponseCacheTest : public ::testing::Test {
 protected:
  ResponseCacheTest() {
    settings.response_cache.mode = CacheMode::rfc9111;
    settings.compression.threshold = 64;
    origin.answer = say(200, {{"Cache-Control", "max-age=60"}});
  }
  void TearDown() override {
    cache.abort_fills();
    turn();
  }

  Task<void> serve(Client& client) {
    co_await cache.handle(client.exchange, origin, 0);
    client.answered = true;
    http::Response& response = client.exchange.response;
    if (response.body && client.exchange.request.method != "HEAD") {
      for (;;) {
        auto piece = response.body->poll();
        if (!piece) {
          auto next = co_await response.body->read();
          if (!next) {
            client.truncated = true;
            break;
          }
          piece = *next;
        }
        client.body += piece->data;
        if (piece->last) break;
      }
      response.body.reset();
    } else {
      client.body = response.content;
    }
    client.body_ended = true;
  }
  // What is ready runs.
  void turn() {
    for (int i = 0; i < 10; ++i) worker.context().poll();
    worker.context().restart();
  }
  std::unique_ptr<Client> start(std::string_view target, const Lines& lines = {},
                                std::string_view method = "GET") {
    auto client = std::make_unique<Client>(worker, settings);
    client->ask(method, target, lines);
    spawn(serve(*client));
    turn();
    return client;
  }
  std::unique_ptr<Client> get(std::string_view target, const Lines& lines = {},
                              std::string_view method = "GET") {
    auto client = start(target, lines, method);
    EXPECT_TRUE(client->body_ended) << target;
    return client;
  }

  TestClock clock;
  TimePoint began = clock.now();
  cache::WallTime wall_began =
      std::chrono::time_point_cast<Nanos>(std::chrono::system_clock::now());
  http::Worker worker{0, clock};
  RouteSettings settings;
  ResponseStore store{
      {.clock = &clock, .wall_clock = [this] { return wall_began + (clock.now() - began); }}};
  Compression compression{worker};
  ResponseCache cache{worker, store, compression, {}};
  ScriptedOrigin origin;
};

TEST_F(ResponseCacheTest, AnswersTheSecondRequestFromTheStore) {
  const auto first = get("/a");
  EXPECT_EQ(first->cache(), "MISS");
  EXPECT_EQ(first->field("Cache-Status"), "tyaprover; fwd=uri-miss; fwd-status=200; stored");
  EXPECT_EQ(first->field("Age"), "-");
  clock.advance(7s);
  const auto second = get("/a");
  EXPECT_EQ(second->cache(), "HIT");
  EXPECT_EQ(second->field("Cache-Status"), "tyaprover; hit; ttl=53");
  EXPECT_EQ(second->field("Age"), "7");
  EXPECT_EQ(second->body, "body");
  EXPECT_EQ(second->exchange.cache, "hit");
  EXPECT_EQ(origin.calls, 1);
}

TEST_F(ResponseCacheTest, SaysNothingWhenItIsOff) {
  settings.response_cache.mode = CacheMode::off;
  EXPECT_EQ(get("/a")->cache(), "-");
  EXPECT_EQ(get("/a")->cache(), "-");
  EXPECT_EQ(origin.calls, 2);
}

// What must not reach a second client.
TEST_F(ResponseCacheTest, KeepsWhatIsNotForEverybodyOut) {
  struct Case {
    Lines response;
    Lines request;
  };
  const Case cases[] = {
      {{{"Cache-Control", "no-store"}}, {}},
      {{{"Cache-Control", "private, max-age=60"}}, {}},
      {{{"Cache-Control", "max-age=60, private=\"x\""}}, {}},
      {{{"Cache-Control", "max-age=60"}, {"Set-Cookie", "id=1"}}, {}},
      {{{"Cache-Control", "max-age=60"}, {"Vary", "*"}}, {}},
      {{{"Cache-Control", "max-age=60"}}, {{"Authorization", "Basic YTpi"}}},
      {{{"Cache-Control", "max-age=60"}}, {{"Cache-Control", "no-store"}}},
  };
  for (const Case& c : cases) {
    store.clear(Purge::hard);
    origin.answer = say(200, c.response);
    origin.calls = 0;
    get("/a", c.request);
    EXPECT_NE(get("/a")->cache(), "HIT") << c.response[0].second;
    EXPECT_EQ(origin.calls, 2) << c.response[0].second;
  }
}

TEST_F(ResponseCacheTest, AnswersAuthorizedRequestsOnlyFromWhatIsPublic) {
  get("/a");
  const Lines user = {{"Authorization", "Basic YTpi"}};
  EXPECT_EQ(get("/a", user)->cache(), "MISS");
  origin.answer = say(200, {{"Cache-Control", "public, max-age=60"}});
  get("/b", user);
  EXPECT_EQ(get("/b", {{"Authorization", "Basic eDp5"}})->cache(), "HIT");
}

TEST_F(ResponseCacheTest, TellsUrlsAndHostsApart) {
  get("/a");
  EXPECT_EQ(get("/a?")->cache(), "MISS");
  EXPECT_EQ(get("/a?b=1")->cache(), "MISS");
  EXPECT_EQ(get("/A")->cache(), "MISS");
  auto other = std::make_unique<Client>(worker, settings);
  other->ask("GET", "/a", {});
  other->exchange.request.authority = "other";
  spawn(serve(*other));
  turn();
  EXPECT_EQ(other->cache(), "MISS");
  EXPECT_EQ(get("/a")->cache(), "HIT");
}

TEST_F(ResponseCacheTest, TellsVariantsApart) {
  origin.answer = say(200, {{"Cache-Control", "max-age=60"}, {"Vary", "X-Lang"}}, "de");
  get("/a", {{"X-Lang", "de"}});
  origin.answer = say(200, {{"Cache-Control", "max-age=60"}, {"Vary", "X-Lang"}}, "en");
  const auto miss = get("/a", {{"X-Lang", "en"}});
  EXPECT_EQ(miss->field("Cache-Status"), "tyaprover; fwd=vary-miss; fwd-status=200; stored");
  EXPECT_EQ(get("/a", {{"X-Lang", "de"}})->body, "de");
  EXPECT_EQ(get("/a", {{"X-Lang", "en"}})->body, "en");
  EXPECT_EQ(get("/a")->cache(), "MISS");
  EXPECT_EQ(origin.calls, 3);
}

TEST_F(ResponseCacheTest, StoresTheEncodedForm) {
  const std::string text(1000, 'x');
  origin.answer =
      say(200, {{"Cache-Control", "max-age=60"}, {"Content-Type", "text/plain"}, {"ETag", "\"1\""}},
          text);
  const Lines gzip = {{"Accept-Encoding", "gzip"}};
  const auto first = get("/a", gzip);
  EXPECT_EQ(first->field("Content-Encoding"), "gzip");
  EXPECT_EQ(first->field("Vary"), "Accept-Encoding");
  EXPECT_EQ(first->field("ETag"), "W/\"1\"");
  const auto hit = get("/a", {{"Accept-Encoding", "x-gzip;q=0.5"}});
  EXPECT_EQ(hit->cache(), "HIT");
  EXPECT_EQ(hit->body, first->body);
  EXPECT_LT(hit->body.size(), text.size());
  const auto plain = get("/a");
  EXPECT_EQ(plain->cache(), "MISS");
  EXPECT_EQ(plain->body, text);
  // Ranges are of what the origin sent.
  const auto part = get("/a", {{"Accept-Encoding", "gzip"}, {"Range", "bytes=0-1"}});
  EXPECT_EQ(part->body, "xx");
}

TEST_F(ResponseCacheTest, RevalidatesWhatIsStale) {
  origin.answer =
      say(200, {{"Cache-Control", "max-age=10"}, {"ETag", "\"1\""}, {"X-Note", "old"}}, "first");
  get("/a");
  clock.advance(11s);
  origin.answer = say(304, {{"Cache-Control", "max-age=20"}, {"ETag", "\"1\""}, {"X-Note", "new"}});
  const auto again = get("/a");
  EXPECT_EQ(origin.sent("If-None-Match"), "\"1\"");
  EXPECT_EQ(again->cache(), "REVALIDATED");
  EXPECT_EQ(again->field("Cache-Status"), "tyaprover; fwd=stale; fwd-status=304; stored");
  EXPECT_EQ(again->status(), 200);
  EXPECT_EQ(again->body, "first");
  EXPECT_EQ(again->field("X-Note"), "new");
  clock.advance(15s);
  const auto hit = get("/a");
  EXPECT_EQ(hit->cache(), "HIT");
  EXPECT_EQ(hit->field("X-Note"), "new");
  EXPECT_EQ(origin.calls, 2);
}

TEST_F(ResponseCacheTest, RevalidatesWhatItEncoded) {
  const Lines lines = {
      {"Cache-Control", "max-age=10"}, {"Content-Type", "text/plain"}, {"ETag", "\"1\""}};
  origin.answer = say(200, lines, std::string(1000, 'x'));
  const Lines gzip = {{"Accept-Encoding", "gzip"}};
  get("/a", gzip);
  clock.advance(11s);
  origin.answer = say(304, lines);
  const auto again = get("/a", gzip);
  EXPECT_EQ(origin.sent("If-None-Match"), "W/\"1\"");
  EXPECT_EQ(again->cache(), "REVALIDATED");
  EXPECT_EQ(again->field("ETag"), "W/\"1\"");
  EXPECT_EQ(again->field("Content-Encoding"), "gzip");
  EXPECT_EQ(get("/a", gzip)->cache(), "HIT");
}

TEST_F(ResponseCacheTest, ReplacesWhatHasChanged) {
  origin.answer = say(200, {{"Cache-Control", "max-age=10"}, {"ETag", "\"1\""}}, "first");
  get("/a");
  clock.advance(11s);
  origin.answer = say(200, {{"Cache-Control", "max-age=10"}, {"ETag", "\"2\""}}, "second");
  EXPECT_EQ(get("/a")->body, "second");
  EXPECT_EQ(get("/a")->body, "second");
  EXPECT_EQ(origin.calls, 2);
}

TEST_F(ResponseCacheTest, ForgetsWhatTheOriginNoLongerLetsItKeep) {
  origin.answer = say(200, {{"Cache-Control", "max-age=10"}, {"ETag", "\"1\""}}, "first");
  get("/a");
  clock.advance(11s);
  origin.answer = say(200, {{"Cache-Control", "no-store"}}, "second");
  EXPECT_EQ(get("/a")->body, "second");
  origin.answer = fail_with(Reason::upstream_connect_failed);
  EXPECT_EQ(get("/a")->status(), 502);
}

TEST_F(ResponseCacheTest, AnswersConditionsOfClients) {
  origin.answer = say(200, {{"Cache-Control", "max-age=60"}, {"ETag", "\"1\""}});
  get("/a");
  const auto same = get("/a", {{"If-None-Match", "\"0\", W/\"1\""}});
  EXPECT_EQ(same->status(), 304);
  EXPECT_EQ(same->field("ETag"), "\"1\"");
  EXPECT_EQ(same->body, "");
  EXPECT_EQ(get("/a", {{"If-None-Match", "\"0\""}})->status(), 200);
  EXPECT_EQ(origin.calls, 1);
  // Nothing stored: the origin decides.
  origin.answer = say(304, {{"ETag", "\"1\""}});
  EXPECT_EQ(get("/b", {{"If-None-Match", "\"1\""}})->status(), 304);
  EXPECT_EQ(origin.sent("If-None-Match"), "\"1\"");
}

TEST_F(ResponseCacheTest, AnswersRanges) {
  origin.answer =
      say(200, {{"Cache-Control", "max-age=60"}, {"Content-Type", "a/b"}}, "0123456789");
  get("/a");
  const auto part = get("/a", {{"Range", "bytes=2-4"}});
  EXPECT_EQ(part->status(), 206);
  EXPECT_EQ(part->body, "234");
  EXPECT_EQ(part->field("Content-Range"), "bytes 2-4/10");
  EXPECT_EQ(get("/a", {{"Range", "bytes=-3"}})->body, "789");
  const auto beyond = get("/a", {{"Range", "bytes=20-"}});
  EXPECT_EQ(beyond->status(), 416);
  EXPECT_EQ(beyond->field("Content-Range"), "bytes */10");
  const auto parts = get("/a", {{"Range", "bytes=0-0,9-9"}});
  EXPECT_EQ(parts->status(), 206);
  EXPECT_TRUE(parts->field("Content-Type").starts_with("multipart/byteranges; boundary="));
  EXPECT_NE(parts->body.find("Content-Range: bytes 9-9/10\r\n"), std::string::npos);
  EXPECT_EQ(get("/a", {{"Range", "lines=1-2"}})->status(), 200);
  EXPECT_EQ(origin.calls, 1);
}

TEST_F(ResponseCacheTest, FillsItselfForHead) {
  const auto first = get("/a", {}, "HEAD");
  EXPECT_EQ(first->cache(), "MISS");
  EXPECT_EQ(first->exchange.response.described_length, 4u);
  EXPECT_EQ(origin.methods.back(), "GET");
  EXPECT_EQ(get("/a", {}, "HEAD")->cache(), "HIT");
  EXPECT_EQ(get("/a")->body, "body");
  EXPECT_EQ(origin.calls, 1);
}

TEST_F(ResponseCacheTest, LeavesHeadAloneWhenToldTo) {
  settings.response_cache.convert_head = false;
  get("/a", {}, "HEAD");
  EXPECT_EQ(origin.methods.back(), "HEAD");
  origin.answer = say(200, {{"Cache-Control", "max-age=10"}, {"ETag", "\"1\""}});
  get("/a");
  clock.advance(11s);
  origin.answer = say(200, {{"Cache-Control", "max-age=10"}, {"ETag", "\"2\""}}, "");
  get("/a", {}, "HEAD");  // tells that there is another version
  get("/a");
  EXPECT_EQ(origin.calls, 4);
}

TEST_F(ResponseCacheTest, ObeysDirectivesOfClients) {
  get("/a");
  clock.advance(20s);
  EXPECT_EQ(get("/a", {{"Cache-Control", "max-age=10"}})->field("Cache-Status"),
            "tyaprover; fwd=request; fwd-status=200; stored");
  clock.advance(5s);
  EXPECT_EQ(get("/a", {{"Cache-Control", "no-cache"}})->cache(), "MISS");
  EXPECT_EQ(get("/a", {{"Cache-Control", "no-store"}})->cache(), "BYPASS");
  EXPECT_EQ(get("/b", {{"Cache-Control", "only-if-cached"}})->status(), 504);
  clock.advance(61s);
  EXPECT_EQ(get("/a", {{"Cache-Control", "max-stale"}})->cache(), "STALE");
  settings.response_cache.ignore_client_directives = true;
  origin.calls = 0;
  get("/a");
  EXPECT_EQ(get("/a", {{"Cache-Control", "no-cache"}})->cache(), "HIT");
  EXPECT_EQ(origin.calls, 1);
}

TEST_F(ResponseCacheTest, UnsafeRequestsInvalidate) {
  get("/a");
  get("/b");
  origin.answer = say(500, {});
  EXPECT_EQ(get("/a", {}, "POST")->cache(), "BYPASS");
  EXPECT_EQ(get("/a")->cache(), "HIT");
  origin.answer = say(201, {{"Location", "/b"}});
  get("/a", {}, "FROBNICATE");
  origin.answer = say(200, {{"Cache-Control", "max-age=60"}});
  EXPECT_EQ(get("/a")->cache(), "MISS");
  EXPECT_EQ(get("/b")->cache(), "MISS");
}

TEST_F(ResponseCacheTest, WhatWasAskedBeforeAnInvalidationIsNotStored) {
  Gate gate;
  origin.gate = &gate;
  const auto slow = start("/a");
  origin.gate = nullptr;
  get("/a", {}, "DELETE");
  gate.open();
  turn();
  EXPECT_EQ(slow->body, "body");
  EXPECT_EQ(get("/a")->cache(), "MISS");
}

// --- collapsing

TEST_F(ResponseCacheTest, OneAsksForAll) {
  Gate gate;
  origin.gate = &gate;
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(start("/a"));
  EXPECT_EQ(origin.calls, 1);
  gate.open();
  turn();
  for (const auto& client : clients) EXPECT_EQ(client->body, "body");
  EXPECT_EQ(clients[1]->field("Cache-Status"),
            "tyaprover; fwd=uri-miss; fwd-status=200; stored; collapsed");
  EXPECT_EQ(origin.calls, 1);
  EXPECT_EQ(store.stats().collapsed, 19u);
}

TEST_F(ResponseCacheTest, AllAskWhenTheAnswerCannotBeShared) {
  Gate gate;
  origin.gate = &gate;
  origin.answer = say(200, {{"Cache-Control", "no-store"}}, "mine");
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(start("/a"));
  EXPECT_EQ(origin.calls, 1);
  gate.open();
  turn();
  for (const auto& client : clients) EXPECT_EQ(client->body, "mine");
  EXPECT_EQ(origin.calls, 5);
  // Remembered: nobody waits.
  Gate second;
  origin.gate = &second;
  const auto a = start("/a");
  const auto b = start("/a");
  EXPECT_EQ(origin.calls, 7);
  second.open();
  turn();
  // … for a while.
  clock.advance(settings.response_cache.uncacheable_memory + 1s);
  Gate third;
  origin.gate = &third;
  const auto c = start("/a");
  const auto d = start("/a");
  EXPECT_EQ(origin.calls, 8);
  third.open();
  turn();
}

TEST_F(ResponseCacheTest, PatienceEnds) {
  Gate gate;
  origin.gate = &gate;
  const auto slow = start("/a");
  const auto waiting = start("/a");
  Gate other;
  origin.gate = &other;
  clock.advance(settings.response_cache.lock_timeout + 1s);
  worker.timers().run(clock.now());
  turn();
  EXPECT_EQ(origin.calls, 2);
  other.open();
  turn();
  EXPECT_EQ(waiting->body, "body");
  EXPECT_FALSE(slow->answered);
  gate.open();
  turn();
}

TEST_F(ResponseCacheTest, TheLeaderMayLeave) {
  Gate gate;
  origin.gate = &gate;
  const auto leader = start("/a");
  const auto follower = start("/a");
  leader->control.leave();
  turn();
  EXPECT_TRUE(leader->answered);
  EXPECT_EQ(leader->exchange.outcome, http::Outcome::client_disconnected);
  gate.open();
  turn();
  EXPECT_EQ(follower->body, "body");
  EXPECT_EQ(get("/a")->cache(), "HIT");
  EXPECT_EQ(origin.calls, 1);
}

TEST_F(ResponseCacheTest, FollowersStreamAtTheirOwnSpeed) {
  Tap tap;
  origin.answer = [&](Exchange& e) {
    e.response.status = 200;
    e.response.fields.add(KnownField::cache_control, "max-age=60");
    e.response.body = http::BodyPtr(new TapBody(tap, std::nullopt));
  };
  const auto leader = start("/a");
  tap.give("one ");
  turn();
  EXPECT_EQ(leader->body, "one ");
  const auto follower = start("/a");
  EXPECT_EQ(follower->body, "one ");
  leader->control.leave();
  tap.give("two", true);
  turn();
  EXPECT_EQ(follower->body, "one two");
  EXPECT_EQ(get("/a")->body, "one two");
  EXPECT_EQ(origin.calls, 1);
}

TEST_F(ResponseCacheTest, WhatBreaksOffIsCutAndNotStored) {
  Tap tap;
  origin.answer = [&](Exchange& e) {
    e.response.status = 200;
    e.response.fields.add(KnownField::cache_control, "max-age=60");
    e.response.body = http::BodyPtr(new TapBody(tap, 100));
  };
  const auto leader = start("/a");
  const auto follower = start("/a");
  tap.give("one ");
  turn();
  tap.cut();
  turn();
  EXPECT_TRUE(leader->truncated);
  EXPECT_TRUE(follower->truncated);
  origin.answer = say(200, {{"Cache-Control", "max-age=60"}});
  EXPECT_EQ(get("/a")->cache(), "MISS");
}

TEST_F(ResponseCacheTest, LargeBodiesPassThrough) {
  settings.response_cache.max_object = 10;
  Tap tap;
  origin.answer = [&](Exchange& e) {
    e.response.status = 200;
    e.response.fields.add(KnownField::cache_control, "max-age=60");
    e.response.body = http::BodyPtr(new TapBody(tap, std::nullopt));
  };
  const auto client = start("/a");
  tap.give("0123456");
  turn();
  tap.give("789abcdef");
  turn();
  tap.give("ghi", true);
  turn();
  EXPECT_EQ(client->body, "0123456789abcdefghi");
  origin.answer = say(200, {{"Cache-Control", "max-age=60"}}, "0123456789a");
  EXPECT_EQ(get("/a")->cache(), "MISS");
  EXPECT_EQ(get("/a")->cache(), "MISS");
  EXPECT_EQ(store.stats().entries, 0u);
}

TEST_F(ResponseCacheTest, NobodysLargeFillIsGivenUp) {
  settings.response_cache.finish_fill = 10;
  Tap tap;
  origin.answer = [&](Exchange& e) {
    e.response.status = 200;
    e.response.fields.add(KnownField::cache_control, "max-age=60");
    e.response.body = http::BodyPtr(new TapBody(tap, 1000));
  };
  const auto client = start("/a");
  tap.give("0123456789");
  turn();
  client->control.leave();
  turn();
  EXPECT_TRUE(client->truncated);
  EXPECT_FALSE(cache.idle());
  tap.give("0123456789");
  turn();
  EXPECT_TRUE(cache.idle());
  EXPECT_EQ(store.stats().entries, 0u);
}

TEST_F(ResponseCacheTest, FillsEndWhenTheProcessDoes) {
  Gate gate;
  origin.gate = &gate;
  const auto client = start("/a");
  client->control.leave();
  turn();
  EXPECT_FALSE(cache.idle());
  cache.abort_fills();
  turn();
  EXPECT_TRUE(cache.idle());
}

// --- stale

TEST_F(ResponseCacheTest, RefreshesInTheBackground) {
  origin.answer = say(200, {{"Cache-Control", "max-age=10, stale-while-revalidate=30"}}, "first");
  get("/a");
  clock.advance(11s);
  Gate gate;
  origin.gate = &gate;
  origin.answer = say(200, {{"Cache-Control", "max-age=10"}}, "second");
  const auto stale = get("/a");
  EXPECT_EQ(stale->cache(), "STALE");
  EXPECT_EQ(stale->body, "first");
  EXPECT_EQ(stale->field("Cache-Status"), "tyaprover; hit; ttl=-1; detail=stale-while-revalidate");
  EXPECT_EQ(get("/a")->body, "first");
  EXPECT_EQ(origin.calls, 2) << "one refresh at a time";
  gate.open();
  turn();
  EXPECT_EQ(get("/a")->body, "second");
  EXPECT_EQ(store.stats().refreshes_ok, 1u);
}

TEST_F(ResponseCacheTest, SendsStaleWhenTheOriginFails) {
  struct Case {
    std::string control;
    ScriptedOrigin::Answer failure;
    Nanos error_window;
    int status;
    std::string detail;
  };
  const Case cases[] = {
      {"max-age=10", fail_with(Reason::upstream_connect_failed), 0s, 200, "stale-if-error"},
      {"max-age=10", fail_with(Reason::circuit_open), 0s, 200, "circuit-open"},
      {"max-age=10", say(503, {}), 0s, 503, ""},
      {"max-age=10", say(503, {}), 1h, 200, "stale-if-error"},
      {"max-age=10, stale-if-error=60", say(500, {}), 0s, 200, "stale-if-error"},
      {"max-age=10, stale-if-error=5", fail_with(Reason::upstream_reset), 0s, 502, ""},
      {"max-age=10, must-revalidate", fail_with(Reason::upstream_reset), 0s, 502, ""},
      {"max-age=10, proxy-revalidate", fail_with(Reason::circuit_open), 1h, 503, ""},
      {"s-maxage=10", fail_with(Reason::upstream_response_timeout), 0s, 504, ""},
      {"max-age=10, no-cache", say(502, {}), 1h, 502, ""},
  };
  for (const Case& c : cases) {
    store.clear(Purge::hard);
    settings.response_cache.stale_if_error = c.error_window;
    origin.answer = say(200, {{"Cache-Control", c.control}, {"ETag", "\"1\""}}, "stored");
    get("/a");
    clock.advance(20s);
    origin.answer = c.failure;
    const auto client = get("/a");
    EXPECT_EQ(client->status(), c.status) << c.control;
    EXPECT_EQ(client->cache(), c.status == 200 ? "STALE" : "MISS") << c.control;
    if (c.status == 200) {
      EXPECT_EQ(client->field("Cache-Status"), "tyaprover; hit; ttl=-10; detail=" + c.detail);
      EXPECT_EQ(client->body, "stored");
    }
  }
}

TEST_F(ResponseCacheTest, FailuresReachAllWhoWait) {
  Gate gate;
  origin.gate = &gate;
  origin.answer = fail_with(Reason::upstream_connect_failed);
  const auto leader = start("/a");
  const auto follower = start("/a");
  gate.open();
  turn();
  EXPECT_EQ(leader->status(), 502);
  EXPECT_EQ(follower->status(), 502);
  EXPECT_EQ(follower->exchange.reason, Reason::upstream_connect_failed);
  EXPECT_EQ(origin.calls, 1);
}

// --- mode forced, skipping, keys

TEST_F(ResponseCacheTest, ForcedLifetimesAreTheOperators) {
  settings.response_cache.mode = CacheMode::forced;
  settings.response_cache.ttl = 30s;
  origin.answer = say(200, {});
  get("/a");
  clock.advance(29s);
  EXPECT_EQ(get("/a")->cache(), "HIT");
  clock.advance(2s);
  EXPECT_EQ(get("/a")->cache(), "MISS");
  origin.answer = say(404, {});
  get("/404");
  EXPECT_EQ(get("/404")->cache(), "MISS") << "not among status_codes";
  origin.answer = say(200, {{"Cache-Control", "private"}});
  get("/private");
  EXPECT_EQ(get("/private")->cache(), "MISS");
  settings.response_cache.override_origin = true;
  get("/private");
  EXPECT_EQ(get("/private")->cache(), "HIT");
}

TEST_F(ResponseCacheTest, SomeRequestsGoPast) {
  using Kind = SkipRule::Kind;
  settings.response_cache.skip = {{Kind::query, "nocache", "true"},
                                  {Kind::header, "X-Preview", ""},
                                  {Kind::cookie, "session", ""},
                                  {Kind::path, "/admin/*", ""}};
  settings.response_cache.bypass_on_cookie = {"user"};
  get("/a?nocache=false");
  EXPECT_EQ(get("/a?nocache=false")->cache(), "HIT");
  EXPECT_EQ(get("/a?nocache=true")->cache(), "BYPASS");
  EXPECT_EQ(get("/a?nocache=true")->field("Cache-Status"), "tyaprover; fwd=bypass; fwd-status=200");
  EXPECT_EQ(get("/a", {{"X-Preview", "1"}})->cache(), "BYPASS");
  EXPECT_EQ(get("/a", {{"Cookie", "a=b; session=1"}})->cache(), "BYPASS");
  EXPECT_EQ(get("/a", {{"Cookie", "user=1"}})->cache(), "BYPASS");
  EXPECT_EQ(get("/admin/x")->cache(), "BYPASS");
  EXPECT_EQ(get("/a", {{"Cookie", "other=1"}})->cache(), "MISS");
}

TEST_F(ResponseCacheTest, KeysAreAsConfigured) {
  settings.response_cache.query_drop = {"utm_*"};
  settings.response_cache.query_sort = true;
  settings.response_cache.key_headers = {"X-Tenant"};
  get("/a?b=1&a=2", {{"X-Tenant", "1"}});
  EXPECT_EQ(get("/a?a=2&utm_x=9&b=1", {{"X-Tenant", "1"}})->cache(), "HIT");
  EXPECT_EQ(get("/a?b=1&a=2", {{"X-Tenant", "2"}})->cache(), "MISS");
}

// --- purging

TEST_F(ResponseCacheTest, PurgesByUrlPrefixPatternAndTag) {
  origin.answer = say(
      200, {{"Cache-Control", "max-age=60"}, {"ETag", "\"1\""}, {"Surrogate-Key", "red green"}});
  const auto first = get("/a/1");
  EXPECT_EQ(first->field("Surrogate-Key"), "-");
  get("/a/2");
  origin.answer = say(200, {{"Cache-Control", "max-age=60"}, {"Cache-Tag", "blue"}});
  get("/b");
  EXPECT_EQ(store.erase("http://shop/a/1", Purge::hard), 1u);
  EXPECT_EQ(store.erase("http://shop/a/1", Purge::hard), 0u);
  EXPECT_EQ(get("/a/1")->cache(), "MISS");
  EXPECT_EQ(store.erase_prefix("http://shop/a/", Purge::hard), 2u);
  EXPECT_EQ(get("/a/2")->cache(), "MISS");
  EXPECT_EQ(get("/b")->cache(), "HIT");
  EXPECT_EQ(store.erase_pattern("*/b", Purge::hard), 1u);
  EXPECT_EQ(get("/b")->cache(), "MISS");
  EXPECT_EQ(store.erase_tag("blue", Purge::hard), 2u);
  EXPECT_EQ(get("/b")->cache(), "MISS");
  EXPECT_GE(store.clear(Purge::hard), 1u);
  EXPECT_EQ(store.stats().entries, 0u);
}

TEST_F(ResponseCacheTest, WhatIsPurgedSoftlyMayStillHelp) {
  origin.answer = say(200, {{"Cache-Control", "max-age=60"}, {"ETag", "\"1\""}}, "old");
  get("/a");
  EXPECT_EQ(store.erase("http://shop/a", Purge::soft), 1u);
  origin.answer = fail_with(Reason::upstream_connect_failed);
  EXPECT_EQ(get("/a")->cache(), "STALE");
  origin.answer = say(304, {{"ETag", "\"1\""}});
  EXPECT_EQ(get("/a")->cache(), "REVALIDATED");
  EXPECT_EQ(get("/a")->cache(), "HIT");
}

TEST_F(ResponseCacheTest, PurgeIsAMethodOnlyWhenAllowed) {
  get("/a");
  EXPECT_EQ(get("/a", {}, "PURGE")->cache(), "BYPASS");
  settings.response_cache.purge_method = true;
  get("/a");
  EXPECT_EQ(get("/a", {}, "PURGE")->body, "{\"removed\":1}\n");
  EXPECT_EQ(get("/a")->cache(), "MISS");
}

TEST_F(ResponseCacheTest, CountsByAppAndResult) {
  get("/a");
  get("/a");
  get("/a");
  const ResponseStoreStats stats = store.stats();
  EXPECT_EQ(stats.hits(), 2u);
  EXPECT_EQ(stats.misses(), 1u);
  EXPECT_EQ(stats.app_results.at(0)[static_cast<std::size_t>(CacheResult::hit)], 2u);
  EXPECT_EQ(stats.entries, 1u);
  EXPECT_EQ(stats.bytes, store.recount_bytes());
}

}  // namespace
}  // namespace tyaprover::filters
