#include "rollout/surge.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "rollout/capacity.h"

namespace afloat::rollout {
namespace {

SurgeView waiting(std::string detail, SurgeMove move = SurgeMove::none) {
  return {Goal::waiting, std::move(detail), move};
}

bool away(const BalancerView& balancer) { return balancer.status.starts_with("MAINT"); }

/// The step of this hop that added one and was not followed by one that took it away.
const StepRecord* added(const Run& run) {
  for (auto step = run.steps.rbegin(); step != run.steps.rend() && step->hop == run.hop(); ++step) {
    if (step->kind == StepKind::remove_surge && step->state == StepState::done) return nullptr;
    if (step->kind == StepKind::add_surge) return &*step;
  }
  return nullptr;
}

}  // namespace

std::string surge_of(const Run& run) {
  const auto* step = added(run);
  return step ? step->node : std::string();
}

namespace {

bool wanted(const Run& run, const Observation& seen, std::string_view node) {
  if (run.back || run.options.offline || run.options.surge == Surge::never || !seen.surge || !seen.cluster)
    return false;
  const bool had_one = std::ranges::any_of(
      run.steps, [&](const StepRecord& step) { return step.kind == StepKind::add_surge && step.hop == run.hop(); });
  if (had_one) return false;
  return run.options.surge == Surge::always || !fits_without(seen, node, run.options).yes;
}

/// A member that the balancer, which was reloaded, knows no more.
bool forgotten(const Run& run, const Observation& seen) {
  const auto name = surge_of(run);
  const auto* member = find_member(seen, name);
  if (name.empty() || run.back || !member || !serving(*member)) return false;
  const auto* own = find_node(seen, name);
  const bool balancer_answers =
      std::ranges::any_of(seen.nodes, [](const auto& entry) { return entry.second.balancer.has_value(); });
  return balancer_answers && (!own || !own->balancer);
}

}  // namespace

std::string surge_to_add(const Run& run, const Observation& seen, std::string_view node) {
  if (forgotten(run, seen)) return surge_of(run);
  return !node.empty() && wanted(run, seen, node) ? seen.surge->name : std::string();
}

SurgeView look_add_surge(const Run& run, const StepRecord& step, const Observation& seen) {
  const auto* view = find_node(seen, step.node);
  if (!view || !view->process)
    return waiting(seen.faults.empty()
                       ? fmt::format("the agent of host {} says nothing of {}; is it a [[node]] of site.toml there?",
                                     seen.surge ? seen.surge->host : "?", step.node)
                       : join(seen.faults, "; "));
  const auto& process = *view->process;
  const auto goal = run.goal(step);
  const auto* member = find_member(seen, step.node);
  if (member && !member->ephemeral)
    return {Goal::impossible, fmt::format("{} is a lasting member of the cluster, so it can't be the surge node: name "
                                          "another one with the conductor's --surge-node",
                                          step.node)};
  if (process.version != goal.version) {
    if (process.running || process.wanted)
      return waiting(fmt::format("{} still runs {}", step.node, process.version), SurgeMove::stop);
    return waiting(fmt::format("{} is switched to {}", step.node, goal.version), SurgeMove::switch_release);
  }
  // One that was refused is not wanted any more; of an earlier life it may say so, too.
  if (auto why = given_up(process, step.node, goal.version); !why.empty() && (process.wanted || seen.act.tried))
    return {Goal::impossible, std::move(why)};
  if (!process.wanted) return waiting(fmt::format("{} is started", step.node), SurgeMove::start);
  if (!member || member->build != goal.build || cluster::effective_state(*member) != cluster::NodeState::ACTIVE)
    return waiting(fmt::format("{} becomes ACTIVE", step.node));
  if (!view->balancer) return waiting("the load balancer learns of it", SurgeMove::add_server);
  return {Goal::reached, fmt::format("ACTIVE on {}", goal.version)};
}

SurgeView look_remove_surge(const Run& run, const StepRecord& step, const Observation& seen) {
  const auto* view = find_node(seen, step.node);
  if (!seen.cluster || !view || !view->process)
    return waiting(seen.faults.empty() ? fmt::format("the agent says nothing of {}", step.node)
                                       : join(seen.faults, "; "));
  const auto* member = find_member(seen, step.node);
  const bool runs = view->process->running || view->process->wanted;
  const bool serves = view->process->running && member && serving(*member);
  const auto& balancer = view->balancer;
  if (balancer && !away(*balancer)) {
    const bool drained = view->drain && view->drain->drained && balancer->sessions == 0;
    if (serves && !drained && seen.now_ms - step.attempt_at_ms < run.options.drain_deadline_ms)
      return waiting(view->drain ? fmt::format("{} in flight, {} session(s) at the balancer", view->drain->in_flight,
                                               balancer->sessions)
                                 : "it drains",
                     SurgeMove::drain);
    return waiting("the load balancer takes it out", SurgeMove::maint);
  }
  if (runs) return waiting("its process ends", SurgeMove::stop);
  if (member && member->lease_live && !member->closed) return waiting("its lease runs out");
  if (member) return waiting("it is removed from the roster", SurgeMove::remove_member);
  if (balancer) return waiting("the load balancer forgets it", SurgeMove::remove_server);
  return {Goal::reached, "gone"};
}

}  // namespace afloat::rollout
