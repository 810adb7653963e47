#include "tyaprover/trace/sampler.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

#include "tyaprover/trace/shared_trace.h"

namespace tyaprover::trace {
namespace {

std::string number(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof(text), value).ptr};
}

// A token bucket without tokens: the time at which it would be full again (the "generic cell rate
// algorithm" of ATM traffic management, ITU-T I.371). One compare-and-swap per question.
class TokenBucket {
 public:
  TokenBucket(double per_second, const Clock& clock) : clock_(clock) {
    if (!(per_second > 0 && per_second <= 1e9)) {
      throw std::invalid_argument("a sampling rate per second must be above 0 and at most 1e9");
    }
    interval_ = Nanos(static_cast<Nanos::rep>(std::llround(1e9 / per_second)));
    burst_ = std::max(Nanos(std::chrono::seconds(1)), interval_);
  }

  bool take() const noexcept {
    const Nanos now = clock_.now().time_since_epoch();
    Nanos::rep full = full_.load(std::memory_order_relaxed);
    for (;;) {
      const Nanos next = std::max(Nanos(full), now) + interval_;
      if (next - now > burst_) return false;
      // Relaxed: the number is all that is shared.
      if (full_.compare_exchange_weak(full, next.count(), std::memory_order_relaxed)) return true;
    }
  }

 private:
  const Clock& clock_;
  Nanos interval_{};
  Nanos burst_{};
  mutable std::atomic<Nanos::rep> full_{0};
};

class Always final : public Sampler {
 public:
  explicit Always(bool sampled) noexcept : sampled_(sampled) {}
  SamplingDecision sample(const SamplingInput&) const noexcept override {
    return {.sampled = sampled_};
  }
  std::optional<std::uint64_t> root_threshold() const noexcept override {
    return sampled_ ? 0 : std::numeric_limits<std::uint64_t>::max();
  }
  std::string description() const override { return sampled_ ? "always_on" : "always_off"; }

 private:
  bool sampled_;
};

class Ratio final : public Sampler {
 public:
  explicit Ratio(double probability) : probability_(probability) {
    if (!(probability >= 0 && probability <= 1)) {
      throw std::invalid_argument("a sampling ratio must be between 0 and 1");
    }
    constexpr double kAll = 0x1p56;
    rejected_below_ = static_cast<std::uint64_t>(std::llround((1 - probability) * kAll));
  }
  SamplingDecision sample(const SamplingInput& input) const noexcept override {
    return {.sampled = input.trace_id.random_bits() >= rejected_below_};
  }
  std::optional<std::uint64_t> root_threshold() const noexcept override { return rejected_below_; }
  std::string description() const override { return "ratio(" + number(probability_) + ")"; }

 private:
  double probability_;
  std::uint64_t rejected_below_;
};

class ParentBased final : public Sampler {
 public:
  ParentBased(SamplerPtr root, ParentSamplers parents)
      : root_(std::move(root)), parents_(std::move(parents)) {
    if (root_ == nullptr) throw std::invalid_argument("parent_based() needs a sampler for roots");
  }
  SamplingDecision sample(const SamplingInput& input) const noexcept override {
    if (!input.parent.is_valid()) return root_->sample(input);
    const bool sampled = input.parent.is_sampled();
    const SamplerPtr& sampler =
        input.parent.is_remote() ? (sampled ? parents_.remote_sampled : parents_.remote_not_sampled)
                                 : (sampled ? parents_.local_sampled : parents_.local_not_sampled);
    return sampler == nullptr ? SamplingDecision{.sampled = sampled} : sampler->sample(input);
  }
  std::optional<std::uint64_t> root_threshold() const noexcept override {
    return root_->root_threshold();
  }
  std::string description() const override { return "parent_based(" + root_->description() + ")"; }

 private:
  SamplerPtr root_;
  ParentSamplers parents_;
};

class RateLimited final : public Sampler {
 public:
  RateLimited(double per_second, const Clock& clock)
      : per_second_(per_second), bucket_(per_second, clock) {}
  SamplingDecision sample(const SamplingInput&) const noexcept override {
    return {.sampled = bucket_.take()};
  }
  std::string description() const override { return "rate_limited(" + number(per_second_) + ")"; }

 private:
  double per_second_;
  TokenBucket bucket_;
};

bool matches(std::string_view pattern, std::string_view text) noexcept {
  if (pattern.empty()) return true;
  if (pattern.back() != '*') return pattern == text;
  pattern.remove_suffix(1);
  return text.starts_with(pattern);
}

