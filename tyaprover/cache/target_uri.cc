#include "tyaprover/cache/target_uri.h"

#include <algorithm>

namespace tyaprover::cache {
namespace {

constexpr std::size_t kNone = std::string_view::npos;

// scheme://authority path ?query, as written.
struct Parts {
  std::string_view scheme;
  std::string_view authority;
  std::string_view path;
  std::optional<std::string_view> query;
};

// The length of "scheme:" at the beginning; 0 when the reference is relative.
std::size_t scheme_length(std::string_view text) noexcept {
  const std::size_t colon = text.find_first_of(":/?#");
  return colon == kNone || text[colon] != ':' ? 0 : colon + 1;
}

Parts split_uri(std::string_view text) noexcept {
  Parts parts;
  text = text.substr(0, text.find('#'));
  if (const std::size_t length = scheme_length(text); length > 0) {
    parts.scheme = text.substr(0, length - 1);
    text.remove_prefix(length);
  }
  if (const std::size_t question = text.find('?'); question != kNone) {
    parts.query = text.substr(question + 1);
    text = text.substr(0, question);
  }
  if (text.starts_with("//")) {
    text.remove_prefix(2);
    const std::size_t slash = std::min(text.find('/'), text.size());
    parts.authority = text.substr(0, slash);
    text.remove_prefix(slash);
  }
  parts.path = text;
  return parts;
}

// RFC 3986 §5.2.4. REQUIRES: path begins with "/".
std::string without_dot_segments(std::string_view path) {
  std::string out;
  bool directory = false;
  for (const std::string_view segment : split(path.substr(1), '/')) {
    directory = segment == "." || segment == "..";
    if (segment == "..") out.resize(out.empty() ? 0 : out.rfind('/'));
    if (!directory) out.append("/").append(segment);
  }
  if (directory) out += '/';
  return out;
}

// RFC 3986 §5.2.3.
std::string merged(std::string_view base_path, std::string_view path) {
  const std::size_t slash = base_path.rfind('/');
  std::string out(slash == kNone ? "/" : base_path.substr(0, slash + 1));
  return out.append(path);
}

std::string compose(std::string_view scheme, std::string_view authority, std::string_view path,
                    std::optional<std::string_view> query) {
  std::string uri = to_lower(scheme);
  uri.append("://").append(to_lower(authority)).append(path.empty() ? "/" : path);
  if (query) uri.append("?").append(*query);
  return uri;
}

bool same_origin(std::string_view a, std::string_view b) noexcept {
  const Parts x = split_uri(a);
  const Parts y = split_uri(b);
  return iequals(x.scheme, y.scheme) && iequals(x.authority, y.authority);
}

}  // namespace

std::optional<std::string> resolve_uri(std::string_view base, std::string_view reference) {
  const Parts from = split_uri(base);
  const Parts to = split_uri(reference);
  if (!to.scheme.empty() || reference.starts_with("//")) {
    const std::string_view scheme = to.scheme.empty() ? from.scheme : to.scheme;
    if (!iequals(scheme, "http") && !iequals(scheme, "https")) return std::nullopt;
    if (to.authority.empty() || (!to.path.empty() && to.path[0] != '/')) return std::nullopt;
    return compose(scheme, to.authority,
                   to.path.empty() ? std::string() : without_dot_segments(to.path), to.query);
  }
  if (to.path.empty()) {
    return compose(from.scheme, from.authority, from.path, to.query ? to.query : from.query);
  }
  const std::string path = to.path[0] == '/' ? std::string(to.path) : merged(from.path, to.path);
  return compose(from.scheme, from.authority, without_dot_segments(path), to.query);
}

bool is_unsafe_method(std::string_view method) noexcept {
  return method != "GET" && method != "HEAD" && method != "OPTIONS" && method != "TRACE";
}

std::vector<std::string> invalidated_uris(std::string_view method, std::string_view target,
                                          int status, HeaderFields response) {
  std::vector<std::string> uris;
  if (!is_unsafe_method(method) || status < 200 || status > 399) return uris;
  uris.emplace_back(target);
  for (const std::string_view name : {"location", "content-location"}) {
    const auto reference = response.only(name);
    if (!reference) continue;
    auto uri = resolve_uri(target, trim(*reference));
    if (!uri || !same_origin(*uri, target)) continue;
    if (std::find(uris.begin(), uris.end(), *uri) == uris.end()) uris.push_back(*std::move(uri));
  }
  return uris;
}

}  // namespace tyaprover::cache
