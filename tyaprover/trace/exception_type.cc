#include "tyaprover/trace/exception_type.h"

#include <string_view>

// type_info::name() is an encoded name of the Itanium C++ ABI (§5.1): `St` is `std::`, an
// identifier is its length and its letters, and N…E is a nested name. That much covers exceptions;
// decoding templates and substitutions would take a demangler, which the standard library does not
// offer.

namespace tyaprover::trace::detail {

std::string type_name(const std::type_info& type) {
  const std::string_view encoded = type.name();
  std::string_view rest = encoded;
  const bool nested = rest.starts_with('N') && rest.ends_with('E');
  if (nested) {
    rest.remove_prefix(1);
    rest.remove_suffix(1);
  }
  std::string name;
  if (rest.starts_with("St")) {
    name = "std";
    rest.remove_prefix(2);
  }
  while (!rest.empty()) {
    std::size_t size = 0;
    while (!rest.empty() && rest.front() >= '0' && rest.front() <= '9' && size < rest.size()) {
      size = size * 10 + static_cast<std::size_t>(rest.front() - '0');
      rest.remove_prefix(1);
    }
    if (size == 0 || size > rest.size()) return std::string(encoded);
    if (!name.empty()) name += "::";
    const std::string_view identifier = rest.substr(0, size);
    name += identifier.starts_with("_GLOBAL__N_") ? "(anonymous namespace)" : identifier;
    rest.remove_prefix(size);
  }
  return name;
}

}  // namespace tyaprover::trace::detail
