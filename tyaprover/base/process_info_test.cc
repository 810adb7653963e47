#include "tyaprover/base/process_info.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <ctime>
#include <thread>

namespace tyaprover {
namespace {

TEST(ProcessInfo, EverythingIsThere) {
  const ProcessInfo info = read_process_info();
  EXPECT_GT(info.resident_bytes, 0u);
  EXPECT_GE(info.virtual_bytes, info.resident_bytes);
  EXPECT_GE(info.heap_total_bytes, info.heap_used_bytes);
  EXPECT_GE(info.threads, 1u);
  EXPECT_GT(info.max_descriptors, 0u);
  EXPECT_GE(info.cpu_user + info.cpu_system, Nanos(0));
}

TEST(ProcessInfo, TheStartLiesJustBehind) {
  const auto age = std::chrono::system_clock::now() - read_process_info().started;
  EXPECT_GT(age, std::chrono::seconds(-2)) << "the boot time is given in whole seconds";
  EXPECT_LT(age, std::chrono::hours(1));
}

TEST(ProcessInfo, DescriptorsAreCounted) {
  const std::uint64_t before = read_process_info().open_descriptors;
  const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(read_process_info().open_descriptors, before + 1);
  ::close(fd);
  EXPECT_EQ(read_process_info().open_descriptors, before);
}

TEST(ProcessInfo, ThreadsAreCounted) {
  std::atomic<bool> stop{false};
  // With the first one TSan starts a thread of its own.
  std::thread first([&] { stop.wait(false); });
  const std::uint64_t before = read_process_info().threads;
  std::thread second([&] { stop.wait(false); });
  EXPECT_EQ(read_process_info().threads, before + 1);
  stop = true;
  stop.notify_all();
  first.join();
  second.join();
}

TEST(ProcessInfo, CpuTimeIsThatOfTheProcess) {
  const ProcessInfo before = read_process_info();
  const std::clock_t start = std::clock();
  while (std::clock() - start < CLOCKS_PER_SEC / 50) {
  }
  const ProcessInfo after = read_process_info();
  const Nanos used = after.cpu_user + after.cpu_system - before.cpu_user - before.cpu_system;
  EXPECT_GE(used, std::chrono::milliseconds(15));
}

}  // namespace
}  // namespace tyaprover
