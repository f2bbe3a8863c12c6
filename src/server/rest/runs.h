#pragma once
#include "adapters/http/router.h"
#include "server/context.h"

namespace afloat::server {

/// /rest/afloat/1/runs: upgrade runs for people and programs, on every node. System administrators only.
/// A node only writes what was asked for into the run's row; the conductor does the work.
void add_run_routes(http::Router& router, Context& context);

/// /rest/afloat/1/checks, and the same in the vendor's shapes: /rest/troubleshooting/1.0/{pre-upgrade/info,check},
/// /rest/supportHealthCheck/1.0/check. System administrators only. /health/arrival, without sign-in, tells whether
/// the request came through a balancer.
void add_check_routes(http::Router& router, Context& context);
/// /rest/afloat/1/hosts: who conducts, and the hosts and the balancer as the conductor sees them. System administrators only.
void add_host_routes(http::Router& router, Context& context);
/// /rest/afloat/1/settings: what of site.toml is in force, without secrets. System administrators only.
void add_setting_routes(http::Router& router, Context& context);
/// /rest/afloat/1/support: a zip for whoever is to help (server/support.h). System administrators only.
void add_support_routes(http::Router& router, Context& context);
/// /rest/afloat/1/series: what the nodes answered in the last quarter of an hour of an upgrade, to be plotted. System
/// administrators only.
void add_series_routes(http::Router& router, Context& context);
/// /rest/afloat/1/by-hand: the commands of an upgrade without a conductor (server/by_hand.h). System administrators only.
void add_by_hand_routes(http::Router& router, Context& context);

}  // namespace afloat::server
