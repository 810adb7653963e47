// One request's way to an upstream and back.
//
// The usual request has no body, or one that came with its head: it is written in one go, the
// response head is awaited, and the upstream connection itself becomes the response's body. Nothing
// else is allocated.
//
// A request whose body is still coming gets an Upload: a second coroutine that pulls from the
// client and writes to the upstream while this one waits for the response. Either may end first.
// The upload is told to stop when the response is over, and the server waits for its end before it
// reads from the client again.

#include "tyaprover/gateway/proxy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <coroutine>
#include <memory>
#include <string>
#include <utility>

#include "tyaprover/gateway/forwarding.h"
#include "tyaprover/gateway/retries.h"
#include "tyaprover/gateway/tunnel.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::gateway {
namespace {

using http::BodyError;
using http::BodyPiece;
using http::ClientConnection;
using http::Exchange;
using http::IoError;
using http::ReadHead;
using http::Reason;
using http::Task;

constexpr unsigned kMaxInterim = 10;  // R4.17
constexpr unsigned kMaxTries = 8;     // connects to different targets

// What went wrong with a try, and what may be done about it.
struct Failure {
  Reason reason = Reason::none;
  std::string_view what;
  bool next_target = false;  // nothing was sent: another target may be tried
  bool same_target = false;  // an idle connection had died: once more on a fresh one (R6.4)
};

// The chunk-size line of a piece, as text.
struct ChunkSize {
  std::array<char, 18> text;
  std::size_t size;
  explicit ChunkSize(std::size_t n) noexcept {
    char* const end = std::to_chars(text.data(), text.data() + 16, n, 16).ptr;
    end[0] = '\r';
    end[1] = '\n';
    size = static_cast<std::size_t>(end - text.data()) + 2;
  }
  [[nodiscard]] std::string_view view() const noexcept { return {text.data(), size}; }
};

// A request body on its way to the upstream, and the connection it goes out on. Shared by the
// upload's coroutine and by whoever reads the response; the connection is let go when both are done
// with it.
struct Upload {
  Exchange& exchange;
  ConnectionPtr connection;
  Nanos response_head_timeout;
  std::shared_ptr<http::Event> done = std::make_shared<http::Event>();
  bool chunked = false;
  bool stop = false;
  bool awaiting_head = true;
  bool waiting_for_client = false;
  std::optional<BodyError> error;  // of the client's side
  TimePoint try_deadline = TimePoint::max();
  // What was taken from the client so far, to be sent again by another try; nothing when that may
  // not be, or would be more than `most`.
  std::optional<std::string> taken;
  std::size_t most = 0;
  bool whole = false;  // the last piece was taken

  void keep(const BodyPiece& piece) {
    whole = piece.last;
    if (!taken) return;
    if (taken->size() + piece.data.size() > most) {
      taken.reset();
    } else {
      taken->append(piece.data);
    }
  }

