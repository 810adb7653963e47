#include "tyaprover/base/process_info.h"

#include <dirent.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>

namespace tyaprover {
namespace {

Nanos duration_of(const timeval& time) {
  return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

// The fields of /proc/self/stat from the third on: the second is the program's name in
// parentheses, which may itself have spaces and parentheses (proc(5)).
void read_stat(ProcessInfo& info) {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return;
  std::string fields = line.substr(name_end + 1);
  constexpr int kThreads = 20;
  constexpr int kStart = 22;
  constexpr int kVirtual = 23;
  constexpr int kResident = 24;
  std::uint64_t start_ticks = 0;
  int number = 2;
  for (std::size_t at = 0; at < fields.size();) {
    const std::size_t begin = fields.find_first_not_of(' ', at);
    if (begin == std::string::npos) break;
    const std::size_t end = std::min(fields.find(' ', begin), fields.size());
    at = end;
    ++number;
    if (number != kThreads && number < kStart) continue;
    if (number > kResident) break;
    const std::uint64_t value = std::strtoull(fields.c_str() + begin, nullptr, 10);
    if (number == kThreads) info.threads = value;
    if (number == kStart) start_ticks = value;
    if (number == kVirtual) info.virtual_bytes = value;
    if (number == kResident) {
      info.resident_bytes = value * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    }
  }

  // The start is in ticks since the machine's, which /proc/stat tells in seconds since 1970.
  std::ifstream stat("/proc/stat");
  while (std::getline(stat, line)) {
    if (!line.starts_with("btime ")) continue;
    const auto boot = std::chrono::seconds(std::strtoll(line.c_str() + 6, nullptr, 10));
    const auto ticks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
    const auto since_boot = std::chrono::milliseconds(start_ticks * 1000 / ticks);
    info.started = std::chrono::system_clock::time_point(boot + since_boot);
    break;
  }
}

std::uint64_t count_descriptors() {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir("/proc/self/fd"), &::closedir);
  if (!dir) return 0;
  std::uint64_t count = 0;
  while (const dirent* entry = ::readdir(dir.get())) count += entry->d_name[0] == '.' ? 0 : 1;
  return count > 0 ? count - 1 : 0;  // without the one of this listing
}

}  // namespace

ProcessInfo read_process_info() {
  ProcessInfo info;
  read_stat(info);
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) == 0) {
    info.cpu_user = duration_of(usage.ru_utime);
    info.cpu_system = duration_of(usage.ru_stime);
  }
  const struct mallinfo2 heap = ::mallinfo2();
  info.heap_used_bytes = heap.uordblks + heap.hblkhd;
  info.heap_total_bytes = heap.arena + heap.hblkhd;
  info.open_descriptors = count_descriptors();
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) info.max_descriptors = limit.rlim_cur;
  return info;
}

}  // namespace tyaprover
