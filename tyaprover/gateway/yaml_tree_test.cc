#include "tyaprover/gateway/yaml_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tyaprover::gateway {
namespace {

using testing::HasSubstr;

std::string problem_of(std::string_view text) {
  const YamlTree tree = read_yaml(text);
  EXPECT_EQ(tree.problems.size(), 1u);
  return tree.problems.empty() ? "" : tree.problems[0].message;
}

TEST(YamlTree, KeepsTheOrderAndThePlaces) {
  const YamlTree tree = read_yaml("b: 1\na:\n  - x\n  - \"y\"\nc:\n");
  ASSERT_NE(tree.root, nullptr);
  ASSERT_EQ(tree.root->entries.size(), 3u);
  EXPECT_EQ(tree.root->entries[0].key, "b");
  const YamlNode& list = *tree.root->entries[1].value;
  ASSERT_EQ(list.items.size(), 2u);
  EXPECT_EQ(list.items[1]->text, "y");
  EXPECT_EQ(list.items[1]->place.line, 3);
  EXPECT_EQ(list.items[1]->place.column, 4);
  EXPECT_EQ(tree.root->entries[2].value->kind, YamlNode::Kind::null);
}

TEST(YamlTree, OfDuplicateKeysTheFirstStays) {
  const YamlTree tree = read_yaml("a: 1\nb: {x: 1}\nb: {x: 2, x: 3}\na: 2\n");
  ASSERT_NE(tree.root, nullptr);
  EXPECT_EQ(tree.root->entries.size(), 2u);
  EXPECT_EQ(tree.root->entries[0].value->text, "1");
  EXPECT_EQ(tree.problems.size(), 3u);
}

TEST(YamlTree, AliasesShareTheirNode) {
  const YamlTree tree = read_yaml("a: &x [1]\nb: *x\n");
  ASSERT_NE(tree.root, nullptr);
  EXPECT_EQ(tree.root->entries[0].value, tree.root->entries[1].value);
}

TEST(YamlTree, RefusesWhatAConfigurationHasNoUseFor) {
  EXPECT_THAT(problem_of("a: !!int 1"), HasSubstr("tags"));
  EXPECT_THAT(problem_of("!x {a: 1}"), HasSubstr("tags"));
  EXPECT_THAT(problem_of("? {a: 1}\n: 1"), HasSubstr("a key must be plain text"));
  EXPECT_THAT(problem_of("? [a]\n: 1"), HasSubstr("a key must be plain text"));
  EXPECT_THAT(problem_of("a: &x 1\n*x : 2"), HasSubstr("a key must be plain text"));
  EXPECT_THAT(problem_of("a: 1\n---\nb: 2"), HasSubstr("second document"));
  EXPECT_THAT(problem_of("a: &x [*x]"), HasSubstr("alias"));
  EXPECT_THAT(problem_of("a: *nowhere"), HasSubstr("not valid YAML"));
}

TEST(YamlTree, RefusesBytesThatPeopleCannotSee) {
  EXPECT_THAT(problem_of("a: \x1b[31m"), HasSubstr("control character"));
  EXPECT_THAT(problem_of(std::string_view("a: \0", 4)), HasSubstr("control character"));
  EXPECT_THAT(problem_of("a: 1\rb: 2"), HasSubstr("control character"));
  EXPECT_THAT(problem_of("a: \xc2\x9b"), HasSubstr("control character"));
  EXPECT_THAT(problem_of("a: \xff"), HasSubstr("UTF-8"));
  EXPECT_THAT(problem_of(std::string_view("\xfe\xff\0a", 4)), HasSubstr("UTF-8"));
}

TEST(YamlTree, TakesByteOrderMarksAndDosLines) {
  const YamlTree tree = read_yaml(
      "\xef\xbb\xbf"
      "a: 1\r\nb: 2\r\n");
  ASSERT_NE(tree.root, nullptr);
  EXPECT_EQ(tree.root->entries[1].value->text, "2");
}

TEST(YamlTree, AnEmptyTextHasNoRoot) {
  for (const std::string_view text : {"", "\n", "# comment\n"}) {
    const YamlTree tree = read_yaml(text);
    EXPECT_TRUE(tree.problems.empty());
    EXPECT_TRUE(tree.root == nullptr || tree.root->kind == YamlNode::Kind::null);
  }
}

TEST(YamlTree, DeepNestingIsAnError) {
  EXPECT_THAT(problem_of(std::string(1'000, '[') + std::string(1'000, ']')),
              HasSubstr("deeper than 32"));
  EXPECT_NE(problem_of(std::string(100'000, '[')), "");
  std::string block;
  for (int i = 0; i < 1'000; ++i) block += "- ";
  EXPECT_THAT(problem_of(block), HasSubstr("deeper than 32"));
  std::string maps;
  for (int i = 0; i < 1'000; ++i) maps += "{a: ";
  EXPECT_NE(problem_of(maps), "");
  EXPECT_THAT(problem_of(maps + "1" + std::string(1'000, '}')), HasSubstr("deeper than 32"));
}

TEST(YamlTree, AnAliasBombIsAnError) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last;
    for (int k = 1; k < 10; ++k) bomb += ", " + last;
    bomb += "]\n";
  }
  EXPECT_THAT(problem_of(bomb), HasSubstr("more than 100000 values"));
}

TEST(YamlTree, AHugeFileIsAnError) {
  EXPECT_THAT(problem_of("a: " + std::string(10 << 20, 'x')), HasSubstr("larger than 1 MiB"));
}

TEST(YamlTree, TheLargestFileIsReadInReasonableTime) {
  std::string text;
  for (int i = 0; text.size() + 20 < kMaxYamlBytes && i < 90'000; ++i)
    text += "k" + std::to_string(i) + ": v\n";
  const YamlTree tree = read_yaml(text);
  ASSERT_NE(tree.root, nullptr);
  EXPECT_GT(tree.root->entries.size(), 80'000u);
}

}  // namespace
}  // namespace tyaprover::gateway
