// Byte ranges: what a Range asks for, what is answered, what is missing.
#include "tyaprover/cache/byte_range.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

namespace tyaprover::cache {
namespace {

std::string show(const std::vector<ByteSpan>& spans) {
  std::string text;
  for (const ByteSpan& span : spans) {
    if (!text.empty()) text += ' ';
    text += std::to_string(span.first) + "-" + std::to_string(span.last);
  }
  return text;
}

std::string answer(std::string_view value, std::uint64_t size) {
  const auto ranges = parse_range(value);
  if (!ranges) return std::string(to_string(ranges.error()));
  const RangeAnswer a = answer_range(*ranges, size);
  switch (a.kind) {
    case RangeAnswer::Kind::whole:
      return "whole";
    case RangeAnswer::Kind::unsatisfiable:
      return "unsatisfiable";
    case RangeAnswer::Kind::partial:
      return show(a.parts);
  }
  return "unknown";
}

// RFC 9110 §14.1.2, §14.2
TEST(Range, AnswersFromOneHundredBytes) {
  struct Case {
    std::string_view value;
    std::string_view expected;
  };
  constexpr Case kCases[] = {
      {"bytes=0-9", "0-9"},
      {"bytes=0-0", "0-0"},
      {"bytes=0-", "0-99"},
      {"bytes=99-", "99-99"},
      {"bytes=-1", "99-99"},
      {"bytes=-1000", "0-99"},
      {"bytes=90-1000", "90-99"},
      {"bytes=0-9, 20-29", "0-9 20-29"},
      {"bytes=20-29,0-9", "20-29 0-9"},  // in the order asked
      {"bytes=0-9,10-19", "0-19"},
      {"bytes=0-9,5-19", "0-19"},
      {"bytes=0-9,20-29,5-25", "0-29"},
      {"bytes=0-9,1000-", "0-9"},
      {"BYTES=0-9", "0-9"},
      {" bytes=0-9 ", "0-9"},
      {"bytes= 0-9 ,, 20-29 ,", "0-9 20-29"},
      {"bytes=0-50,60-99", "0-50 60-99"},
      {"bytes=0-60,62-99,61-61", "0-99"},
      {"bytes=0-18446744073709551616", "0-99"},
      {"bytes=0-9,0-9,0-9,0-9", "whole"},  // overlapping too often
      {"bytes=100-", "unsatisfiable"},
      {"bytes=-0", "unsatisfiable"},
      {"bytes=100-200,300-", "unsatisfiable"},
      {"bytes=99999999999999999999-", "unsatisfiable"},
      {"bytes=9-0", "malformed"},
      {"bytes=-", "malformed"},
      {"bytes=", "malformed"},
      {"bytes=,", "malformed"},
      {"bytes=a-b", "malformed"},
      {"bytes=1", "malformed"},
      {"bytes=1-2-3", "malformed"},
      {"bytes=+1-2", "malformed"},
      {"bytes=0-9, x", "malformed"},
      {"bytes = 0-9", "other unit"},
      {"lines=0-9", "other unit"},
      {"0-9", "malformed"},
      {"", "malformed"},
  };
  for (const Case& c : kCases) EXPECT_EQ(answer(c.value, 100), c.expected) << c.value;
}

TEST(Range, NothingOfNothingIsSatisfiable) {
  for (const std::string_view value : {"bytes=0-", "bytes=-1", "bytes=0-0"}) {
    EXPECT_EQ(answer(value, 0), "unsatisfiable") << value;
  }
}

TEST(Range, PartsThatAreAllOfItAreTheWhole) {
  EXPECT_EQ(answer("bytes=0-48,50-99", 100), "0-48 50-99");
  std::string every_second = "bytes=0-0";
  for (int i = 2; i < 100; i += 2)
    every_second += "," + std::to_string(i) + "-" + std::to_string(i);
  EXPECT_NE(answer(every_second, 100), "whole");
  for (int i = 0; i < 20; ++i) every_second += ",0-0";
  EXPECT_EQ(answer(every_second, 100), "too many");
}

// §13.1.5
TEST(Range, IfRangeComparesStrongly) {
  constexpr std::string_view kModified = "Mon, 23 Nov 2026 12:00:00 GMT";
  constexpr std::string_view kDate = "Tue, 24 Nov 2026 12:00:00 GMT";
  const std::vector<HeaderField> strong = {
      {"ETag", "\"a\""}, {"Last-Modified", kModified}, {"Date", kDate}};
  const std::vector<HeaderField> weak = {{"ETag", "W/\"a\""}};
  const std::vector<HeaderField> recent = {{"Last-Modified", kDate}, {"Date", kDate}};
  EXPECT_TRUE(range_applies({}, strong));
  EXPECT_TRUE(range_applies({{"If-Range", "\"a\""}}, strong));
  EXPECT_FALSE(range_applies({{"If-Range", "\"b\""}}, strong));
  EXPECT_FALSE(range_applies({{"If-Range", "W/\"a\""}}, strong));
  EXPECT_FALSE(range_applies({{"If-Range", "W/\"a\""}}, weak));
  EXPECT_TRUE(range_applies({{"If-Range", kModified}}, strong));
  EXPECT_FALSE(range_applies({{"If-Range", kDate}}, strong));
  EXPECT_FALSE(range_applies({{"If-Range", kDate}}, recent));
  EXPECT_FALSE(range_applies({{"If-Range", "nonsense"}}, strong));
  EXPECT_FALSE(range_applies({{"If-Range", "\"a\""}, {"If-Range", "\"a\""}}, strong));
}

// §15.3.7.3
TEST(Range, JoiningNeedsTheSameStrongValidator) {
  using Fields = std::vector<HeaderField>;
  constexpr std::string_view kModified = "Mon, 23 Nov 2026 12:00:00 GMT";
  constexpr std::string_view kDate = "Tue, 24 Nov 2026 12:00:00 GMT";
  const Fields tagged = {{"ETag", "\"a\""}};
  const Fields dated = {{"Last-Modified", kModified}, {"Date", kDate}};
  EXPECT_TRUE(may_combine(tagged, tagged));
  EXPECT_TRUE(may_combine(dated, dated));
  EXPECT_FALSE(may_combine(tagged, Fields{{"ETag", "\"b\""}}));
  EXPECT_FALSE(may_combine(Fields{{"ETag", "W/\"a\""}}, Fields{{"ETag", "W/\"a\""}}));
  EXPECT_FALSE(may_combine(tagged, dated));
  EXPECT_FALSE(may_combine({}, {}));
}

// §14.4
TEST(ContentRange, ReadsWhatIsConsistent) {
  struct Case {
    std::string_view value;
    std::string_view expected;
  };
  constexpr Case kCases[] = {
      {"bytes 0-4/10", "0-4/10"},
      {"bytes 4-9/10", "4-9/10"},
      {"Bytes 0-0/1", "0-0/1"},
      {"bytes 0-4/*", "0-4/*"},
      {"bytes */10", "none"},
      {"bytes 5-4/10", "none"},
      {"bytes 0-10/10", "none"},
      {"bytes=0-4/10", "none"},
      {"lines 0-4/10", "none"},
      {"bytes 0-4", "none"},
      {"bytes 0-4/", "none"},
      {"bytes 0/4-10", "none"},
      {"", "none"},
      {"bytes -4/10", "none"},
      {"bytes 0-4/10 ", "0-4/10"},
      {"bytes 0-9223372036854775808/*", "none"},
  };
  for (const Case& c : kCases) {
    const auto range = parse_content_range(c.value);
    const std::string shown =
        range ? show({range->span}) + "/" + (range->size ? std::to_string(*range->size) : "*")
              : "none";
    EXPECT_EQ(shown, c.expected) << c.value;
  }
  EXPECT_EQ(format_content_range({4, 9}, 10), "bytes 4-9/10");
  EXPECT_EQ(format_unsatisfied_range(10), "bytes */10");
}

TEST(Multipart, HasAHeadPerPart) {
  EXPECT_EQ(multipart_part_head("B", "text/plain", {0, 4}, 10) + "01234" +
                multipart_part_head("B", "", {6, 7}, 10) + "67" + multipart_end("B"),
            "\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-4/10\r\n\r\n01234"
            "\r\n--B\r\nContent-Range: bytes 6-7/10\r\n\r\n67\r\n--B--\r\n");
}

TEST(StoredSpans, KnowWhatIsMissing) {
  StoredSpans spans;
  EXPECT_EQ(show(spans.missing({0, 9})), "0-9");
  spans.add({0, 4});
  EXPECT_EQ(format_range(spans.missing({0, 9}), 10), "bytes=5-");
  spans.add({6, 7});
  EXPECT_EQ(format_range(spans.missing({0, 9}), 10), "bytes=5-5,8-");
  spans.add({5, 5});
  EXPECT_EQ(show(spans.spans()), "0-7");
  EXPECT_TRUE(spans.covers({2, 7}));
  EXPECT_FALSE(spans.covers({2, 8}));
}

// Against a set of single bytes.
TEST(StoredSpans, AgreeWithASetOfBytes) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    StoredSpans spans;
    std::set<std::uint64_t> bytes;
    for (int i = 0; i < 12; ++i) {
      const std::uint64_t first = random() % 40;
      const std::uint64_t last = first + random() % 6;
      spans.add({first, last});
      for (std::uint64_t at = first; at <= last; ++at) bytes.insert(at);
      std::set<std::uint64_t> covered;
      for (const ByteSpan& span : spans.spans()) {
        for (std::uint64_t at = span.first; at <= span.last; ++at) covered.insert(at);
      }
      ASSERT_EQ(covered, bytes);
      for (std::size_t k = 1; k < spans.spans().size(); ++k) {
        ASSERT_GT(spans.spans()[k].first, spans.spans()[k - 1].last + 1);
      }
      const ByteSpan asked{random() % 40, 45};
      std::set<std::uint64_t> gaps;
      for (const ByteSpan& span : spans.missing(asked)) {
        for (std::uint64_t at = span.first; at <= span.last; ++at) gaps.insert(at);
      }
      for (std::uint64_t at = asked.first; at <= asked.last; ++at) {
        ASSERT_EQ(gaps.count(at) == 1, bytes.count(at) == 0) << at;
      }
    }
  }
}

}  // namespace
}  // namespace tyaprover::cache
