// Which responses are encoded, and what that means for the other fields.
//
// Validators. The encoded form has other bytes than the app's, so a strong ETag becomes weak. A
// client sends it back as If-None-Match: W/"x", which every origin must compare weakly (RFC 9110
// §13.1.2): it passes unchanged and still matches "x". The 304 then answers with the weak form,
// under which the client stored it. If-Match and If-Range want strong validators and so fail with a
// weak one, as they must: the app itself may have called its tag weak, and taking W/ off could let
// a lost update through.
//
// HEAD goes the same way as GET and so gets the same fields; only where there is nothing to encode
// the length is left out.
#include "tyaprover/filters/compression.h"

#include <array>
#include <cassert>
#include <utility>

#include "tyaprover/base/text.h"
#include "tyaprover/filters/compressed_body.h"
#include "tyaprover/filters/media_type.h"
#include "tyaprover/filters/negotiation.h"
#include "tyaprover/filters/route_settings.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::filters {

using http::Field;
using http::KnownField;
using http::Method;
using http::Response;

namespace {

// What is encoded at once: half a millisecond at the default levels.
constexpr std::size_t kAtOnce = 16 * 1024;

// Body of a HEAD response whose GET would be a stream: never read, says that there is no length.
class Undescribed final : public http::BodySource {
 public:
  http::Task<Result<http::BodyPiece, http::BodyError>> read() override {
    co_return http::BodyPiece{{}, true};
  }
  void release() noexcept override {}
};

// The codings of the options, in their order; repeated and unknown ones are left out.
class Offer {
 public:
  explicit Offer(const CompressionOptions& options) noexcept {
    for (const std::string& name : options.encodings) {
      const auto coding = parse_coding(name);
      if (coding && *coding != Coding::identity && size_ < codings_.size()) {
        codings_[size_++] = *coding;
      }
    }
  }
  [[nodiscard]] std::span<const Coding> codings() const noexcept {
    return {codings_.data(), size_};
  }

 private:
  std::array<Coding, kCodings> codings_{};
  std::size_t size_ = 0;
};

Coding negotiate(const http::RequestHead& request, const Offer& offer) noexcept {
  AcceptEncoding accept;
  for (const Field& field : request.fields) {
    if (field.id == KnownField::accept_encoding) accept.add(field.value);
  }
  return accept.choose(offer.codings());
}

int level_of(const CompressionOptions& options, Coding coding) noexcept {
  switch (coding) {
    case Coding::identity:
      return 0;
    case Coding::gzip:
      return options.gzip_level;
    case Coding::br:
      return options.brotli_level;
    case Coding::zstd:
      return options.zstd_level;
  }
  return 0;
}

bool has_content(int status) noexcept {
  return status >= 200 && status != 204 && status != 205 && status != 304;
}

// The size of what a GET would send, when it is known.
std::optional<std::uint64_t> known_size(const Exchange& exchange) noexcept {
  const Response& response = exchange.response;
  if (response.body) return response.body->length();
  if (exchange.request.method_id == Method::head && response.content.empty()) {
    return response.described_length;
  }
  return response.content.size();
}

// Whether some client would get this response encoded.
bool is_compressible(const Exchange& exchange, const CompressionOptions& options) noexcept {
  const Response& response = exchange.response;
  if (!has_content(response.status) || response.status == 206 || response.tunnel) return false;
  if (const auto size = known_size(exchange); size && (*size == 0 || *size < options.threshold)) {
    return false;
  }
  if (!is_compressible_type(response.fields.value(KnownField::content_type))) return false;
  if (response.fields.has(KnownField::content_encoding) ||
      response.fields.has(KnownField::content_range)) {
    return false;
  }
  return !response.fields.list_contains(KnownField::cache_control, "no-transform") &&
         !exchange.request.fields.list_contains(KnownField::cache_control, "no-transform");
}

void add_vary(Exchange& exchange) {
  http::Fields& fields = exchange.response.fields;
  if (fields.list_contains(KnownField::vary, "accept-encoding") ||
      fields.list_contains(KnownField::vary, "*")) {
    return;
  }
  Field* const vary = fields.find(KnownField::vary);
  if (vary == nullptr || vary->value.empty()) {
    fields.set(KnownField::vary, "Accept-Encoding");
  } else {
    vary->value = exchange.arena.concat({vary->value, ", Accept-Encoding"});
  }
}

void weaken_etag(Exchange& exchange) {
  Field* const etag = exchange.response.fields.find(KnownField::etag);
  if (etag == nullptr || !etag->value.starts_with('"')) return;
  etag->value = exchange.arena.concat({"W/", etag->value});
}

// Whether If-None-Match names the response's strong ETag only in its weakened form.
bool asked_with_weakened_etag(const Exchange& exchange) noexcept {
  const std::string_view etag = exchange.response.fields.value(KnownField::etag);
  if (!etag.starts_with('"')) return false;
  bool weak = false;
  bool strong = false;
  for (const Field& field : exchange.request.fields) {
    if (field.id != KnownField::if_none_match) continue;
    for_each_list_member(field.value, [&](std::string_view tag) {
      strong = strong || tag == etag;
      weak = weak || (tag.starts_with("W/") && tag.substr(2) == etag);
      return true;
    });
  }
  return weak && !strong;
}

void describe_encoded(Exchange& exchange, Coding coding) {
  Response& response = exchange.response;
  response.fields.set(KnownField::content_encoding, to_string(coding));
  response.fields.remove(KnownField::content_length);
  response.fields.remove(KnownField::accept_ranges);
  response.described_length.reset();
  weaken_etag(exchange);
}

// Encodes a reply in memory; nothing when that does not make it smaller.
http::Buffer encode_at_once(http::Worker& worker, Compressor& encoder, std::string_view content,
                            std::size_t& size) {
  http::Buffer buffer = worker.buffers().take(content.size());
  const std::span<char> room(buffer.data(), content.size() - 1);
  const CompressorStep step = encoder.step(content, room, Flush::finish);
  size = step.produced;
  return step.complete && !step.failed ? std::move(buffer) : http::Buffer();
}

}  // namespace

