#include "tyaprover/gateway/demo_app.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "tyaprover/base/json_writer.h"
#include "tyaprover/base/text.h"
#include "tyaprover/base/time_format.h"
#include "tyaprover/http/sleep.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::gateway {
namespace {

using http::BodyError;
using http::BodyPiece;
using http::Exchange;
using http::KnownField;
using http::Task;

constexpr std::string_view kIndex = R"(<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Tyaprover demo</title>
<h1>Tyaprover demo app</h1>
<p>Every answer came through the gateway. Look at the response headers, then at the log line it wrote.</p>
<ul>
<li><a href="/api/v1/theme/">/api/v1/theme/</a> a small JSON document</li>
<li><a href="/api/v1/apps">/api/v1/apps</a> a list</li>
<li><a href="/slow?ms=500">/slow?ms=500</a> answers late</li>
<li><a href="/large?bytes=1048576">/large?bytes=1048576</a> a large text</li>
<li><a href="/fail?status=500">/fail?status=500</a> fails with a status of your choice</li>
<li><a href="/stream?chunks=10&amp;ms=200">/stream?chunks=10&amp;ms=200</a> speaks now and then</li>
<li>POST /echo: says what you say</li>
<li><a href="/health">/health</a> the gateway's own health</li>
</ul></html>
)";

// The number behind `name=` in a query, within bounds.
std::uint64_t query_number(std::string_view query, std::string_view name, std::uint64_t fallback,
                           std::uint64_t most) {
  for (const std::string_view pair : split(query, '&')) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || pair.substr(0, equals) != name) continue;
    const std::string_view text = pair.substr(equals + 1);
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size()) return std::min(value, most);
  }
  return fallback;
}

// `bytes` of text, a line of 64 at a time.
class LargeBody final : public http::BodySource {
 public:
  explicit LargeBody(std::uint64_t bytes) : size_(bytes), left_(bytes) {
    constexpr std::string_view kLine =
        "the quick brown fox jumps over the lazy dog, again and again...\n";
    static_assert(kLine.size() == 64);
    while (block_.size() < 16 * 1024) block_ += kLine;
  }
  [[nodiscard]] std::optional<std::uint64_t> length() const noexcept override { return size_; }
  [[nodiscard]] std::optional<BodyPiece> poll() override {
    const std::uint64_t n = std::min<std::uint64_t>(left_, block_.size());
    left_ -= n;
    return BodyPiece{std::string_view(block_).substr(0, static_cast<std::size_t>(n)), left_ == 0};
  }
  [[nodiscard]] Task<Result<BodyPiece, BodyError>> read() override { co_return *poll(); }

 private:
  const std::uint64_t size_;
  std::uint64_t left_;
  std::string block_;
};

class SlowStream final : public http::BodySource {
 public:
  SlowStream(http::Worker& worker, std::uint64_t chunks, Nanos pause)
      : worker_(worker), chunks_(chunks), pause_(pause) {}
  [[nodiscard]] Task<Result<BodyPiece, BodyError>> read() override {
    if (sent_ > 0) co_await http::Sleep(worker_, pause_);
    ++sent_;
    text_ = "chunk " + std::to_string(sent_) + " of " + std::to_string(chunks_) + "\n";
    co_return BodyPiece{text_, sent_ >= chunks_};
  }

 private:
  http::Worker& worker_;
  const std::uint64_t chunks_;
  const Nanos pause_;
  std::uint64_t sent_ = 0;
  std::string text_;
};

// What the client says, while it says it.
class EchoBody final : public http::BodySource {
 public:
  explicit EchoBody(http::BodySource& request) : request_(request) {}
  [[nodiscard]] std::optional<std::uint64_t> length() const noexcept override {
    return request_.length();
  }
  [[nodiscard]] std::optional<BodyPiece> poll() override { return request_.poll(); }
  [[nodiscard]] Task<Result<BodyPiece, BodyError>> read() override { return request_.read(); }

