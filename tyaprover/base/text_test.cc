#include "tyaprover/base/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace tyaprover {
namespace {

using testing::ElementsAre;

std::vector<std::string> pieces(std::string_view text, char separator) {
  std::vector<std::string> all;
  for (const std::string_view piece : split(text, separator)) all.emplace_back(piece);
  return all;
}

TEST(Text, CaseIsFoldedForAsciiOnly) {
  EXPECT_TRUE(iequals("Content-Length", "content-LENGTH"));
  EXPECT_FALSE(iequals("a", "ab"));
  EXPECT_FALSE(iequals("@", "`"));  // 0x40 and 0x60 differ by the case bit and are no letters
  EXPECT_FALSE(iequals("\xc3\x84", "\xc3\xa4"));
  EXPECT_EQ(to_lower("AbC-Z[\xc3\x84"), "abc-z[\xc3\x84");
}

TEST(Text, TrimTakesSpacesAndTabsOnly) {
  EXPECT_EQ(trim(" \t a b\t "), "a b");
  EXPECT_EQ(trim("\r\na"), "\r\na");
  EXPECT_EQ(trim(" \t"), "");
  EXPECT_EQ(trim(""), "");
}

TEST(Text, SplitKeepsEmptyPieces) {
  EXPECT_THAT(pieces("a,b,,c", ','), ElementsAre("a", "b", "", "c"));
  EXPECT_THAT(pieces("a,", ','), ElementsAre("a", ""));
  EXPECT_THAT(pieces("", ','), ElementsAre(""));
  EXPECT_THAT(pieces("abc", ','), ElementsAre("abc"));
}

TEST(EditDistance, CountsEdits) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("taregts", "targets"), 1u);  // a swap is one edit
  EXPECT_EQ(edit_distance("flaw", "lawn"), 2u);
}

TEST(ClosestMatch, NamesWhatWasProbablyMeant) {
  const std::string_view keys[] = {"targets", "timeouts", "limits", "name"};
  EXPECT_EQ(closest_match("taregts", keys), "targets");
  EXPECT_EQ(closest_match("target", keys), "targets");
  EXPECT_EQ(closest_match("limit", keys), "limits");
  EXPECT_EQ(closest_match("nme", keys), "name");
  EXPECT_EQ(closest_match("colour", keys), std::nullopt);
  EXPECT_EQ(closest_match("", keys), std::nullopt);
  EXPECT_EQ(closest_match(std::string(100, 'a'), keys), std::nullopt);
}

TEST(ListMembers, AreTrimmedAndNeverEmpty) {
  std::vector<std::string> members;
  for_each_list_member(" a ,, b;c=\"d,e\" ,\t,f", [&](std::string_view member) {
    members.emplace_back(member);
    return true;
  });
  EXPECT_EQ(members, (std::vector<std::string>{"a", "b;c=\"d,e\"", "f"}));
}

TEST(ListMembers, StopWhenToldTo) {
  int calls = 0;
  for_each_list_member("a,b,c", [&](std::string_view) { return ++calls < 2; });
  EXPECT_EQ(calls, 2);
}

TEST(ListMembers, AQuoteThatDoesNotEndIsTold) {
  std::vector<std::string> members;
  const auto keep = [&](std::string_view member) { members.emplace_back(member); };
  EXPECT_TRUE(for_each_list_member("a, \"b,\\\"c\"", keep));
  EXPECT_THAT(members, ElementsAre("a", "\"b,\\\"c\""));
  members.clear();
  EXPECT_FALSE(for_each_list_member("a, \"b, c", keep));
  EXPECT_THAT(members, ElementsAre("a", "\"b, c"));
}

}  // namespace
}  // namespace tyaprover
