// What clients notice when an upstream is killed, hangs, fails, breaks off, slows down and recovers
// while the gateway is under load. Issue lines 2 and 3.
//
// Two upstreams behind the gateway, each a process; eight clients that ask without a pause. Each
// test prints what it measured. Bounds are on counts, and on time only where the configuration
// promises one; those are generous, because the machine may be busy.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

constexpr Millis kLong = 60s;
constexpr std::size_t kClients = 8;

class ChaosUpstream {
 public:
  explicit ChaosUpstream(std::string name) : name_(std::move(name)) { start(); }

  const std::string& name() const { return name_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  void set_mode(const std::string& mode) {
    ASSERT_EQ(get(port_, "/control/" + mode).status, 200) << mode;
  }
  void kill() {
    process_->signal(SIGKILL);
    ASSERT_TRUE(process_->wait_for_exit());
  }
  // On the same port.
  void start() {
    ProcessOptions options{.arguments = {CHAOS_UPSTREAM_BINARY, name_},
                           .environment = {},
                           .descriptors = {},
                           .directory = {}};
    if (port_ != 0) options.arguments.push_back(std::to_string(port_));
    process_ = std::make_unique<Process>(std::move(options));
    if (!wait_until([&] { return process_->out_line_count() > 0; })) {
      throw std::runtime_error("chaos_upstream does not start: " + process_->err());
    }
    port_ = static_cast<std::uint16_t>(std::stoi(process_->out_lines().front().substr(5)));
  }
  void signal(int number) { process_->signal(number); }

 private:
  const std::string name_;
  std::uint16_t port_ = 0;
  std::unique_ptr<Process> process_;
};

struct Answer {
  TimePoint at;
  bool good = false;
  std::string from;  // who gave it
};

// Clients that ask, one request after the other, until told to stop.
class Load {
 public:
  explicit Load(std::uint16_t port, std::string method = "GET")
      : port_(port), method_(std::move(method)) {
    for (std::size_t i = 0; i < kClients; ++i) clients_.emplace_back([this] { run(); });
  }
  ~Load() { stop(); }

  void stop() {
    stopping_ = true;
    for (std::thread& client : clients_) {
      if (client.joinable()) client.join();
    }
  }
  std::vector<Answer> answers() const {
    const std::lock_guard lock(mutex_);
    return answers_;
  }
  std::size_t count(const std::function<bool(const Answer&)>& holds) const {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::count_if(answers_.begin(), answers_.end(), holds));
  }
  std::size_t count_since(TimePoint since, const std::string& from) const {
    return count([&](const Answer& a) { return a.at >= since && a.good && a.from == from; });
  }

 private:
  void run() {
    std::optional<RawClient> client;
    const std::string request = method_ + " /work HTTP/1.1\r\nHost: a\r\n\r\n";
    while (!stopping_) {
      if (!client) client.emplace(port_);
      client->send(request);
      const Response response = client->read_response(kLong);
      const bool good = response.status == 200 && response.complete;
      {
        const std::lock_guard lock(mutex_);
        answers_.push_back({std::chrono::steady_clock::now(), good, response.body});
      }
      if (!response.complete || response.header("Connection") == "close") client.reset();
      // A load, not a race for the machine.
      std::this_thread::sleep_for(1ms);
    }
  }

  const std::uint16_t port_;
  const std::string method_;
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  std::vector<Answer> answers_;
  std::vector<std::thread> clients_;
};

class Chaos : public ::testing::Test {
 protected:
  // With `settings` in place of the tests' own.
  void start(std::string_view balance, std::string_view settings) {
    std::string yaml = proxy_to(std::vector{a_.url(), b_.url()}, settings);
    const std::string targets = "      targets:\n";
    yaml.insert(yaml.find(targets), "      balance: " + std::string(balance) + "\n");
    yaml.replace(yaml.find("workers: 1"), 10, "workers: 2");
    gateway_.emplace(yaml);
    load_.emplace(gateway_->port());
    ASSERT_TRUE(wait_until(
        [&] { return load_->count_since({}, "a") >= 200 && load_->count_since({}, "b") >= 200; },
        kLong));
  }
  void fault_begins() { fault_ = std::chrono::steady_clock::now(); }
  // Until so many more good answers came from b.
  void wait_for_b(std::size_t count) {
    const TimePoint from = std::chrono::steady_clock::now();
    ASSERT_TRUE(wait_until([&] { return load_->count_since(from, "b") >= count; }, kLong));
  }
  // Until a serves again. Its own time is measured from now on.
  void wait_for_return() {
    const TimePoint from = std::chrono::steady_clock::now();
    ASSERT_TRUE(wait_until([&] { return load_->count_since(from, "a") >= 50; }, kLong))
        << gateway_->log();
    returned_ = since(from);
  }
  static Millis since(TimePoint begin) {
    return std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now() - begin);
  }
  // Ends the load and prints what happened. Answers that were not good since the fault began.
  std::size_t report(const char* what) {
    load_->stop();
    std::size_t answers = 0;
    std::size_t errors = 0;
    Millis last_error{0};
    for (const Answer& answer : load_->answers()) {
      if (answer.at < fault_) continue;
      ++answers;
      if (answer.good) continue;
      ++errors;
      last_error = std::max(last_error, std::chrono::duration_cast<Millis>(answer.at - fault_));
    }
    std::printf(
        "%-24s %6zu answers, %3zu errors (%.2f %%), the last one after %5lld ms; traffic "
        "back %5lld ms after recovery\n",
        what, answers, errors,
        100.0 * static_cast<double>(errors) /
            static_cast<double>(std::max<std::size_t>(answers, 1)),
        static_cast<long long>(last_error.count()), static_cast<long long>(returned_.count()));
    last_error_ = last_error;
    return errors;
  }

  ChaosUpstream a_{"a"};
  ChaosUpstream b_{"b"};
  std::optional<Gateway> gateway_;
  std::optional<Load> load_;
  TimePoint fault_;
  Millis returned_{0};
  Millis last_error_{0};  // since the fault began
};

