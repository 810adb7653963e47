#include "tyaprover/resilience/call_error.h"

namespace tyaprover::resilience {

std::string_view to_string(CallError::Kind kind) noexcept {
  switch (kind) {
    case CallError::Kind::open:
      return "open";
    case CallError::Kind::timeout:
      return "timeout";
    case CallError::Kind::shed:
      return "shed";
    case CallError::Kind::cancelled:
      return "cancelled";
    case CallError::Kind::failed:
      return "failed";
  }
  return "unknown";
}

std::string describe(const CallError& error) {
  std::string text(to_string(error.kind));
  if (!error.cause) return text;
  try {
    std::rethrow_exception(error.cause);
  } catch (const std::exception& cause) {
    text.append(": ").append(cause.what());
  } catch (...) {
    text.append(": an exception that is no std::exception");
  }
  return text;
}

void throw_error(const CallError& error) {
  if (error.cause) std::rethrow_exception(error.cause);
  switch (error.kind) {
    case CallError::Kind::open:
      throw BreakerOpen(error.retry_after);
    case CallError::Kind::timeout:
      throw CallTimeout();
    case CallError::Kind::shed:
      throw CallShed(error.retry_after);
    case CallError::Kind::cancelled:
      throw CallCancelled();
    case CallError::Kind::failed:
      break;
  }
  throw CallException(error);
}

CallError current_call_error() noexcept {
  try {
    throw;
  } catch (const CallException& e) {
    return e.error();
  } catch (...) {
    return {.kind = CallError::Kind::failed, .cause = std::current_exception()};
  }
}

}  // namespace tyaprover::resilience