  // Ends it soon; the upstream connection is of no use afterwards.
  void cancel() {
    if (done->is_set()) return;
    stop = true;
    exchange.request_body->cancel_read();
    connection->abort();
  }
};

// Writes one piece, with its chunk framing when the length is not known.
Task<IoError> write_piece(Upload& u, BodyPiece piece) {
  ClientConnection& connection = *u.connection;
  if (!u.chunked) co_return co_await connection.write(piece.data);
  if (!piece.data.empty()) {
    const ChunkSize size(piece.data.size());
    const IoError error = co_await connection.write(size.view(), piece.data, "\r\n");
    if (error != IoError::none) co_return error;
  }
  if (!piece.last) co_return IoError::none;
  std::string end = "0\r\n";
  if (u.exchange.request.fields.list_contains(http::KnownField::te, "trailers")) {
    if (const http::Fields* const trailers = u.exchange.request_body->trailers()) {
      for (const http::Field& field : *trailers) {
        end.append(field.name).append(": ").append(field.value).append("\r\n");
      }
    }
  }
  end += "\r\n";
  co_return co_await connection.write(end);
}

Task<void> run_upload(std::shared_ptr<Upload> upload) {
  Upload& u = *upload;
  http::BodySource& body = *u.exchange.request_body;
  while (!u.stop) {
    std::optional<BodyPiece> piece = body.poll();
    if (piece) {
      u.keep(*piece);
    } else {
      u.waiting_for_client = true;
      auto next = co_await body.read();
      u.waiting_for_client = false;
      if (next) u.keep(*next);
      if (u.stop) break;
      if (!next) {
        u.error = next.error();
        u.connection->abort();  // wakes whoever waits for the response
        break;
      }
      piece = *next;
    }
    const IoError error = co_await write_piece(u, *piece);
    if (error != IoError::none) {
      // An upstream that takes no more may have answered already: the response tells.
      u.connection->spoil();
      break;
    }
    if (piece->last) break;
  }
  // The response's time begins when the request is out.
  if (!u.stop && !u.error && u.awaiting_head) {
    u.connection->stream().set_read_deadline(std::min(
        {u.exchange.deadline, u.try_deadline, u.exchange.worker.now() + u.response_head_timeout}));
  }
  u.done->set();
}

// The response's body while the request's may still be on its way.
class BodyWithUpload final : public http::BodySource {
 public:
  explicit BodyWithUpload(std::shared_ptr<Upload> upload) : upload_(std::move(upload)) {}
  ~BodyWithUpload() override {
    // The connection may live on with the upload's end.
    upload_->connection->stop_watching();
    upload_->cancel();
  }

  [[nodiscard]] std::optional<std::uint64_t> length() const noexcept override {
    return upload_->connection->length();
  }
  [[nodiscard]] std::optional<BodyPiece> poll() override { return upload_->connection->poll(); }
  [[nodiscard]] Task<Result<BodyPiece, BodyError>> read() override {
    return upload_->connection->read();
  }
  [[nodiscard]] const http::Fields* trailers() const noexcept override {
    return upload_->connection->trailers();
  }
  void cancel_read() override { upload_->connection->cancel_read(); }

 private:
  std::shared_ptr<Upload> upload_;
};

// A coroutine's pause between two tries. False when the client left meanwhile.
class Pause {
 public:
  Pause(Exchange& exchange, Nanos time) : exchange_(exchange), time_(time) {}

  bool await_ready() const noexcept { return time_ <= Nanos(0); }
  void await_suspend(std::coroutine_handle<> h) {
    waiter_ = h;
    exchange_.worker.timers().set(timer_, exchange_.worker.now() + time_);
    exchange_.connection->watch_client([this] {
      client_gone_ = true;
      exchange_.worker.timers().set(timer_, exchange_.worker.now());
    });
  }
  bool await_resume() const noexcept { return !client_gone_; }

 private:
  Exchange& exchange_;
  const Nanos time_;
  bool client_gone_ = false;
  std::coroutine_handle<> waiter_;
  http::Timer timer_{[this] {
    exchange_.connection->watch_client(nullptr);
    http::resume(waiter_);
  }};
};

// One request, from the first try to the reply.
class Proxying {
 public:
  Proxying(filters::Exchange& exchange, WorkerUpstream& upstream, UpstreamBreaker::Permit permit,
           const ProxyOptions& options, ProxyCounters& counters)
      : e_(exchange),
        worker_(exchange.worker),
        upstream_(upstream),
        app_(upstream.app()),
        permit_(std::move(permit)),
        options_(options),
        counters_(counters) {}

  Task<void> run();

 private:
  using Tried = std::span<WorkerTarget* const>;

