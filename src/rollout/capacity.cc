#include "rollout/capacity.h"

#include <fmt/format.h>

namespace afloat::rollout {
namespace {

/// A lease lasts 5 s; only after that long without a gap does its end say something about the node.
constexpr std::int64_t whole_lease_ms = 5'000;

}  // namespace

bool serving(const cluster::Member& member) {
  const auto state = cluster::effective_state(member);
  return state == cluster::NodeState::ACTIVE || state == cluster::NodeState::DRAINING;
}

Answer fits_without(const Observation& observation, std::string_view node, const Options& options) {
  if (!observation.cluster) return {false, "the roster could not be read"};
  std::size_t others = 0;
  double load = 0;
  for (const auto& member : observation.cluster->members) {
    load += member.load;
    if (member.name != node) ++others;
  }
  if (others == 0) return {false, fmt::format("{} is the only node: stopping it stops the site", node)};
  const double without = load / static_cast<double>(others);
  if (options.max_load > 0 && load > 0 && without > options.max_load)
    return {false, fmt::format("the other {} node(s) would be {:.0f} % busy, the limit is {:.0f} %; wait for less "
                               "load, or add a node (--surge)",
                               others, without * 100, options.max_load * 100)};
  return {true, load > 0 ? fmt::format("{} other node(s) UP, {:.0f} % busy without {}", others, without * 100, node)
                         : fmt::format("{} other node(s) UP", others)};
}

Answer ok_to_stop(const Observation& observation, std::string_view node, const Options& options) {
  if (!observation.cluster) return {false, "the roster could not be read"};
  const cluster::Member* self = nullptr;
  for (const auto& member : observation.cluster->members) {
    if (member.name == node) {
      self = &member;
      continue;
    }
    const auto state = cluster::effective_state(member);
    if (state != cluster::NodeState::ACTIVE)
      return {false, fmt::format("{} is {}; every other node must be ACTIVE before {} may go", member.name,
                                 cluster::to_string(state), node)};
    const auto* view = find_node(observation, member.name);
    if (!view || !view->balancer) return {false, fmt::format("the load balancer does not say how {} is", member.name)};
    if (!view->balancer->up())
      return {false, fmt::format("the load balancer has {} as {} with weight {} of {}", member.name,
                                 view->balancer->status, view->balancer->weight, view->balancer->full_weight)};
  }
  if (!self) return {false, fmt::format("{} is not in the roster", node)};
  if (self->tasks_running > 0)
    return {false, fmt::format("{} runs {} long task{}; waiting until done", node, self->tasks_running,
                               self->tasks_running == 1 ? "" : "s")};
  return fits_without(observation, node, options);
}

Health health_of(const Observation& observation, const cluster::Member& member) {
  if (serving(member)) return Health::serving;
  const auto* view = find_node(observation, member.name);
  if (view && view->process && !view->process->running) return Health::dead;
  if (observation.database_reached_ms < whole_lease_ms || !observation.cluster) return Health::undecided;
  // Most of the site lost at once is rather the database or this observer: nobody is replaced then.
  const auto& members = observation.cluster->members;
  std::size_t lost = 0;
  for (const auto& other : members) lost += serving(other) ? 0 : 1;
  return lost > 1 && lost * 2 > members.size() ? Health::undecided : Health::dead;
}

bool settled(const Observation& observation, const cluster::Member& member, std::string_view version, int build) {
  if (member.build != build || cluster::effective_state(member) != cluster::NodeState::ACTIVE) return false;
  const auto* view = find_node(observation, member.name);
  if (!view || !view->balancer || !view->balancer->up()) return false;
  return !view->process || view->process->version.empty() || view->process->version == version;
}

}  // namespace afloat::rollout
