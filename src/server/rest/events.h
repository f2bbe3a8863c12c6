#pragma once
#include <boost/json/fwd.hpp>
#include <vector>

#include "adapters/http/router.h"
#include "server/context.h"
#include "store/event_store.h"

namespace afloat::server {

boost::json::array events_json(const std::vector<store::Event>& events);
/// /rest/afloat/1/events, the audit log in pages (limit, before) and by kind, text, since and until; events/export, the
/// same as a file of CSV or JSON, at most the newest 10,000. System administrators only.
void add_event_routes(http::Router& router, Context& context);

}  // namespace afloat::server