std::string_view route_of(std::span<const Attribute> attributes) noexcept {
  for (const Attribute& attribute : attributes) {
    if (attribute.key.view() == "http.route" && attribute.value.type() == AttributeType::string) {
      return attribute.value.text();
    }
  }
  return {};
}

class Rules final : public Sampler {
 public:
  Rules(std::vector<SamplingRule> rules, SamplerPtr otherwise)
      : rules_(std::move(rules)), otherwise_(std::move(otherwise)) {
    bool complete = otherwise_ != nullptr;
    for (const SamplingRule& rule : rules_) complete &= rule.sampler != nullptr;
    if (!complete) throw std::invalid_argument("every sampling rule needs a sampler");
  }
  SamplingDecision sample(const SamplingInput& input) const noexcept override {
    const std::string_view route = route_of(input.attributes);
    for (const SamplingRule& rule : rules_) {
      if (matches(rule.route, route) && matches(rule.name, input.name)) {
        return rule.sampler->sample(input);
      }
    }
    return otherwise_->sample(input);
  }
  std::string description() const override {
    std::string text = "rules(";
    for (const SamplingRule& rule : rules_) {
      if (!rule.route.empty()) text += "route " + rule.route + " ";
      if (!rule.name.empty()) text += "name " + rule.name + " ";
      text += rule.sampler->description() + ", ";
    }
    return text + "else " + otherwise_->description() + ")";
  }

 private:
  std::vector<SamplingRule> rules_;
  SamplerPtr otherwise_;
};

bool has_failed(const SpanData& root) noexcept {
  if (root.status == SpanStatus::error) return true;
  for (const std::string_view key : {"http.response.status_code", "http.status_code"}) {
    const AttributeData* status = root.find(key);
    if (status != nullptr && status->type() == AttributeType::integer &&
        status->value().integer() >= 500) {
      return true;
    }
  }
  return false;
}

class ErrorBiased final : public ErrorBiasedSampler, public detail::TailPolicy {
 public:
  explicit ErrorBiased(const ErrorBiasedOptions& options)
      : options_(options), base_(options.base), bucket_(options.max_per_second, *options.clock) {}

  SamplingDecision sample(const SamplingInput& input) const noexcept override {
    SamplingDecision decision = base_.sample(input);
    if (!decision.sampled) decision.tail = this;
    return decision;
  }

  Text keep(const SpanData& root, bool any_failed) const noexcept override {
    Text reason;
    if (options_.errors && (any_failed || has_failed(root))) {
      reason = "error";
    } else if (options_.slower_than > Nanos(0) &&
               Nanos(root.end_unix_nanos - root.start_unix_nanos) > options_.slower_than) {
      reason = "slow";
    } else {
      return {};
    }
    // Relaxed: counters.
    if (!bucket_.take()) {
      over_limit_.fetch_add(1, std::memory_order_relaxed);
      return {};
    }
    kept_.fetch_add(1, std::memory_order_relaxed);
    return reason;
  }

  Counts counts() const noexcept override {
    return {kept_.load(std::memory_order_relaxed), over_limit_.load(std::memory_order_relaxed)};
  }
  std::string description() const override { return "error_biased(" + number(options_.base) + ")"; }

 private:
  ErrorBiasedOptions options_;
  Ratio base_;
  TokenBucket bucket_;
  mutable std::atomic<std::uint64_t> kept_{0};
  mutable std::atomic<std::uint64_t> over_limit_{0};
};

}  // namespace

SamplerPtr always_on() {
  return std::make_shared<Always>(true);
}
SamplerPtr always_off() {
  return std::make_shared<Always>(false);
}
SamplerPtr ratio(double probability) {
  return std::make_shared<Ratio>(probability);
}
SamplerPtr parent_based(SamplerPtr root, ParentSamplers parents) {
  return std::make_shared<ParentBased>(std::move(root), std::move(parents));
}
SamplerPtr rate_limited(double per_second, const Clock& clock) {
  return std::make_shared<RateLimited>(per_second, clock);
}
SamplerPtr rules(std::vector<SamplingRule> rules, SamplerPtr otherwise) {
  return std::make_shared<Rules>(std::move(rules), std::move(otherwise));
}
std::shared_ptr<const ErrorBiasedSampler> error_biased(ErrorBiasedOptions options) {
  return std::make_shared<ErrorBiased>(options);
}

}  // namespace tyaprover::trace
