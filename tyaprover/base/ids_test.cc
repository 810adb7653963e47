#include "tyaprover/base/ids.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace tyaprover {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

std::string uuid_at(system_clock::time_point time) {
  char out[36];
  write_uuid_v7(out, time);
  return {out, sizeof(out)};
}

TEST(RandomU64, BitsAreEven) {
  constexpr int kRounds = 20'000;
  int ones[64] = {};
  for (int i = 0; i < kRounds; ++i) {
    const std::uint64_t value = random_u64();
    for (unsigned bit = 0; bit < 64; ++bit) ones[bit] += static_cast<int>((value >> bit) & 1);
  }
  // Seven standard deviations: fails by chance once in 10^10 runs.
  for (const int count : ones) EXPECT_NEAR(count, kRounds * 0.5, 7 * 71);
}

TEST(RandomU64, ThreadsDiffer) {
  std::vector<std::uint64_t> firsts(8);
  std::vector<std::thread> threads;
  for (auto& first : firsts) threads.emplace_back([&first] { first = random_u64(); });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(std::set<std::uint64_t>(firsts.begin(), firsts.end()).size(), firsts.size());
}

TEST(RandomU64, ChildOfAForkDiffers) {
  (void)random_u64();
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const std::uint64_t value = random_u64();
    _exit(write(ends[1], &value, sizeof(value)) == sizeof(value) ? 0 : 1);
  }
  const std::uint64_t ours = random_u64();
  std::uint64_t theirs = 0;
  ASSERT_EQ(read(ends[0], &theirs, sizeof(theirs)), static_cast<ssize_t>(sizeof(theirs)));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_NE(ours, theirs);
  close(ends[0]);
  close(ends[1]);
}

TEST(ForkGeneration, DiffersInTheChildOnly) {
  const std::uint32_t before = fork_generation();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(fork_generation() == before ? 1 : 0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(fork_generation(), before);
}

TEST(UuidV7, HasTheLayoutOfTheStandard) {
  // RFC 9562 appendix A.6: 2022-02-22T19:22:22Z.
  const std::string id = uuid_at(system_clock::time_point(milliseconds(0x017F22E279B0)));
  EXPECT_EQ(id.substr(0, 15), "017f22e2-79b0-7");
  for (int i = 0; i < 1'000; ++i) {
    const std::string text = uuid_at(system_clock::now());
    for (std::size_t at = 0; at < text.size(); ++at) {
      if (at == 8 || at == 13 || at == 18 || at == 23) {
        ASSERT_EQ(text[at], '-') << text;
      } else {
        ASSERT_NE(std::string_view("0123456789abcdef").find(text[at]), std::string_view::npos)
            << text;
      }
    }
    ASSERT_EQ(text[14], '7') << text;
    ASSERT_NE(std::string_view("89ab").find(text[19]), std::string_view::npos) << text;
  }
}

TEST(UuidV7, NeverRepeatsInOneMillisecond) {
  const auto now = system_clock::now();
  std::set<std::string> seen;
  for (int i = 0; i < 20'000; ++i) EXPECT_TRUE(seen.insert(uuid_at(now)).second);
}

TEST(UuidV7, SortsByTime) {
  const auto now = system_clock::now();
  EXPECT_LT(uuid_at(now), uuid_at(now + milliseconds(1)));
  EXPECT_LT(uuid_at(now), uuid_at(now + std::chrono::hours(24 * 365)));
}

}  // namespace
}  // namespace tyaprover
