#include "tyaprover/base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace tyaprover {
namespace {

TEST(Utf8, DecodesTheEdgesOfEveryLength) {
  const struct {
    std::string_view bytes;
    std::uint32_t code;
  } cases[] = {{std::string_view("\0", 1), 0},
               {"\x7f", 0x7f},
               {"\xc2\x80", 0x80},
               {"\xdf\xbf", 0x7ff},
               {"\xe0\xa0\x80", 0x800},
               {"\xed\x9f\xbf", 0xd7ff},
               {"\xee\x80\x80", 0xe000},
               {"\xef\xbf\xbf", 0xffff},
               {"\xf0\x90\x80\x80", 0x10000},
               {"\xf4\x8f\xbf\xbf", 0x10ffff}};
  for (const auto& c : cases) {
    const Utf8Sequence sequence = decode_utf8(c.bytes, 0);
    EXPECT_TRUE(sequence.valid) << std::hex << c.code;
    EXPECT_EQ(sequence.length, c.bytes.size()) << std::hex << c.code;
    EXPECT_EQ(sequence.code, c.code);
  }
}

TEST(Utf8, AcceptsEveryCodePointOfTwoBytesOnce) {
  int valid = 0;
  for (int a = 0x80; a < 0x100; ++a) {
    for (int b = 0; b < 0x100; ++b) {
      const char bytes[] = {static_cast<char>(a), static_cast<char>(b)};
      const Utf8Sequence sequence = decode_utf8({bytes, 2}, 0);
      if (sequence.valid) ++valid;
    }
  }
  EXPECT_EQ(valid, 0x800 - 0x80);
}

TEST(Utf8, AcceptsEveryCodePointOfThreeBytesOnce) {
  int valid = 0;
  for (int a = 0xe0; a < 0xf0; ++a) {
    for (int b = 0; b < 0x100; ++b) {
      for (int c = 0; c < 0x100; ++c) {
        const char bytes[] = {static_cast<char>(a), static_cast<char>(b), static_cast<char>(c)};
        if (decode_utf8({bytes, 3}, 0).valid) ++valid;
      }
    }
  }
  EXPECT_EQ(valid, 0x10000 - 0x800 - 0x800);  // without the surrogates
}

TEST(Utf8, InvalidBytesAreSkippedByMaximalSubparts) {
  EXPECT_EQ(decode_utf8("\x80", 0).length, 1u);
  EXPECT_EQ(decode_utf8("\xe2\x82", 0).length, 2u);
  EXPECT_EQ(decode_utf8("\xf0\x9f\x98x", 0).length, 3u);
  EXPECT_EQ(decode_utf8("\xed\xa0\x80", 0).length, 1u);
}

TEST(Utf8, RepairReplacesEachMaximalSubpart) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", ""},
      {"plain text of more than eight bytes", "plain text of more than eight bytes"},
      {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
      {"a\xff", "a\xef\xbf\xbd"},
      {"\xe2\x82z", "\xef\xbf\xbdz"},
      {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
  };
  for (const auto& [text, repaired] : cases) {
    std::string out = "before ";
    append_repaired(out, text);
    EXPECT_EQ(out, "before " + std::string(repaired));
    EXPECT_EQ(repaired_size(text), repaired.size());
  }
}

}  // namespace
}  // namespace tyaprover
