#include "tyaprover/filters/compressor.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tyaprover/filters/test_decode.h"

namespace tyaprover::filters {
namespace {

// Bodies as they come: text, noise, one long run, and a mixture.
std::string random_body(std::mt19937& random, std::size_t size) {
  static constexpr std::string_view kWords[] = {"{\"theme\":", "\"colour\",", " the ", "\n",
                                                "1234"};
  const unsigned kind = random() % 4;
  std::string body;
  while (body.size() < size) {
    if (kind == 0 || (kind == 3 && random() % 2 == 0)) {
      body += kWords[random() % std::size(kWords)];
    } else if (kind == 1 || kind == 3) {
      body += static_cast<char>(random());
    } else {
      body.append(64, 'x');
    }
  }
  body.resize(size);
  return body;
}

// Puts `input` through in one go of `flush`, with `room` bytes of output at a time.
std::string put(Compressor& encoder, std::string_view input, Flush flush, std::size_t room) {
  std::string output;
  std::string buffer(room, '\0');
  for (;;) {
    const CompressorStep step = encoder.step(input, buffer, flush);
    EXPECT_FALSE(step.failed);
    EXPECT_LE(step.produced, room);
    input.remove_prefix(step.consumed);
    output.append(buffer, 0, step.produced);
    if (step.complete || step.failed) break;
  }
  EXPECT_TRUE(input.empty());
  return output;
}

class CompressorTest : public ::testing::TestWithParam<Coding> {
 protected:
  CompressorPtr encoder(int level = 4) { return pool_.acquire(GetParam(), level); }
  CompressorPool pool_;
};

INSTANTIATE_TEST_SUITE_P(Codings, CompressorTest,
                         ::testing::Values(Coding::gzip, Coding::br, Coding::zstd),
                         [](const auto& test) { return std::string(to_string(test.param)); });

TEST_P(CompressorTest, WhatGoesInComesOutWhateverThePieces) {
  std::mt19937 random(20240501);
  for (int round = 0; round < 60; ++round) {
    const std::string body = random_body(random, random() % (round % 10 == 0 ? 400'000 : 20'000));
    const CompressorPtr e = encoder(1 + static_cast<int>(random() % 6));
    std::string encoded;
    std::string_view rest = body;
    while (!rest.empty()) {
      const std::string_view piece = rest.substr(0, 1 + random() % 30'000);
      rest.remove_prefix(piece.size());
      const Flush flush = random() % 4 == 0 ? Flush::sync : Flush::none;
      encoded += put(*e, piece, flush, 1 + random() % 20'000);
    }
    encoded += put(*e, {}, Flush::finish, 1 + random() % 100);
    EXPECT_EQ(decode_all(GetParam(), encoded), body) << "round " << round;
  }
}

TEST_P(CompressorTest, ASyncMakesEverythingReadable) {
  const CompressorPtr e = encoder();
  std::string encoded;
  std::string body;
  for (const std::string_view piece : {"first ", "second ", "", "third"}) {
    encoded += put(*e, piece, Flush::sync, 4096);
    body += piece;
    const Decoded read = decode(GetParam(), encoded);
    EXPECT_TRUE(read.valid);
    EXPECT_FALSE(read.complete);
    EXPECT_EQ(read.bytes, body);
  }
}

TEST_P(CompressorTest, AnEmptyBodyIsAValidStream) {
  const CompressorPtr e = encoder();
  EXPECT_EQ(decode_all(GetParam(), put(*e, {}, Flush::finish, 4096)), "");
}

TEST_P(CompressorTest, AnEncoderServesOneStreamAfterAnother) {
  const Compressor* first = nullptr;
  for (int i = 0; i < 5; ++i) {
    const CompressorPtr e = encoder();
    if (i == 0) first = e.get();
    EXPECT_EQ(e.get(), first);
    const std::string body(1000 * static_cast<std::size_t>(i), 'a');
    EXPECT_EQ(decode_all(GetParam(), put(*e, body, Flush::finish, 4096)), body);
  }
}

TEST_P(CompressorTest, AStreamGivenUpHalfwayLeavesNoTrace) {
  {
    const CompressorPtr e = encoder();
    put(*e, std::string(100'000, 'z'), Flush::none, 10);
  }
  const CompressorPtr e = encoder();
  EXPECT_EQ(decode_all(GetParam(), put(*e, "next", Flush::finish, 4096)), "next");
}

TEST_P(CompressorTest, LevelsHaveTheirOwnEncodersAndAreClamped) {
  { const CompressorPtr e = encoder(1); }
  const CompressorPtr e = encoder(2);
  EXPECT_EQ(e->level(), 2);
  EXPECT_GE(encoder(99)->level(), 9);
  EXPECT_LE(encoder(-5)->level(), 1);
}

// Deflate works off what it is given; the other two collect, and then take long.
TEST(CollectingCompressorTest, HoldsBackLittleSoThatNoStepTakesLong) {
  for (const Coding coding : {Coding::br, Coding::zstd}) {
    std::mt19937 random(7);
    CompressorPool pool;
    const CompressorPtr e = pool.acquire(coding, 4);
    std::string encoded;
    std::size_t taken = 0;
    for (int i = 0; i < 40; ++i) {
      std::string piece;
      while (piece.size() < 16 * 1024) piece += std::to_string(random());
      taken += piece.size();
      encoded += put(*e, piece, Flush::none, 64 * 1024);
      if (i % 5 != 0) continue;
      const std::size_t readable = decode(coding, encoded).bytes.size();
      EXPECT_LE(taken - readable, 48 * 1024u) << to_string(coding) << " after " << taken;
    }
  }
}

TEST(CompressorPoolTest, GivesNoMoreThanItsLimit) {
  CompressorPool pool;
  std::vector<CompressorPtr> out;
  for (std::size_t i = 0; i < CompressorPool::kMaxActive; ++i) {
    out.push_back(pool.acquire(Coding::gzip, 1));
    ASSERT_TRUE(out.back());
  }
  EXPECT_FALSE(pool.acquire(Coding::gzip, 1));
  out.pop_back();
  EXPECT_TRUE(pool.acquire(Coding::gzip, 1));
}

TEST(CompressorPoolTest, HasNothingForIdentity) {
  CompressorPool pool;
  EXPECT_FALSE(pool.acquire(Coding::identity, 1));
}

}  // namespace
}  // namespace tyaprover::filters
