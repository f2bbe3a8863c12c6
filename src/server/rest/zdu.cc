#include <fmt/format.h>

#include <boost/json.hpp>

#include "cluster/phase.h"
#include "server/auth.h"
#include "server/rest/node_routes.h"
#include "version/version.h"

namespace afloat::server {

namespace json = boost::json;
using namespace cluster;

namespace {

// What automation reads of one node. `build` texts: the number as a string, as the contract has it.
json::object node_json(const Snapshot& snapshot, const Member& member, const Context& context) {
  NodeState state = effective_state(member);
  const bool finalizing = snapshot.state && snapshot.state->finalize_requested_ms.has_value();
  json::array errors;
  if (finalizing) {
    for (const auto& task : snapshot.tasks) {
      if (task.runner != member.name) continue;
      if (task.state == TaskState::running && task.lease_live && state == NodeState::ACTIVE)
        state = NodeState::RUNNING_FINALIZE_UPGRADE_TASKS;
      if (task.state == TaskState::failed) {
        state = NodeState::UPGRADE_TASKS_FAILED;
        errors.push_back(json::object{{"clusterUpgradeTask", true}, {"upgradeTaskName", task.id},
                                      {"exceptionMessage", task.error}, {"errors", json::array{json::value(task.error)}}});
      }
    }
  }
  json::object node{{"id", member.id},
                    {"name", member.name},
                    {"ipAddress", member.address},
                    {"portNumber", member.port},
                    {"state", state == effective_state(member) ? shown_state(member) : std::string(to_string(state))},
                    {"tasksTotal", member.tasks_running},
                    {"activeUserCount", member.active_users},
                    {"buildNumber", std::to_string(member.build)},
                    {"version", member.version},
                    {"local", member.id == context.node.id}};
  if (finalizing)
    node["finalization"] = json::object{{"lastRequested", *snapshot.state->finalize_requested_ms}, {"errors", std::move(errors)}};
  node["links"] = json::array{json::object{{"rel", "self"}, {"href", context.config.base_url + "/rest/zdu/nodes/" + member.id}}};
  return node;
}

json::object cluster_json(const Snapshot& snapshot, const Context& context) {
  const auto view = derive_phase(snapshot);
  const bool on = snapshot.state && snapshot.state->mode == Mode::on;
  bool tasks = false;
  for (const auto& task : snapshot.tasks)
    tasks = tasks || (task.kind != TaskKind::expand && task.state != TaskState::done);
  json::array nodes;
  for (const auto& member : snapshot.members) nodes.push_back(node_json(snapshot, member, context));
  json::object out{{"upgradeModeEnabled", on}, {"hasFinalizationTasks", on && tasks}, {"state", to_string(view.phase)}};
  if (on && snapshot.state->original_build) {
    // The original is the cluster version until finalize has raised it; then the builds tell it.
    const int build = *snapshot.state->original_build;
    out["originalVersion"] = snapshot.state->cluster_build == build
                                 ? snapshot.state->cluster_version
                                 : fmt::format("{}.{}.{}", build / 10'000'000, build / 10'000 % 1000, build / 10 % 1000);
  }
  out["nodes"] = std::move(nodes);
  out["links"] = json::array{json::object{{"rel", "self"}, {"href", context.config.base_url + "/rest/zdu/cluster"}}};
  return out;
}

class Zdu {
 public:
  Zdu(Context& context, ClusterStore& cluster) : context_(context), cluster_(cluster) {}

  Async<http::Response> overview(http::Request request) {
    auto snapshot = co_await admitted(request);
    if (!snapshot) co_return http::error_response(snapshot.error());
    co_return http::json_response(200, json::serialize(cluster_json(*snapshot, context_)));
  }

  Async<http::Response> state(http::Request request) {
    auto snapshot = co_await admitted(request);
    if (!snapshot) co_return http::error_response(snapshot.error());
    json::object out{{"state", to_string(derive_phase(*snapshot).phase)}};
    for (const auto& member : snapshot->members)
      if (member.id == context_.node.id) out["buildInfo"] = node_json(*snapshot, member, context_);
    co_return http::json_response(200, json::serialize(out));
  }

  Async<http::Response> node(http::Request request) {
    auto snapshot = co_await admitted(request);
    if (!snapshot) co_return http::error_response(snapshot.error());
    const auto id = request.capture("id");
    for (const auto& member : snapshot->members)
      if (member.id == id) co_return http::json_response(200, json::serialize(node_json(*snapshot, member, context_)));
    co_return http::error_response(Error(ErrorKind::not_found, fmt::format("No member of the cluster has the id {}. GET /rest/zdu/cluster lists them.", id)));
  }

  Async<http::Response> command(http::Request request, Command command) {
    auto identity = co_await require_administrator_for_change(context_.auth, request);
    if (!identity) co_return http::error_response(identity.error());
    if (auto clustered = check_clustered(); !clustered) co_return http::error_response(clustered.error());
    // Narrowing may take up to 10 s; it ends by itself.
    const auto deadline = context_.clock.steady_now() + std::chrono::seconds(15);
    auto done = co_await cluster_.apply(command, identity->user_name, std::nullopt, std::nullopt, deadline);
    if (!done) co_return http::error_response(done.error());
    auto snapshot = co_await cluster_.observe(deadline);
    if (!snapshot) co_return http::error_response(snapshot.error());
    co_return http::json_response(200, json::serialize(cluster_json(*snapshot, context_)));
  }

 private:
  Result<void> check_clustered() const {
    if (context_.config.edition == "data-center") return {};
    return fail(ErrorKind::permission_denied,
                "A rolling upgrade needs a clustered installation, and this site's edition is single-node. Upgrade it with downtime.");
  }
  Task<Snapshot> admitted(http::Request request) {
    auto identity = co_await context_.auth.require_administrator(request);
    if (!identity) co_return std::unexpected(identity.error());
    if (auto clustered = check_clustered(); !clustered) co_return std::unexpected(clustered.error());
    co_return co_await cluster_.observe(request.deadline);
  }

  Context& context_;
  ClusterStore& cluster_;
};

}  // namespace

void add_zdu_routes(http::Router& router, Context& context, ClusterStore& cluster) {
  auto zdu = std::make_shared<Zdu>(context, cluster);
  // Both path forms are in use by clients.
  for (std::string prefix : {"/rest/zdu", "/rest/zdu/cluster/zdu"}) {
    router.add("GET", prefix + "/cluster", [zdu](http::Request r) { return zdu->overview(std::move(r)); });
    router.add("GET", prefix + "/state", [zdu](http::Request r) { return zdu->state(std::move(r)); });
    router.add("GET", prefix + "/nodes/{id}", [zdu](http::Request r) { return zdu->node(std::move(r)); });
    router.add("POST", prefix + "/start", [zdu](http::Request r) { return zdu->command(std::move(r), Command::start); });
    router.add("POST", prefix + "/cancel", [zdu](http::Request r) { return zdu->command(std::move(r), Command::cancel); });
    router.add("POST", prefix + "/approve", [zdu](http::Request r) { return zdu->command(std::move(r), Command::approve); });
    router.add("POST", prefix + "/retryUpgrade", [zdu](http::Request r) { return zdu->command(std::move(r), Command::retry); });
  }
}

}  // namespace afloat::server
