// B3 in both forms, as "name:value" lines: what is understood survives being written and read
// again.
#include <cstddef>
#include <cstdint>

#include "fuzz/propagation.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using tyaprover::trace::Propagator;
  tyaprover::trace::check_propagation(Propagator::b3, "",
                                      {reinterpret_cast<const char*>(data), size});
  return 0;
}
