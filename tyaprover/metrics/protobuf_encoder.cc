// The protobuf format: a sequence of io.prometheus.client.MetricFamily messages, each with its
// length before it.
//
// A family's length must be known before its first byte, and a family may have a hundred thousand
// series. So a large family is written as several messages of the same name and type, each as soon
// as it has kMessageSize bytes; Prometheus reads each message by itself. Field numbers are those of
// the published metrics.proto.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "tyaprover/metrics/encoder.h"

namespace tyaprover::metrics::detail {
namespace {

constexpr std::size_t kMessageSize = 32 * 1024;
constexpr std::size_t kMaxNativeBuckets = 160;

enum class Wire : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2 };

void put_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80U);
    value >>= 7U;
  }
  out += static_cast<char>(value);
}
void put_tag(std::string& out, unsigned field, Wire wire) {
  put_varint(out, field << 3U | static_cast<unsigned>(wire));
}
void put_unsigned(std::string& out, unsigned field, std::uint64_t value) {
  put_tag(out, field, Wire::varint);
  put_varint(out, value);
}
std::uint64_t zigzag(std::int64_t value) noexcept {
  return (static_cast<std::uint64_t>(value) << 1U) ^ static_cast<std::uint64_t>(value >> 63U);
}
void put_signed(std::string& out, unsigned field, std::int64_t value) {
  put_unsigned(out, field, zigzag(value));
}
void put_double(std::string& out, unsigned field, double value) {
  put_tag(out, field, Wire::fixed64);
  auto bits = std::bit_cast<std::uint64_t>(value);
  for (int i = 0; i < 8; ++i, bits >>= 8U) out += static_cast<char>(bits);
}
void put_bytes(std::string& out, unsigned field, std::string_view bytes) {
  put_tag(out, field, Wire::bytes);
  put_varint(out, bytes.size());
  out += bytes;
}
void put_time(std::string& out, unsigned field, std::chrono::system_clock::time_point time) {
  constexpr std::int64_t kNanosPerSecond = 1'000'000'000;
  const auto nanos =
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
  std::string timestamp;
  put_unsigned(timestamp, 1, static_cast<std::uint64_t>(nanos / kNanosPerSecond));
  put_unsigned(timestamp, 2, static_cast<std::uint64_t>(nanos % kNanosPerSecond));
  put_bytes(out, field, timestamp);
}
void put_label(std::string& out, unsigned field, std::string_view name, std::string_view value) {
  std::string pair;
  put_bytes(pair, 1, name);
  put_bytes(pair, 2, value);
  put_bytes(out, field, pair);
}

// Runs of consecutive buckets, and each bucket's count as its difference from the one before. A gap
// of one or two empty buckets costs less as zeros than as a new run.
void put_native_side(std::string& out, unsigned span_field, unsigned delta_field,
                     const std::vector<NativeCounts::Bucket>& buckets) {
  constexpr std::int32_t kBridged = 2;
  struct Span {
    std::int32_t offset;
    std::uint32_t length;
  };
  std::vector<Span> spans;
  std::string deltas;
  std::int64_t previous_count = 0;
  std::int32_t next_index = 0;
  const auto put_count = [&](std::uint64_t count) {
    put_varint(deltas, zigzag(static_cast<std::int64_t>(count) - previous_count));
    previous_count = static_cast<std::int64_t>(count);
    ++spans.back().length;
    ++next_index;
  };
  for (const NativeCounts::Bucket& bucket : buckets) {
    const std::int32_t gap = bucket.index - next_index;
    if (spans.empty() || gap > kBridged) {
      spans.push_back({gap, 0});
      next_index = bucket.index;
    }
    while (next_index < bucket.index) put_count(0);
    put_count(bucket.count);
  }
  for (const Span& span : spans) {
    std::string message;
    put_signed(message, 1, span.offset);
    put_unsigned(message, 2, span.length);
    put_bytes(out, span_field, message);
  }
  if (!buckets.empty()) put_bytes(out, delta_field, deltas);  // packed
}

class ProtobufEncoder final : public Encoder {
 public:
  void begin(std::string&, const ShownFamily& family) override {
    family_ = family;
    const FamilyDescription& description = *family.description;
    head_.clear();
    std::string name(family.name);
    if (description.kind == Kind::info) name += "_info";
    put_bytes(head_, 1, name);
    put_bytes(head_, 2, repaired(description.help));
    put_unsigned(head_, 3, type(description.kind));
    message_ = head_;
  }

