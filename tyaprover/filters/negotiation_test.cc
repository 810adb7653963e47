#include "tyaprover/filters/negotiation.h"

#include <gtest/gtest.h>

#include <ostream>
#include <vector>

namespace tyaprover::filters {
namespace {

constexpr Coding kOffer[] = {Coding::zstd, Coding::br, Coding::gzip};

struct Choice {
  std::string_view accept;
  Coding expected;
};

void PrintTo(const Choice& c, std::ostream* os) {
  *os << '"' << c.accept << '"';
}

class AcceptEncodingTable : public ::testing::TestWithParam<Choice> {};

TEST_P(AcceptEncodingTable, Chooses) {
  AcceptEncoding accept;
  accept.add(GetParam().accept);
  EXPECT_EQ(to_string(accept.choose(kOffer)), to_string(GetParam().expected));
}

// RFC 9110 §12.5.3, and §12.4.2 for weights.
INSTANTIATE_TEST_SUITE_P(
    Rfc9110, AcceptEncodingTable,
    ::testing::Values(
        Choice{"", Coding::identity}, Choice{"gzip", Coding::gzip}, Choice{"GZip", Coding::gzip},
        Choice{"x-gzip", Coding::gzip}, Choice{"br", Coding::br}, Choice{"zstd", Coding::zstd},
        Choice{"gzip, deflate, br", Coding::br}, Choice{"gzip, deflate, br, zstd", Coding::zstd},
        Choice{"deflate", Coding::identity}, Choice{"compress, gzip", Coding::gzip},
        // weights
        Choice{"gzip;q=1.0, br;q=0.9", Coding::gzip},
        Choice{"gzip;q=0.001, br;q=0.002", Coding::br},
        Choice{"gzip ; q=0.5 ,br ;\tQ=0.4", Coding::gzip}, Choice{"gzip;q=0", Coding::identity},
        Choice{"gzip;q=0.000", Coding::identity}, Choice{"gzip;q=0, br", Coding::br},
        Choice{"zstd;q=0.5, br;q=0.5, gzip;q=0.5", Coding::zstd},
        // the wildcard speaks for what is not named
        Choice{"*", Coding::zstd}, Choice{"*;q=0.5, gzip", Coding::gzip},
        Choice{"zstd;q=0, *", Coding::br}, Choice{"zstd;q=0, br;q=0, *;q=0.1", Coding::gzip},
        Choice{"*;q=0", Coding::identity}, Choice{"gzip, *;q=0", Coding::gzip},
        // identity
        Choice{"identity", Coding::identity}, Choice{"identity, gzip", Coding::gzip},
        Choice{"identity;q=1, gzip;q=0.5", Coding::identity},
        Choice{"identity;q=0.5, gzip;q=1", Coding::gzip},
        Choice{"identity;q=0, gzip", Coding::gzip}, Choice{"identity;q=0", Coding::identity},
        Choice{"identity;q=0, *;q=0", Coding::identity},
        Choice{"identity;q=0, deflate", Coding::identity},
        // twice: the smaller weight
        Choice{"gzip, gzip;q=0", Coding::identity}, Choice{"gzip;q=0, x-gzip", Coding::identity},
        // what cannot be understood is skipped
        Choice{",, ,gzip,,", Coding::gzip}, Choice{"gzip;q=", Coding::identity},
        Choice{"gzip;q=2", Coding::identity}, Choice{"gzip;q=-1", Coding::identity},
        Choice{"gzip;q=0.1234", Coding::identity}, Choice{"gzip;q=1.001", Coding::identity},
        Choice{"gzip;q=abc, br", Coding::br}, Choice{"gzip q=1", Coding::identity},
        Choice{"gzip;level=9", Coding::gzip}, Choice{"gzip;level=9;q=0", Coding::identity},
        Choice{"gzip;a=\"x;q=0,\"", Coding::gzip}, Choice{"gzip;a=\"unfinished;q=0", Coding::gzip},
        Choice{";q=1, gzip", Coding::gzip}, Choice{"gzipped, agzip", Coding::identity}));

TEST(AcceptEncodingTest, WithoutAnyFieldIsIdentity) {
  EXPECT_EQ(AcceptEncoding().choose(kOffer), Coding::identity);
}

TEST(AcceptEncodingTest, GathersSeveralLines) {
  AcceptEncoding accept;
  accept.add("gzip;q=0.5");
  accept.add("br;q=0.7, zstd;q=0");
  EXPECT_EQ(accept.choose(kOffer), Coding::br);
}

TEST(AcceptEncodingTest, TheOfferDecidesAtEqualWeights) {
  AcceptEncoding accept;
  accept.add("zstd, br, gzip");
  const Coding offer[] = {Coding::gzip, Coding::br};
  EXPECT_EQ(accept.choose(offer), Coding::gzip);
  EXPECT_EQ(accept.choose({}), Coding::identity);
}

bool html_for(std::string_view accept) {
  http::Fields fields;
  fields.add(http::KnownField::accept, accept);
  return prefers_html(fields);
}

TEST(PrefersHtmlTest, ComparesTheMostSpecificRanges) {
  // What browsers send.
  EXPECT_TRUE(html_for("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
  EXPECT_TRUE(html_for("text/html"));
  EXPECT_TRUE(html_for("TEXT/HTML;charset=utf-8"));
  EXPECT_TRUE(html_for("text/*"));
  EXPECT_TRUE(html_for("application/json;q=0.5, text/html;q=0.6"));
  EXPECT_TRUE(html_for("*/*;q=0.1, text/html"));
  EXPECT_TRUE(html_for("text/html, application/problem+json;q=0.9, application/json"));
  EXPECT_FALSE(html_for("*/*"));
  EXPECT_FALSE(html_for(""));
  EXPECT_FALSE(html_for("application/json"));
  EXPECT_FALSE(html_for("text/html, application/json"));
  EXPECT_FALSE(html_for("text/html;q=0.5, application/*"));
  EXPECT_FALSE(html_for("text/html;q=0"));
  EXPECT_FALSE(html_for("text/*, text/html;q=0, application/json;q=0.1"));
  EXPECT_FALSE(html_for("image/png"));
  EXPECT_FALSE(prefers_html(http::Fields()));
}

TEST(ParseCodingTest, KnowsTheNames) {
  for (const Coding coding : {Coding::identity, Coding::gzip, Coding::br, Coding::zstd}) {
    EXPECT_EQ(parse_coding(to_string(coding)), coding);
  }
  EXPECT_EQ(parse_coding("x-gzip"), Coding::gzip);
  EXPECT_EQ(parse_coding("deflate"), std::nullopt);
}

}  // namespace
}  // namespace tyaprover::filters
