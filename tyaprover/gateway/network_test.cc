#include "tyaprover/gateway/network.h"

#include <gtest/gtest.h>

namespace tyaprover::gateway {
namespace {

TEST(Network, IsWrittenAsItIsRead) {
  for (const std::string_view text : {"10.0.0.0/8", "0.0.0.0/0", "192.0.2.1/32", "172.16.0.0/12",
                                      "::/0", "::1/128", "fd00::/8", "2001:db8:8000::/33"}) {
    const auto network = parse_network(text);
    ASSERT_TRUE(network) << text;
    EXPECT_EQ(format_network(*network), text);
  }
}

TEST(Network, AnAddressIsANetworkOfOne) {
  EXPECT_EQ(format_network(*parse_network("192.0.2.1")), "192.0.2.1/32");
  EXPECT_EQ(format_network(*parse_network("::1")), "::1/128");
}

TEST(Network, RefusesWhatCouldBeMeantOtherwise) {
  for (const std::string_view text :
       {"", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.1.2.3/8", "fd00::1/8", "10.0.0/8",
        "10.0.0.0/08x", "host", "10.0.0.0 /8"}) {
    EXPECT_FALSE(parse_network(text)) << text;
  }
  EXPECT_EQ(parse_network("10.1.2.3/8").error().hint, "write \"10.0.0.0/8\", or the address alone");
}

TEST(IsLoopback, IsThisMachine) {
  for (const char* const address : {"127.0.0.1", "127.8.9.1", "::1", "unix"}) {
    EXPECT_TRUE(is_loopback(address)) << address;
  }
  for (const char* const address : {"", "128.0.0.1", "192.0.2.127", "::", "::11", "::ffff"}) {
    EXPECT_FALSE(is_loopback(address)) << address;
  }
}

}  // namespace
}  // namespace tyaprover::gateway
