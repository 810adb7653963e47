#include "tyaprover/base/json_writer.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "tyaprover/base/ids.h"

namespace tyaprover {
namespace {

std::string escaped(std::string_view text) {
  std::string out;
  append_json_escaped(out, text);
  return out;
}

TEST(JsonWriter, PutsCommasBetweenSiblingsOnAllLevels) {
  std::string out = "log: ";
  JsonWriter json(out);
  json.begin_object().key("a").integer(1).key("b").begin_array();
  json.string("x").begin_object().end_object().begin_array().end_array().null().boolean(true);
  json.end_array().key("c").boolean(false).key("d").raw("[1]").key("e").number(0.5).end_object();
  EXPECT_EQ(out, R"(log: {"a":1,"b":["x",{},[],null,true],"c":false,"d":[1],"e":0.5})");
}

TEST(JsonWriter, WritesIntegersOfEveryWidth) {
  std::string out;
  JsonWriter json(out);
  json.begin_array().integer(std::numeric_limits<std::int64_t>::min());
  json.integer(std::numeric_limits<std::uint64_t>::max())
      .integer(short{-3})
      .integer(0u)
      .end_array();
  EXPECT_EQ(out, "[-9223372036854775808,18446744073709551615,-3,0]");
}

TEST(JsonWriter, WritesNullForWhatIsNoNumber) {
  std::string out;
  JsonWriter json(out);
  json.begin_array()
      .number(std::nan(""))
      .number(INFINITY)
      .number(-INFINITY)
      .number(1e21)
      .end_array();
  EXPECT_EQ(out, "[null,null,null,1e+21]");
}

TEST(JsonWriter, DoublesReadBackEqual) {
  for (int i = 0; i < 20'000; ++i) {
    const double value = std::bit_cast<double>(random_u64());
    if (!std::isfinite(value)) continue;
    std::string out;
    JsonWriter(out).number(value);
    EXPECT_EQ(nlohmann::json::parse(out).get<double>(), value) << out;
  }
}

TEST(JsonEscape, EscapesWhatWouldEndAStringOrALine) {
  const struct {
    std::string_view text;
    std::string_view json;
  } cases[] = {
      {"", ""},
      {"plain text, longer than a word", "plain text, longer than a word"},
      {"\"\\/", "\\\"\\\\/"},
      {"\b\f\n\r\t", "\\b\\f\\n\\r\\t"},
      {std::string_view("\0\x1f\x7f", 3), "\\u0000\\u001f\\u007f"},
      {"\xc2\x85", "\\u0085"},  // NEL ends a line for some readers
      {"\xe2\x80\xa8\xe2\x80\xa9", "\\u2028\\u2029"},
      {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
       "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
      {"\x80", "\xef\xbf\xbd"},                                  // lone continuation
      {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                  // overlong
      {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},  // surrogate
      {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},  // above U+10FFFF
      {"\xe2\x82", "\xef\xbf\xbd"},  // cut off: one maximal subpart
      {"\xe2\x82x", "\xef\xbf\xbdx"},
      {"\xf0\x9f\x98\"", "\xef\xbf\xbd\\\""},
  };
  for (const auto& c : cases) EXPECT_EQ(escaped(c.text), c.json);
}

TEST(JsonEscape, FindsASpecialByteAtEveryPlaceOfAWord) {
  for (const char special : {'"', '\\', '\n', '\x7f', '\x00', '\x1f', '\x80', '\xff'}) {
    for (std::size_t size = 1; size < 20; ++size) {
      for (std::size_t at = 0; at < size; ++at) {
        std::string text(size, '~');
        text[at] = special;
        const std::string expected = std::string(at, '~') + escaped(std::string(1, special)) +
                                     std::string(size - at - 1, '~');
        EXPECT_EQ(escaped(text), expected);
      }
    }
  }
}

TEST(JsonEscape, ArbitraryBytesGiveOneLineOfValidJson) {
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (std::uint64_t n = random_u64() % 40; n > 0; --n) {
      const std::uint64_t pick = random_u64();
      text += static_cast<char>((pick & 1) != 0 ? 0x20 + (pick >> 8) % 0x60 : pick >> 8);
    }
    const std::string json = '"' + escaped(text) + '"';
    EXPECT_EQ(json.find('\n'), std::string::npos);
    EXPECT_TRUE(nlohmann::json::accept(json)) << json;
  }
}

TEST(JsonEscape, ValidTextReadsBackEqual) {
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (std::uint64_t n = random_u64() % 20; n > 0; --n) {
      std::uint32_t code =
          static_cast<std::uint32_t>(random_u64() % (0x110000u >> (random_u64() % 21)));
      if (code >= 0xd800 && code < 0xe000) code = '?';
      if (code < 0x80) {
        text += static_cast<char>(code);
      } else if (code < 0x800) {
        text += static_cast<char>(0xc0 | (code >> 6));
        text += static_cast<char>(0x80 | (code & 0x3f));
      } else if (code < 0x10000) {
        text += static_cast<char>(0xe0 | (code >> 12));
        text += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
        text += static_cast<char>(0x80 | (code & 0x3f));
      } else {
        text += static_cast<char>(0xf0 | (code >> 18));
        text += static_cast<char>(0x80 | ((code >> 12) & 0x3f));
        text += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
        text += static_cast<char>(0x80 | (code & 0x3f));
      }
    }
    EXPECT_EQ(nlohmann::json::parse('"' + escaped(text) + '"').get<std::string>(), text);
  }
}

TEST(JsonWriter, DoesNotAllocateInAWarmString) {
  std::string out;
  out.reserve(256);
  const char* const before = out.data();
  JsonWriter(out).begin_object().key("path").string("/a\"b").key("n").integer(1).end_object();
  EXPECT_EQ(out.data(), before);
}

}  // namespace
}  // namespace tyaprover
