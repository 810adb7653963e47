#include "tyaprover/cache/validation.h"

#include <algorithm>
#include <array>
#include <initializer_list>

#include "tyaprover/cache/storability.h"

namespace tyaprover::cache {
namespace {

using std::chrono::floor;
using std::chrono::seconds;

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) noexcept {
  return std::any_of(names.begin(), names.end(),
                     [&](std::string_view known) { return iequals(known, name); });
}

// Dates that no two-digit year makes ambiguous are compared below; those that one does are near
// now.
std::optional<WallSeconds> date_of(std::optional<std::string_view> text, WallSeconds now) noexcept {
  if (!text) return std::nullopt;
  return parse_http_date(trim(*text), now);
}

bool matches_any(HeaderFields request, std::optional<EntityTag> stored) noexcept {
  bool matches = false;
  for_each_member(request, "if-none-match", [&](std::string_view member) {
    if (member == "*") {
      matches = true;
      return;
    }
    const auto tag = parse_entity_tag(member);
    if (tag && stored && weak_match(*tag, *stored)) matches = true;
  });
  return matches;
}

// What an update must not touch, beside hop-by-hop fields: it describes the bytes as stored, and
// the 304 came without bytes (§3.2).
bool describes_stored_bytes(std::string_view name) noexcept {
  return is_one_of(name, {"content-encoding", "content-length", "content-md5", "content-digest",
                          "content-range", "etag"});
}

bool is_connection_listed(HeaderFields fields, std::string_view name) {
  bool listed = false;
  for_each_member(fields, "connection",
                  [&](std::string_view member) { listed = listed || iequals(member, name); });
  return listed;
}

}  // namespace

std::optional<EntityTag> parse_entity_tag(std::string_view text) noexcept {
  EntityTag tag;
  if (text.substr(0, 2) == "W/") {
    tag.weak = true;
    text.remove_prefix(2);
  }
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return std::nullopt;
  tag.opaque = text.substr(1, text.size() - 2);
  for (const char c : tag.opaque) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == '"' || byte == 0x7f) return std::nullopt;
  }
  return tag;
}

bool strong_match(const EntityTag& a, const EntityTag& b) noexcept {
  return !a.weak && !b.weak && a.opaque == b.opaque;
}

bool weak_match(const EntityTag& a, const EntityTag& b) noexcept {
  return a.opaque == b.opaque;
}

Validators stored_validators(HeaderFields stored) noexcept {
  Validators validators;
  const std::string_view etag = trim(stored.only("etag").value_or(""));
  if (parse_entity_tag(etag)) validators.etag = etag;
  const std::string_view modified = trim(stored.only("last-modified").value_or(""));
  if (parse_http_date(modified, WallSeconds())) validators.last_modified = modified;
  return validators;
}

bool has_strong_validator(HeaderFields stored) noexcept {
  const Validators validators = stored_validators(stored);
  if (!validators.etag.empty()) return !parse_entity_tag(validators.etag)->weak;
  const auto date = date_of(stored.only("date"), WallSeconds());
  const auto modified = date_of(validators.last_modified, WallSeconds());
  return date && modified && *modified + seconds(1) <= *date;
}

std::vector<HeaderField> conditions(const Validators& validators) {
  std::vector<HeaderField> fields;
  if (!validators.etag.empty()) fields.push_back({"If-None-Match", validators.etag});
  if (!validators.last_modified.empty()) {
    fields.push_back({"If-Modified-Since", validators.last_modified});
  }
  return fields;
}

bool is_replaced_by_conditions(std::string_view name) noexcept {
  return is_one_of(name, {"if-none-match", "if-modified-since", "range", "if-range"});
}

std::string_view to_string(Precondition precondition) noexcept {
  switch (precondition) {
    case Precondition::none:
      return "none";
    case Precondition::not_modified:
      return "not-modified";
    case Precondition::forward:
      return "forward";
  }
  return "unknown";
}

