#include "tyaprover/trace/trace_context.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tyaprover::trace {
namespace {

constexpr std::string_view kTrace = "0af7651916cd43dd8448eb211c80319c";
constexpr std::string_view kSpan = "b7ad6b7169203331";

std::string outgoing(std::string_view traceparent) {
  const auto context = TraceContext::parse(traceparent);
  return context ? TraceContext::format(*context) : "new";
}

// The rules of §3.2 with the cases of the standard's own test suite; expectation = what we would
// send on with the same span id, or a new trace.
TEST(TraceParent, FollowsTheStandard) {
  const std::string ids = std::string(kTrace) + "-" + std::string(kSpan);
  struct Case {
    std::string text;
    std::string expected;
    std::string_view section;
  };
  const Case cases[] = {
      {"00-" + ids + "-01", "00-" + ids + "-01", "3.2"},
      {"00-" + ids + "-00", "00-" + ids + "-00", "3.2.2.5"},
      {"  00-" + ids + "-01\t", "00-" + ids + "-01", "RFC 9110 5.5: blanks around a value"},
      // Version, §3.2.2.1 and §3.2.4.
      {"01-" + ids + "-01", "00-" + ids + "-01", "higher version, sent on as ours"},
      {"cc-" + ids + "-01", "00-" + ids + "-01", "higher version"},
      {"cc-" + ids + "-01-what-the-future-will-be-like", "00-" + ids + "-01", "may be longer"},
      {"cc-" + ids + "-01-", "00-" + ids + "-01", "may be longer"},
      {"cc-" + ids + "-01.what", "new", "longer only after a dash"},
      {"cc-" + ids + "-01what", "new", "longer only after a dash"},
      {"ff-" + ids + "-01", "new", "ff is forbidden"},
      {"FF-" + ids + "-01", "new", "lower case"},
      {"0-" + ids + "-01", "new", "two digits"},
      {"000-" + ids + "-01", "new", "two digits"},
      {".0-" + ids + "-01", "new", "hex"},
      {"0.-" + ids + "-01", "new", "hex"},
      {"00-" + ids + "-01-what", "new", "version 00 has four parts"},
      {"00-" + ids + "-01-", "new", "version 00 has four parts"},
      {"00-" + ids + "-01.", "new", "version 00 has four parts"},
      {"00-" + ids + "-0100", "new", "version 00 has four parts"},
      // trace-id, §3.2.2.3.
      {"00-00000000000000000000000000000000-" + std::string(kSpan) + "-01", "new", "all zeros"},
      {"00-0AF7651916CD43DD8448EB211C80319C-" + std::string(kSpan) + "-01", "new", "lower case"},
      {"00-.af7651916cd43dd8448eb211c80319c-" + std::string(kSpan) + "-01", "new", "hex"},
      {"00-0af7651916cd43dd8448eb211c80319-" + std::string(kSpan) + "-01", "new", "too short"},
      {"00-0af7651916cd43dd8448eb211c80319cc-" + std::string(kSpan) + "-01", "new", "too long"},
      {"00-00000000000000000000000000000001-" + std::string(kSpan) + "-01",
       "00-00000000000000000000000000000001-" + std::string(kSpan) + "-01", "one bit is enough"},
      // parent-id, §3.2.2.4.
      {"00-" + std::string(kTrace) + "-0000000000000000-01", "new", "all zeros"},
      {"00-" + std::string(kTrace) + "-B7ad6b7169203331-01", "new", "lower case"},
      {"00-" + std::string(kTrace) + "-.7ad6b7169203331-01", "new", "hex"},
      {"00-" + std::string(kTrace) + "-b7ad6b716920333-01", "new", "too short"},
      {"00-" + std::string(kTrace) + "-b7ad6b71692033311-01", "new", "too long"},
      // trace-flags, §3.2.2.5: bits 0 and 1 are known, others are not passed on.
      {"00-" + ids + "-02", "00-" + ids + "-02", "random"},
      {"00-" + ids + "-03", "00-" + ids + "-03", "random and sampled"},
      {"00-" + ids + "-ff", "00-" + ids + "-03", "unknown bits are cleared"},
      {"00-" + ids + "-FF", "new", "lower case"},
      {"00-" + ids + "-.1", "new", "hex"},
      {"00-" + ids + "-1", "new", "two digits"},
      {"00-" + ids, "new", "four parts"},
      // Separators and rubbish.
      {"00_" + ids + "-01", "new", "dashes"},
      {"00-" + std::string(kTrace) + "_" + std::string(kSpan) + "-01", "new", "dashes"},
      {"00-" + ids + "_01", "new", "dashes"},
      {"", "new", "empty"},
      {"00", "new", "too short"},
      {std::string(55, '-'), "new", "no digits"},
      {"00-" + ids + "-01," + "00-" + ids + "-01", "new", "two values in one field"},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(outgoing(each.text), each.expected) << each.text << " (" << each.section << ")";
  }
}

TEST(TraceParent, IsRemoteAndKnowsItsFlags) {
  const auto context =
      TraceContext::parse("00-" + std::string(kTrace) + "-" + std::string(kSpan) + "-03");
  ASSERT_TRUE(context);
  EXPECT_TRUE(context->is_remote());
  EXPECT_TRUE(context->is_sampled());
  EXPECT_TRUE(context->flags().random());
  EXPECT_EQ(context->trace_id(), (TraceId{0x0af7651916cd43dd, 0x8448eb211c80319c}));
  EXPECT_EQ(context->span_id(), SpanId{0xb7ad6b7169203331});
}

TEST(TraceParent, SurvivesFormatAndParse) {
  for (int i = 0; i < 1000; ++i) {
    const SpanContext context(make_trace_id(), make_span_id(), {static_cast<std::uint8_t>(i & 3)});
    const auto again = TraceContext::parse(TraceContext::format(context));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->trace_id(), context.trace_id());
    EXPECT_EQ(again->span_id(), context.span_id());
    EXPECT_EQ(again->flags(), context.flags());
  }
}

