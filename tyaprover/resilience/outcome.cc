#include "tyaprover/resilience/outcome.h"

namespace tyaprover::resilience {

std::string_view to_string(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::success:
      return "success";
    case Outcome::failure:
      return "failure";
    case Outcome::timeout:
      return "timeout";
    case Outcome::ignored:
      return "ignored";
    case Outcome::cancelled:
      return "cancelled";
    case Outcome::shed:
      return "shed";
    case Outcome::rejected:
      return "rejected";
  }
  return "unknown";
}

}  // namespace tyaprover::resilience
