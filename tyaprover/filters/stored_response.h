// StoredResponse: a response as the cache keeps it: a head and a body, both immutable and shared by
// all workers.
//
// Thread-safe to read. Copies share the head and the bytes. A response that was revalidated has a
// new head and the old body.
//
//   StoredHead head(status, fields, …);
//   StoredResponse stored{std::make_shared<const StoredHead>(…), bytes, size};
//   const StoredResponse* variant = find_variant(list, request_fields, coding);
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/cache/freshness.h"
#include "tyaprover/cache/header_fields.h"
#include "tyaprover/cache/vary.h"
#include "tyaprover/filters/negotiation.h"
#include "tyaprover/http/field.h"

namespace tyaprover::filters {

// The coding's name as the key of a variant wants it.
[[nodiscard]] const std::string& coding_key(Coding coding) noexcept;

struct StoredHead {
  // Copies the fields. Those that no-cache="…" names go last: see `reusable`.
  StoredHead(int status_code, cache::HeaderFields from);
  StoredHead(const StoredHead&) = delete;
  StoredHead& operator=(const StoredHead&) = delete;

  int status;
  std::vector<http::Field> fields;  // views into `text`
  std::size_t reusable = 0;         // the first so many may be sent without validation
  cache::VariantKey variant;
  // The variant was chosen by the coding that we negotiate, not by the client's Accept-Encoding.
  bool by_coding = false;
  Coding coding = Coding::identity;  // that one
  cache::Freshness freshness;
  TimePoint stored;  // time of receipt, on the steady scale
  cache::WallTime received;
  bool for_authorized = false;  // may answer requests with Authorization
  std::vector<std::string> tags;
  // Made stale by hand: may be revalidated, or sent on errors. Relaxed: only a hint of what another
  // thread did a moment ago.
  mutable std::atomic<bool> expired_by_hand{false};

  [[nodiscard]] cache::Freshness freshness_now() const noexcept;
  [[nodiscard]] bool matches(cache::HeaderFields request, Coding by) const;
  [[nodiscard]] std::size_t memory() const noexcept;

 private:
  std::string text_;
};

using StoredBytes = std::shared_ptr<const char[]>;

struct StoredResponse {
  std::shared_ptr<const StoredHead> head;
  StoredBytes bytes;  // null when there are none
  std::size_t size = 0;

  [[nodiscard]] std::string_view body() const noexcept { return {bytes.get(), size}; }
  [[nodiscard]] std::size_t memory() const noexcept;
  explicit operator bool() const noexcept { return head != nullptr; }
};

// All that is stored under one key, the newest first.
struct StoredVariants {
  std::string url;  // for those who look by URL
  std::vector<StoredResponse> variants;

  [[nodiscard]] std::size_t memory() const noexcept;
};

// The newest variant that a request selects; null when there is none.
[[nodiscard]] const StoredResponse* find_variant(const StoredVariants& stored,
                                                 cache::HeaderFields request, Coding coding);

}  // namespace tyaprover::filters