Precondition evaluate_precondition(HeaderFields request, HeaderFields stored,
                                   WallTime received) noexcept {
  if (request.has("if-match") || request.has("if-unmodified-since")) return Precondition::forward;
  const WallSeconds now = floor<seconds>(received);
  if (request.has("if-none-match")) {
    const auto etag = parse_entity_tag(trim(stored.only("etag").value_or("")));
    return matches_any(request, etag) ? Precondition::not_modified : Precondition::none;
  }
  const auto since = date_of(request.only("if-modified-since"), now);
  if (!since) return Precondition::none;
  auto modified = date_of(stored.only("last-modified"), now);
  if (!modified) modified = date_of(stored.only("date"), now);
  return modified.value_or(now) <= *since ? Precondition::not_modified : Precondition::none;
}

std::vector<HeaderField> not_modified_fields(HeaderFields stored) {
  const bool has_etag = stored.has("etag");
  std::vector<HeaderField> kept;
  for (std::size_t i = 0; i < stored.size(); ++i) {
    const HeaderField field = stored[i];
    if (is_one_of(field.name, {"cache-control", "cdn-cache-control", "content-location", "date",
                               "etag", "expires", "vary"}) ||
        (!has_etag && iequals(field.name, "last-modified"))) {
      kept.push_back(field);
    }
  }
  return kept;
}

std::string_view to_string(Confirmation confirmation) noexcept {
  switch (confirmation) {
    case Confirmation::confirmed:
      return "confirmed";
    case Confirmation::mismatch:
      return "mismatch";
  }
  return "unknown";
}

Confirmation confirm(HeaderFields stored, HeaderFields not_modified) noexcept {
  const Validators old = stored_validators(stored);
  const Validators now = stored_validators(not_modified);
  if (!now.etag.empty()) {
    const auto new_tag = parse_entity_tag(now.etag);
    const auto old_tag = parse_entity_tag(old.etag);
    // A stored response without ETag was confirmed by its date.
    if (!old_tag) return old.any() ? Confirmation::confirmed : Confirmation::mismatch;
    return (new_tag->weak ? weak_match(*new_tag, *old_tag) : strong_match(*new_tag, *old_tag))
               ? Confirmation::confirmed
               : Confirmation::mismatch;
  }
  if (!now.last_modified.empty() && !old.last_modified.empty()) {
    const auto a = parse_http_date(now.last_modified, WallSeconds());
    const auto b = parse_http_date(old.last_modified, WallSeconds());
    return a == b ? Confirmation::confirmed : Confirmation::mismatch;
  }
  return Confirmation::confirmed;
}

std::vector<HeaderField> updated_fields(HeaderFields stored, HeaderFields update,
                                        const UpdateOptions& options) {
  const auto takes = [&](std::string_view name) {
    if (is_hop_by_hop(name) || describes_stored_bytes(name) || iequals(name, "age")) return false;
    if (!options.take_set_cookie && iequals(name, "set-cookie")) return false;
    return !is_connection_listed(update, name);
  };
  std::vector<HeaderField> fields;
  fields.reserve(stored.size() + update.size());
  for (std::size_t i = 0; i < stored.size(); ++i) {
    const HeaderField field = stored[i];
    if (!update.has(field.name) || !takes(field.name)) fields.push_back(field);
  }
  for (std::size_t i = 0; i < update.size(); ++i) {
    const HeaderField field = update[i];
    if (takes(field.name)) fields.push_back(field);
  }
  return fields;
}

std::string_view to_string(HeadEffect effect) noexcept {
  switch (effect) {
    case HeadEffect::update:
      return "update";
    case HeadEffect::invalidate:
      return "invalidate";
  }
  return "unknown";
}

HeadEffect head_effect(HeaderFields stored, HeaderFields head) noexcept {
  if (confirm(stored, head) == Confirmation::mismatch) return HeadEffect::invalidate;
  const auto old_length = stored.only("content-length");
  const auto new_length = head.only("content-length");
  if (old_length && new_length && trim(*old_length) != trim(*new_length)) {
    return HeadEffect::invalidate;
  }
  return HeadEffect::update;
}

}  // namespace tyaprover::cache
