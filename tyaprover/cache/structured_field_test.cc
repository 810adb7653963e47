// Structured fields: what is a dictionary, and where a text stops being one.
#include "tyaprover/cache/structured_field.h"

#include <gtest/gtest.h>

#include <string>

namespace tyaprover::cache {
namespace {

std::string show(std::string_view text) {
  const auto dictionary = parse_dictionary(text);
  if (!dictionary) return "error at " + std::to_string(dictionary.error().position);
  std::string out;
  for (const StructuredMember& member : *dictionary) {
    if (!out.empty()) out += ' ';
    out.append(member.key).append(":").append(to_string(member.type)).append(":");
    const bool numeric = member.type <= StructuredType::decimal;
    out += numeric ? std::to_string(member.integer) : std::string(member.text);
  }
  return out;
}

TEST(StructuredDictionary, ReadsEveryType) {
  struct Case {
    std::string_view text;
    std::string_view expected;
  };
  constexpr Case kCases[] = {
      {"", ""},
      {"   ", ""},
      {"a", "a:boolean:1"},
      {"a=?0, b=?1", "a:boolean:0 b:boolean:1"},
      {"a=1", "a:integer:1"},
      {"a=-0", "a:integer:0"},
      {"a=-15", "a:integer:-15"},
      {"a=999999999999999", "a:integer:999999999999999"},
      {"a=1.5", "a:decimal:1500"},
      {"a=-0.001", "a:decimal:-1"},
      {"a=123456789012.123", "a:decimal:123456789012123"},
      {"a=\"x \\\" y\"", "a:string:x \\\" y"},
      {"a=tok/en:*", "a:token:tok/en:*"},
      {"a=*x", "a:token:*x"},
      {"a=:aGk=:", "a:byte sequence:aGk="},
      {"a=()", "a:inner list:"},
      {"a=( 1  b;x=1 );y", "a:inner list: 1  b;x=1 "},
      {"a;x;y=2;z=\"q\", b", "a:boolean:1 b:boolean:1"},
      {"a=1,b=2", "a:integer:1 b:integer:2"},
      {"a=1\t ,\t b=2", "a:integer:1 b:integer:2"},
      {"a=1, b=2, a=3", "a:integer:3 b:integer:2"},
      {"*a_b-c.d*1=1", "*a_b-c.d*1:integer:1"},
  };
  for (const Case& c : kCases) EXPECT_EQ(show(c.text), c.expected) << c.text;
}

TEST(StructuredDictionary, RefusesEverythingElse) {
  constexpr std::string_view kCases[] = {
      "A=1",
      "1=1",
      "a=",
      "a= 1",
      "a =1",
      "a=1,",
      "a=1, ",
      ",a",
      "a=1 b=2",
      "a=1;",
      "a=1;A",
      "a=(1",
      "a=(1,2)",
      "a=(1\t2)",
      "a=\"x",
      "a=\"\\x\"",
      "a=\"\x7f\"",
      "a=:a",
      "a=:?:",
      "a=?2",
      "a=?",
      "a=1.",
      "a=1.2345",
      "a=.5",
      "a=--1",
      "a=-",
      "a=1234567890123456",
      "a=1234567890123.1",
      "a=@1",
      "a='x'",
      "\ta=1",
  };
  for (const auto text : kCases) EXPECT_TRUE(show(text).starts_with("error at")) << text;
}

TEST(StructuredDictionary, SaysWhereItStopped) {
  EXPECT_EQ(show("a=1, B=2"), "error at 5");
}

TEST(StructuredDictionary, TakesAsManyMembersAsTheStandardAsks) {
  const auto dictionary_of = [](int members) {
    std::string text;
    for (int i = 0; i < members; ++i) text += (i == 0 ? "k" : ", k") + std::to_string(i);
    return text;
  };
  const std::string most = dictionary_of(1024);
  ASSERT_TRUE(parse_dictionary(most));
  EXPECT_EQ(parse_dictionary(most)->size(), 1024u);
  EXPECT_FALSE(parse_dictionary(dictionary_of(1025)));
}

}  // namespace
}  // namespace tyaprover::cache
