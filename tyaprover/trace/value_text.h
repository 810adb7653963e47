// Attribute values as JSON and as text, for formats that have only one of them. Internal.
//
// Pure functions, thread-safe.
#pragma once

#include <string>

#include "tyaprover/base/json_writer.h"
#include "tyaprover/trace/attribute.h"

namespace tyaprover::trace::detail {

// Arrays as JSON arrays; what JSON numbers cannot say as null.
void write_json_value(JsonWriter& json, AttributeValue value);
// Text as it is; numbers and arrays as in JSON, `NaN`, `Infinity` and `-Infinity` as such.
void append_value_text(std::string& out, AttributeValue value);

}  // namespace tyaprover::trace::detail
