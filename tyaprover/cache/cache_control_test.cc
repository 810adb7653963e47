// Cache-Control, CDN-Cache-Control and Surrogate-Control: which directives are seen, and which are
// not.
#include "tyaprover/cache/cache_control.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tyaprover::cache {
namespace {

// A directive's number as text: "-" absent, "!" broken.
std::string show(const DeltaSeconds& seconds) {
  if (!seconds.present()) return "-";
  return seconds.valid() ? std::to_string(seconds.value().count()) : "!";
}

CacheControl parse(std::string_view value) {
  return parse_cache_control({{"Cache-Control", value}});
}

TEST(CacheControl, ReadsNumbers) {
  struct Case {
    std::string_view value;
    std::string_view max_age;
  };
  constexpr Case kCases[] = {
      {"max-age=3600", "3600"},
      {"MaX-aGe=3600", "3600"},      // names in any case, RFC 9111 §5.2
      {"max-age=\"3600\"", "3600"},  // both forms, §5.2
      {"max-age='3600'", "!"},       // not a quoted string
      {"max-age=003600", "3600"},
      {"max-age=0", "0"},
      {"max-age", "!"},
      {"max-age=", "!"},
      {"max-age=\"\"", "!"},
      {"max-age=-3600", "!"},
      {"max-age=+1", "!"},
      {"max-age=3600.0", "!"},
      {"max-age=a100", "!"},
      {"max-age=100a", "!"},
      {"max-age =100", "!"},  // spaces beside "="
      {"max-age= 100", "!"},
      {"max-age=2147483647", "2147483647"},
      {"max-age=2147483648", "2147483648"},
      {"max-age=2147483649", "2147483648"},  // §1.2.2
      {"max-age=99999999999999999999999", "2147483648"},
      {"extension=\"max-age=3600\", max-age=1", "1"},  // inside another's string
      {"max-age=1, extension=\"max-age=3600\"", "1"},
      {"extension=\"\\\", max-age=3600\", max-age=\"1\"", "1"},
      {"max-age=1800, max-age=1", "1800"},  // the first counts
      {"max-age=x, max-age=60", "!"},
      {"foobar, max-age=3600", "3600"},
      {",, max-age=60 ,", "60"},
      {"xmax-age=60", "-"},
      {"", "-"},
  };
  for (const Case& c : kCases) EXPECT_EQ(show(parse(c.value).max_age), c.max_age) << c.value;
}

TEST(CacheControl, ReadsEveryNumberDirective) {
  const CacheControl cc = parse(
      "max-age=1, s-maxage=2, max-stale=3, min-fresh=4, stale-while-revalidate=5, "
      "stale-if-error=6");
  EXPECT_EQ(show(cc.max_age) + show(cc.s_maxage) + show(cc.max_stale) + show(cc.min_fresh) +
                show(cc.stale_while_revalidate) + show(cc.stale_if_error),
            "123456");
}

TEST(CacheControl, ReadsFlags) {
  struct Case {
    std::string_view value;
    bool CacheControl::*flag;
    bool expected;
  };
  const Case cases[] = {
      {"no-store", &CacheControl::no_store, true},
      {"No-StOrE", &CacheControl::no_store, true},
      {"no-store=1", &CacheControl::no_store, true},
      {"x-no-store", &CacheControl::no_store, false},
      {"a=\"no-store\"", &CacheControl::no_store, false},
      {"no-cache", &CacheControl::no_cache, true},
      {"no-cache=\"\"", &CacheControl::no_cache, true},
      {"no-cache=\"a\"", &CacheControl::no_cache, false},
      {"no-cache=\"a\"", &CacheControl::no_cache_fields, true},
      {"no-cache=a", &CacheControl::no_cache_fields, true},
      {"no-cache=\"a\", no-cache", &CacheControl::no_cache, true},
      {"private", &CacheControl::is_private, true},
      {"private=\"set-cookie\"", &CacheControl::is_private, true},
      {"public", &CacheControl::is_public, true},
      {"public=1", &CacheControl::is_public, false},
      {"must-revalidate", &CacheControl::must_revalidate, true},
      {"proxy-revalidate", &CacheControl::proxy_revalidate, true},
      {"must-understand", &CacheControl::must_understand, true},
      {"no-transform", &CacheControl::no_transform, true},
      {"immutable", &CacheControl::immutable, true},
      {"only-if-cached", &CacheControl::only_if_cached, true},
      {"max-stale", &CacheControl::any_max_stale, true},
      {"max-stale=5", &CacheControl::any_max_stale, false},
      {"max-age=1, a=\"b, no-store", &CacheControl::malformed, true},
      {"max-age=1, a=\"b\", no-store", &CacheControl::malformed, false},
  };
  for (const Case& c : cases) EXPECT_EQ(parse(c.value).*(c.flag), c.expected) << c.value;
}

TEST(CacheControl, TakesSeveralLinesAsOneList) {
  const CacheControl cc = parse_cache_control(
      {{"Cache-Control", "max-age=60"}, {"Other", "no-store"}, {"cache-control", "private"}});
  EXPECT_EQ(show(cc.max_age), "60");
  EXPECT_TRUE(cc.is_private);
  EXPECT_FALSE(cc.no_store);
}

TEST(CacheControl, NamesTheFieldsOfNoCache) {
  std::vector<std::string> names;
  for_each_no_cache_field(HeaderFields{{"Cache-Control", "no-cache=\"a, B\", max-age=1"},
                                       {"Cache-Control", "no-cache=c, no-cache"}},
                          [&](std::string_view name) { names.emplace_back(name); });
  EXPECT_EQ(names, (std::vector<std::string>{"a", "B", "c"}));
}

// RFC 9111 §5.4: Pragma counts only without Cache-Control.
TEST(CacheControl, PragmaDemandsValidationOnlyWithoutCacheControl) {
  const auto demands = [](HeaderFields fields) {
    return demands_validation(parse_cache_control(fields), fields);
  };
  EXPECT_TRUE(demands({{"Pragma", "no-cache"}}));
  EXPECT_TRUE(demands({{"Pragma", "x, No-Cache"}}));
  EXPECT_FALSE(demands({{"Pragma", "unrecognised-extension"}}));
  EXPECT_FALSE(demands({{"Pragma", "no-cache"}, {"Cache-Control", "max-age=1"}}));
  EXPECT_TRUE(demands({{"Cache-Control", "no-cache"}}));
  EXPECT_FALSE(demands({}));
}

// RFC 9213 §2.1.
TEST(CdnCacheControl, ReadsAStructuredDictionary) {
  struct Case {
    std::string_view value;
    std::string_view max_age;  // "ignored" when the whole field is
  };
  constexpr Case kCases[] = {
      {"max-age=3600", "3600"},
      {"max-age=3600;foo=bar", "3600"},
      {"max-age=2147483648", "2147483648"},
      {"max-age=99999999999", "2147483648"},
      {"max-age=60, max-age=10", "10"},  // RFC 8941 §3.2: the last counts
      {"foobar, max-age=3600", "3600"},
      {"extension=\"max-age=3600\", max-age=1", "1"},
      {"max-age=-5", "!"},
      {"no-store", "-"},
      {"unknown=(1 2);a, max-age=1", "1"},
      {"max-age=003600", "3600"},
      {"", "ignored"},
      {"   ", "ignored"},
      {"MaX-aGe=3600", "ignored"},  // keys are lower case
      {"max-age =100", "ignored"},
      {"max-age= 100", "ignored"},
      {"max-age=\"3600\"", "ignored"},
      {"max-age=3600.0", "ignored"},
      {"max-age", "ignored"},
      {"max-age=100a", "ignored"},
      {"max-age=60,", "ignored"},
      {"max-age=60, &&&", "ignored"},
      {"no-store=1, max-age=60", "ignored"},
  };
  for (const Case& c : kCases) {
    const auto cc = parse_cdn_cache_control({{"CDN-Cache-Control", c.value}});
    EXPECT_EQ(cc ? show(cc->max_age) : "ignored", c.max_age) << c.value;
  }
  EXPECT_FALSE(parse_cdn_cache_control({{"Cache-Control", "max-age=1"}}));
}

TEST(CdnCacheControl, ReadsFlags) {
  const auto cc = parse_cdn_cache_control(
      {{"CDN-Cache-Control", "no-store, no-cache=?0"}, {"cdn-cache-control", "private=\"a\""}});
  ASSERT_TRUE(cc);
  EXPECT_TRUE(cc->no_store);
  EXPECT_FALSE(cc->no_cache);
  EXPECT_TRUE(cc->is_private);
}

// --- Surrogate-Control, from the W3C note "Edge Architecture Specification", §2.3

TEST(SurrogateControl, ReadsWhatIsForUs) {
  struct Case {
    std::string_view value;
    std::string_view max_age;
    bool no_store = false;
  };
  constexpr Case kCases[] = {
      {"max-age=3600", "3600"},
      {"MaX-aGe=3600", "3600"},
      {"foobar, max-age=3600", "3600"},
      {"no-store", "-", true},
      {"no-store, content=\"ESI/1.0, x;y\"", "-", true},
      {"max-age=600+300", "600"},
      {"max-age=99999999999", "2147483648"},
      {"max-age=x", "!"},
      {"max-age", "!"},
      {"max-age =5", "!"},
      {"max-age=600;tyaprover", "600"},
      {"max-age=600 ; tyaprover", "600"},
      {"max-age=600, max-age=60;tyaprover", "60"},
      {"max-age=60;tyaprover, max-age=600", "60"},
      {"no-store, max-age=60;tyaprover", "60"},
      {"max-age=600, max-age=60;other", "600"},
  };
  for (const Case& c : kCases) {
    const auto cc = parse_surrogate_control({{"Surrogate-Control", c.value}});
    ASSERT_TRUE(cc) << c.value;
    EXPECT_EQ(show(cc->max_age), c.max_age) << c.value;
    EXPECT_EQ(cc->no_store, c.no_store) << c.value;
  }
}

TEST(SurrogateControl, LeavesTheWordToCacheControl) {
  for (const std::string_view value : {"max-age=60;other", "no-store;other", "content=\"ESI/1.0\"",
                                       "no-store-remote", "private, s-maxage=5", ""}) {
    EXPECT_FALSE(parse_surrogate_control({{"Surrogate-Control", value}})) << value;
  }
  EXPECT_FALSE(parse_surrogate_control({{"Cache-Control", "max-age=60"}}));
}

}  // namespace
}  // namespace tyaprover::cache
