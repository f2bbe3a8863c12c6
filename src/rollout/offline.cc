#include "rollout/offline.h"

#include <algorithm>

namespace afloat::rollout {
namespace {

bool has_step(const Run& run, StepKind kind, const std::string& node, bool back, bool done) {
  return std::ranges::any_of(run.steps, [&](const StepRecord& step) {
    return step.kind == kind && step.node == node && step.back == back && (!done || step.state == StepState::done);
  });
}

}  // namespace

std::vector<ScriptStep> offline_script(const Run& run, const cluster::Snapshot& cluster) {
  std::vector<std::string> nodes;
  for (const auto& member : cluster.members) nodes.push_back(member.name);
  std::ranges::sort(nodes);
  std::vector<ScriptStep> script;
  const auto site = [&](std::initializer_list<StepKind> kinds) {
    for (const auto kind : kinds) script.push_back({kind, ""});
  };
  // One kind after the other, for all nodes: they are down together.
  const auto each = [&](std::initializer_list<StepKind> kinds, const std::vector<std::string>& of) {
    for (const auto kind : kinds)
      for (const auto& node : of) script.push_back({kind, node});
  };
  if (!run.back) {
    site({StepKind::preflight, StepKind::distribute});
    each({StepKind::drain, StepKind::maint}, nodes);
    if (run.options.backup) site({StepKind::backup});
    each({StepKind::stop}, nodes);
    site({StepKind::mode_on, StepKind::expand});
    each({StepKind::switch_release, StepKind::start, StepKind::await_active}, nodes);
    site({StepKind::finalize, StepKind::await_stable});
    each({StepKind::balance}, nodes);
    site({StepKind::verify, StepKind::report});
    return script;
  }
  std::vector<std::string> stopped;
  for (const auto& node : nodes)
    if (has_step(run, StepKind::stop, node, false, false)) stopped.push_back(node);
  each({StepKind::maint, StepKind::stop, StepKind::switch_release, StepKind::start, StepKind::await_active}, stopped);
  site({StepKind::mode_off});
  each({StepKind::balance}, nodes);
  site({StepKind::verify, StepKind::report});
  return script;
}

std::optional<ScriptStep> offline_next(const Run& run, const cluster::Snapshot& cluster) {
  for (auto& step : offline_script(run, cluster))
    if (!has_step(run, step.kind, step.node, run.back, true)) return std::move(step);
  return std::nullopt;
}

std::int64_t downtime_ms(const Run& run, std::int64_t now_ms) {
  if (!run.options.offline) return 0;
  // One that was given back without having been told to go served all the time: it was cancelled before that.
  for (const auto& step : run.steps)
    if (step.kind == StepKind::balance && !has_step(run, StepKind::drain, step.node, false, false)) return 0;
  std::int64_t begun = 0, ended = 0;
  for (const auto& step : run.steps) {
    // The first node that drains leaves the others to serve; when the last has gone, nobody does.
    if (step.kind == StepKind::drain && !step.back) begun = step.started_at_ms;
    if (step.kind == StepKind::balance && step.state == StepState::done && ended == 0) ended = step.ended_at_ms;
  }
  if (begun == 0) return 0;
  return std::max<std::int64_t>(0, (ended > 0 ? ended : run.ended() ? run.ended_at_ms : now_ms) - begun);
}

}  // namespace afloat::rollout
