#include "server/rest/cluster_json.h"

#include <boost/json.hpp>

#include "base/text.h"
#include "cluster/phase.h"

namespace afloat::server {

namespace json = boost::json;
using namespace cluster;

// `url` as this node's copy of the site's configuration has it: the roster does not know who speaks TLS.
json::object member_json(const Member& m, const SiteConfig& site) {
  const auto known = node_config(site, m.name);
  NodeConfig plain;
  plain.address = m.address;
  plain.port = m.port;
  return {{"url", known ? known->url() : plain.url()},
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

Task<json::array> events_json(Database& database, std::int64_t limit, Deadline deadline) {
  auto rows = co_await database.slow_read({"select seq, (extract(epoch from at) * 1000)::bigint, actor, kind, "
                                           "detail::text from cluster_event order by seq desc limit $1::bigint",
                                           {limit}},
                                          deadline);
  if (!rows) co_return std::unexpected(rows.error());
  json::array results;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    boost::system::error_code broken;
    auto detail = json::parse(rows->text(i, 4), broken);
    results.push_back(json::object{{"seq", rows->number(i, 0)},
                                   {"at", iso_time(rows->number(i, 1))},
                                   {"actor", rows->text(i, 2)},
                                   {"kind", rows->text(i, 3)},
                                   {"detail", broken ? json::value(nullptr) : detail}});
  }
  co_return results;
}

}  // namespace afloat::server
