#pragma once
#include <boost/json/fwd.hpp>
#include <string>
#include <vector>

#include "adapters/http/router.h"
#include "server/context.h"
#include "store/event_store.h"

namespace afloat::server {

/// Who asked for something, in the audit log; what comes of it is told by whoever does it. What can't be noted is done
/// all the same.
Async<void> note_event(Context& context, std::string actor, std::string kind, boost::json::object detail,
                       Deadline deadline);
boost::json::array events_json(const std::vector<store::Event>& events);
/// /rest/afloat/1/events, the audit log in pages (limit, before) and by kind, text, since and until; events/export, the
/// same as a file of CSV or JSON, at most the newest 10,000. System administrators only.
void add_event_routes(http::Router& router, Context& context);

}  // namespace afloat::server
