#include "tyaprover/filters/security_headers.h"

#include <cassert>

#include "tyaprover/filters/route_settings.h"

namespace tyaprover::filters {

using http::Fields;
using http::KnownField;

namespace {

void add_missing(Fields& fields, KnownField id, const std::string& value) {
  if (!value.empty() && !fields.has(id)) fields.add(id, value);
}

}  // namespace

void SecurityHeaders::on_response(Exchange& exchange, State&) noexcept {
  assert(exchange.settings != nullptr);
  const SecurityHeadersOptions& options = exchange.settings->security_headers;
  if (!options.enabled) return;
  Fields& fields = exchange.response.fields;
  if (options.remove_powered_by) fields.remove(KnownField::x_powered_by);
  if (options.server) {
    fields.remove(KnownField::server);
    if (!options.server->empty()) fields.add(KnownField::server, *options.server);
  }
  if (exchange.response.status < 200) return;  // an upgraded connection is no document
  add_missing(fields, KnownField::x_frame_options, options.frame_options);
  add_missing(fields, KnownField::x_content_type_options, options.content_type_options);
  add_missing(fields, KnownField::referrer_policy, options.referrer_policy);
  add_missing(fields, KnownField::permissions_policy, options.permissions_policy);
  add_missing(fields, KnownField::content_security_policy, options.content_security_policy);
  if (exchange.scheme == "https") {
    add_missing(fields, KnownField::strict_transport_security, options.strict_transport_security);
  }
}

}  // namespace tyaprover::filters
