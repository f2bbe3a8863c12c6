#include "server/settings.h"

#include <algorithm>
#include <boost/json.hpp>
#include <memory>

#include "server/auth.h"
#include "server/rest/runs.h"
#include "store/cluster_store.h"
#include "store/health_store.h"

namespace afloat::server {

namespace json = boost::json;

namespace {

class Settings {
 public:
  explicit Settings(Context& context)
      : context_(context), cluster_(store::make_cluster_store(context.database, context.clock, context.timer)) {}

  Async<http::Response> show(http::Request request) {
    auto admin = co_await context_.auth.require_administrator(request);
    if (!admin) co_return http::error_response(admin.error());
    auto snapshot = co_await cluster_->observe(request.deadline);
    if (!snapshot) co_return http::error_response(snapshot.error());
    const auto seen = co_await store::gather_reports(context_.database, request.deadline);
    const auto& site = context_.config;
    json::array settings, unknown;
    for (const auto& each : settings_of(site))
      settings.push_back(
          json::object{{"group", each.group}, {"key", each.key}, {"value", each.value}, {"about", each.about}});
    for (const auto& message : site.unknown_keys) unknown.emplace_back(message);
    json::object out{{"node", context_.node.name},
                     {"version", context_.node.version},
                     {"file", site.path},
                     {"configHash", site.hash},
                     {"clustered", site.edition == "data-center"},
                     {"settings", std::move(settings)},
                     {"unknown", std::move(unknown)},
                     {"nodes", nodes_json(*snapshot, seen)}};
    co_return http::json_response(200, json::serialize(out));
  }

 private:
  // `differs`: keys whose value is another one than here, where both have told of theirs.
  json::array nodes_json(const cluster::Snapshot& snapshot, const rollout::Facts& seen) const {
    const auto own = seen.nodes.find(context_.node.name);
    json::array nodes;
    for (const auto& member : snapshot.members) {
      json::array differs;
      const auto other = seen.nodes.find(member.name);
      const bool known = own != seen.nodes.end() && other != seen.nodes.end();
      if (known)
        for (const auto& [key, digest] : own->second.settings) {
          const auto theirs = other->second.settings.find(key);
          if (theirs != other->second.settings.end() && theirs->second != digest) differs.emplace_back(key);
        }
      nodes.push_back(json::object{{"name", member.name},
                                   {"host", member.host},
                                   {"configHash", member.config_hash},
                                   {"sameFile", member.config_hash == context_.config.hash},
                                   {"settingsKnown", known},
                                   {"differs", std::move(differs)}});
    }
    return nodes;
  }

  Context& context_;
  std::unique_ptr<ClusterStore> cluster_;
};

}  // namespace

void add_setting_routes(http::Router& router, Context& context) {
  auto settings = std::make_shared<Settings>(context);
  router.add("GET", "/rest/afloat/1/settings", [settings](http::Request r) { return settings->show(std::move(r)); });
}

}  // namespace afloat::server