Coding negotiated_coding(const http::RequestHead& request,
                         const CompressionOptions& options) noexcept {
  return options.enabled ? negotiate(request, Offer(options)) : Coding::identity;
}

Compression::Compression(http::Worker& worker) : pool_(std::make_shared<CompressionPool>(worker)) {}

const CompressionStats& Compression::stats() const noexcept {
  return pool_->stats();
}

void Compression::on_response(Exchange& exchange, State& state) noexcept {
  assert(exchange.settings != nullptr);
  const CompressionOptions& options = exchange.settings->compression;
  if (!options.enabled) return;
  Response& response = exchange.response;
  if (response.status == 304 && asked_with_weakened_etag(exchange)) {
    weaken_etag(exchange);
    add_vary(exchange);
  }
  const Offer offer(options);
  if (offer.codings().empty() || !is_compressible(exchange, options)) return;
  add_vary(exchange);

  const Coding coding = negotiate(exchange.request, offer);
  if (coding == Coding::identity) return;
  if (!response.body && response.content.empty()) {
    static Undescribed undescribed;  // stateless
    describe_encoded(exchange, coding);
    response.body.reset(&undescribed);
    return;
  }
  CompressorPtr encoder = pool_->compressors().acquire(coding, level_of(options, coding));
  if (!encoder) return;
  if (response.body) {
    const bool events = is_event_stream(response.fields.value(KnownField::content_type));
    response.body = pool_->wrap(std::move(response.body), std::move(encoder),
                                events ? Nanos(0) : options.flush_after);
  } else if (response.content.size() > kAtOnce) {
    response.body =
        pool_->wrap(response.content, std::move(response.content_owner), std::move(encoder));
    response.content = {};
  } else {
    std::size_t size = 0;
    state.encoded = encode_at_once(pool_->worker(), *encoder, response.content, size);
    if (!state.encoded) return;
    pool_->note_encoded(response.content.size(), size);
    response.content = {state.encoded.data(), size};
    response.content_owner.reset();
  }
  describe_encoded(exchange, coding);
}

void Compression::on_finish(Exchange& exchange, State& state) noexcept {
  if (!state.encoded) return;
  exchange.response.content = {};
  state.encoded = {};
}

}  // namespace tyaprover::filters
