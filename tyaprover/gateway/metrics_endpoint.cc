#include "tyaprover/gateway/metrics_endpoint.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "tyaprover/base/parse.h"
#include "tyaprover/filters/compressor.h"
#include "tyaprover/filters/negotiation.h"
#include "tyaprover/gateway/access.h"
#include "tyaprover/gateway/log.h"
#include "tyaprover/http/target.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::gateway {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;
using http::BodyError;
using http::BodyPiece;
using http::KnownField;
using http::Method;
using http::Reason;

constexpr std::size_t kAhead = 2;       // chunks that may wait to be sent
constexpr int kNicer = 10;              // priority of a scrape's thread, below the workers'
constexpr Nanos kDefaultTimeout = 10s;  // Prometheus' own
constexpr Nanos kMaxTimeout = 60s;

// What Prometheus gives itself for the scrape (its X-Prometheus-Scrape-Timeout-Seconds), less a
// tenth for the way.
Nanos scrape_timeout(const http::Fields& fields) {
  const http::Field* field = fields.find("X-Prometheus-Scrape-Timeout-Seconds");
  if (field == nullptr) return kDefaultTimeout;
  const auto seconds = parse_double(field->value);
  if (!seconds || *seconds <= 0) return kDefaultTimeout;
  const double most = std::chrono::duration<double>(kMaxTimeout).count();
  return std::chrono::duration_cast<Nanos>(
             std::chrono::duration<double>(std::min(*seconds, most))) /
         10 * 9;
}

}  // namespace

// One page on its way from its thread to its connection.
struct MetricsEndpoint::Scrape : std::enable_shared_from_this<Scrape> {
  std::string accept;
  std::vector<std::string> names;
  Nanos timeout{};
  bool gzip = false;
  http::Worker* worker = nullptr;

  enum class Pushed : std::uint8_t { yes, too_late, not_wanted };
  // Waits until there is room.
  Pushed push(std::string chunk, bool last, SteadyTime deadline) {
    std::unique_lock lock(mutex);
    const bool in_time =
        room.wait_until(lock, deadline, [this] { return chunks.size() < kAhead || abandoned; });
    if (abandoned) return Pushed::not_wanted;
    if (!in_time) return Pushed::too_late;
    chunks.push_back(std::move(chunk));
    ended = last;
    notify();
    return Pushed::yes;
  }
  void fail() {
    const std::lock_guard lock(mutex);
    failed = true;
    notify();
  }
  void abandon() {
    const std::lock_guard lock(mutex);
    abandoned = true;
    reader_waits = false;
    room.notify_one();
  }

  // On the worker only.
  http::Event ready;

  std::mutex mutex;  // guards what follows
  std::condition_variable room;
  std::deque<std::string> chunks;
  bool ended = false;
  bool failed = false;
  bool abandoned = false;
  bool reader_waits = false;

 private:
  void notify() {
    if (!std::exchange(reader_waits, false)) return;
    worker->post([self = shared_from_this()] { self->ready.set(); });
  }
};

// The scrapes whose threads run.
struct MetricsEndpoint::Running {
  std::mutex mutex;
  std::condition_variable ended;
  std::vector<std::shared_ptr<Scrape>> scrapes;
};

class MetricsEndpoint::Body final : public http::BodySource {
 public:
  explicit Body(std::shared_ptr<Scrape> scrape) : scrape_(std::move(scrape)) {}
  ~Body() override {
    scrape_->ready.forget();
    scrape_->abandon();
  }
  Body(const Body&) = delete;
  Body& operator=(const Body&) = delete;

  [[nodiscard]] std::optional<BodyPiece> poll() override {
    const std::lock_guard lock(scrape_->mutex);
    if (scrape_->chunks.empty()) return std::nullopt;
    return take();
  }

  [[nodiscard]] http::Task<Result<BodyPiece, BodyError>> read() override {
    for (;;) {
      {
        const std::lock_guard lock(scrape_->mutex);
        if (!scrape_->chunks.empty()) co_return take();
        if (scrape_->failed || cancelled_) co_return err(BodyError::aborted);
        scrape_->ready.clear();
        scrape_->reader_waits = true;
      }
      co_await scrape_->ready;
    }
  }

  void cancel_read() override {
    cancelled_ = true;
    scrape_->ready.set();
  }

 private:
  BodyPiece take() {
    current_ = std::move(scrape_->chunks.front());
    scrape_->chunks.pop_front();
    scrape_->room.notify_one();
    return {.data = current_, .last = scrape_->ended && scrape_->chunks.empty()};
  }

  const std::shared_ptr<Scrape> scrape_;
  std::string current_;
  bool cancelled_ = false;
};

MetricsEndpoint::MetricsEndpoint(MetricsConfig config, Environment environment,
                                 metrics::Registry& registry)
    : config_(std::move(config)),
      environment_(environment),
      registry_(registry),
      running_(std::make_shared<Running>()) {
  if (environment == Environment::production && config_.api_key.empty() && config_.access.empty()) {
    log_event(LogLevel::warn,
              "the metrics page is open to everybody: set METRICS_API_KEY or metrics.access");
  }
}

