#include "tyaprover/http/grammar.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace tyaprover::http {
namespace {

// The characters of a class, in order of their codes.
std::string members(CharClass which) {
  std::string all;
  for (unsigned code = 0; code < 256; ++code) {
    if (is(static_cast<char>(code), which)) all += static_cast<char>(code);
  }
  return all;
}

const std::string kDigits = "0123456789";
const std::string kUpper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const std::string kLower = "abcdefghijklmnopqrstuvwxyz";

std::string sorted(std::string text) {
  std::sort(text.begin(), text.end(), [](char a, char b) {
    return static_cast<unsigned char>(a) < static_cast<unsigned char>(b);
  });
  return text;
}

TEST(Grammar, ClassesHoldTheCharactersOfTheStandards) {
  const std::string alnum = kDigits + kUpper + kLower;
  EXPECT_EQ(members(CharClass::token), sorted(alnum + "!#$%&'*+-.^_`|~"));  // RFC 9110 §5.6.2
  EXPECT_EQ(members(CharClass::digit), kDigits);
  EXPECT_EQ(members(CharClass::hex), kDigits + "ABCDEFabcdef");
  EXPECT_EQ(members(CharClass::unreserved), sorted(alnum + "-._~"));          // RFC 3986 §2.3
  EXPECT_EQ(members(CharClass::reg_name), sorted(alnum + "-._~!$&'()*+;="));  // §3.2.2, R4.8
}

TEST(Grammar, TargetIsVisibleAsciiWithoutFragment) {  // R4.4
  for (unsigned code = 0; code < 256; ++code) {
    EXPECT_EQ(is(static_cast<char>(code), CharClass::target),
              code >= 0x21 && code <= 0x7e && code != '#')
        << code;
  }
}

TEST(Grammar, FieldValueHasNoControlButTab) {  // R4.7
  for (unsigned code = 0; code < 256; ++code) {
    EXPECT_EQ(is(static_cast<char>(code), CharClass::field_value),
              code == '\t' || (code >= 0x20 && code != 0x7f))
        << code;
  }
}

TEST(Grammar, OnlyAsciiLettersHaveCase) {
  for (unsigned a = 0; a < 256; ++a) {
    for (unsigned b = 0; b < 256; ++b) {
      const char x = static_cast<char>(a);
      const char y = static_cast<char>(b);
      const bool same = to_lower(x) == to_lower(y);
      for (const std::size_t size : {1U, 5U, 8U, 9U}) {  // one per way of comparing
        const std::string left = std::string(size - 1, 'p') + x;
        const std::string right = std::string(size - 1, 'P') + y;
        ASSERT_EQ(equals_ignoring_case(left, right), same) << a << ' ' << b << ' ' << size;
      }
    }
  }
}

TEST(Grammar, EqualsIgnoringCaseSeesEveryPosition) {
  for (std::size_t size = 1; size < 40; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      const std::string a(size, 'a');
      std::string b(size, 'A');
      EXPECT_TRUE(equals_ignoring_case(a, b));
      b[at] = 'b';
      EXPECT_FALSE(equals_ignoring_case(a, b)) << size << ' ' << at;
    }
  }
  EXPECT_TRUE(equals_ignoring_case("", ""));
  EXPECT_FALSE(equals_ignoring_case("", "a"));
  EXPECT_FALSE(equals_ignoring_case("aaaaaaaa", "aaaaaaaaa"));
}

TEST(Grammar, TrimBlanksRemovesSpacesAndTabsAtTheEnds) {
  EXPECT_EQ(trim_blanks(" \t a b\t "), "a b");
  EXPECT_EQ(trim_blanks(" \t "), "");
  EXPECT_EQ(trim_blanks(""), "");
  EXPECT_EQ(trim_blanks("\ra\n"), "\ra\n");
}

TEST(Grammar, HexValueOfEveryDigit) {
  const std::string digits = "0123456789abcdef0123456789ABCDEF";
  for (std::size_t i = 0; i < digits.size(); ++i) {
    EXPECT_EQ(hex_value(digits[i]), i % 16) << digits[i];
  }
}

}  // namespace
}  // namespace tyaprover::http
