// Validation: entity tags, conditions of clients, and what a 304 or a HEAD changes.
#include "tyaprover/cache/validation.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tyaprover::cache {
namespace {

using namespace std::chrono_literals;
using Fields = std::vector<HeaderField>;

const WallTime kNow = std::chrono::sys_days(std::chrono::year(2026) / 11 / 24) + 12h;
constexpr std::string_view kMonday = "Mon, 23 Nov 2026 12:00:00 GMT";
constexpr std::string_view kTuesday = "Tue, 24 Nov 2026 12:00:00 GMT";
constexpr std::string_view kTuesday850 = "Tuesday, 24-Nov-26 12:00:00 GMT";

// RFC 9110 §8.8.3
TEST(EntityTag, IsQuotedWithAnOptionalFlag) {
  struct Case {
    std::string_view text;
    std::string_view opaque;
    bool weak;
  };
  constexpr Case kTags[] = {{"\"abc\"", "abc", false},
                            {"W/\"abc\"", "abc", true},
                            {"\"\"", "", false},
                            {"\"a,b\\c\"", "a,b\\c", false},
                            {"\"abcdef\xc3\xbc\"", "abcdef\xc3\xbc", false}};
  for (const Case& c : kTags) {
    const auto tag = parse_entity_tag(c.text);
    ASSERT_TRUE(tag) << c.text;
    EXPECT_EQ(tag->opaque, c.opaque);
    EXPECT_EQ(tag->weak, c.weak);
  }
  for (const std::string_view text : {"", "abc", "\"abc", "abc\"", "\"", "w/\"abc\"", "W\"abc\"",
                                      "W\\\"abc\"", "\"a b\"", "\"a\"b\"", "\"a\x7f\"", "W/"}) {
    EXPECT_FALSE(parse_entity_tag(text)) << text;
  }
}

// RFC 9110 §8.8.3.2, its table
TEST(EntityTag, ComparesStronglyAndWeakly) {
  struct Case {
    std::string_view a, b;
    bool strong, weak;
  };
  constexpr Case kCases[] = {{"W/\"1\"", "W/\"1\"", false, true},
                             {"W/\"1\"", "W/\"2\"", false, false},
                             {"W/\"1\"", "\"1\"", false, true},
                             {"\"1\"", "\"1\"", true, true}};
  for (const Case& c : kCases) {
    EXPECT_EQ(strong_match(*parse_entity_tag(c.a), *parse_entity_tag(c.b)), c.strong);
    EXPECT_EQ(weak_match(*parse_entity_tag(c.a), *parse_entity_tag(c.b)), c.weak);
  }
}

TEST(Validators, StrengthFollowsTheStandard) {
  struct Case {
    Fields stored;
    bool strong;
  };
  const Case cases[] = {
      {{{"ETag", "\"a\""}}, true},
      {{{"ETag", "W/\"a\""}}, false},
      {{{"Last-Modified", kMonday}, {"Date", kTuesday}}, true},  // §8.8.2.2
      {{{"Last-Modified", kTuesday}, {"Date", kTuesday}}, false},
      {{{"Last-Modified", kMonday}}, false},
      {{{"ETag", "W/\"a\""}, {"Last-Modified", kMonday}, {"Date", kTuesday}}, false},
      {{}, false},
  };
  for (const Case& c : cases) EXPECT_EQ(has_strong_validator(c.stored), c.strong);
}

// RFC 9111 §4.3.1
TEST(Validators, BecomeConditions) {
  const Fields both = {{"ETag", "W/\"a\""}, {"Last-Modified", kMonday}};
  EXPECT_EQ(conditions(stored_validators(both)),
            (Fields{{"If-None-Match", "W/\"a\""}, {"If-Modified-Since", kMonday}}));
  EXPECT_TRUE(conditions(stored_validators({{"ETag", "unquoted"}})).empty());
  EXPECT_TRUE(conditions(stored_validators({{"ETag", "\"a\""}, {"ETag", "\"b\""}})).empty());
  EXPECT_TRUE(conditions(stored_validators({{"Last-Modified", "yesterday"}})).empty());
}

// RFC 9110 §13.1, §13.2.2; RFC 9111 §4.3.2
TEST(Precondition, FollowsTheStandard) {
  const Fields tagged = {{"ETag", "\"abcdef\""}, {"Last-Modified", kMonday}, {"Date", kTuesday}};
  const Fields weak = {{"ETag", "W/\"abcdef\""}};
  const Fields dated = {{"Last-Modified", kTuesday}, {"Date", kTuesday}};
  const Fields bare = {{"Date", kTuesday}};
  struct Case {
    Fields request;
    Fields stored;
    Precondition expected;
  };
  constexpr auto kSend = Precondition::none;
  constexpr auto kNotModified = Precondition::not_modified;
  const Case cases[] = {
      {{}, tagged, kSend},
      {{{"If-None-Match", "\"abcdef\""}}, tagged, kNotModified},
      {{{"If-None-Match", "W/\"abcdef\""}}, tagged, kNotModified},  // weak comparison
      {{{"If-None-Match", "\"abcdef\""}}, weak, kNotModified},
      {{{"If-None-Match", "\"1\", \"a,b\", \"abcdef\""}}, tagged, kNotModified},
      {{{"If-None-Match", "\"1\""}, {"If-None-Match", "\"abcdef\""}}, tagged, kNotModified},
      {{{"If-None-Match", "\"1\""}}, tagged, kSend},
      {{{"If-None-Match", "abcdef"}}, tagged, kSend},
      {{{"If-None-Match", "*"}}, bare, kNotModified},
      {{{"If-None-Match", "\"1\""}, {"If-Modified-Since", kTuesday}}, tagged, kSend},  // precedence
      {{{"If-None-Match", "\"abcdef\""}, {"If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT"}},
       tagged,
       kNotModified},
      {{{"If-Modified-Since", kTuesday}}, dated, kNotModified},
      {{{"If-Modified-Since", kTuesday850}}, dated, kNotModified},
      {{{"If-Modified-Since", kTuesday}}, tagged, kNotModified},
      {{{"If-Modified-Since", kMonday}}, dated, kSend},
      {{{"If-Modified-Since", "nonsense"}}, dated, kSend},
      {{{"If-Modified-Since", kTuesday}}, bare, kNotModified},  // Date in its place
      {{{"If-Modified-Since", kMonday}}, bare, kSend},
      {{{"If-Modified-Since", kTuesday}}, {}, kNotModified},  // the time of receipt
      {{{"If-Match", "\"abcdef\""}}, tagged, Precondition::forward},
      {{{"If-Unmodified-Since", kTuesday}}, tagged, Precondition::forward},
  };
  for (const Case& c : cases) {
    const auto result = evaluate_precondition(c.request, c.stored, kNow);
    EXPECT_EQ(result, c.expected) << (c.request.empty() ? "" : c.request[0].value) << ": "
                                  << to_string(result);
  }
}

std::string show(const Fields& fields) {
  std::string text;
  for (const HeaderField& field : fields) {
    text.append(field.name).append("=").append(field.value).append(" ");
  }
  return text;
}

// RFC 9110 §15.4.5
TEST(NotModified, CarriesWhatTheStandardAsksFor) {
  const Fields stored = {{"Content-Type", "text/plain"},
                         {"Cache-Control", "max-age=1"},
                         {"Content-Location", "/a"},
                         {"Date", "d"},
                         {"ETag", "\"e\""},
                         {"Expires", "x"},
                         {"Vary", "v"},
                         {"Last-Modified", "m"},
                         {"Content-Length", "5"},
                         {"Set-Cookie", "a=b"}};
  EXPECT_EQ(show(not_modified_fields(stored)),
            "Cache-Control=max-age=1 Content-Location=/a Date=d ETag=\"e\" Expires=x Vary=v ");
  EXPECT_EQ(show(not_modified_fields({{"Last-Modified", "m"}})), "Last-Modified=m ");
}

// RFC 9111 §4.3.4
TEST(Confirmation, NeedsTheStoredValidator) {
  struct Case {
    Fields stored;
    Fields not_modified;
    Confirmation expected;
  };
  constexpr auto kYes = Confirmation::confirmed;
  constexpr auto kNo = Confirmation::mismatch;
  const Case cases[] = {
      {{{"ETag", "\"a\""}}, {{"ETag", "\"a\""}}, kYes},
      {{{"ETag", "\"a\""}}, {{"ETag", "\"b\""}}, kNo},
      {{{"ETag", "W/\"a\""}}, {{"ETag", "\"a\""}}, kNo},   // a strong one selects strongly
      {{{"ETag", "\"a\""}}, {{"ETag", "W/\"a\""}}, kYes},  // a weak one weakly
      {{{"ETag", "\"a\""}}, {}, kYes},
      {{}, {}, kYes},
      {{}, {{"ETag", "\"a\""}}, kNo},
      {{{"Last-Modified", kMonday}}, {{"ETag", "\"a\""}}, kYes},
      {{{"Last-Modified", kMonday}}, {{"Last-Modified", kMonday}}, kYes},
      {{{"Last-Modified", kMonday}}, {{"Last-Modified", kTuesday}}, kNo},
  };
  for (const Case& c : cases) EXPECT_EQ(confirm(c.stored, c.not_modified), c.expected);
}

// RFC 9111 §3.2
TEST(UpdatedFields, ReplaceAllButWhatDescribesTheStoredBytes) {
  const Fields stored = {{"ETag", "\"a\""}, {"Content-Length", "5"}, {"X", "old"},
                         {"X", "older"},    {"Content-Type", "old"}, {"Content-Encoding", "gzip"},
                         {"Kept", "1"},     {"Content-MD5", "old"},  {"Set-Cookie", "old"}};
  const Fields update = {{"x", "new"},
                         {"Content-Type", "new"},
                         {"Content-Length", "9"},
                         {"Content-Encoding", "br"},
                         {"Content-Range", "new"},
                         {"Content-MD5", "new"},
                         {"ETag", "\"b\""},
                         {"Connection", "hop"},
                         {"hop", "new"},
                         {"Keep-Alive", "new"},
                         {"Age", "5"},
                         {"Added", "new"},
                         {"Set-Cookie", "new"}};
  EXPECT_EQ(show(updated_fields(stored, update)),
            "ETag=\"a\" Content-Length=5 Content-Encoding=gzip Kept=1 Content-MD5=old "
            "Set-Cookie=old x=new Content-Type=new Added=new ");
  EXPECT_EQ(show(updated_fields(stored, update, {.take_set_cookie = true})),
            "ETag=\"a\" Content-Length=5 Content-Encoding=gzip Kept=1 Content-MD5=old "
            "x=new Content-Type=new Added=new Set-Cookie=new ");
}

// RFC 9111 §4.3.5
TEST(HeadEffect, ADifferentVersionInvalidates) {
  struct Case {
    Fields head;
    HeadEffect expected;
  };
  const Fields stored = {{"ETag", "\"a\""}, {"Content-Length", "5"}};
  const Case cases[] = {
      {{}, HeadEffect::update},
      {{{"ETag", "\"a\""}, {"Content-Length", "5"}}, HeadEffect::update},
      {{{"ETag", "\"b\""}}, HeadEffect::invalidate},
      {{{"Content-Length", "6"}}, HeadEffect::invalidate},
  };
  for (const Case& c : cases) EXPECT_EQ(head_effect(stored, c.head), c.expected);
}

}  // namespace
}  // namespace tyaprover::cache
