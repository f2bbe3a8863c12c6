#include "cli/by_hand.h"

#include <fmt/core.h>

#include "base/json_fields.h"

namespace afloat::cli {

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
