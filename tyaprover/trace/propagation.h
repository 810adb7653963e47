// Propagation: the span's context out of a request's fields, and into another's.
//
// Not thread-safe; one Extractor and one InjectedFields for each message. Neither knows what a
// message is: fields are pushed in and visited. Formats: W3C Trace Context and Baggage, B3 (one
// field and several), Jaeger's uber-trace-id, AWS X-Ray.
//
//   Extractor extractor(propagators);
//   for (const Field& field : request.fields) extractor.field(field.name, field.value);
//   const Extracted parent = extractor.finish();
//   Span span = tracer.start_span(name, {.parent = parent.context, .sampled = parent.sampled});
//
//   fields.remove_if([](const Field& f) { return is_trace_field(f.name); });
//   InjectedFields(Context(span.context()), propagators)
//       .for_each([&](std::string_view name, std::string_view value) { fields.add(name, value); });
//
// Views that were pushed in must live until finish(). Watched by trace_bench: without baggage and
// with at most one tracestate field, nothing is allocated.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tyaprover/trace/baggage.h"
#include "tyaprover/trace/context.h"
#include "tyaprover/trace/span_context.h"

namespace tyaprover::trace {

enum class Propagator : std::uint8_t { tracecontext, baggage, b3, b3multi, jaeger, xray };
// As OTEL_PROPAGATORS writes it.
[[nodiscard]] std::string_view to_string(Propagator propagator) noexcept;

// An ordered set.
class Propagators {
 public:
  constexpr Propagators() noexcept = default;  // none
  constexpr Propagators(std::initializer_list<Propagator> list) noexcept {
    for (const Propagator each : list) add(each);
  }
  constexpr void add(Propagator propagator) noexcept {
    if (!has(propagator)) list_[size_++] = propagator;
  }
  [[nodiscard]] constexpr bool has(Propagator propagator) const noexcept {
    for (const Propagator each : *this) {
      if (each == propagator) return true;
    }
    return false;
  }
  [[nodiscard]] constexpr const Propagator* begin() const noexcept { return list_.data(); }
  [[nodiscard]] constexpr const Propagator* end() const noexcept { return list_.data() + size_; }
  [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }

 private:
  std::array<Propagator, 6> list_ = {};
  std::size_t size_ = 0;
};
inline constexpr Propagators kDefaultPropagators = {Propagator::tracecontext, Propagator::baggage};

struct Extracted {
  SpanContext context;  // invalid when no format had one
  // B3's sampling state without ids: a decision for a new trace.
  std::optional<bool> sampled;
};

class Extractor {
 public:
  explicit Extractor(const Propagators& propagators) noexcept : propagators_(propagators) {}

  // A field of the message; names without regard to case. Fields that no format uses are ignored.
  void field(std::string_view name, std::string_view value) noexcept;

  // The first format in the order of the propagators that has a valid context wins.
  [[nodiscard]] Extracted finish() const;
  // What came in `baggage` and, with the format jaeger, in `uberctx-…`. Allocates.
  [[nodiscard]] Baggage baggage() const;

 private:
  // A field that must not come twice.
  struct Single {
    std::string_view value;
    unsigned count = 0;
    void set(std::string_view text) noexcept {
      value = text;
      ++count;
    }
    // Empty when there is none or more than one.
    [[nodiscard]] std::string_view get() const noexcept {
      return count == 1 ? value : std::string_view();
    }
  };
  struct BaggageField {
    std::string_view key;  // of an uberctx- field; empty for `baggage`
    std::string_view value;
  };

  void add_baggage(const BaggageField& field) noexcept;
  [[nodiscard]] std::optional<SpanContext> trace_context() const;
  [[nodiscard]] std::optional<SpanContext> b3_single(std::optional<bool>& sampled) const;
  [[nodiscard]] std::optional<SpanContext> b3_multi(std::optional<bool>& sampled) const;
  [[nodiscard]] std::optional<SpanContext> jaeger() const;
  [[nodiscard]] std::optional<SpanContext> xray() const;

  Propagators propagators_;
  Single traceparent_;
  Single b3_;
  Single b3_trace_id_;
  Single b3_span_id_;
  Single b3_sampled_;
  Single b3_flags_;
  Single uber_trace_id_;
  Single xray_;
  // Made when the first of them comes: most requests have none, and it would be most of the work.
  // More lines than a state may have members are more than any valid state needs.
  std::size_t tracestate_count_ = 0;
  std::optional<std::array<std::string_view, 33>> tracestate_;
  std::size_t baggage_count_ = 0;
  std::optional<std::array<BaggageField, 32>> baggage_;  // more fields than that are ignored
};

// Whether a field carries ids or flags of a trace, in any format. A message that gets new ones must
// lose all of these first, or it would contradict itself.
[[nodiscard]] bool is_trace_field(std::string_view name) noexcept;

// The fields of a context in all configured formats. An invalid context has none but baggage.
class InjectedFields {
 public:
  // `context` must outlive it.
  InjectedFields(const Context& context, const Propagators& propagators);
  InjectedFields(const InjectedFields&) = delete;
  InjectedFields& operator=(const InjectedFields&) = delete;

  // visit(std::string_view name, std::string_view value). Values live as long as this.
  template <class F>
  void for_each(F visit) const {
    for (std::size_t i = 0; i < count_; ++i) visit(fields_[i].first, fields_[i].second);
    for (const auto& [name, value] : baggage_) {
      visit(std::string_view(name), std::string_view(value));
    }
  }

 private:
  void add(std::string_view name, std::string_view value) noexcept {
    fields_[count_++] = {name, value};
  }
  void add_trace(const SpanContext& context, Propagator propagator) noexcept;
  // Copies pieces to the buffer; returns them as one.
  std::string_view write(std::initializer_list<std::string_view> pieces) noexcept;

  std::size_t count_ = 0;
  std::array<std::pair<std::string_view, std::string_view>, 8> fields_;
  std::size_t used_ = 0;
  std::array<char, 320> buffer_;
  std::vector<std::pair<std::string, std::string>> baggage_;
};

}  // namespace tyaprover::trace
