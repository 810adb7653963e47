#include "tyaprover/filters/media_type.h"

#include <algorithm>

#include "tyaprover/base/text.h"

namespace tyaprover::filters {
namespace {

constexpr std::string_view kCompressible[] = {
    "application/json",
    "application/javascript",
    "application/xml",
    "application/wasm",
    "application/ecmascript",
    "application/x-javascript",
    "application/x-ndjson",
    "application/jsonl",
    "application/xml-dtd",
    "application/vnd.ms-fontobject",
    "application/x-font-ttf",
    "application/x-font-otf",
    "application/x-font-opentype",
    "application/x-font-truetype",
    "font/ttf",
    "font/otf",
    "font/sfnt",
    "font/collection",
};

std::string_view without_parameters(std::string_view content_type) noexcept {
  return trim(content_type.substr(0, content_type.find(';')));
}

bool iends_with(std::string_view text, std::string_view end) noexcept {
  return text.size() >= end.size() && iequals(text.substr(text.size() - end.size()), end);
}

bool istarts_with(std::string_view text, std::string_view begin) noexcept {
  return iequals(text.substr(0, begin.size()), begin);
}

}  // namespace

bool is_compressible_type(std::string_view content_type) noexcept {
  const std::string_view type = without_parameters(content_type);
  if (istarts_with(type, "text/")) return true;
  // gRPC's messages have their own compression, also when they are JSON.
  if (istarts_with(type, "application/grpc")) return false;
  if (iends_with(type, "+json") || iends_with(type, "+xml")) return true;
  return std::any_of(std::begin(kCompressible), std::end(kCompressible),
                     [type](std::string_view known) { return iequals(type, known); });
}

bool is_event_stream(std::string_view content_type) noexcept {
  return iequals(without_parameters(content_type), "text/event-stream");
}

}  // namespace tyaprover::filters
