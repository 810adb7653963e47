// Hides secrets in texts that people will read: error messages, quoted source lines, printed
// settings.
//
// Pure functions. What is hidden: the password of a URL (its whole user part if it has no password,
// as tokens are written so), and the value behind a key whose name says that it is secret.
//
//   mask_secrets("endpoint: http://me:pw@host/")   // "endpoint: http://me:***@host/"
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tyaprover::gateway {

inline constexpr std::string_view kMask = "***";

// Only the passwords of URLs.
[[nodiscard]] std::string mask_urls(std::string_view text);

// A line of a configuration file without its secrets. `position`, an offset into the line, is moved
// along with what it points at.
[[nodiscard]] std::string mask_secrets(std::string_view line, std::size_t* position = nullptr);

// Whether the last part of a key's name says that its value is secret: api_key, apiKey, jwt_secret,
// token …
[[nodiscard]] bool is_secret_key(std::string_view key);

// Whether two texts are equal, in a time that says nothing about where they differ; it may say how
// long they are.
[[nodiscard]] bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept;

}  // namespace tyaprover::gateway
