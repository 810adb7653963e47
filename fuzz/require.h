// What a fuzz target says when a property does not hold: its name, then an abort that the fuzzer
// reports.
//
//   require(again == once, "normalising is idempotent");
#pragma once

#include <cstdio>
#include <cstdlib>

inline void require(bool holds, const char* property) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", property);
  std::abort();
}
