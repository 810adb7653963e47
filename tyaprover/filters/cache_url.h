// Keys of the response cache by URL: for purging, and for what unsafe requests invalidate.
//
// Pure functions, thread-safe.
//
//   key_of_url("http://shop/a?b=1")    // the key of GET http://shop/a?b=1
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tyaprover/cache/cache_key.h"

namespace tyaprover::filters {

// Nothing for what is no http or https URL.
[[nodiscard]] std::optional<std::string> key_of_url(std::string_view url,
                                                    const cache::QueryRules& rules = {});

}  // namespace tyaprover::filters
