#include "tyaprover/gateway/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <string>

#include "tyaprover/base/json_writer.h"

namespace tyaprover::gateway {
namespace {

struct EventLog {
  bool json = ::isatty(STDERR_FILENO) == 0;
  std::shared_ptr<spdlog::logger> logger = std::make_shared<spdlog::logger>(
      "tyaprover", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());

  EventLog() {
    // The message brings the rest of the object, escaped.
    logger->set_pattern(
        json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})" : "%H:%M:%S %^%l%$ %v",
        json ? spdlog::pattern_time_type::utc : spdlog::pattern_time_type::local);
    logger->flush_on(spdlog::level::info);
  }
};

EventLog& event_log() {
  static EventLog log;
  return log;
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warn:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

}  // namespace

void log_event(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  EventLog& log = event_log();
  std::string line;
  if (log.json) {
    JsonWriter json(line);
    json.begin_object().key("msg").string(message);
    for (const auto& [name, value] : fields) json.key(name).string(value);
    line.erase(0, 1);  // the pattern has opened the object
  } else {
    line = message;
    for (const auto& [name, value] : fields) {
      line.append(" ").append(name).append("=").append(value);
    }
  }
  log.logger->log(to_spdlog(level), "{}", line);
}

}  // namespace tyaprover::gateway
