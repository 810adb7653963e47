// Validation (RFC 9110 §8.8, §13; RFC 9111 §4.3): validators, conditional requests in both
// directions, and what a 304 or a HEAD changes in a stored response.
//
// Pure functions, thread-safe; views point into the fields given.
//
//   const Validators validators = stored_validators(stored_fields);
//   for (const HeaderField& field : conditions(validators)) upstream_request.add(field);
//   …
//   if (response.status == 304 && confirms(stored_fields, response.fields))
//     store(updated_fields(stored_fields, response.fields));
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "tyaprover/cache/freshness.h"
#include "tyaprover/cache/header_fields.h"

namespace tyaprover::cache {

// RFC 9110 §8.8.3.
struct EntityTag {
  std::string_view opaque;  // between the quotes
  bool weak = false;
};
// [ W/ ] DQUOTE *etagc DQUOTE, the flag in upper case; nothing for anything else.
[[nodiscard]] std::optional<EntityTag> parse_entity_tag(std::string_view text) noexcept;
// §8.8.3.2: both strong and the same bytes; or the same bytes, strong or weak.
[[nodiscard]] bool strong_match(const EntityTag& a, const EntityTag& b) noexcept;
[[nodiscard]] bool weak_match(const EntityTag& a, const EntityTag& b) noexcept;

// The validators of a response, as it spelled them. An ETag that is none, or several, is left out,
// as is a Last-Modified that is no date.
struct Validators {
  std::string_view etag;
  std::string_view last_modified;

  [[nodiscard]] bool any() const noexcept { return !etag.empty() || !last_modified.empty(); }
};
[[nodiscard]] Validators stored_validators(HeaderFields stored) noexcept;

// True when `validators` has one that tells apart even two versions of one second: a strong ETag,
// or a Last-Modified at least a second before the response's Date (§8.8.2.2).
[[nodiscard]] bool has_strong_validator(HeaderFields stored) noexcept;

// The fields that ask whether a stored response is still good: If-None-Match and If-Modified-Since
// (§4.3.1). They replace the client's own.
[[nodiscard]] std::vector<HeaderField> conditions(const Validators& validators);
// True for the fields of a request that `conditions` replaces, and Range and If-Range, which a
// request that fills or refreshes a whole response goes without.
[[nodiscard]] bool is_replaced_by_conditions(std::string_view name) noexcept;

// What a client's conditions say about a stored response that could be reused (§4.3.2).
enum class Precondition : std::uint8_t {
  none,          // no condition, or it asks for the response: send it whole
  not_modified,  // answer 304
  forward,       // If-Match or If-Unmodified-Since: for the origin to decide
};
[[nodiscard]] std::string_view to_string(Precondition precondition) noexcept;

// If-None-Match, weakly and with lists and *, before If-Modified-Since, which is compared with
// Last-Modified, else Date, else `received`.
[[nodiscard]] Precondition evaluate_precondition(HeaderFields request, HeaderFields stored,
                                                 WallTime received) noexcept;

// The fields of `stored` that a 304 made from it carries (RFC 9110 §15.4.5): Cache-Control,
// CDN-Cache-Control, Content-Location, Date, ETag, Expires, Vary, Set-Cookie never; Last-Modified
// only without ETag.
[[nodiscard]] std::vector<HeaderField> not_modified_fields(HeaderFields stored);

// Whether a 304 speaks of this stored response (§4.3.4).
enum class Confirmation : std::uint8_t {
  confirmed,  // its validator matches, or neither has one
  mismatch,   // it speaks of another: do not update, ask again without conditions
};
[[nodiscard]] std::string_view to_string(Confirmation confirmation) noexcept;
[[nodiscard]] Confirmation confirm(HeaderFields stored, HeaderFields not_modified) noexcept;

struct UpdateOptions {
  bool take_set_cookie = false;  // whether a Set-Cookie of the update may be stored
};
// `stored` updated by the fields of a 304 or of a HEAD's response (§3.2): what the update has
// replaces all stored lines of that name; hop-by-hop fields, those that Connection names, Age, and
// the fields that say how the stored bytes are coded or named stay as they were.
[[nodiscard]] std::vector<HeaderField> updated_fields(HeaderFields stored, HeaderFields update,
                                                      const UpdateOptions& options = {});

// What a 200 response to HEAD says about a stored GET response (§4.3.5).
enum class HeadEffect : std::uint8_t {
  update,      // same validators and length: update its fields
  invalidate,  // another version: the stored one is stale
};
[[nodiscard]] std::string_view to_string(HeadEffect effect) noexcept;
[[nodiscard]] HeadEffect head_effect(HeaderFields stored, HeaderFields head) noexcept;

}  // namespace tyaprover::cache