TEST(TraceParent, OfNobodyIsInvalid) {
  EXPECT_EQ(TraceContext::format({}), "00-00000000000000000000000000000000-0000000000000000-00");
}

std::string join(const std::vector<std::string_view>& lines) {
  std::string buffer;
  const auto state = TraceState::join(lines, buffer);
  return state ? std::string(*state) : "dropped";
}

std::string repeat(std::string_view text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

// The rules of §3.3 with the cases of the standard's own test suite.
TEST(TraceStateTest, FollowsTheStandard) {
  const std::string z256 = repeat("z", 256);
  const std::string t241 = repeat("t", 241);
  const std::string v14 = repeat("v", 14);
  std::string members32;
  for (int i = 0; i < 32; ++i) members32 += (i ? ",bar" : "bar") + std::to_string(i) + "=1";
  struct Case {
    std::vector<std::string_view> lines;
    std::string expected;
    std::string_view section;
  };
  const std::string long_key = z256 + "=1";
  const std::string longer_key = z256 + "z=1";
  const std::string long_tenant = t241 + "@" + v14 + "=1";
  const std::string longer_tenant = t241 + "t@v=1";
  const std::string longer_system = "t@" + v14 + "v=1";
  const std::string long_value = "foo=" + z256;
  const std::string longer_value = "foo=" + z256 + "z";
  const std::string members33 = members32 + ",one=more";
  const std::string all_key =
      "abcdefghijklmnopqrstuvwxyz0123456789_-*/=1,0abcdefghijklmnopqrstuvwxyz0123456789_-*/"
      "@a-z0-9_-*/=2";
  std::string all_value = "foo=";
  for (char c = ' '; c <= '~'; ++c) {
    if (c != ',' && c != '=') all_value += c;
  }
  const Case cases[] = {
      {{"foo=1"}, "foo=1", "3.3.1"},
      {{"foo=1,bar=2"}, "foo=1,bar=2", "3.3.1"},
      {{"foo=1", "bar=2"}, "foo=1,bar=2", "several fields in order"},
      {{"foo=1,bar=2", "rojo=1,congo=2", "baz=3"}, "foo=1,bar=2,rojo=1,congo=2,baz=3", "in order"},
      {{"foo=1 \t , \t bar=2, \t baz=3"}, "foo=1,bar=2,baz=3", "blanks around members"},
      {{"foo=1\t \t,\t \tbar=2,\t \tbaz=3"}, "foo=1,bar=2,baz=3", "blanks around members"},
      {{" foo=1"}, "foo=1", "blanks around members"},
      {{"foo=1 "}, "foo=1", "blanks around members"},
      {{"\t foo=1 \t"}, "foo=1", "blanks around members"},
      {{""}, "", "empty is allowed"},
      {{"foo=1", ""}, "foo=1", "empty is allowed"},
      {{"", "foo=1"}, "foo=1", "empty is allowed"},
      {{"foo=1,,,bar=2"}, "foo=1,bar=2", "empty members are skipped"},
      {{",", " , "}, "", "empty members are skipped"},
      {{"foo=1,foo=1"}, "dropped", "duplicate key"},
      {{"foo=1,foo=2"}, "dropped", "duplicate key"},
      {{"foo=1", "foo=2"}, "dropped", "duplicate key on two lines"},
      {{"foo=1,bar"}, "dropped", "a member without ="},
      {{"=1"}, "dropped", "empty key"},
      {{"foo="}, "dropped", "empty value"},
      {{"foo =1"}, "dropped", "blank in a key"},
      {{"FOO=1"}, "dropped", "upper case key"},
      {{"foo.bar=1"}, "dropped", "key character"},
      {{"1foo=1"}, "dropped", "a simple key begins with a letter"},
      {{"foo@=1,bar=2"}, "dropped", "system-id is empty"},
      {{"@foo=1,bar=2"}, "dropped", "tenant-id is empty"},
      {{"foo@@bar=1,bar=2"}, "dropped", "two @"},
      {{"foo@bar@baz=1,bar=2"}, "dropped", "two @"},
      {{"1foo@bar=1"}, "1foo@bar=1", "a tenant may begin with a digit"},
      {{"foo@1bar=1"}, "dropped", "a system begins with a letter"},
      {{long_key}, long_key, "256 characters"},
      {{longer_key}, "dropped", "257 characters"},
      {{long_tenant}, long_tenant, "241@14 characters"},
      {{longer_tenant}, "dropped", "242 characters"},
      {{longer_system}, "dropped", "15 characters"},
      {{long_value}, long_value, "256 characters"},
      {{longer_value}, "dropped", "257 characters"},
      {{"foo=bar=baz"}, "dropped", "= in a value"},
      {{"foo=bar\x01"}, "dropped", "control in a value"},
      {{"foo=b\xc3\xa4r"}, "dropped", "beyond ASCII"},
      {{"foo=,bar=3"}, "dropped", "empty value"},
      {{"foo= 1 2"}, "foo= 1 2", "blanks inside a value"},
      {{members32}, members32, "32 members"},
      {{members33}, "dropped", "33 members"},
      {{all_key}, all_key, "all characters of keys"},
      {{all_value}, all_value, "all characters of values"},
  };
  for (const Case& each : cases) EXPECT_EQ(join(each.lines), each.expected) << each.section;
}

TEST(TraceStateTest, AnInvalidOneLeavesTheTraceValid) {
  const std::string parent = "00-" + std::string(kTrace) + "-" + std::string(kSpan) + "-01";
  const auto context = TraceContext::parse(parent, "foo=1,foo=1");
  ASSERT_TRUE(context);
  EXPECT_EQ(context->trace_state(), "");
  EXPECT_EQ(TraceContext::parse(parent, " foo=1 , bar=2")->trace_state(), "foo=1,bar=2");
}

TEST(TraceStateTest, ACleanLineIsNotCopied) {
  const std::string_view line = "foo=1,bar=2";
  std::string buffer;
  EXPECT_EQ(TraceState::join(std::span(&line, 1), buffer)->data(), line.data());
}

TEST(TraceStateTest, OursGoesFirst) {
  EXPECT_EQ(TraceState::with("", "tya", "1"), "tya=1");
  EXPECT_EQ(TraceState::with("foo=1,bar=2", "tya", "1"), "tya=1,foo=1,bar=2");
  EXPECT_EQ(TraceState::with("foo=1,tya=0,bar=2", "tya", "1"), "tya=1,foo=1,bar=2");
  EXPECT_EQ(TraceState::with("foo=1", "TYA", "1"), "foo=1");
  EXPECT_EQ(TraceState::with("foo=1", "tya", "a,b"), "foo=1");
}

TEST(TraceStateTest, WhatIsTooLongLosesLongMembersFirstThenTheLast) {
  const std::string long1 = "long1=" + repeat("x", 130);
  const std::string long2 = "long2=" + repeat("x", 130);
  const std::string short1 = "short1=" + repeat("x", 110);
  const std::string short2 = "short2=" + repeat("x", 110);
  const std::string short3 = "short3=" + repeat("x", 110);
  const std::string short4 = "short4=" + repeat("x", 110);
  EXPECT_EQ(TraceState::with(long1 + "," + short1 + "," + long2 + "," + short2, "tya", "1"),
            "tya=1," + long1 + "," + short1 + "," + short2);
  EXPECT_EQ(TraceState::with(short1 + "," + long1 + "," + short2 + "," + short3 + "," + short4 +
                                 ",last=" + repeat("y", 60),
                             "tya", "1"),
            "tya=1," + short1 + "," + short2 + "," + short3 + "," + short4);
}

TEST(TraceStateTest, NeverHasMoreThan32Members) {
  std::string state;
  for (int i = 0; i < 32; ++i) state += (i ? ",k" : "k") + std::to_string(i) + "=1";
  const std::string longer = TraceState::with(state, "tya", "1");
  EXPECT_EQ(std::count(longer.begin(), longer.end(), ','), 31);
  EXPECT_FALSE(TraceState::get(longer, "k31"));
}

TEST(TraceStateTest, CanBeAskedAndShortened) {
  EXPECT_EQ(TraceState::get("foo=1,bar=2", "bar"), "2");
  EXPECT_EQ(TraceState::get("foo=1,bar=2", "ba"), std::nullopt);
  EXPECT_EQ(TraceState::without("foo=1,bar=2,baz=3", "bar"), "foo=1,baz=3");
  EXPECT_EQ(TraceState::without("foo=1", "foo"), "");
}

}  // namespace
}  // namespace tyaprover::trace
