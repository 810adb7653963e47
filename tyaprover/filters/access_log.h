// AccessLog: one line per request at its end, as JSON or in the formats of Apache's logs (R7.4).
//
// Confined to one worker; movable. Formats into a buffer it keeps and pushes the line into its
// worker's ring: no allocation and no system call per request (watched by access_log_bench.cc).
// Whatever bytes a client sends, one request is one line.
//
//   AccessLogWriter writer({.output = options.output});
//   AccessLog log(writer.add_ring(options.buffer), options);
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "tyaprover/base/ids.h"
#include "tyaprover/filters/access_log_writer.h"
#include "tyaprover/filters/pipeline.h"

namespace tyaprover::filters {

enum class LogFormat { json, clf, combined };

struct AccessLogOptions {
  bool enabled = true;
  std::string output = "stdout";  // stdout, stderr or a file's path (reopened on SIGUSR1)
  LogFormat format = LogFormat::json;
  double sample = 1.0;  // share of whole 2xx responses written; all else always is
  bool query = true;    // false: the query is written as "***"
  std::uint64_t buffer = 4ull * 1024 * 1024;  // per worker
  bool operator==(const AccessLogOptions&) const = default;
};

// Appends the request's line, with its '\n'. `end` is when it ended, on the worker's clock and the
// wall's.
void append_log_line(std::string& out, const http::Exchange& exchange,
                     const AccessLogOptions& options, TimePoint end,
                     std::chrono::system_clock::time_point wall_end);

class AccessLog {
 public:
  struct State {};
  using Random = std::uint64_t (*)() noexcept;  // uniform over all 64-bit values

  AccessLog(AccessLogWriter::Ring& ring, AccessLogOptions options, Random random = &random_u64);

  void on_finish(Exchange& exchange, State& state) noexcept;

 private:
  [[nodiscard]] bool is_sampled(const http::Exchange& exchange) noexcept;

  AccessLogWriter::Ring* ring_;
  AccessLogOptions options_;
  Random random_;
  std::string line_;
};

}  // namespace tyaprover::filters
