#include "tyaprover/gateway/config_error.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace tyaprover::gateway {
namespace {

TEST(ConfigError, ShowsTheLineTheCaretAndTheHint) {
  const ConfigError error =
      error_at("t.yaml", "a: 1\nb:\n\tc: 2\n", {.line = 2, .column = 1}, "is wrong", "try x");
  EXPECT_EQ(error.line, 3);
  EXPECT_EQ(error.column, 2);
  EXPECT_EQ(errors_as_text({&error, 1}), "t.yaml:3:2: is wrong\n\tc: 2\n\t^\nhint: try x\n");
}

TEST(ConfigError, CountsCharactersNotBytes) {
  const ConfigError error = error_at("t", "gr\xc3\xbc\xc3\x9f: x", {.line = 0, .column = 8}, "m");
  EXPECT_EQ(error.column, 7);
  EXPECT_EQ(error.caret, 6);
}

TEST(ConfigError, WithoutAPlaceItIsOneLine) {
  const ConfigError error = error_of("environment variable PORT", "\"x\" is not a port");
  EXPECT_EQ(errors_as_text({&error, 1}), "environment variable PORT: \"x\" is not a port\n");
}

TEST(ConfigError, ColoursOnlyWhenAsked) {
  const ConfigError error = error_of("a", "b", "c");
  EXPECT_EQ(errors_as_text({&error, 1}).find('\x1b'), std::string::npos);
  EXPECT_NE(errors_as_text({&error, 1}, true).find('\x1b'), std::string::npos);
}

TEST(ConfigError, JsonHoldsTheFields) {
  const ConfigError errors[] = {error_at("t.yaml", "x: \"y\"", {.line = 0, .column = 3}, "m", "h"),
                                error_of("--set", "n")};
  const auto json = nlohmann::json::parse(errors_as_json(errors));
  EXPECT_EQ(json[0]["file"], "t.yaml");
  EXPECT_EQ(json[0]["line"], 1);
  EXPECT_EQ(json[0]["column"], 4);
  EXPECT_EQ(json[0]["message"], "m");
  EXPECT_EQ(json[0]["source_line"], "x: \"y\"");
  EXPECT_EQ(json[0]["hint"], "h");
  EXPECT_FALSE(json[1].contains("line"));
}

TEST(ConfigError, NoTextCanSteerTheTerminal) {
  const ConfigError error = error_of("a\x1b[31m.yaml", "key \x1b]0;x\x07 and \xff", "\xc2\x9b");
  for (const char c : errors_as_text({&error, 1}))
    EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20);
}

TEST(ConfigError, PlacesOutsideOfTheTextAreHarmless) {
  const ConfigError behind = error_at("t", "a: 1", {.line = 7, .column = 90}, "m");
  EXPECT_EQ(behind.source_line, "");
  const ConfigError beside = error_at("t", "a: 1", {.line = 0, .column = 90}, "m");
  EXPECT_EQ(beside.caret, 4);
}

TEST(ConfigError, QuotedTextIsCutAndEscaped) {
  EXPECT_EQ(in_quotes("a\"\n"), "\"a\\\"\\n\"");
  EXPECT_EQ(in_quotes("http://a:b@c"), "\"http://a:***@c\"");
  EXPECT_EQ(in_quotes(std::string(200, 'x')), "\"" + std::string(80, 'x') + "…\"");
}

}  // namespace
}  // namespace tyaprover::gateway
