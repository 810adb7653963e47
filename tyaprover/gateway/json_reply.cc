#include "tyaprover/gateway/json_reply.h"

namespace tyaprover::gateway {

void reply_json(http::Exchange& e, std::string_view body) {
  e.response.status = 200;
  e.response.fields.add(http::KnownField::content_type, "application/json");
  e.response.fields.add(http::KnownField::cache_control, "no-store");
  e.response.content = e.arena.concat({body, "\n"});
}

}  // namespace tyaprover::gateway
