#pragma once
#include <memory>

#include "ports/database.h"
#include "ports/notifier.h"

namespace afloat::store {

/// Writes each notice into the site's list of events (cluster_event, kind "notice"), which the console and
/// GET /rest/afloat/1/events show. `database` outlives it.
std::unique_ptr<Notifier> make_event_notifier(Database& database);

}  // namespace afloat::store
