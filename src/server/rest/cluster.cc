#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/json_fields.h"
#include "base/text.h"
#include "cluster/phase.h"
#include "server/auth.h"
#include "server/metrics.h"
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

// `url` as this node's copy of the site's configuration has it: the roster does not know who speaks TLS.
json::object member_json(const Member& m, const SiteConfig& site) {
  const auto known = node_config(site, m.name);
  NodeConfig plain;
  plain.address = m.address;
  plain.port = m.port;
  return {{"url", known ? known->url() : plain.url()},
          {"id", m.id}, {"name", m.name}, {"host", m.host}, {"address", m.address}, {"port", m.port},
          {"version", m.version}, {"build", m.build}, {"digest", m.digest}, {"state", shown_state(m)},
          {"leaseLive", m.lease_live}, {"tasksRunning", m.tasks_running}, {"activeUsers", m.active_users},
          {"load", m.load}, {"configHash", m.config_hash}, {"startedAt", m.started_at_ms}, {"activeAt", m.active_at_ms},
          {"gatesInUse", m.gates_in_use}};
}

class ClusterResource {
 public:
  ClusterResource(Context& context, ClusterStore& cluster, NodeControl& control)
      : context_(context), cluster_(cluster), control_(control) {}

  Async<http::Response> overview(http::Request request) {
    auto allowed = co_await context_.auth.require_administrator(request);
    if (!allowed) co_return http::error_response(allowed.error());
    auto snapshot = co_await cluster_.observe(request.deadline);
    if (!snapshot) co_return http::error_response(snapshot.error());
    const auto view = derive_phase(*snapshot);
    json::array members, tasks;
    for (const auto& m : snapshot->members) members.push_back(member_json(m, context_.config));
    for (const auto& t : snapshot->tasks)
      tasks.push_back(json::object{{"id", t.id}, {"version", t.version}, {"kind", t.kind_text}, {"state", t.state_text},
                                   {"done", t.done}, {"total", t.total}, {"attempts", t.attempts}, {"runner", t.runner},
                                   {"checkpoint", t.checkpoint}, {"error", t.error}});
    json::object out{{"site", context_.config.site_name}, {"phase", to_string(view.phase)}, {"message", view.reason}};
    if (snapshot->state) {
      const auto& s = *snapshot->state;
      out["clusterVersion"] = s.cluster_version;
      out["upgradeMode"] = to_string(s.mode);
      out["minBuild"] = s.min_build;
      out["maxBuild"] = s.max_build;
      out["gates"] = s.gates;
      out["expandDone"] = s.expand_done;
      out["epoch"] = s.epoch;
      if (s.run_id) out["run"] = *s.run_id;
    }
    out["members"] = std::move(members);
    out["tasks"] = std::move(tasks);
    co_return http::json_response(200, json::serialize(out));
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
    if (name != context_.node.name)
      co_return http::error_response(Error(ErrorKind::failed_precondition,
          fmt::format("This is node {}; ask {} itself, at its own address, not through the load balancer.", context_.node.name, name)));
    Result<DrainView> view = control_.drain_view();
    if (verb == "drain") {
      // {"balanced": true}: the caller has taken the node out of the load balancer itself.
      const auto body = parse_json_object(request.body.empty() ? "{}" : request.body, "the drain");
      if (!body) co_return http::error_response(body.error());
      const auto balanced = optional_bool(*body, "balanced");
      if (!balanced) co_return http::error_response(balanced.error());
      view = co_await control_.drain(admin->user_name, balanced->value_or(false) ? NodeControl::Balancer::caller
                                                                                 : NodeControl::Balancer::health_checks);
    }
    if (verb == "return") view = co_await control_.undrain(admin->user_name);
    if (!view) co_return http::error_response(view.error());
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

  // The audit log, newest first.
  Async<http::Response> events(http::Request request) {
    auto admin = co_await context_.auth.require_administrator(request);
    if (!admin) co_return http::error_response(admin.error());
    const auto limit = std::clamp<std::int64_t>(parse_int(request.query_or("limit", "100")).value_or(100), 1, 1000);
    auto rows = co_await context_.database.slow_read(
        {"select seq, (extract(epoch from at) * 1000)::bigint, actor, kind, detail::text from cluster_event order by seq desc limit $1::bigint", {limit}},
        request.deadline);
    if (!rows) co_return http::error_response(rows.error());
    json::array results;
    for (std::size_t i = 0; i < rows->size(); ++i) {
      boost::system::error_code broken;
      auto detail = json::parse(rows->text(i, 4), broken);
      results.push_back(json::object{{"seq", rows->number(i, 0)}, {"at", iso_time(rows->number(i, 1))}, {"actor", rows->text(i, 2)},
                                     {"kind", rows->text(i, 3)}, {"detail", broken ? json::value(nullptr) : detail}});
    }
    co_return http::json_response(200, json::serialize(json::object{{"results", std::move(results)}}));
  }

 private:
  Context& context_;
  ClusterStore& cluster_;
  NodeControl& control_;
};

}  // namespace

void add_cluster_routes(http::Router& router, Context& context, ClusterStore& cluster, NodeControl& control) {
  auto resource = std::make_shared<ClusterResource>(context, cluster, control);
  router.add("GET", "/rest/afloat/1/cluster", [resource](http::Request r) { return resource->overview(std::move(r)); });
  router.add("GET", "/rest/afloat/1/health", [resource](http::Request r) { return resource->health(std::move(r)); });
  router.add("GET", "/rest/afloat/1/events", [resource](http::Request r) { return resource->events(std::move(r)); });
  router.add("GET", "/rest/api/cluster/nodes", [resource](http::Request r) { return resource->nodes(std::move(r)); });
  router.add("GET", "/rest/api/accessmode", [](http::Request) -> Async<http::Response> { co_return http::json_response(200, "\"READ_WRITE\""); });
  router.add("GET", "/rest/afloat/1/nodes", [resource](http::Request r) { return resource->roster(std::move(r)); });
  router.add("GET", "/rest/afloat/1/nodes/{name}/drain", [resource](http::Request r) { return resource->drain_call(std::move(r), "status"); });
  router.add("POST", "/rest/afloat/1/nodes/{name}/drain", [resource](http::Request r) { return resource->drain_call(std::move(r), "drain"); });
  router.add("POST", "/rest/afloat/1/nodes/{name}/return", [resource](http::Request r) { return resource->drain_call(std::move(r), "return"); });
  router.add("DELETE", "/rest/afloat/1/nodes/{name}", [resource](http::Request r) { return resource->remove(std::move(r)); });
}

}  // namespace afloat::server
