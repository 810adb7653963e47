#include "tyaprover/http/listen.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <string>

namespace tyaprover::http {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::uint16_t port_of(int fd) {
  const std::string place = describe_listener(fd);
  return static_cast<std::uint16_t>(std::stoi(place.substr(place.rfind(':') + 1)));
}

class Folder {
 public:
  Folder() { EXPECT_NE(::mkdtemp(path_.data()), nullptr); }
  ~Folder() { std::system(("rm -rf " + path_).c_str()); }
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_ = "/tmp/tyaprover-listen-XXXXXX";
};

TEST(ListenTcp, OneSocketPerWorkerOnTheSamePort) {
  const auto sockets = listen_tcp("127.0.0.1", 0, 3);
  ASSERT_TRUE(sockets) << sockets.error();
  std::set<std::uint16_t> ports;
  for (const int fd : *sockets) ports.insert(port_of(fd));
  EXPECT_EQ(ports.size(), 1u);
  for (const int fd : *sockets) ::close(fd);
}

TEST(ListenTcp, AnotherGatewayOnThePortIsAnErrorAlthoughBothSharePorts) {
  const auto first = listen_tcp("127.0.0.1", 0, 1);
  ASSERT_TRUE(first);
  const std::uint16_t port = port_of(first->front());
  const auto second = listen_tcp("127.0.0.1", port, 1);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error(), HasSubstr("127.0.0.1:" + std::to_string(port)));
  EXPECT_THAT(second.error(), HasSubstr("in use"));
  ::close(first->front());
}

TEST(ListenTcp, AnAddressOfAnotherMachineIsAnError) {
  const auto sockets = listen_tcp("192.0.2.77", 0, 1);
  ASSERT_FALSE(sockets);
  EXPECT_THAT(sockets.error(), HasSubstr("this machine has no such address"));
}

TEST(ListenUnix, HasTheModeAskedForAndReplacesAStaleSocket) {
  const Folder folder;
  const std::string path = folder.file("s.sock");
  const auto first = listen_unix(path, 0640);
  ASSERT_TRUE(first) << first.error();
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
  EXPECT_EQ(describe_listener(*first), "unix:" + path);

  const auto taken = listen_unix(path, 0660);
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error(), HasSubstr("another program answers there"));

  ::close(*first);  // the file stays behind
  const auto again = listen_unix(path, 0660);
  ASSERT_TRUE(again) << again.error();
  ::close(*again);
}

TEST(ListenUnix, NeverRemovesWhatIsNoSocket) {
  const Folder folder;
  const std::string path = folder.file("notes.txt");
  std::ofstream(path) << "important";
  const auto result = listen_unix(path, 0660);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error(), HasSubstr("no socket"));
  std::string text;
  std::ifstream(path) >> text;
  EXPECT_EQ(text, "important");
}

TEST(ListenUnix, APathThatCannotBeIsAnError) {
  EXPECT_FALSE(listen_unix("/nonexistent/folder/s.sock", 0660));
  EXPECT_FALSE(listen_unix(std::string(200, 'x'), 0660));
}

TEST(ListenInherited, TakesListeningSocketsOnly) {
  const auto sockets = listen_tcp("127.0.0.1", 0, 1);
  ASSERT_TRUE(sockets);
  EXPECT_TRUE(listen_inherited(sockets->front()));
  const int plain = ::socket(AF_INET, SOCK_STREAM, 0);
  const auto refused = listen_inherited(plain);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error(), StartsWith("cannot listen on fd:"));
  ::close(plain);
  ::close(sockets->front());
  EXPECT_FALSE(listen_inherited(sockets->front()));
}

}  // namespace
}  // namespace tyaprover::http
