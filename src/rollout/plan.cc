#include "rollout/plan.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "cluster/task_ledger.h"
#include "rollout/offline.h"

namespace afloat::rollout {
namespace {

constexpr auto node_steps =
    std::to_array<StepKind>({StepKind::ok_to_stop, StepKind::drain, StepKind::ok_to_stop_again, StepKind::maint,
                             StepKind::stop, StepKind::switch_release, StepKind::start, StepKind::await_active,
                             StepKind::trial, StepKind::balance, StepKind::soak});

class Planner {
 public:
  Planner(const Run& run, const Durations& durations) : run_(run), durations_(durations) {}

  void add(StepKind kind, int hop, const std::string& node = {}) {
    const auto known = durations_.find(kind);
    PlannedStep step{.kind = kind,
                     .node = node,
                     .hop = hop,
                     .expected_ms = known == durations_.end() ? typical_ms(kind) : known->second,
                     .point_of_no_return = kind == StepKind::finalize};
    if (kind == StepKind::soak) step.expected_ms = std::max(soak_ms(), step.expected_ms);
    steps.push_back(std::move(step));
  }
  void add_node(const std::string& node, int hop, bool back) {
    for (const auto kind : node_steps)
      if ((kind != StepKind::soak && kind != StepKind::trial) || (!back && soak_ms() > 0)) add(kind, hop, node);
  }
  std::vector<PlannedStep> steps;

 private:
  std::int64_t soak_ms() const { return run_.options.soak_ms < 0 ? usual_soak_ms : run_.options.soak_ms; }

