// W3C Baggage: names and values that travel with a request.
//
// A value type. Limits of the standard (§3.3.2): 64 members and 8,192 bytes; what is over is left
// out, whole members from the end.
//
//   Baggage baggage = Baggage::parse(field_value);
//   if (auto tenant = baggage.get("tenant")) …
//   baggage.set("tenant", "a,b");
//   headers.set("baggage", baggage.format());      // tenant=a%2Cb
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tyaprover::trace {

class Baggage {
 public:
  static constexpr std::size_t kMaxMembers = 64;
  static constexpr std::size_t kMaxBytes = 8192;

  struct Member {
    std::string key;
    std::string value;       // decoded
    std::string properties;  // as they came, without the first `;`
    bool operator==(const Member&) const = default;
  };

  // Reads a field's value (several fields: joined with `,`). Members that break the grammar are
  // left out; of two with the same key the last one stays, in the first one's place. A `%` that
  // encodes nothing stands for itself; octets that are not UTF-8 once decoded become U+FFFD.
  [[nodiscard]] static Baggage parse(std::string_view text);

  [[nodiscard]] std::optional<std::string_view> get(std::string_view key) const noexcept;
  // False, changing nothing, when the key is not a token (RFC 9110 §5.6.2), the properties break
  // the grammar or the baggage is full.
  bool set(std::string_view key, std::string_view value, std::string_view properties = {});
  void remove(std::string_view key) noexcept;

  [[nodiscard]] const std::vector<Member>& members() const noexcept { return members_; }
  [[nodiscard]] bool empty() const noexcept { return members_.empty(); }
  // The value of a field. Empty when there are no members.
  [[nodiscard]] std::string format() const;

 private:
  [[nodiscard]] std::vector<Member>::iterator find(std::string_view key) noexcept;

  std::vector<Member> members_;
  std::size_t size_ = 0;  // of the field's value, and one comma
};

}  // namespace tyaprover::trace