MetricsEndpoint::~MetricsEndpoint() {
  std::unique_lock lock(running_->mutex);
  for (const auto& scrape : running_->scrapes) scrape->abandon();
  running_->ended.wait(lock, [this] { return running_->scrapes.empty(); });
}

bool MetricsEndpoint::may_see(const http::Exchange& e) const noexcept {
  if (!config_.access.empty()) {
    return may_enter({.ways = config_.access, .api_key = config_.api_key}, e);
  }
  // The seed's rule: the key is asked for in production only.
  return config_.api_key.empty() || environment_ != Environment::production ||
         has_key(config_.api_key, e);
}

void MetricsEndpoint::answer(http::Exchange& e, const filters::ReplyOptions& reply) {
  if (e.request.method_id != Method::get && e.request.method_id != Method::head) {
    filters::reply(e, Reason::method_not_allowed, "only GET and HEAD", reply);
    e.response.fields.add("Allow", "GET, HEAD");
    return;
  }
  if (!may_see(e)) {
    filters::reply(e, Reason::forbidden, "the metrics page needs a key or a trusted place", reply);
    return;
  }

  auto scrape = std::make_shared<Scrape>();
  filters::AcceptEncoding encodings;
  for (const http::Field& field : e.request.fields) {
    if (field.id == KnownField::accept) {
      if (!scrape->accept.empty()) scrape->accept += ',';
      scrape->accept += field.value;
    }
    if (field.id == KnownField::accept_encoding) encodings.add(field.value);
  }
  scrape->names = http::query_values(e.request.query, "name[]");
  scrape->timeout = scrape_timeout(e.request.fields);
  constexpr filters::Coding kOffered[] = {filters::Coding::gzip};
  scrape->gzip = encodings.choose(kOffered) == filters::Coding::gzip;
  scrape->worker = &e.worker;

  http::Response& response = e.response;
  if (e.request.method_id == Method::get) {
    const std::lock_guard lock(running_->mutex);
    if (running_->scrapes.size() >= kMaxScrapes) {
      filters::ReplyOptions busy = reply;
      busy.retry_after = std::chrono::seconds(1);
      filters::reply(e, Reason::overloaded, "as many scrapes as may run at once are running", busy);
      return;
    }
    running_->scrapes.push_back(scrape);
    // Ends by itself, or when the scrape is abandoned; the destructor waits for it.
    std::thread([scrape, running = running_, &registry = registry_, naming = config_.naming] {
      ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNicer);
      produce(*scrape, registry, naming);
      const std::lock_guard over(running->mutex);
      std::erase(running->scrapes, scrape);
      running->ended.notify_all();
    }).detach();
  }
  response.body = http::BodyPtr(new Body(scrape));  // of a HEAD too: its length is not known
  response.status = 200;
  response.fields.add(KnownField::content_type,
                      metrics::content_type(metrics::negotiate(scrape->accept)));
  if (scrape->gzip) response.fields.add(KnownField::content_encoding, "gzip");
  // Encoded here, beside the workers, or not at all.
  response.fields.add(KnownField::cache_control, "no-store, no-transform");
  response.fields.add(KnownField::vary, "Accept, Accept-Encoding");
}

void MetricsEndpoint::produce(Scrape& scrape, metrics::Registry& registry, metrics::Naming naming) {
  const SteadyTime deadline = std::chrono::steady_clock::now() + scrape.timeout;
  const auto cut = [&] {
    log_event(LogLevel::warn, "a scrape took longer than its time and was cut");
    scrape.fail();
  };
  metrics::Page page = registry.expose({.accept = scrape.accept,
                                        .names = scrape.names,
                                        .timeout = scrape.timeout,
                                        .naming = naming});
  filters::CompressorPool pool;
  filters::CompressorPtr gzip;
  if (scrape.gzip) {
    constexpr int kFast = 1;
    gzip = pool.acquire(filters::Coding::gzip, kFast);
    if (gzip == nullptr) return scrape.fail();
  }
  std::string chunk(page.next_chunk());
  std::string encoded;
  bool last = false;
  while (!last) {
    std::string next(page.next_chunk());
    if (page.out_of_time()) return cut();
    last = next.empty();
    if (gzip != nullptr) {
      const filters::Flush flush = last ? filters::Flush::finish : filters::Flush::none;
      encoded.clear();
      if (!append_encoded(*gzip, chunk, flush, encoded)) return scrape.fail();
      chunk.swap(encoded);
    }
    if (!chunk.empty() || last) {
      switch (scrape.push(std::move(chunk), last, deadline)) {
        case Scrape::Pushed::yes:
          break;
        case Scrape::Pushed::too_late:
          return cut();
        case Scrape::Pushed::not_wanted:
          return;
      }
    }
    chunk = std::move(next);
  }
}

}  // namespace tyaprover::gateway
