#include "server/rest/cluster_json.h"

#include <boost/json.hpp>

#include "cluster/phase.h"

namespace afloat::server {

namespace json = boost::json;
using namespace cluster;

std::string node_url(const Member& member, const SiteConfig& site) {
  if (const auto known = node_config(site, member.name)) return known->url();
  NodeConfig plain;
  plain.address = member.address;
  plain.port = member.port;
  return plain.url();
}

json::object member_json(const Member& m, const SiteConfig& site) {
  return {{"url", node_url(m, site)},
          {"id", m.id},
          {"name", m.name},
          {"host", m.host},
          {"address", m.address},
          {"port", m.port},
          {"version", m.version},
          {"build", m.build},
          {"digest", m.digest},
          {"state", shown_state(m)},
          {"leaseLive", m.lease_live},
          {"tasksRunning", m.tasks_running},
          {"activeUsers", m.active_users},
          {"load", m.load},
          {"configHash", m.config_hash},
          {"startedAt", m.started_at_ms},
          {"activeAt", m.active_at_ms},
          {"gatesInUse", m.gates_in_use}};
}

json::object cluster_json(const Snapshot& snapshot, const SiteConfig& site) {
  const auto view = derive_phase(snapshot);
  json::array members, tasks;
  for (const auto& m : snapshot.members) members.push_back(member_json(m, site));
  for (const auto& t : snapshot.tasks)
    tasks.push_back(json::object{{"id", t.id},
                                 {"version", t.version},
                                 {"kind", t.kind_text},
                                 {"state", t.state_text},
                                 {"done", t.done},
                                 {"total", t.total},
                                 {"attempts", t.attempts},
                                 {"runner", t.runner},
                                 {"checkpoint", t.checkpoint},
                                 {"error", t.error}});
  json::object out{{"site", site.site_name}, {"phase", to_string(view.phase)}, {"message", view.reason}};
  if (snapshot.state) {
    const auto& s = *snapshot.state;
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
  return out;
}

}  // namespace afloat::server