  Task<Failure> try_target(WorkerTarget& target);
  Task<Failure> connect_and_send(WorkerTarget& target, bool fresh);
  Task<Failure> send(bool reused);
  Task<Failure> receive_head(bool reused);
  Task<PlaceWait> enter(WorkerTarget& target);
  void set_deadline() noexcept;
  [[nodiscard]] TimePoint place_deadline() const noexcept;
  [[nodiscard]] Failure shed(PlaceWait end);
  [[nodiscard]] TryEnd end_of(const Failure& failure);
  [[nodiscard]] bool keeps_body() const noexcept;
  [[nodiscard]] bool is_repeatable(bool answered) const noexcept;
  [[nodiscard]] WorkerTarget* pick_again(Tried tried);
  void discard_response(WorkerTarget& target);
  Task<bool> rewind();
  void begin_try(const WorkerTarget& target);
  void end_try(WorkerTarget& target, const Failure& failure);
  void deliver(WorkerTarget& target);
  void fail(const Failure& failure);
  Failure head_failure(ReadHead result, bool reused);
  [[nodiscard]] bool client_was_slow() const noexcept;
  [[nodiscard]] resilience::Outcome outcome_of(const Failure& failure) const noexcept;

  [[nodiscard]] ClientConnection& connection() noexcept {
    return upload_ ? *upload_->connection : *connection_;
  }

  filters::Exchange& e_;
  http::Worker& worker_;
  WorkerUpstream& upstream_;
  const AppConfig& app_;
  UpstreamBreaker::Permit permit_;  // for the request, all its tries together
  const ProxyOptions& options_;
  ProxyCounters& counters_;

  std::string_view authority_;  // of the target of this try
  ConnectionPtr connection_;    // before an upload takes it over
  std::shared_ptr<Upload> upload_;
  std::optional<BodyPiece> first_;  // of the request body, what came with the head
  std::string taken_;               // in its place in a further try: all that has come so far

