#include "cluster/phase.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cluster/roster.h"
#include "cluster/task_ledger.h"

namespace afloat::cluster {
namespace {

PhaseView finalizing(const Snapshot& snapshot) {
  std::vector<std::string> failed;
  int open = 0;
  for (const auto& task : snapshot.tasks) {
    if (!belongs_to_hop(snapshot, task.build)) continue;  // an abandoned target's tasks hold up nobody
    if (task.state == TaskState::failed)
      failed.push_back(failure_text(task));
    else if (task.state != TaskState::done)
      ++open;
  }
  if (!failed.empty())
    return {
        Phase::UPGRADE_TASKS_FAILED,
        fmt::format("Upgrade task {}. The site serves on {}; mend the cause, then retry (`afloat upgrade retry`, or "
                    "POST /rest/zdu/retryUpgrade).",
                    join(failed, "; "), target_text(snapshot))};
  if (open > 0)
    return {Phase::RUNNING_UPGRADE_TASKS,
            fmt::format("Finalizing at {}: {} upgrade task{} left. Nodes do this by themselves; wait.",
                        target_text(snapshot), open, open == 1 ? "" : "s")};
  return {Phase::RUNNING_UPGRADE_TASKS,
          fmt::format(
              "Finalizing at {}: nodes are taking over the new cluster version. Wait; a node that does not is named "
              "in the log.",
              target_text(snapshot))};
}

}  // namespace

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::STABLE:
      return "STABLE";
    case Phase::READY_TO_UPGRADE:
      return "READY_TO_UPGRADE";
    case Phase::MIXED:
      return "MIXED";
    case Phase::READY_TO_RUN_UPGRADE_TASKS:
      return "READY_TO_RUN_UPGRADE_TASKS";
    case Phase::RUNNING_UPGRADE_TASKS:
      return "RUNNING_UPGRADE_TASKS";
    case Phase::UPGRADE_TASKS_FAILED:
      return "UPGRADE_TASKS_FAILED";
  }
  return "STABLE";
}

PhaseView derive_phase(const Snapshot& snapshot) {
  if (!snapshot.state) return {Phase::STABLE, "The site is new: no node has joined yet. Start one."};
  const auto& state = *snapshot.state;
  if (state.mode == Mode::off)
    return {Phase::STABLE, fmt::format("Upgrade mode is off; the site is on {}.", state.cluster_version)};
  if (state.finalize_requested_ms) return finalizing(snapshot);
  const bool none_upgraded = cancel_obstacles(snapshot).empty();
  const auto obstacles = approve_obstacles(snapshot);
  const auto original = original_text(snapshot), target = target_text(snapshot);
  const auto phase = none_upgraded       ? Phase::READY_TO_UPGRADE
                     : obstacles.empty() ? Phase::READY_TO_RUN_UPGRADE_TASKS
                                         : Phase::MIXED;
  // Which way it leads the nodes a run alone knows: nobody is told to do by hand what it does, or undoes.
  if (state.run_id)
    return {phase,
            fmt::format("{}. Upgrade run {} is in charge: `afloat upgrade status` says what it does, and what it "
                        "waits for.",
                        none_upgraded       ? "Every node is on " + original
                        : obstacles.empty() ? fmt::format("Every node is ACTIVE on {}", target)
                                            : fmt::format("Nodes are between {} and {}", original, target),
                        *state.run_id)};
  if (none_upgraded)
    return {phase, fmt::format("Upgrade mode is on and every node is on {}. Upgrade the nodes one by one, or cancel.",
                               original)};
  if (obstacles.empty())
    return {
        phase,
        fmt::format("Every node is ACTIVE on {}. Approve to finalize (`afloat upgrade finalize`; there is no way back "
                    "after that), or take the nodes back to {}.",
                    target, original)};
  return {phase, fmt::format("Before the upgrade can be finalized: {}.", join(obstacles, "; "))};
}

}  // namespace afloat::cluster
