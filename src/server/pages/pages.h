#pragma once
#include "adapters/http/router.h"
#include "server/context.h"

namespace afloat::server {

class Assets;

/// All that a browser reads: home, spaces, pages, history, edit, sign in and out, search. Everything but
/// /login and /assets needs a signed-in user (303 to /login?next=...).
/// `router` and `context` outlive every request.
void add_page_routes(http::Router& router, Context& context);
/// /admin/...: the console, for system administrators (others get 403). Not for a trial, which is not a cluster.
void add_admin_routes(http::Router& router, Context& context);
/// GET /assets/{file}. `assets` outlives every request.
void add_asset_routes(http::Router& router, Assets& assets);

}  // namespace afloat::server
