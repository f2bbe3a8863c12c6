#include "server/auth.h"
#include "server/rest/node_routes.h"

namespace afloat::server {

namespace {

Async<http::Response> refuse(Context* context, http::Request request) {
  auto allowed = co_await context->auth.require_administrator(request);
  if (!allowed) co_return http::error_response(allowed.error());
  co_return http::error_response(Error(
      ErrorKind::permission_denied,
      "This needs a clustered installation, and this is a trial: one node with a database of its own, which can't be "
      "clustered or rolled. To see a rolling upgrade, run `afloat demo`; for a site that can be rolled, set up "
      "PostgreSQL and start with `afloat serve --config site.toml --node NAME`. To upgrade the trial, stop it and start "
      "the newer release with the same --data."));
}

}  // namespace

void add_trial_routes(http::Router& router, Context& context) {
  for (const auto* method : {"GET", "POST", "PUT", "DELETE"})
    for (const auto* pattern : {"/rest/zdu/{rest*}", "/rest/afloat/1/runs", "/rest/afloat/1/runs/{rest*}",
                                "/rest/afloat/1/cluster", "/rest/afloat/1/health", "/rest/afloat/1/events",
                                "/rest/afloat/1/events/export", "/rest/afloat/1/hosts", "/rest/afloat/1/settings",
                                "/rest/afloat/1/nodes", "/rest/afloat/1/nodes/{rest*}", "/rest/api/cluster/nodes",
                                "/rest/afloat/1/checks", "/rest/afloat/1/support", "/rest/troubleshooting/{rest*}",
                                "/rest/supportHealthCheck/{rest*}"})
      router.add(method, pattern, [&context](http::Request request) { return refuse(&context, std::move(request)); });
  router.add("GET", "/rest/api/accessmode",
             [](http::Request) -> Async<http::Response> { co_return http::json_response(200, "\"READ_WRITE\""); });
}

}  // namespace afloat::server
