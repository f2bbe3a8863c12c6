#pragma once
#include "adapters/http/router.h"
#include "ports/cluster_store.h"
#include "server/context.h"
#include "server/node_control.h"

namespace afloat::server {

/// /status, /health/live, /health/ready, /metrics: no sign-in.
void add_status_routes(http::Router& router, Context& context, NodeControl& control);
/// /rest/zdu/* and /rest/zdu/cluster/zdu/*: the rolling-upgrade calls that existing automation uses.
void add_zdu_routes(http::Router& router, Context& context, ClusterStore& cluster);
/// /rest/api/cluster/nodes, /rest/api/accessmode, and ours: /rest/afloat/1/cluster, nodes/{name}/drain|return|remove.
void add_cluster_routes(http::Router& router, Context& context, ClusterStore& cluster, NodeControl& control);
/// In place of the last two and of the upgrade runs: 403, and what to do instead. accessmode answers as ever.
void add_trial_routes(http::Router& router, Context& context);

}  // namespace afloat::server
