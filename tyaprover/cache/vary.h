// Vary (RFC 9111 §4.1): which request fields selected a response, and whether another request's
// select the same.
//
// Pure; thread-safe to read. Owns its names and key. Each stored variant keeps its own VariantKey,
// so that a later response with another Vary does not make older ones match wrongly. Two requests
// match when their selecting fields are the same after normalisation: lines joined, blanks around
// commas dropped; for negotiation fields (Accept…) also order and case.
//
//   VaryNames names(response_fields);
//   if (names.all()) …                                   // Vary: *, nothing matches
//   VariantKey key(names, request_fields);
//   if (key.matches(other_request_fields)) …
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tyaprover/cache/header_fields.h"

namespace tyaprover::cache {

// The names of a Vary field over all its lines: lower case, sorted, each once.
class VaryNames {
 public:
  VaryNames() = default;
  explicit VaryNames(HeaderFields response);

  // "*" stands anywhere in the list: the response matches no request.
  [[nodiscard]] bool all() const noexcept { return all_; }
  [[nodiscard]] bool empty() const noexcept { return !all_ && names_.empty(); }
  [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }

  bool operator==(const VaryNames&) const = default;

 private:
  std::vector<std::string> names_;
  bool all_ = false;
};

struct VariantOptions {
  // Stands for the request's Accept-Encoding when not null: the coding that the server negotiated,
  // so that all spellings that lead to one coding share a variant.
  const std::string* negotiated_coding = nullptr;
};

// The normalised selecting fields of one request. Every part is length-prefixed, so that no value
// can pretend to be another field; a field that is absent differs from one that is empty.
class VariantKey {
 public:
  VariantKey() = default;
  VariantKey(VaryNames names, HeaderFields request, const VariantOptions& options = {});
  // If the response varies by Accept-Language alone, also matches a request that prefers
  // `content_language` (the stored response's Content-Language) to every other language, whatever
  // else it would take: no variant could suit it better.
  VariantKey(VaryNames names, HeaderFields request, std::string_view content_language,
             const VariantOptions& options = {});

  // As it was, from names(), text() and content_language().
  [[nodiscard]] static VariantKey restore(VaryNames names, std::string text,
                                          std::string content_language) {
    VariantKey key;
    key.names_ = std::move(names);
    key.text_ = std::move(text);
    key.content_language_ = std::move(content_language);
    return key;
  }

  [[nodiscard]] const VaryNames& names() const noexcept { return names_; }
  [[nodiscard]] std::string_view text() const noexcept { return text_; }
  [[nodiscard]] std::string_view content_language() const noexcept { return content_language_; }
  [[nodiscard]] bool matches(HeaderFields request, const VariantOptions& options = {}) const;

 private:
  VaryNames names_;
  std::string text_;
  std::string content_language_;
};

// One selecting field of a request after normalisation; its lines joined as one list.
// REQUIRES: `name` in lower case.
[[nodiscard]] std::string normalised_selecting_field(std::string_view name, HeaderFields request);

}  // namespace tyaprover::cache
