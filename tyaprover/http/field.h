// Header fields: one (name, value) pair each, and the ordered list that a message carries.
//
// Confined to one worker. Everything is a view: the bytes belong to the receive buffer, to an Arena
// or to static storage, and must outlive the list. Names the product cares about are recognised
// once, at parsing, so that later look-ups compare a byte and not a string.
//
//   Fields fields;
//   fields.add(KnownField::content_type, "application/json");
//   if (const Field* f = fields.find(KnownField::host)) use(f->value);
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace tyaprover::http {

// Field names with a meaning for the gateway. `other` is every name not listed.
enum class KnownField : std::uint8_t {
  other,
  accept,
  accept_encoding,
  accept_ranges,
  age,
  authorization,
  cache_control,
  connection,
  content_encoding,
  content_length,
  content_range,
  content_security_policy,
  content_type,
  cookie,
  date,
  etag,
  expect,
  expires,
  forwarded,
  host,
  http2_settings,
  if_match,
  if_modified_since,
  if_none_match,
  if_range,
  if_unmodified_since,
  keep_alive,
  last_modified,
  location,
  origin,
  permissions_policy,
  pragma,
  proxy_authenticate,
  proxy_authorization,
  proxy_connection,
  range,
  referer,
  referrer_policy,
  retry_after,
  server,
  set_cookie,
  strict_transport_security,
  te,
  trailer,
  traceparent,
  tracestate,
  transfer_encoding,
  upgrade,
  user_agent,
  vary,
  via,
  x_content_type_options,
  x_forwarded_for,
  x_forwarded_host,
  x_forwarded_port,
  x_forwarded_proto,
  x_frame_options,
  x_powered_by,
  x_request_id,
  x_response_time,
  count_,  // number of entries, not a field
};

// The known field with this name (ASCII case-insensitive), or `other`.
[[nodiscard]] KnownField classify_field(std::string_view name) noexcept;
// Canonical spelling ("Content-Type"); empty for `other`.
[[nodiscard]] std::string_view field_name(KnownField id) noexcept;

struct Field {
  std::string_view name;
  std::string_view value;
  KnownField id = KnownField::other;
};

class Fields {
 public:
  using const_iterator = std::vector<Field>::const_iterator;

  void add(KnownField id, std::string_view value) { list_.push_back({field_name(id), value, id}); }
  void add(std::string_view name, std::string_view value) {
    list_.push_back({name, value, classify_field(name)});
  }
  void add(const Field& field) { list_.push_back(field); }
  // Replaces all fields of that name by one.
  void set(KnownField id, std::string_view value);
  // Number of fields removed.
  std::size_t remove(KnownField id) noexcept;
  std::size_t remove(std::string_view name) noexcept;
  // Removes the fields for which f(field) is true. Number of fields removed.
  template <class F>
  std::size_t remove_if(F f) {
    return std::erase_if(list_, f);
  }

  // The first field of that name, or null. `id` must not be `other`.
  [[nodiscard]] const Field* find(KnownField id) const noexcept;
  [[nodiscard]] Field* find(KnownField id) noexcept;
  // By any name, ASCII case-insensitive.
  [[nodiscard]] const Field* find(std::string_view name) const noexcept;
  // Its value, or an empty view.
  [[nodiscard]] std::string_view value(KnownField id) const noexcept;
  [[nodiscard]] bool has(KnownField id) const noexcept { return find(id) != nullptr; }
  [[nodiscard]] std::size_t count(KnownField id) const noexcept;

  // True when some field `id`, read as a comma-separated list over all its lines (RFC 9110 §5.6.1),
  // has the member `token` (ASCII case-insensitive; parameters after ';' are not part of a member).
  [[nodiscard]] bool list_contains(KnownField id, std::string_view token) const noexcept;

  void clear() noexcept { list_.clear(); }
  [[nodiscard]] std::size_t size() const noexcept { return list_.size(); }
  [[nodiscard]] bool empty() const noexcept { return list_.empty(); }
  [[nodiscard]] const_iterator begin() const noexcept { return list_.begin(); }
  [[nodiscard]] const_iterator end() const noexcept { return list_.end(); }
  [[nodiscard]] Field& operator[](std::size_t i) noexcept { return list_[i]; }

 private:
  std::vector<Field> list_;  // keeps its capacity over clear(): no allocation after warm-up
};

}  // namespace tyaprover::http
