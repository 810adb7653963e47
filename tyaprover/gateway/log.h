// The gateway's own log: events of the process, not of requests (those are the access log's).
//
// Thread-safe. Lines for people when stderr is a terminal, one JSON object a line otherwise.
//
//   log_event(LogLevel::warn, "worker does not turn", {{"worker", "1"}, {"for", "5.2s"}});
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>

namespace tyaprover::gateway {

enum class LogLevel : std::uint8_t { info, warn, error };

using LogField = std::pair<std::string_view, std::string_view>;

void log_event(LogLevel level, std::string_view message,
               std::initializer_list<LogField> fields = {});

}  // namespace tyaprover::gateway