  // What the last try that failed says about the upstream.
  std::optional<resilience::Outcome> last_failure_;
  std::optional<std::uint64_t> hash_;
  TimePoint begun_;  // without what it waited for a place of ours
  TimePoint request_deadline_;
  TimePoint try_deadline_ = TimePoint::max();
  bool interim_sent_ = false;
};

Task<void> Proxying::run() {
  SharedUpstream& shared = upstream_.shared();
  request_deadline_ = e_.deadline;
  begun_ = permit_.start();
  if (shared.limit && !(e_.upstream_place = shared.limit->try_acquire())) {
    const PlaceWait end =
        co_await take_place(e_, *shared.limit, place_deadline(), e_.upstream_place);
    if (end != PlaceWait::granted) co_return fail(shed(end));
    begun_ = worker_.now();
  }
  set_deadline();
  hash_ = upstream_.hash_of(e_);
  resilience::RetrySequence retries(shared.retries.options(), begun_);
  std::array<WorkerTarget*, kMaxTries> tried{};
  std::size_t tries = 0;
  WorkerTarget* target = upstream_.pick({}, hash_);
  if (target == nullptr) {
    co_return fail({.reason = Reason::no_healthy_upstream,
                    .what = upstream_.size() == 0 ? "no address of the upstream is known yet"
                                                  : "no target is healthy"});
  }
  for (;;) {
    tried[tries++] = target;
    const Failure failure = co_await try_target(*target);
    const TryEnd end = end_of(failure);
    const bool wants_another = may_retry(app_.retries, end);
    if (retries.retries() > 0) {
      const bool good = failure.reason == Reason::none && !wants_another;
      (good ? shared.retries.succeeded : shared.retries.failed)
          .fetch_add(1, std::memory_order_relaxed);
    }
    WorkerTarget* next = nullptr;
    if (wants_another && retries.retries() + 1 < app_.retries.attempts) {
      next = pick_again(Tried(tried.data(), tries));
    }
    std::optional<Nanos> pause;
    if (next != nullptr) {
      const Nanos wanted = failure.reason == Reason::none
                               ? retry_after(connection().head().fields).value_or(Nanos(0))
                               : Nanos(0);
      pause = retries.next({.retry_after = wanted}, resilience::Deadline(e_.deadline));
      if (!pause) shared.retries.denied.fetch_add(1, std::memory_order_relaxed);
    }
    if (!pause) {
      if (failure.reason == Reason::none) co_return deliver(*target);
      co_return fail(failure);
    }
    const std::string status = std::to_string(end.status);
    trace::Text why(to_string(failure.reason), true);
    if (failure.reason == Reason::none) {
      discard_response(*target);
      why = trace::Text(status, false);
    }
    e_.span.add_event("retry", {{"reason", why}});
    // A list of targets that comes meanwhile leaves it alone.
    ++next->waiting;
    const bool rewound = co_await rewind();
    bool client_there = true;
    // Another target need not wait for one that nothing reached.
    const bool at_once = end.nothing_sent && next != target;
    if (rewound && !at_once) client_there = co_await Pause(e_, *pause);
    --next->waiting;
    if (!client_there) co_return fail({.reason = Reason::client_disconnected});
    if (!rewound) co_return fail(failure);
    target = next;
  }
}

// Once, or twice when an idle connection turns out to be dead (R6.4).
Task<Failure> Proxying::try_target(WorkerTarget& target) {
  e_.target_place.reset();  // of the try before
  if (target.target->state->limit() != nullptr) {
    const PlaceWait end = co_await enter(target);
    if (end != PlaceWait::granted) co_return shed(end);
  }
  try_deadline_ = app_.retries.per_try_timeout ? worker_.now() + *app_.retries.per_try_timeout
                                               : TimePoint::max();
  authority_ = target.target->authority;
  e_.upstream = target.target->address;
  begin_try(target);
  Failure failure = co_await connect_and_send(target, false);
  end_try(target, failure);
  if (failure.same_target) {
    counters_.idle_race_retries.inc();
    begin_try(target);
    failure = co_await connect_and_send(target, true);
    end_try(target, failure);
  }
  co_return failure;
}

TryEnd Proxying::end_of(const Failure& failure) {
  const bool answered = failure.reason == Reason::none;
  return {.reason = failure.reason,
          .status = answered ? connection().head().status : 0,
          .nothing_sent = failure.next_target,
          .repeatable = is_repeatable(answered)};
}

bool Proxying::is_repeatable(bool answered) const noexcept {
  if (interim_sent_ || !may_repeat(app_.retries, e_.request.method_id)) return false;
  if (!upload_) return !first_ || first_->data.size() <= app_.retries.body;
  if (!upload_->taken || upload_->error) return false;
  // An answer is only given up for another one when the request is sure to be complete.
  if (answered && !upload_->done->is_set()) return false;
  return !upload_->whole || e_.request_body->trailers() == nullptr;
}

// The target of a further try, which is another one if that is possible. Null: there is none, or
// there is no sense in it.
WorkerTarget* Proxying::pick_again(Tried tried) {
  if (worker_.now() >= e_.deadline) return nullptr;
  const bool rejects = app_.breaker.mode == resilience::BreakerMode::normal;
  if (rejects && upstream_.breaker().shared().state() == resilience::BreakerState::open) {
    return nullptr;
  }
  WorkerTarget* const next = upstream_.pick(tried, hash_);
  return next == nullptr && app_.retries.same_target ? upstream_.pick({}, hash_) : next;
}

// An answer that another try is to better.
void Proxying::discard_response(WorkerTarget& target) {
  ClientConnection& c = connection();
  upstream_.breaker().note_retry_after(e_, target.standing, c.head());
  upstream_.breaker().judge_target(target.standing, gateway::outcome_of(c.head().status));
  e_.upstream_span.end();
  e_.connection->watch_client(nullptr);
  // If all of it is there already, the connection can serve again.
  for (auto piece = c.poll(); piece && !piece->last;) piece = c.poll();
}

// Makes the request ready to be sent once more; false if it cannot be.
Task<bool> Proxying::rewind() {
  if (!upload_) {
    connection_.reset();
    co_return true;
  }
  upload_->cancel();
  const std::shared_ptr<http::Event> done = upload_->done;
  co_await *done;
  if (!is_repeatable(false)) co_return false;
  taken_ = std::move(*upload_->taken);
  first_.reset();
  if (!taken_.empty() || upload_->whole) first_ = BodyPiece{taken_, upload_->whole};
  upload_.reset();
  co_return true;
}

// What the breaker allows for the call.
void Proxying::set_deadline() noexcept {
  if (app_.breaker.timeout) {
    e_.deadline = std::min(request_deadline_, begun_ + *app_.breaker.timeout);
  }
}

TimePoint Proxying::place_deadline() const noexcept {
  return std::min(e_.deadline, worker_.now() + app_.concurrency.queue_timeout);
}

// Takes a place at the target. REQUIRES: it has a limit.
Task<PlaceWait> Proxying::enter(WorkerTarget& target) {
  e_.target_place_of = target.target->state;
  resilience::Bulkhead& limit = *target.target->state->limit();
  e_.target_place = limit.try_acquire();
  if (e_.target_place) co_return PlaceWait::granted;
  ++target.waiting;
  const TimePoint before = worker_.now();
  const PlaceWait end = co_await take_place(e_, limit, place_deadline(), e_.target_place);
  --target.waiting;
  begun_ += worker_.now() - before;
  set_deadline();
  co_return end;
}

Failure Proxying::shed(PlaceWait end) {
  SharedUpstream& shared = upstream_.shared();
  switch (end) {
    case PlaceWait::client_gone:
      return {.reason = Reason::client_disconnected};
    case PlaceWait::timeout:
      shared.shed_timeout.fetch_add(1, std::memory_order_relaxed);
      return {.reason = Reason::overloaded, .what = "no other request ended in time"};
    case PlaceWait::full:
    case PlaceWait::granted:
      break;
  }
  shared.shed_full.fetch_add(1, std::memory_order_relaxed);
  return {.reason = Reason::overloaded, .what = "too many requests wait already"};
}

Task<Failure> Proxying::connect_and_send(WorkerTarget& target, bool fresh) {
  connection_.reset(fresh ? nullptr : target.pool.take());
  // Sent again in no case, so an idle connection is asked once more whether it still lives.
  if (connection_ && !http::is_idempotent(e_.request.method_id) && !connection_->still_usable()) {
    connection_.reset();
  }
  const bool reused = connection_ != nullptr;
  if (!reused) {
    connection_.reset(target.pool.create());
    const TimePoint limit =
        std::min({worker_.now() + app_.timeouts.connect, e_.deadline, try_deadline_});
    const IoError error = co_await connection_->connect(target.target->endpoint, limit);
    if (error != IoError::none) {
      connection_.reset();
      if (error == IoError::closed) co_return Failure{.reason = Reason::client_disconnected};
      target.standing.health->connect_failed(target.standing.number, worker_.now());
      if (error == IoError::timeout) {
        co_return Failure{.reason = worker_.now() >= e_.deadline ? Reason::request_timeout
                                                                 : Reason::upstream_connect_timeout,
                          .what = "the connection was not accepted in time",
                          .next_target = true};
      }
      co_return Failure{
          .reason = Reason::upstream_connect_failed, .what = to_string(error), .next_target = true};
    }
    target.standing.health->connect_succeeded(target.standing.number);
    e_.timings.upstream_connected = worker_.now();
  }
  e_.timings.upstream_acquired = worker_.now();
  co_return co_await send(reused);
}

Task<Failure> Proxying::send(bool reused) {
  ClientConnection& c = *connection_;
  c.begin(e_.request.method_id);
  std::uint64_t underscore_drops = 0;
  const bool traced = options_.tracing != nullptr && e_.upstream_span.context().is_valid();
  const trace::Context trace_context(e_.upstream_span.context());
  std::optional<trace::InjectedFields> trace_fields;
  if (traced) trace_fields.emplace(trace_context, options_.tracing->options().propagators);
  const RequestHeadOptions head_options{
      .host_header = app_.host_header,
      .target_authority = authority_,
      .forwarded = options_.forwarded_header,
      .underscore_drops = &underscore_drops,
      .trace_fields = traced ? &*trace_fields : nullptr,
  };
  const std::string_view head = write_request_head(e_, head_options);
  if (underscore_drops > 0) counters_.underscore_fields_dropped.inc(underscore_drops);

  if (e_.request_body != nullptr && !first_) first_ = e_.request_body->poll();
  const bool chunked = e_.request.body.kind == http::BodyKind::chunked;
  const std::uint64_t written_before = c.stream().bytes_written();
  IoError error = IoError::none;
  if (!first_) {
    error = co_await c.write(head);
  } else if (!chunked) {
    error = co_await c.write(head, first_->data);
  } else if (!first_->data.empty()) {
    const ChunkSize size(first_->data.size());
    error =
        co_await c.write(head, size.view(), first_->data, first_->last ? "\r\n0\r\n\r\n" : "\r\n");
  } else {
    error =
        co_await c.write(head, first_->last ? std::string_view("0\r\n\r\n") : std::string_view());
  }
  if (error != IoError::none) {
    const bool nothing_sent = c.stream().bytes_written() == written_before;
    // A peer that closed may have answered before: then the answer counts.
    if (nothing_sent && reused) {
      connection_.reset();
      co_return Failure{.reason = Reason::upstream_reset,
                        .what = "the idle connection was closed",
                        .same_target = true};
    }
    c.spoil();
  }

  const bool streaming = e_.request_body != nullptr && !(first_ && first_->last);
  if (streaming) {
    e_.forwarded_expect = e_.request.expect_continue;
    upload_ =
        std::make_shared<Upload>(Upload{e_, std::move(connection_), app_.timeouts.response_head});
    upload_->chunked = chunked;
    upload_->try_deadline = try_deadline_;
    if (keeps_body()) {
      upload_->taken.emplace();
      upload_->most = app_.retries.body;
    }
    if (first_) upload_->keep(*first_);
    e_.body_reader_done = upload_->done;
    spawn(run_upload(upload_));
  } else if (!e_.request.upgrade) {
    e_.connection->watch_client([c = &c] { c->abort(); });
  }
  Failure failure = co_await receive_head(reused);
  if (failure.reason != Reason::none) {
    e_.connection->watch_client(nullptr);
    if (upload_) {
      upload_->cancel();
    } else {
      connection_.reset();
    }
  }
  co_return failure;
}

Task<Failure> Proxying::receive_head(bool reused) {
  ClientConnection& c = connection();
  unsigned interim = 0;
  for (;;) {
    TimePoint deadline = std::min(e_.deadline, try_deadline_);
    if (!upload_ || upload_->done->is_set()) {
      deadline = std::min(deadline, worker_.now() + app_.timeouts.response_head);
    }
    const ReadHead result = co_await c.read_head(deadline);
    if (result != ReadHead::complete) co_return head_failure(result, reused);
    if (e_.timings.upstream_first_byte == TimePoint{})
      e_.timings.upstream_first_byte = worker_.now();
    const int status = c.head().status;
    if (status == 101) {
      if (e_.request.upgrade) co_return Failure{};
      co_return Failure{.reason = Reason::upstream_protocol_error,
                        .what = "switched protocols although nobody asked for it"};
    }
    if (status >= 200) co_return Failure{};
    if (++interim > kMaxInterim) {
      co_return Failure{.reason = Reason::upstream_protocol_error,
                        .what = "sent more than 10 interim responses"};
    }
    if (status == 100 && !e_.request.expect_continue) continue;  // R4.18
    http::Fields fields;
    take_interim_fields(c.head().fields, fields);
    interim_sent_ = true;
    const bool sent = co_await e_.connection->send_interim(status, fields);
    if (!sent) co_return Failure{.reason = Reason::client_disconnected};
  }
}

Failure Proxying::head_failure(ReadHead result, bool reused) {
  ClientConnection& c = connection();
  if (upload_ && upload_->error) {
    switch (*upload_->error) {
      case BodyError::disconnected:
        return {.reason = Reason::client_disconnected};
      case BodyError::malformed:
        return {.reason = Reason::bad_request, .what = to_string(*upload_->error)};
      case BodyError::too_large:
        return {.reason = Reason::body_too_large, .what = to_string(*upload_->error)};
      case BodyError::timeout:
      case BodyError::too_slow:
      case BodyError::aborted:
        return {.reason = Reason::request_timeout, .what = to_string(*upload_->error)};
    }
  }
  switch (result) {
    case ReadHead::timeout:
      if (worker_.now() >= e_.deadline) {
        return {.reason = Reason::request_timeout,
                .what = upload_ && upload_->waiting_for_client
                            ? "the request body did not come in time"
                            : "the upstream did not answer within the request's time"};
      }
      return {.reason = Reason::upstream_response_timeout, .what = "no response head came in time"};
    case ReadHead::protocol:
      return {.reason = Reason::upstream_protocol_error, .what = c.error().detail};
    case ReadHead::aborted:
      return {.reason = Reason::client_disconnected};
    case ReadHead::complete:
    case ReadHead::closed:
      break;
  }
  // An idle connection that dies before one byte of the answer was dying before it was asked.
  const bool race =
      reused && c.bytes_received() == 0 && !upload_ && http::is_idempotent(e_.request.method_id);
  return {.reason = Reason::upstream_reset,
          .what = "closed the connection before its response was complete",
          .same_target = race};
}

// Whether the body is kept while it is sent, for another try.
bool Proxying::keeps_body() const noexcept {
  return app_.retries.attempts > 1 && may_repeat(app_.retries, e_.request.method_id) &&
         e_.request_body->length().value_or(0) <= app_.retries.body;
}

void Proxying::begin_try(const WorkerTarget& target) {
  e_.timings.upstream_connected = {};
  e_.timings.upstream_first_byte = {};
  if (e_.span.context().is_valid() && options_.tracing != nullptr) {
    e_.upstream_span = filters::start_upstream_span(
        *options_.tracing, e_,
        {.host = target.target->host, .port = target.target->port, .resend = e_.upstream_tries});
  }
  ++e_.upstream_tries;
}

void Proxying::end_try(WorkerTarget& target, const Failure& failure) {
  const http::Timings& t = e_.timings;
  const bool answered = failure.reason == Reason::none && t.upstream_first_byte != TimePoint{};
  const int status = answered ? connection().head().status : 0;
  const Nanos waited = answered ? t.upstream_first_byte - t.upstream_acquired : Nanos(-1);
  target.metrics->finished(status, failure.reason, waited);
  if (answered) {
    target.load.latency.observe(waited, t.upstream_first_byte);
  } else if (failure.reason == Reason::upstream_response_timeout) {
    target.load.latency.observe(worker_.now() - t.upstream_acquired, worker_.now());
  }
  if (options_.tracing != nullptr) {
    filters::describe_upstream_answer(*options_.tracing, e_.upstream_span, status, failure.reason);
  }
  // An answer's span ends with its body, and so does what it says about the target.
  if (failure.reason == Reason::none) return;
  if (!failure.same_target) {
    last_failure_ = upstream_.breaker().judge_target(target.standing, outcome_of(failure));
  }
  e_.upstream_span.end();
  if (failure.same_target) {
    e_.span.add_event("retry", {{"reason", trace::Text(to_string(failure.reason), true)}});
  }
}

void Proxying::deliver(WorkerTarget& target) {
  ClientConnection& c = connection();
  upstream_.breaker().judge_response(e_, std::move(permit_), begun_, target.standing, c);
  take_response_head(c.head(), e_);
  if (e_.response.status == 101) {
    e_.response.tunnel =
        std::make_unique<UpgradeTunnel>(worker_, std::move(connection_), app_.timeouts.tunnel);
    return;
  }
  if (upload_) {
    upload_->awaiting_head = false;
    e_.response.body = http::BodyPtr(new BodyWithUpload(std::move(upload_)));
  } else {
    e_.response.body = http::BodyPtr(connection_.release());
  }
}

bool Proxying::client_was_slow() const noexcept {
  return upload_ && (upload_->error.has_value() || upload_->waiting_for_client);
}

// What the failure says about who was asked.
resilience::Outcome Proxying::outcome_of(const Failure& failure) const noexcept {
  if (failure.reason == Reason::request_timeout && client_was_slow()) {
    return resilience::Outcome::cancelled;
  }
  return gateway::outcome_of(failure.reason);
}

void Proxying::fail(const Failure& failure) {
  resilience::Outcome outcome = outcome_of(failure);
  if (is_failure(outcome)) outcome = last_failure_.value_or(outcome);
  upstream_.breaker().settle(e_, permit_, outcome, worker_.now() - begun_);
  if (failure.reason == Reason::client_disconnected) {
    e_.outcome = http::Outcome::client_disconnected;
    e_.reason = failure.reason;
    return;
  }
  std::string_view detail = failure.what;
  if (!e_.upstream.empty() && failure.reason != Reason::bad_request &&
      failure.reason != Reason::body_too_large) {
    detail = e_.arena.concat({"upstream ", e_.upstream, ": ", failure.what});
  }
  int status = http::status_of(failure.reason);
  if (failure.reason == Reason::request_timeout) status = client_was_slow() ? 408 : 504;
  filters::ReplyOptions reply = options_.reply;
  if (failure.reason == Reason::overloaded || failure.reason == Reason::no_healthy_upstream) {
    reply.retry_after = std::chrono::seconds(1);
  }
  filters::reply(e_, status, failure.reason, detail, reply);
}

// Who serves a request, and the permit of its circuit breaker.
struct Admission {
  WorkerUpstream& upstream;
  UpstreamBreaker::Permit permit;
};

// Asks the app's breaker, and while that is open the apps that stand in for it. If nobody admits
// the request, `retry_after` is what the app's own breaker said.
std::optional<Admission> admit(filters::Exchange& e, WorkerUpstream& wanted, Nanos& retry_after) {
  constexpr unsigned kMostFallbacks = 8;
  std::array<const WorkerUpstream*, kMostFallbacks + 1> asked{};
  WorkerUpstream* upstream = &wanted;
  for (unsigned i = 0; upstream != nullptr && i < asked.size(); ++i) {
    const std::span<const WorkerUpstream*> known(asked.data(), i);
    if (std::find(known.begin(), known.end(), upstream) != known.end()) break;  // a circle
    asked[i] = upstream;
    resilience::CircuitBreaker& breaker = upstream->breaker().shared();
    const CausedBy cause(&e);
    auto permit = breaker.try_acquire(e.worker.now());
    if (i == 0) {
      e.breaker = !permit                ? to_string(permit.error().state)
                  : permit->is_trial()   ? to_string(resilience::BreakerState::half_open)
                  : permit->is_counted() ? to_string(resilience::BreakerState::closed)
                                         : std::string_view();
      if (!permit) retry_after = permit.error().retry_after;
    }
    if (permit) {
      if (i > 0) e.span.add_event("circuit_breaker.fallback", {{"app", upstream->app().name}});
      return Admission{*upstream, std::move(*permit)};
    }
    if (e.stale_when_open) break;
    upstream = upstream->fallback();
  }
  return std::nullopt;
}

}  // namespace

Task<void> proxy(filters::Exchange& exchange, WorkerUpstream& upstream, const ProxyOptions& options,
                 ProxyCounters& counters) {
  Nanos retry_after{0};
  std::optional<Admission> admitted = admit(exchange, upstream, retry_after);
  if (!admitted) {
    reply_rejected(exchange, upstream.app(), retry_after, options.reply);
    co_return;
  }
  Proxying proxying(exchange, admitted->upstream, std::move(admitted->permit), options, counters);
  co_await proxying.run();
}

}  // namespace tyaprover::gateway