 private:
  http::BodySource& request_;
};

void answer_json(Exchange& e, int status, std::string_view json) {
  e.response.status = status;
  e.response.fields.add(KnownField::content_type, "application/json");
  e.response.content = e.arena.store(json);
}

void answer_text(Exchange& e, int status, std::string_view text) {
  e.response.status = status;
  e.response.fields.add(KnownField::content_type, "text/plain; charset=utf-8");
  e.response.content = e.arena.store(text);
}

}  // namespace

std::unique_ptr<http::Exchange> DemoApp::new_exchange(http::Worker& worker) {
  return std::make_unique<http::Exchange>(worker);
}

Task<void> DemoApp::handle(Exchange& e) {
  const std::string_view path = e.request.path;
  const std::string_view query = e.request.query;
  if (path == "/") {
    e.response.status = 200;
    e.response.fields.add(KnownField::content_type, "text/html; charset=utf-8");
    e.response.content = kIndex;
  } else if (path == "/api/v1/theme/") {
    char time[kRfc3339Size];
    write_rfc3339(time, std::chrono::system_clock::now());
    e.response.fields.add(KnownField::cache_control, "public, max-age=60");
    answer_json(e, 200,
                R"({"name":"default","mode":"light","primary":"#2563eb","generatedAt":")" +
                    std::string(time, sizeof time) + "\"}\n");
  } else if (path == "/api/v1/apps" || path == "/api/v1/apps/") {
    answer_json(e, 200, "{\"apps\":[{\"name\":\"demo\",\"status\":\"running\"}]}\n");
  } else if (path == "/slow") {
    const std::uint64_t ms = query_number(query, "ms", 500, 60'000);
    co_await http::Sleep(e.worker, std::chrono::milliseconds(ms));
    answer_text(e, 200, "waited " + std::to_string(ms) + " ms\n");
  } else if (path == "/large") {
    const std::uint64_t bytes = query_number(query, "bytes", 1024 * 1024, std::uint64_t{1} << 34);
    if (bytes == 0) {
      answer_text(e, 200, "");
    } else {
      e.response.status = 200;
      e.response.fields.add(KnownField::content_type, "text/plain; charset=utf-8");
      e.response.body = http::BodyPtr(new LargeBody(bytes));
    }
  } else if (path == "/fail") {
    const std::uint64_t status =
        std::max<std::uint64_t>(query_number(query, "status", 500, 599), 200);
    answer_text(e, static_cast<int>(status), "failing on purpose\n");
  } else if (path == "/stream") {
    const std::uint64_t chunks =
        std::max<std::uint64_t>(query_number(query, "chunks", 10, 100'000), 1);
    const std::uint64_t ms = query_number(query, "ms", 200, 60'000);
    e.response.status = 200;
    e.response.fields.add(KnownField::content_type, "text/plain; charset=utf-8");
    e.response.body =
        http::BodyPtr(new SlowStream(e.worker, chunks, std::chrono::milliseconds(ms)));
  } else if (path == "/echo") {
    if (e.request_body != nullptr && !e.connection->body_invited()) {
      // The response begins before the body is read: the invitation must go out before it.
      const http::Fields none;
      const bool sent = co_await e.connection->send_interim(100, none);
      if (!sent) co_return;
    }
    e.response.status = 200;
    const std::string_view type = e.request.fields.value(KnownField::content_type);
    e.response.fields.add(KnownField::content_type,
                          type.empty() ? std::string_view("application/octet-stream") : type);
    if (e.request_body != nullptr) e.response.body = http::BodyPtr(new EchoBody(*e.request_body));
  } else {
    answer_text(e, 404, "the demo app has no such page; see /\n");
  }
}

void DemoApp::refuse(Exchange& e, const http::ParseError& error) {
  answer_text(e, error.status, error.detail);
}

}  // namespace tyaprover::gateway
