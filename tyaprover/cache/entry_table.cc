#include "tyaprover/cache/entry_table.h"

#include "tyaprover/base/ids.h"

namespace tyaprover::cache {

std::uint64_t random_hash_seed() noexcept {
  return random_u64() | 1;  // never the 0 that asks for a random one
}

}  // namespace tyaprover::cache