  void series(std::string& out, const ShownLabels& labels, const Reading& reading) override {
    labels_.clear();
    for (const auto& [name, value] : *labels.constant_pairs) {
      put_label(labels_, 1, name, repaired(value));
    }
    labels.own.for_each([&](std::string_view name, std::string_view value) {
      if (labels.own.plain) {
        put_label(labels_, 1, name, value);
      } else {
        put_label(labels_, 1, name, repaired(value));
      }
    });
    if (family_.description->kind == Kind::state_set) {
      for (std::size_t i = 0; i < family_.description->states.size(); ++i) {
        metric_ = labels_;
        put_label(metric_, 1, family_.name, repaired(family_.description->states[i]));
        value_.clear();
        put_double(value_, 1, i == reading.integer ? 1 : 0);
        put_bytes(metric_, 2, value_);
        put_bytes(message_, 4, metric_);
      }
    } else {
      metric_ = labels_;
      put_value(reading);
      put_bytes(message_, 4, metric_);
    }
    if (message_.size() >= kMessageSize) flush(out);
  }

  void end(std::string& out) override {
    if (message_.size() > head_.size()) flush(out);
  }
  void finish(std::string&) override {}

 private:
  static std::uint64_t type(Kind kind) noexcept {
    switch (kind) {
      case Kind::counter:
        return 0;
      case Kind::gauge:
      case Kind::info:
      case Kind::state_set:
        return 1;
      case Kind::summary:
        return 2;
      case Kind::histogram:
        return 4;
    }
    return 3;  // untyped
  }

  void flush(std::string& out) {
    put_varint(out, message_.size());
    out += message_;
    message_ = head_;
  }

  void put_exemplar(std::string& out, unsigned field, const ShownExemplar& shown) const {
    if (shown.exemplar.empty()) return;
    std::string message;
    for (std::size_t i = 0; i < shown.exemplar.size(); ++i) {
      const auto [name, value] = shown.exemplar.label(i);
      put_label(message, 1, name, value);
    }
    put_double(message, 2, shown.value * family_.scale);
    put_time(message, 3, shown.time);
    put_bytes(out, field, message);
  }

  void put_value(const Reading& reading) {
    value_.clear();
    const bool created = reading.created != std::chrono::system_clock::time_point();
    switch (family_.description->kind) {
      case Kind::counter:
        put_double(value_, 1, counter_value(family_, reading));
        if (!reading.exemplars.empty()) put_exemplar(value_, 2, reading.exemplars[0]);
        if (created) put_time(value_, 3, reading.created);
        return put_bytes(metric_, 3, value_);
      case Kind::gauge:
      case Kind::info:
      case Kind::state_set:
        put_double(value_, 1, reading.real * family_.scale);
        return put_bytes(metric_, 2, value_);
      case Kind::summary:
        put_unsigned(value_, 1, reading.summary.count);
        put_double(value_, 2, reading.summary.sum * family_.scale);
        for (std::size_t i = 0; i < reading.summary.values.size(); ++i) {
          std::string quantile;
          put_double(quantile, 1, family_.description->quantiles[i]);
          put_double(quantile, 2, reading.summary.values[i] * family_.scale);
          put_bytes(value_, 3, quantile);
        }
        if (created) put_time(value_, 4, reading.created);
        return put_bytes(metric_, 4, value_);
      case Kind::histogram:
        put_histogram(reading);
        if (created) put_time(value_, 15, reading.created);
        return put_bytes(metric_, 7, value_);
    }
  }

  void put_histogram(const Reading& reading) {
    std::uint64_t classic = 0;
    for (const std::uint64_t count : reading.counts) classic += count;
    const bool native = family_.native && reading.native.has_value();
    // Observations that the classic buckets do not have yet are in the one without bound: see
    // Histogram::record.
    const std::uint64_t count = native ? reading.native->count() : classic;
    put_unsigned(value_, 1, count);
    put_double(value_, 2, histogram_sum(family_, reading));
    std::uint64_t cumulative = 0;
    const std::size_t bounds = family_.description->histogram.bounds.size();
    for (std::size_t i = 0; i <= bounds; ++i) {
      cumulative += reading.counts[i];
      std::string bucket;
      put_unsigned(bucket, 1, i == bounds ? count : std::min(cumulative, count));
      put_double(bucket, 2,
                 i == bounds ? std::numeric_limits<double>::infinity() : bound(family_, i));
      if (!reading.exemplars.empty()) put_exemplar(bucket, 3, reading.exemplars[i]);
      put_bytes(value_, 3, bucket);
    }
    if (!native) return;
    NativeCounts shown = *reading.native;
    shown.reduce_to(kMaxNativeBuckets);
    put_signed(value_, 5, shown.schema);
    put_double(value_, 6, NativeCounts::kZeroThreshold);
    put_unsigned(value_, 7, shown.zero_count);
    put_native_side(value_, 9, 10, shown.negative);
    put_native_side(value_, 12, 13, shown.positive);
  }

  ShownFamily family_;
  std::string head_;     // name, help and type of the family
  std::string message_;  // the family's message so far
  std::string labels_;
  std::string metric_;
  std::string value_;
};

}  // namespace

std::unique_ptr<Encoder> make_protobuf_encoder() {
  return std::make_unique<ProtobufEncoder>();
}

}  // namespace tyaprover::metrics::detail
