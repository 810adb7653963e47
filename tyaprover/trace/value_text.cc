#include "tyaprover/trace/value_text.h"

#include <cmath>

namespace tyaprover::trace::detail {
namespace {

void write(JsonWriter& json, std::string_view text) {
  json.string(text);
}
void write(JsonWriter& json, bool value) {
  json.boolean(value);
}
void write(JsonWriter& json, std::int64_t value) {
  json.integer(value);
}
void write(JsonWriter& json, double value) {
  json.number(value);
}

template <class T>
void write_array(JsonWriter& json, std::span<const T> values) {
  json.begin_array();
  for (const T& value : values) write(json, value);
  json.end_array();
}

}  // namespace

void write_json_value(JsonWriter& json, AttributeValue value) {
  switch (value.type()) {
    case AttributeType::string:
      return write(json, value.text().view());
    case AttributeType::boolean:
      return write(json, value.boolean());
    case AttributeType::integer:
      return write(json, value.integer());
    case AttributeType::real:
      return write(json, value.real());
    case AttributeType::strings:
      return write_array(json, value.strings());
    case AttributeType::booleans:
      return write_array(json, value.booleans());
    case AttributeType::integers:
      return write_array(json, value.integers());
    case AttributeType::reals:
      return write_array(json, value.reals());
  }
}

void append_value_text(std::string& out, AttributeValue value) {
  if (value.type() == AttributeType::string) {
    out += value.text().view();
  } else if (value.type() == AttributeType::real && !std::isfinite(value.real())) {
    out += std::isnan(value.real()) ? "NaN" : value.real() > 0 ? "Infinity" : "-Infinity";
  } else {
    JsonWriter json(out);
    write_json_value(json, value);
  }
}

}  // namespace tyaprover::trace::detail
