#include <boost/json.hpp>
#include <memory>

#include "base/text.h"
#include "server/auth.h"
#include "server/rest/runs.h"
#include "store/health_store.h"
#include "store/run_store.h"

namespace afloat::server {

namespace json = boost::json;

namespace {

json::array hosts_json(const rollout::ConductorFacts& facts) {
  json::array hosts;
  for (const auto& [name, host] : facts.hosts) {
    json::array nodes, releases;
    for (const auto& [node, state] : host.nodes)
      nodes.push_back(json::object{{"name", node}, {"version", state.version}, {"running", state.running}});
    for (const auto& [version, digest] : host.releases) releases.emplace_back(version);
    hosts.push_back(json::object{{"name", name},
                                 {"problem", host.problem},
                                 {"agentVersion", host.agent_version},
                                 {"releases", std::move(releases)},
                                 {"nodes", std::move(nodes)}});
  }
  return hosts;
}

json::array balancer_json(const rollout::ConductorFacts& facts) {
  json::array servers;
  for (const auto& [node, seen] : facts.balancer)
    servers.push_back(json::object{{"node", node},
                                   {"problem", seen.problem},
                                   {"status", seen.status},
                                   {"check", seen.check},
                                   {"weight", seen.weight},
                                   {"fullWeight", seen.full_weight}});
  return servers;
}

class Hosts {
 public:
  explicit Hosts(Context& context) : context_(context), runs_(store::make_run_store(context.database)) {}

  // Hosts and balancer as the conductor saw them: nodes neither know the one nor ask the other.
  Async<http::Response> list(http::Request request) {
    auto admin = co_await context_.auth.require_administrator(request);
    if (!admin) co_return http::error_response(admin.error());
    auto leadership = co_await runs_->leadership(request.deadline);
    if (!leadership) co_return http::error_response(leadership.error());
    const auto seen = co_await store::gather_reports(context_.database, request.deadline);
    json::object out{{"conductor", leadership->holder},
                     {"declined", leadership->declined},
                     {"problem", seen.reports_problem},
                     {"at", seen.conductor ? iso_time(seen.conductor->at_ms) : ""},
                     {"hosts", seen.conductor ? hosts_json(*seen.conductor) : json::array()},
                     {"balancer", seen.conductor ? balancer_json(*seen.conductor) : json::array()}};
    co_return http::json_response(200, json::serialize(out));
  }

 private:
  Context& context_;
  std::unique_ptr<RunStore> runs_;
};

}  // namespace

void add_host_routes(http::Router& router, Context& context) {
  auto hosts = std::make_shared<Hosts>(context);
  router.add("GET", "/rest/afloat/1/hosts", [hosts](http::Request r) { return hosts->list(std::move(r)); });
}

}  // namespace afloat::server
