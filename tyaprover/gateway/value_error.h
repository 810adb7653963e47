// ValueError: why a text is not the value it should be, for people.
//
// A value type. The message completes the sentence that begins with the text itself; the hint says
// what to write instead and may be empty.
//
//   auto address = parse_listen_address("3000");
//   // "3000" is not an address to listen on; hint: write ":3000"
#pragma once

#include <string>

namespace tyaprover::gateway {

struct ValueError {
  std::string message;
  std::string hint;
  bool operator==(const ValueError&) const = default;
};

}  // namespace tyaprover::gateway
