// Vary: which requests share a stored response.
#include "tyaprover/cache/vary.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tyaprover::cache {
namespace {

using Fields = std::vector<HeaderField>;

VaryNames names_of(std::string_view value) {
  return VaryNames({{"Vary", value}});
}

TEST(VaryNames, AreOneListOverAllLines) {
  const VaryNames names({{"Vary", "Foo, bar,,"}, {"Other", "x"}, {"vary", "BAR , Baz"}});
  EXPECT_EQ(names.names(), (std::vector<std::string>{"bar", "baz", "foo"}));
  EXPECT_FALSE(names.all());
  EXPECT_TRUE(VaryNames(HeaderFields()).empty());
}

TEST(VaryNames, AStarAnywhereIsAll) {
  for (const std::string_view value : {"*", "*, *", ", *", "*, Foo", "Foo, *"}) {
    EXPECT_TRUE(names_of(value).all()) << value;
    EXPECT_FALSE(VariantKey(names_of(value), HeaderFields()).matches({})) << value;
  }
  EXPECT_TRUE(VaryNames({{"Vary", ""}, {"Vary", "*"}}).all());
}

// RFC 9111 §4.1, H8
TEST(VariantKey, MatchesAfterNormalisation) {
  struct Case {
    std::string_view vary;
    Fields stored;
    Fields asked;
    bool matches;
  };
  const Case cases[] = {
      {"Foo", {{"Foo", "1"}}, {{"Foo", "1"}}, true},
      {"Foo", {{"Foo", "1"}}, {{"Foo", "2"}}, false},
      {"Foo", {}, {{"Foo", "1"}}, false},
      {"Foo", {{"Foo", "1"}}, {}, false},
      {"Foo", {}, {}, true},
      {"Foo", {{"Foo", ""}}, {}, false},  // empty is not absent
      {"Foo", {{"Foo", "1"}, {"Other", "2"}}, {{"Foo", "1"}, {"Other", "3"}}, true},
      {"Foo, Bar", {{"Foo", "1"}, {"Bar", "a"}}, {{"Bar", "a"}, {"Foo", "1"}}, true},
      {"Foo, Bar", {{"Foo", "1"}, {"Bar", "a"}}, {{"Foo", "2"}, {"Bar", "a"}}, false},
      {"Foo, Bar", {{"Foo", "1"}}, {}, false},
      {"Foo", {{"Foo", "1, 2"}}, {{"Foo", "1"}, {"Foo", "2"}}, true},
      {"Foo", {{"Foo", "1,2"}}, {{"Foo", " 1, 2 "}}, true},
      {"Foo", {{"Foo", "1,2"}}, {{"Foo", "2,1"}}, false},
      {"Foo", {{"Foo", "a"}}, {{"Foo", "A"}}, false},
      {"Foo", {{"Foo", "\"a, b\""}}, {{"Foo", "\"a,b\""}}, false},
      {"Accept-Language", {{"Accept-Language", "en, de"}}, {{"Accept-Language", "de, en"}}, true},
      {"Accept-Language", {{"Accept-Language", "en, de"}}, {{"Accept-Language", "eN, De"}}, true},
      {"Accept-Language",
       {{"Accept-Language", "en, de"}},
       {{"Accept-Language", " en ,   de"}},
       true},
      {"Accept-Language",
       {{"Accept-Language", "en;q=1.0, de;q=0.50"}},
       {{"Accept-Language", "de; q=0.5, en"}},
       true},
      {"Accept-Language",
       {{"Accept-Language", "en, de;q=0.5"}},
       {{"Accept-Language", "en, de"}},
       false},
      {"Accept",
       {{"Accept", "text/html;level=1, */*;q=0.1"}},
       {{"Accept", "*/*;q=0.1,TEXT/html; level=1"}},
       true},
  };
  for (const Case& c : cases) {
    const VariantKey key(names_of(c.vary), c.stored);
    EXPECT_EQ(key.matches(c.asked), c.matches)
        << c.vary << ": " << key.text() << " / " << VariantKey(names_of(c.vary), c.asked).text();
  }
}

TEST(VariantKey, NoValueReadsAsAnotherField) {
  const VaryNames names = names_of("a, b");
  const VariantKey key(names, Fields{{"a", "1"}, {"b", "2"}});
  for (const std::string_view forged : {"1 1:b1:2", "11:b1:2", "1\n1:b1:2", "1,b,2"}) {
    EXPECT_FALSE(key.matches(Fields{{"a", forged}})) << forged;
  }
}

TEST(VariantKey, TheNegotiatedCodingStandsForAcceptEncoding) {
  const std::string gzip = "gzip";
  const std::string br = "br";
  const VariantKey key(names_of("Accept-Encoding"), Fields{{"Accept-Encoding", "gzip, deflate"}},
                       {.negotiated_coding = &gzip});
  EXPECT_TRUE(key.matches(Fields{{"Accept-Encoding", "x, gzip"}}, {.negotiated_coding = &gzip}));
  EXPECT_TRUE(key.matches({}, {.negotiated_coding = &gzip}));
  EXPECT_FALSE(
      key.matches(Fields{{"Accept-Encoding", "gzip, deflate"}}, {.negotiated_coding = &br}));
}

TEST(VariantKey, ServesThePreferredLanguage) {
  const Fields stored = {{"Accept-Language", "en, de"}};
  const VariantKey german(names_of("Accept-Language"), stored, "de");
  struct Case {
    std::string_view asked;
    bool matches;
  };
  constexpr Case kCases[] = {
      {"fr;q=0.5, de;q=1.0", true},
      {"de", true},
      {"DE, en;q=0.9", true},
      {"fr, de", false},
      {"fr", false},
      {"de;q=0", false},
      {"*", false},
      {"de-AT", false},
      {"", false},
  };
  for (const Case& c : kCases) {
    EXPECT_EQ(german.matches(Fields{{"Accept-Language", c.asked}}), c.matches) << c.asked;
  }
  const VariantKey other(names_of("Accept-Language, Foo"), stored, "de");
  EXPECT_FALSE(other.matches(Fields{{"Accept-Language", "de"}}));
  const VariantKey several(names_of("Accept-Language"), stored, "de, en");
  EXPECT_FALSE(several.matches(Fields{{"Accept-Language", "de"}}));
}

}  // namespace
}  // namespace tyaprover::cache
