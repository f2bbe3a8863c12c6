#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/json_fields.h"
#include "base/text.h"
#include "cluster/phase.h"
#include "server/auth.h"
#include "server/metrics.h"
#include "server/rest/cluster_json.h"
#include "server/rest/events.h"
#include "server/rest/node_calls.h"
#include "server/rest/node_routes.h"

namespace afloat::server {

namespace json = boost::json;
using namespace cluster;

namespace {

json::object drain_json(const DrainView& view) {
  json::array overdue;
  for (const auto& name : view.overdue) overdue.emplace_back(name);
  return {{"state", to_string(view.state)}, {"inFlight", view.in_flight}, {"streams", view.streams},
          {"tasksRunning", view.tasks_running}, {"overdue", std::move(overdue)}, {"drained", view.drained}};
}

class ClusterResource {
 public:
  ClusterResource(Context& context, ClusterStore& cluster, NodeControl& control)
      : context_(context), cluster_(cluster), control_(control), calls_(context, cluster) {}

  Async<http::Response> overview(http::Request request) {
    auto allowed = co_await context_.auth.require_administrator(request);
    if (!allowed) co_return http::error_response(allowed.error());
    auto snapshot = co_await cluster_.observe(request.deadline);
    if (!snapshot) co_return http::error_response(snapshot.error());
    co_return http::json_response(200, json::serialize(cluster_json(*snapshot, context_.config)));
  }

  Async<http::Response> nodes(http::Request request) {
    auto allowed = co_await context_.auth.require_user(request);
    if (!allowed) co_return http::error_response(allowed.error());
    auto snapshot = co_await cluster_.observe(request.deadline);
    if (!snapshot) co_return http::error_response(snapshot.error());
    const auto start = static_cast<std::size_t>(std::max<std::int64_t>(0, parse_int(request.query_or("start", "0")).value_or(0)));
    const auto limit = static_cast<std::size_t>(std::clamp<std::int64_t>(parse_int(request.query_or("limit", "25")).value_or(25), 1, 1000));
    json::array results;
    for (std::size_t i = start; i < snapshot->members.size() && results.size() < limit; ++i)
      results.push_back(json::object{{"nodeId", snapshot->members[i].id}, {"name", snapshot->members[i].name},
                                     {"state", shown_state(snapshot->members[i])}});
    const auto size = results.size();
    co_return http::json_response(200, json::serialize(json::object{{"results", std::move(results)}, {"totalCount", snapshot->members.size()},
                                                                    {"start", start}, {"limit", limit}, {"size", size}, {"_links", json::object{}}}));
  }

  Async<http::Response> drain_call(http::Request request, std::string_view verb) {
    auto admin = co_await (verb == "status" ? context_.auth.require_administrator(request)
                                            : require_administrator_for_change(context_.auth, request));
    if (!admin) co_return http::error_response(admin.error());
    const auto name = request.capture("name");
    if (name != context_.node.name) {
      auto answer = co_await calls_.pass_on(std::move(request), name);
      co_return answer ? std::move(*answer) : http::error_response(answer.error());
    }
    Result<DrainView> view = control_.drain_view();
    const auto before = view->state;
    bool told = false;  // a run drains by itself, and its journal has that
    if (verb == "drain") {
      // {"balanced": true}: the caller has taken the node out of the load balancer itself.
      const auto body = parse_json_object(request.body.empty() ? "{}" : request.body, "the drain");
      if (!body) co_return http::error_response(body.error());
      const auto balanced = optional_bool(*body, "balanced");
      if (!balanced) co_return http::error_response(balanced.error());
      told = balanced->value_or(false);
      view = co_await control_.drain(admin->user_name,
                                     told ? NodeControl::Balancer::caller : NodeControl::Balancer::health_checks);
    }
    if (verb == "return") view = co_await control_.undrain(admin->user_name);
    if (!view) co_return http::error_response(view.error());
    if (view->state != before && !told)
      co_await note_event(context_, admin->user_name, std::string(verb), json::object{{"node", name}}, request.deadline);
    co_return http::json_response(200, json::serialize(drain_json(*view)));
  }

  Async<http::Response> remove(http::Request request) {
    auto admin = co_await require_administrator_for_change(context_.auth, request);
    if (!admin) co_return http::error_response(admin.error());
    auto removed = co_await cluster_.remove(request.capture("name"), admin->user_name, request.deadline);
    if (!removed) co_return http::error_response(removed.error());
    http::Response none;
    none.status = 204;
    co_return none;
  }

  // The whole roster, as `afloat nodes list` shows it: who is lost or stopped counts until removed.
  Async<http::Response> roster(http::Request request) {
    auto admin = co_await context_.auth.require_administrator(request);
    if (!admin) co_return http::error_response(admin.error());
    auto snapshot = co_await cluster_.observe(request.deadline);
    if (!snapshot) co_return http::error_response(snapshot.error());
    json::array results;
    for (const auto& m : snapshot->members) results.push_back(member_json(m, context_.config));
    co_return http::json_response(200, json::serialize(json::object{{"results", std::move(results)}}));
  }

  // What this node has found wrong; each node has its own view, so each is asked.
  Async<http::Response> health(http::Request request) {
    auto admin = co_await context_.auth.require_administrator(request);
    if (!admin) co_return http::error_response(admin.error());
    json::array findings;
    for (const auto& f : context_.metrics.findings.all())
      findings.push_back(json::object{{"check", f.check}, {"key", f.key}, {"message", f.message}, {"count", f.count},
                                      {"first", iso_time(f.first_ms)}, {"last", iso_time(f.last_ms)}});
    co_return http::json_response(200, json::serialize(json::object{{"node", context_.node.name}, {"healthy", findings.empty()},
                                                                    {"findings", std::move(findings)}}));
  }

 private:
  Context& context_;
  ClusterStore& cluster_;
  NodeControl& control_;
  NodeCalls calls_;
};

}  // namespace

void add_cluster_routes(http::Router& router, Context& context, ClusterStore& cluster, NodeControl& control) {
  auto resource = std::make_shared<ClusterResource>(context, cluster, control);
  router.add("GET", "/rest/afloat/1/cluster", [resource](http::Request r) { return resource->overview(std::move(r)); });
  router.add("GET", "/rest/afloat/1/health", [resource](http::Request r) { return resource->health(std::move(r)); });
  router.add("GET", "/rest/api/cluster/nodes", [resource](http::Request r) { return resource->nodes(std::move(r)); });
  router.add("GET", "/rest/api/accessmode", [](http::Request) -> Async<http::Response> { co_return http::json_response(200, "\"READ_WRITE\""); });
  router.add("GET", "/rest/afloat/1/nodes", [resource](http::Request r) { return resource->roster(std::move(r)); });
  router.add("GET", "/rest/afloat/1/nodes/{name}/drain", [resource](http::Request r) { return resource->drain_call(std::move(r), "status"); });
  router.add("POST", "/rest/afloat/1/nodes/{name}/drain", [resource](http::Request r) { return resource->drain_call(std::move(r), "drain"); });
  router.add("POST", "/rest/afloat/1/nodes/{name}/return", [resource](http::Request r) { return resource->drain_call(std::move(r), "return"); });
  router.add("DELETE", "/rest/afloat/1/nodes/{name}", [resource](http::Request r) { return resource->remove(std::move(r)); });
}

}  // namespace afloat::server