  const Run& run_;
  const Durations& durations_;
};

std::vector<cluster::Member> in_order(const Observation& seen) {
  std::vector<cluster::Member> members;
  if (seen.cluster) members = seen.cluster->members;
  std::ranges::sort(members, [](const auto& a, const auto& b) {
    return std::tie(a.tasks_running, a.active_users, a.name) < std::tie(b.tasks_running, b.active_users, b.name);
  });
  return members;
}

/// Steps that the way back still has to take.
std::vector<PlannedStep> way_back(const Run& run, const Observation& seen, const Durations& durations) {
  Planner planner(run, durations);
  if (run.options.offline && seen.cluster) {
    for (const auto& step : offline_script(run, *seen.cluster))
      if (!std::ranges::any_of(run.steps, [&](const StepRecord& taken) {
            return taken.back && taken.state == StepState::done && taken.kind == step.kind && taken.node == step.node;
          }))
        planner.add(step.kind, 0, step.node);
    return std::move(planner.steps);
  }
  const auto goal = run.hop_from();
  for (const auto& member : in_order(seen))
    if (member.ephemeral)
      planner.add(StepKind::remove_surge, run.hop(), member.name);
    else if (member.build != goal.build || cluster::effective_state(member) != cluster::NodeState::ACTIVE)
      planner.add_node(member.name, run.hop(), true);
  for (const auto kind : {StepKind::mode_off, StepKind::verify, StepKind::report}) planner.add(kind, run.hop());
  return std::move(planner.steps);
}

/// By how far the backfills are; nullopt where nothing can be said.
std::optional<std::int64_t> tasks_left_ms(const StepRecord& step, const Observation& seen) {
  if (!seen.cluster) return std::nullopt;
  std::int64_t done = 0, total = 0;
  for (const auto& task : seen.cluster->tasks) {
    if (task.kind != cluster::TaskKind::backfill || !cluster::belongs_to_hop(*seen.cluster, task.build)) continue;
    done += std::min(task.done, task.total);
    total += task.total;
  }
  if (done == 0) return std::nullopt;
  const auto elapsed = static_cast<double>(std::max<std::int64_t>(0, seen.now_ms - step.attempt_at_ms));
  return static_cast<std::int64_t>(elapsed * static_cast<double>(total - done) / static_cast<double>(done));
}

bool done_in(const Run& run, const PlannedStep& planned) {
  return std::ranges::any_of(run.steps, [&](const StepRecord& step) {
    return step.state == StepState::done && !step.back && step.kind == planned.kind && step.hop == planned.hop &&
           (step.node == planned.node || planned.node.empty());  // which one is the surge node, its conductor knows
  });
}

}  // namespace

std::int64_t typical_ms(StepKind kind) {
  switch (kind) {
    case StepKind::distribute:
      return 3'000;
    case StepKind::expand:
    case StepKind::balance:
    case StepKind::trial:
      return 1'000;
    case StepKind::drain:
    case StepKind::stop:
      return 500;
    case StepKind::await_active:
      return 300;
    case StepKind::add_surge:
    case StepKind::remove_surge:
      return 2'000;
    case StepKind::await_stable:
      return 5'000;
    default:
      return 50;
  }
}

std::vector<PlannedStep> plan(const Run& run, const Observation& seen, const Durations& durations) {
  Planner planner(run, durations);
  if (run.options.offline && seen.cluster) {
    if (run.options.not_before_ms > 0) planner.add(StepKind::wait_until, 0);
    for (const auto& step : offline_script(run, *seen.cluster)) planner.add(step.kind, 0, step.node);
    return std::move(planner.steps);
  }
  const auto hops = static_cast<int>(run.hops.empty() ? std::max<std::size_t>(seen.way.size(), 1) : run.hops.size());
  if (run.options.not_before_ms > 0) planner.add(StepKind::wait_until, 0);
  planner.add(StepKind::preflight, 0);
  planner.add(StepKind::distribute, 0);
  if (run.options.backup) planner.add(StepKind::backup, 0);
  for (int hop = 0; hop < hops; ++hop) {
    const bool last = hop + 1 == hops;
    planner.add(StepKind::mode_on, hop);
    planner.add(StepKind::expand, hop);
    const bool surge = run.options.surge == Surge::always;
    if (surge) planner.add(StepKind::add_surge, hop);
    for (const auto& member : in_order(seen))
      if (!member.ephemeral) planner.add_node(member.name, hop, false);
    if (surge) planner.add(StepKind::remove_surge, hop);
    if (last ? run.options.hold_before_finalize : !run.options.finalize_intermediate)
      planner.add(StepKind::hold_before_finalize, hop);
    for (const auto kind : {StepKind::finalize, StepKind::await_stable, StepKind::verify}) planner.add(kind, hop);
  }
  planner.add(StepKind::report, hops - 1);
  return std::move(planner.steps);
}

std::int64_t expected_downtime_ms(const Run& run, const std::vector<PlannedStep>& steps) {
  if (!run.options.offline) return 0;
  std::int64_t sum = 0;
  for (const auto& step : steps) {
    if (step.kind == StepKind::drain) sum = 0;
    sum += step.expected_ms;
    if (step.kind == StepKind::balance) break;
  }
  return sum;
}

Progress progress(const Run& run, const Observation& seen, const Durations& durations) {
  Progress out;
  out.waits_for_person = run.state == RunState::paused;
  const auto* open = run.open_step();
  std::vector<PlannedStep> left;
  if (run.back) {
    // Since it turned: a node that had gone back alone before is no part of this way.
    for (auto step = run.steps.rbegin(); step != run.steps.rend() && step->back; ++step)
      out.done += step->state == StepState::done ? 1 : 0;
    if (!run.ended()) left = way_back(run, seen, durations);
    out.total = out.done + static_cast<int>(left.size());
  } else {
    const auto planned = plan(run, seen, durations);
    out.total = static_cast<int>(planned.size());
    for (const auto& step : planned)
      if (!done_in(run, step)) left.push_back(step);
    out.done = out.total - static_cast<int>(left.size());
  }
  if (run.ended()) return out;
  for (const auto& step : left) {
    auto expected = step.expected_ms;
    if (open && open->kind == StepKind::await_stable && step.kind == open->kind) {
      if (const auto told = tasks_left_ms(*open, seen)) {
        out.left_ms += *told;
        continue;
      }
    }
    if (open && open->kind == step.kind && open->node == step.node)
      expected = std::max<std::int64_t>(0, expected - std::max<std::int64_t>(0, seen.now_ms - open->attempt_at_ms));
    out.left_ms += expected;
  }
  return out;
}

}  // namespace afloat::rollout
