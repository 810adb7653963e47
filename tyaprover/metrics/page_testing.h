// For tests: pages taken apart again, without the code that wrote them.
//
//   EXPECT_EQ(samples(registry)["jobs_total{queue=\"mail\"}"], "3");
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tyaprover/metrics/registry.h"

namespace tyaprover::metrics {

constexpr std::string_view kOpenMetrics = "application/openmetrics-text;version=1.0.0";
constexpr std::string_view kProtobuf =
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

// Without the families about the metrics themselves, so that a page can be compared as a whole.
inline std::string page_text(Registry& registry, std::string_view accept = {}) {
  PageOptions options;
  options.accept = accept;
  options.self_metrics = false;
  return registry.expose(options).text();
}

inline std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) throw std::runtime_error("the last line has no end");
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  return lines;
}

// Text of name and labels → text of the value, for a page whose label values hold no spaces.
inline std::map<std::string, std::string> samples_of(std::string_view text) {
  std::map<std::string, std::string> samples;
  for (const std::string& line : lines_of(text)) {
    if (line.starts_with('#')) continue;
    const std::size_t space = line.find(' ');
    const bool is_new = samples.emplace(line.substr(0, space), line.substr(space + 1)).second;
    if (!is_new) throw std::runtime_error("twice on the page: " + line);
  }
  return samples;
}

inline std::map<std::string, std::string> samples(Registry& registry) {
  return samples_of(registry.expose().text());
}

// One protobuf message: its fields in order.
struct Message {
  struct Field {
    unsigned number = 0;
    std::uint64_t integer = 0;  // of a varint, or a fixed64's bits
    std::string_view bytes;
  };
  std::vector<Field> fields;

  static std::uint64_t take_varint(std::string_view& in) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (in.empty()) throw std::runtime_error("protobuf: ends within a number");
      const auto byte = static_cast<unsigned char>(in.front());
      in.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if ((byte & 0x80U) == 0) return value;
    }
    throw std::runtime_error("protobuf: a number is too long");
  }
  static std::string_view take_bytes(std::string_view& in) {
    const std::uint64_t size = take_varint(in);
    if (size > in.size()) throw std::runtime_error("protobuf: ends within a field");
    const std::string_view bytes = in.substr(0, size);
    in.remove_prefix(size);
    return bytes;
  }

  explicit Message(std::string_view in) {
    while (!in.empty()) {
      const std::uint64_t tag = take_varint(in);
      Field field{};
      field.number = static_cast<unsigned>(tag >> 3U);
      switch (tag & 7U) {
        case 0:
          field.integer = take_varint(in);
          break;
        case 1:
          if (in.size() < 8) throw std::runtime_error("protobuf: ends within a double");
          std::memcpy(&field.integer, in.data(), 8);
          in.remove_prefix(8);
          break;
        case 2:
          field.bytes = take_bytes(in);
          break;
        default:
          throw std::runtime_error("protobuf: unknown wire type");
      }
      fields.push_back(field);
    }
  }

  [[nodiscard]] std::vector<Field> all(unsigned number) const {
    std::vector<Field> found;
    for (const Field& field : fields) {
      if (field.number == number) found.push_back(field);
    }
    return found;
  }
  [[nodiscard]] std::optional<Field> one(unsigned number) const {
    const std::vector<Field> found = all(number);
    if (found.size() > 1) throw std::runtime_error("protobuf: a field is there twice");
    if (found.empty()) return std::nullopt;
    return found.front();
  }
  [[nodiscard]] std::uint64_t integer(unsigned number) const { return one(number).value().integer; }
  [[nodiscard]] std::int64_t signed_integer(unsigned number) const {
    return unzigzag(integer(number));
  }
  [[nodiscard]] double real(unsigned number) const {
    double value = 0;
    const std::uint64_t bits = integer(number);
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }
  [[nodiscard]] std::string text(unsigned number) const {
    return std::string(one(number).value().bytes);
  }
  [[nodiscard]] Message message(unsigned number) const {
    return Message(one(number).value().bytes);
  }
  [[nodiscard]] std::vector<Message> messages(unsigned number) const {
    std::vector<Message> found;
    for (const Field& field : all(number)) found.emplace_back(field.bytes);
    return found;
  }
  static std::int64_t unzigzag(std::uint64_t value) {
    return static_cast<std::int64_t>(value >> 1U) ^ -static_cast<std::int64_t>(value & 1U);
  }
};

// The MetricFamily messages of a protobuf page.
inline std::vector<Message> families_of(std::string_view page) {
  std::vector<Message> families;
  while (!page.empty()) families.emplace_back(Message::take_bytes(page));
  return families;
}

// Whether calling `work` threw std::invalid_argument, and what it said.
template <class Work>
std::string refusal_of(Work&& work) {
  try {
    work();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "nothing was refused";
}

}  // namespace tyaprover::metrics
