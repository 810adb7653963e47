#include "tyaprover/http/field.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace tyaprover::http {
namespace {

constexpr auto kCount = static_cast<unsigned>(KnownField::count_);

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return out;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

TEST(Field, EveryKnownNameIsRecognisedInAnyCase) {
  std::set<std::string> names;
  for (unsigned i = 1; i < kCount; ++i) {
    const auto id = static_cast<KnownField>(i);
    const std::string_view name = field_name(id);
    EXPECT_EQ(classify_field(name), id) << name;
    EXPECT_EQ(classify_field(upper(name)), id) << name;
    EXPECT_EQ(classify_field(lower(name)), id) << name;
    EXPECT_TRUE(names.insert(lower(name)).second) << name << " twice";
  }
  EXPECT_EQ(names.size(), kCount - 1);
}

// The name table stands in the order of the enumeration; a slip would shift all that follow it.
TEST(Field, NamesBelongToTheirFields) {
  EXPECT_EQ(field_name(KnownField::other), "");
  EXPECT_EQ(field_name(KnownField::accept), "Accept");
  EXPECT_EQ(field_name(KnownField::content_length), "Content-Length");
  EXPECT_EQ(field_name(KnownField::host), "Host");
  EXPECT_EQ(field_name(KnownField::http2_settings), "HTTP2-Settings");
  EXPECT_EQ(field_name(KnownField::keep_alive), "Keep-Alive");
  EXPECT_EQ(field_name(KnownField::proxy_connection), "Proxy-Connection");
  EXPECT_EQ(field_name(KnownField::te), "TE");
  EXPECT_EQ(field_name(KnownField::transfer_encoding), "Transfer-Encoding");
  EXPECT_EQ(field_name(KnownField::upgrade), "Upgrade");
  EXPECT_EQ(field_name(KnownField::x_response_time), "X-Response-Time");
  EXPECT_EQ(field_name(KnownField::count_), "");
}

TEST(Field, NearMissesAreOther) {
  for (unsigned i = 1; i < kCount; ++i) {
    const std::string name(field_name(static_cast<KnownField>(i)));
    EXPECT_EQ(classify_field(name + "x"), KnownField::other) << name;
    EXPECT_EQ(classify_field(name.substr(1)), KnownField::other) << name;
    for (std::size_t at = 0; at < name.size(); ++at) {
      std::string changed = name;
      changed[at] = '_';
      EXPECT_EQ(classify_field(changed), KnownField::other) << changed;
      changed[at] = static_cast<char>(name[at] ^ 0x80);
      EXPECT_EQ(classify_field(changed), KnownField::other) << changed;
    }
  }
  for (const std::string_view name : {"", "t", "x", "h", "Content_Length", "Content-Length "}) {
    EXPECT_EQ(classify_field(name), KnownField::other) << name;
  }
}

struct FieldsTest : testing::Test {
  Fields fields;

  [[nodiscard]] std::string all() const {
    std::string text;
    for (const Field& f : fields) text += std::string(f.name) + '=' + std::string(f.value) + ' ';
    return text;
  }
};

TEST_F(FieldsTest, KeepsTheOrderOfAdding) {
  fields.add(KnownField::host, "a");
  fields.add("x-custom", "1");
  fields.add("ACCEPT", "b");
  EXPECT_EQ(all(), "Host=a x-custom=1 ACCEPT=b ");
  EXPECT_EQ(fields[1].id, KnownField::other);
  EXPECT_EQ(fields[2].id, KnownField::accept);
}

TEST_F(FieldsTest, FindGivesTheFirst) {
  fields.add("Vary", "a");
  fields.add("vary", "b");
  EXPECT_EQ(fields.find(KnownField::vary)->value, "a");
  EXPECT_EQ(fields.find("VARY")->value, "a");
  EXPECT_EQ(fields.value(KnownField::vary), "a");
  EXPECT_EQ(fields.count(KnownField::vary), 2U);
  EXPECT_TRUE(fields.has(KnownField::vary));
}

TEST_F(FieldsTest, WhatIsNotThereIsNullOrEmpty) {
  EXPECT_EQ(fields.find(KnownField::via), nullptr);
  EXPECT_EQ(fields.find("via"), nullptr);
  EXPECT_EQ(fields.value(KnownField::via), "");
  EXPECT_EQ(fields.count(KnownField::via), 0U);
  EXPECT_EQ(fields.remove(KnownField::via), 0U);
}

TEST_F(FieldsTest, SetReplacesAllByOneInTheFirstOnesPlace) {
  fields.add("server", "a");
  fields.add("X", "1");
  fields.add("SERVER", "b");
  fields.set(KnownField::server, "c");
  EXPECT_EQ(all(), "Server=c X=1 ");
  fields.set(KnownField::age, "7");
  EXPECT_EQ(all(), "Server=c X=1 Age=7 ");
}

TEST_F(FieldsTest, RemoveTakesEveryLineOfThatName) {
  for (const auto* name : {"X-A", "Date", "x-a", "date"}) fields.add(name, "1");
  EXPECT_EQ(fields.remove("X-a"), 2U);
  EXPECT_EQ(all(), "Date=1 date=1 ");
  EXPECT_EQ(fields.remove(KnownField::date), 2U);
  EXPECT_TRUE(fields.empty());
}

TEST_F(FieldsTest, RemoveIfTakesWhatThePredicateNames) {
  for (const auto* name : {"A", "B", "C"}) fields.add(name, name);
  EXPECT_EQ(fields.remove_if([](const Field& f) { return f.value != "B"; }), 2U);
  EXPECT_EQ(all(), "B=B ");
}

TEST_F(FieldsTest, ListContainsReadsAllLinesAsOneList) {  // RFC 9110 §5.6.1
  struct Case {
    std::vector<std::string_view> lines;
    bool expected;  // has the member "close"
  };
  const Case cases[] = {
      {{"close"}, true},
      {{"CLOSE"}, true},
      {{"keep-alive, Close"}, true},
      {{"keep-alive", "x,close"}, true},
      {{" close ;q=1"}, true},
      {{",,\tclose,,"}, true},
      {{}, false},
      {{""}, false},
      {{"closed"}, false},
      {{"not close"}, false},
      {{"\"a, close\""}, false},  // a comma in a quoted string does not separate
      {{"x;a=\"\\\",close\""}, false},
      {{"x;y=close"}, false},  // a parameter is not a member
  };
  for (const Case& c : cases) {
    fields.clear();
    for (const auto line : c.lines) fields.add(KnownField::connection, line);
    fields.add(KnownField::accept, "close");
    EXPECT_EQ(fields.list_contains(KnownField::connection, "close"), c.expected) << all();
  }
}

}  // namespace
}  // namespace tyaprover::http
