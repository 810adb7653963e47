#include "tyaprover/metrics/process_metrics.h"

#include "tyaprover/base/process_info.h"

namespace tyaprover::metrics {
namespace {

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

void collect(Collection& out) {
  const ProcessInfo info = read_process_info();
  const auto bytes = [&out](std::string_view name, std::string_view help, std::uint64_t value) {
    out.gauge(name, help, static_cast<double>(value));
    out.unit("bytes");
  };
  const auto cpu = [&out](std::string_view name, std::string_view help, Nanos time) {
    out.counter(name, help, seconds(time));
    out.unit("seconds");
  };
  cpu("process_cpu_seconds_total", "CPU time of the process, user and system.",
      info.cpu_user + info.cpu_system);
  cpu("process_cpu_user_seconds_total", "CPU time of the process in user code.", info.cpu_user);
  cpu("process_cpu_system_seconds_total", "CPU time of the process in the kernel.",
      info.cpu_system);
  bytes("process_virtual_memory_bytes", "Virtual memory.", info.virtual_bytes);
  bytes("process_memory_heap_used_bytes", "Heap memory in use.", info.heap_used_bytes);
  bytes("process_memory_heap_total_bytes", "Heap memory taken from the system.",
        info.heap_total_bytes);
  out.gauge("process_open_fds", "Open file descriptors.",
            static_cast<double>(info.open_descriptors));
  out.gauge("process_max_fds", "Largest number of open file descriptors.",
            static_cast<double>(info.max_descriptors));
  out.gauge("process_threads", "Threads.", static_cast<double>(info.threads));
  out.gauge("process_start_time_seconds", "When the process started, in seconds since 1970.",
            seconds(info.started.time_since_epoch()));
  out.unit("seconds");

  out.shown_in(ShownIn::prometheus_only);
  bytes("process_resident_memory_bytes", "Resident memory.", info.resident_bytes);
  out.shown_in(ShownIn::seed_only);
  bytes("process_memory_rss_bytes", "Resident memory.", info.resident_bytes);
}

}  // namespace

void register_process_metrics(Registry& registry) {
  registry.add_collector("process", collect);
}

}  // namespace tyaprover::metrics
