#include "cli/by_hand.h"

#include <fmt/core.h>

#include "base/json_fields.h"
#include "base/text.h"
#include "local/process.h"

namespace afloat::cli {

std::string by_hand_script(local::Site& site, const std::string& from, const std::string& to) {
  std::string ports, agents;
  for (const auto& node : site.nodes()) {
    const auto* gap = ports.empty() ? "" : " ";
    ports += fmt::format("{}[{}]={}", gap, node.name, node.url());
    agents += fmt::format("{}[{}]={}/hosts/{}/agent.sock", gap, node.name, site.dir(), node.host);
  }
  // Below the variables: as docs/upgrade-by-hand.md has it, word for word; a test compares them.
  std::string text = R"sh(# An upgrade by hand, one command at a time. Written by afloat demo --hands-on.
export AFLOAT_SITE=@SITE@ AFLOAT_USER=admin AFLOAT_PASSWORD=@PASSWORD@
site=$AFLOAT_SITE  old=@OLD@  new=@NEW@
config=@CONFIG@
balancer=@BALANCER@
declare -A url=(@URLS@)
declare -A agent=(@AGENTS@)
afloat() { '@PROGRAM@' "$@"; }

rest() { curl -sS -u "$AFLOAT_USER:$AFLOAT_PASSWORD" "$@"; echo; }
phase() { rest "$site/rest/zdu/state" | jq -r .state; }
mode_on() { rest -X POST "$site/rest/zdu/start" | jq -r .state; }
mode_off() { rest -X POST "$site/rest/zdu/cancel" | jq -r .state; }
haproxy() { echo "$1" | curl -s --unix-socket "$balancer" telnet://haproxy; }
order() { # distribute|stop|switch|start node [version]
  local lead
  lead=$(curl -sS --unix-socket "${agent[$2]}" http://agent/agent/1/report |
    jq '{epoch: .highest_epoch, holder: .epoch_holder}')
  jq -n --argjson lead "$lead" --arg node "$2" --arg version "${3:-}" --arg step "hand/$1/$2/$(date +%s%N)" \
    '$lead + {run: 0, step: $step, node: $node, version: $version, timeout_ms: 30000}' |
    curl -sS --fail-with-body --unix-socket "${agent[$2]}" -H 'Content-Type: application/json' -d @- \
      "http://agent/agent/1/$1" && echo
}
drain() { # node: no new requests; those under way are finished
  haproxy "set server wiki/$1 state drain"
  rest -X POST "${url[$1]}/rest/afloat/1/nodes/$1/drain" >/dev/null
  until rest "${url[$1]}/rest/afloat/1/nodes/$1/drain" | jq -e .drained >/dev/null; do sleep 0.1; done
  haproxy "set server wiki/$1 state maint"
}
replace() { # node version
  order distribute "$1" "$2" && drain "$1" && order stop "$1" && order switch "$1" "$2" && order start "$1" || return 1
  until curl -sf "${url[$1]}/health/ready" >/dev/null; do sleep 0.1; done
  haproxy "set server wiki/$1 state ready"
  until haproxy "show stat" | grep "^wiki,$1," | cut -d, -f18 | grep -qx UP; do sleep 0.1; done
  sleep 0.5 # slowstart: until it has its full weight
}
)sh";
  text = replace_all(text, "@PASSWORD@", site.admin_password());
  text = replace_all(text, "@SITE@", site.url());
  text = replace_all(text, "@BALANCER@", site.haproxy().socket());
  text = replace_all(text, "@OLD@", from);
  text = replace_all(text, "@NEW@", to);
  text = replace_all(text, "@CONFIG@", site.config());
  text = replace_all(text, "@PROGRAM@", local::own_program());
  text = replace_all(text, "@URLS@", ports);
  text = replace_all(text, "@AGENTS@", agents);
  return text;
}

void WatchedUpgrade::see(std::int64_t now_ms, const boost::json::object& cluster) {
  const auto phase = string_or(cluster, "state");
  const auto* nodes = array_at(cluster, "nodes");
  if (phase.empty() || !nodes || nodes->empty()) return;
  if (phase != "STABLE" && mode_on_at_ms_ == 0) mode_on_at_ms_ = now_ms;
  if (mode_on_at_ms_ == 0) return;
  bool all_there = true;
  for (const auto& value : *nodes) {
    if (!value.is_object()) continue;
    const auto& node = value.get_object();
    const auto version = string_or(node, "version");
    see_node(now_ms, string_or(node, "name"), string_or(node, "state"), version);
    all_there = all_there && version == to_;
  }
  if (phase == "STABLE" && all_there && stable_at_ms_ == 0) stable_at_ms_ = now_ms;
}

void WatchedUpgrade::see_node(std::int64_t now_ms, const std::string& name, const std::string& state,
                              const std::string& version) {
  auto& node = nodes_[name];
  if (node.version.empty()) node.version = version;
  const bool serves = state == "ACTIVE" || state == "RUNNING_FINALIZE_UPGRADE_TASKS";
  if (state == "DRAINING" && node.drain_ms == 0) node.drain_ms = now_ms;
  if (!serves && state != "DRAINING" && node.away_ms == 0) node.away_ms = now_ms;
  if (!serves) return;
  if (version != node.version) {
    // It may have been away for less than the time between two looks.
    const auto away = node.away_ms > 0 ? node.away_ms : node.drain_ms > 0 ? node.drain_ms : now_ms;
    const bool back = version != to_;
    if (node.drain_ms > 0) add_step("drain", name, node.drain_ms, away, back);
    add_step("stop", name, away, now_ms, back);
    add_step("switch", name, now_ms, now_ms, back);
    add_step("await_active", name, now_ms, now_ms, back);
  }
  node = {.version = version};
}

void WatchedUpgrade::add_step(const char* kind, const std::string& node, std::int64_t from_ms, std::int64_t to_ms,
                              bool back) {
  steps_.push_back(boost::json::object{{"seq", steps_.size() + 1},
                                       {"name", kind},
                                       {"title", fmt::format("{}: {}", node, kind)},
                                       {"node", node},
                                       {"back", back},
                                       {"started_at_ms", from_ms},
                                       {"ended_at_ms", to_ms},
                                       {"seconds", static_cast<double>(to_ms - from_ms) / 1000.0},
                                       {"state", "done"},
                                       {"attempt", 1},
                                       {"detail", "seen from outside"}});
}

boost::json::object WatchedUpgrade::run() const {
  boost::json::array nodes;
  for (const auto& [name, node] : nodes_) nodes.push_back(boost::json::object{{"name", name}});
  return {{"from", from_},
          {"to", to_},
          {"state", "done"},
          {"mode_on_at_ms", mode_on_at_ms_},
          {"stable_at_ms", stable_at_ms_},
          {"nodes", std::move(nodes)},
          {"steps", steps_}};
}

}  // namespace afloat::cli
