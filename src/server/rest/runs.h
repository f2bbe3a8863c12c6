#pragma once
#include "adapters/http/router.h"
#include "server/context.h"

namespace afloat::server {

/// /rest/afloat/1/runs: upgrade runs for people and programs, on every node. System administrators only.
/// A node only writes what was asked for into the run's row; the conductor does the work.
void add_run_routes(http::Router& router, Context& context);

}  // namespace afloat::server