// Until errors stop after a fault began, and until traffic returns after it ended: seconds at most,
// of which an ejection takes five; several times as much where a sanitizer slows all down.
constexpr Millis kErrorsStop = kSanitized ? Millis(30s) : Millis(8s);
constexpr Millis kTrafficReturns = kSanitized ? Millis(50s) : Millis(25s);

// An ejection lasts longer than a fault in these tests, on a slow machine too.
constexpr std::string_view kSettings =
    "timeouts: {connect: 1s, response_head: 1s}\nejection: {base: 5s}\n";

TEST_F(Chaos, KillingOneCostsNoClientAnError) {
  start("round_robin", kSettings);
  fault_begins();
  a_.kill();
  wait_for_b(300);
  a_.start();
  wait_for_return();
  EXPECT_EQ(report("kill -9"), 0u);
  EXPECT_LE(last_error_, kErrorsStop);
  EXPECT_LE(returned_, kTrafficReturns);
}

// It accepts and never answers: every client may run into it once before it is ejected, and is
// answered by the other one after the time that a try has.
TEST_F(Chaos, AHungTargetIsEjectedWithinItsTimeout) {
  start("round_robin", kSettings);
  fault_begins();
  a_.signal(SIGSTOP);
  ASSERT_TRUE(wait_until(
      [&] { return gateway_->log().find("a target is left out") != std::string::npos; }, kLong));
  const Millis ejected = since(fault_);
  std::printf("%-24s ejected after %lld ms\n", "SIGSTOP", static_cast<long long>(ejected.count()));
  // One timeout, as the first tries run out together; as much again for a busy machine, and more
  // under a sanitizer.
  EXPECT_LT(ejected, kSanitized ? Millis(20s) : Millis(5s));
  wait_for_b(300);
  a_.signal(SIGCONT);
  wait_for_return();
  EXPECT_LE(report("SIGSTOP"), kClients);
  EXPECT_LE(last_error_, kErrorsStop);
  EXPECT_LE(returned_, kTrafficReturns);
}

// Its answers are answers: they are passed on until it is ejected, after five in a row.
TEST_F(Chaos, ATargetThatAnswers500IsEjected) {
  start("round_robin", kSettings);
  fault_begins();
  a_.set_mode("error");
  wait_for_b(300);
  a_.set_mode("ok");
  wait_for_return();
  EXPECT_LE(report("500"), 5 + kClients);
  EXPECT_LE(last_error_, kErrorsStop);
  EXPECT_LE(returned_, kTrafficReturns);
}

// Half of the response is with the client already, so nothing can be repeated.
TEST_F(Chaos, ATargetThatBreaksOffIsEjected) {
  start("round_robin", kSettings);
  fault_begins();
  a_.set_mode("cut");
  wait_for_b(300);
  a_.set_mode("ok");
  wait_for_return();
  EXPECT_LE(report("reset mid-body"), 5 + kClients);
  EXPECT_LE(last_error_, kErrorsStop);
  EXPECT_LE(returned_, kTrafficReturns);
}

TEST_F(Chaos, ASlowTargetGetsFewRequestsAndItsShareWhenItIsFast) {
  start("p2c", kSettings);
  fault_begins();
  a_.set_mode("slow");
  wait_for_b(1000);
  const std::size_t slow = load_->count_since(fault_, "a");
  const std::size_t fast = load_->count_since(fault_, "b");
  std::printf("%-24s %zu of %zu answers from the slow one\n", "slow", slow, slow + fast);
  EXPECT_LT(slow * 10, slow + fast);
  a_.set_mode("ok");
  wait_for_return();
  EXPECT_EQ(report("slow"), 0u);
}

// All fail. What the upstreams get is what the clients ask and a fifth more, however many retries a
// request might have.
TEST(RetryStorm, AddsAFifthAtMost) {
  std::atomic<std::size_t> asked{0};
  const auto fail = [&](UpstreamExchange& exchange) {
    exchange.read_body();
    ++asked;
    exchange.send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
  };
  Upstream a(fail), b(fail), c(fail);
  // Every circuit stays closed: it would end the storm too.
  std::string yaml = proxy_to(std::vector{a.url(), b.url(), c.url()},
                              "breaker: {mode: disabled}\n"
                              "retries: {attempts: 3, backoff: 1ms}\n");
  yaml.replace(yaml.find("workers: 1"), 10, "workers: 2");
  Gateway gateway(yaml);
  Load load(gateway.port());
  const std::size_t enough = kSanitized ? 500 : 2000;
  ASSERT_TRUE(
      wait_until([&] { return load.count([](const Answer&) { return true; }) >= enough; }, kLong));
  load.stop();
  const std::size_t requests = load.answers().size();
  std::printf("retry storm: %zu requests, %zu tries, %.3f each\n", requests, asked.load(),
              static_cast<double>(asked) / static_cast<double>(requests));
  EXPECT_GT(asked, requests) << "some are retried";
  EXPECT_LE(static_cast<double>(asked), 1.25 * static_cast<double>(requests));
  EXPECT_EQ(load.count([](const Answer& answer) { return answer.good; }), 0u);
}

}  // namespace
}  // namespace tyaprover::test
