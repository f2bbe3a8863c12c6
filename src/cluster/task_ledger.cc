#include "cluster/task_ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <tuple>

namespace afloat::cluster {
namespace {

// A pre-release counts as its release: 1.1.0-dev (10010000) brings the tasks of 1.1.0 (10010009).
int as_release(int build) { return build / 10 * 10 + 9; }

const TaskRecord* record_of(const Snapshot& snapshot, std::string_view id) {
  const auto found = std::ranges::find(snapshot.tasks, id, &TaskRecord::id);
  return found == snapshot.tasks.end() ? nullptr : &*found;
}

bool is_done(const Snapshot& snapshot, const TaskDeclaration& task) {
  const auto* record = record_of(snapshot, task.id);
  return record && record->state == TaskState::done;
}

bool is_relaxed(const Snapshot& snapshot, const TaskDeclaration& task) {
  const auto* record = record_of(snapshot, task.id);
  return record && (record->state == TaskState::done || record->checkpoint == "relaxed");
}

/// The hop's declared tasks of one kind, in the order in which they run.
std::vector<TaskDeclaration> of_hop(const Snapshot& snapshot, const std::vector<TaskDeclaration>& declared,
                                    TaskKind kind) {
  std::vector<TaskDeclaration> tasks;
  for (const auto& task : declared)
    if (task.kind == kind && belongs_to_hop(snapshot, task.build)) tasks.push_back(task);
  std::ranges::sort(tasks, [](const auto& a, const auto& b) {
    return std::tie(a.build, a.ordinal, a.id) < std::tie(b.build, b.ordinal, b.id);
  });
  return tasks;
}

std::vector<std::string> not_at_gates(const Snapshot& snapshot) {
  std::vector<std::string> names;
  // OFFLINE ones as well: one that is ignored may be frozen, and wake up writing the old form.
  for (const auto& member : snapshot.members)
    if (member.gates_in_use < snapshot.state->gates) names.push_back(member.name);
  std::ranges::sort(names);
  return names;
}

}  // namespace

std::string_view to_string(FinalizeStage stage) {
  switch (stage) {
    case FinalizeStage::backfill:
      return "backfill";
    case FinalizeStage::relax:
      return "relax";
    case FinalizeStage::raise:
      return "raise";
    case FinalizeStage::barrier:
      return "barrier";
    case FinalizeStage::second_fence:
      return "second_fence";
    case FinalizeStage::contract:
      return "contract";
    case FinalizeStage::mode_off:
      return "mode_off";
    case FinalizeStage::blocked:
      return "blocked";
    case FinalizeStage::idle:
      return "idle";
  }
  return "idle";
}

bool belongs_to_hop(const Snapshot& snapshot, int build) {
  if (!snapshot.state) return true;
  const int above = as_release(snapshot.state->original_build.value_or(snapshot.state->cluster_build));
  const int up_to =
      snapshot.state->target_build ? as_release(*snapshot.state->target_build) : std::numeric_limits<int>::max();
  return as_release(build) > above && as_release(build) <= up_to;
}

std::vector<TaskRecord> failed_tasks(const Snapshot& snapshot) {
  std::vector<TaskRecord> failed;
  for (const auto& task : snapshot.tasks)
    if (task.state == TaskState::failed && belongs_to_hop(snapshot, task.build)) failed.push_back(task);
  return failed;
}

std::string failure_text(const TaskRecord& task) {
  return fmt::format("{} failed{} after {} attempt{}{}: {}", task.id, task.runner.empty() ? "" : " on " + task.runner,
                     task.attempts, task.attempts == 1 ? "" : "s",
                     task.checkpoint.empty() ? "" : " at checkpoint " + task.checkpoint,
                     task.error.empty() ? "its runners were lost" : task.error);
}

FinalizeStep next_finalize_step(const Snapshot& snapshot, const std::vector<TaskDeclaration>& declared) {
  if (!snapshot.state) return {};
  const auto& state = *snapshot.state;
  if (state.mode != Mode::on || !state.finalize_requested_ms || !state.target_build) return {};

  if (auto failed = failed_tasks(snapshot); !failed.empty()) return {FinalizeStage::blocked, failed.front().id, {}};

  // Every line below looks at stored facts only, so a node that takes over after a crash lands on the same one.
  for (const auto& task : of_hop(snapshot, declared, TaskKind::backfill))
    if (!is_done(snapshot, task)) return {FinalizeStage::backfill, task.id, {}};
  // Before the gates rise: writing the new form alone would fail on the old form's NOT NULL.
  const auto contracts = of_hop(snapshot, declared, TaskKind::contract);
  for (const auto& task : contracts)
    if (!is_relaxed(snapshot, task)) return {FinalizeStage::relax, task.id, {}};
  if (state.cluster_build != *state.target_build) return {FinalizeStage::raise, {}, {}};
  if (state.min_gates < state.gates) {
    auto waiting = not_at_gates(snapshot);
    // An empty roster cannot have reported: whoever asks is not in it, and must not pass for everybody.
    if (!waiting.empty() || snapshot.members.empty()) return {FinalizeStage::barrier, {}, std::move(waiting)};
    return {FinalizeStage::second_fence, {}, {}};
  }
  for (const auto& task : contracts)
    if (!is_done(snapshot, task)) return {FinalizeStage::contract, task.id, {}};
  return {FinalizeStage::mode_off, {}, {}};
}

std::vector<std::string> pending_expand(const Snapshot& snapshot, const std::vector<TaskDeclaration>& declared) {
  std::vector<std::string> ids;
  for (const auto& task : of_hop(snapshot, declared, TaskKind::expand))
    if (!is_done(snapshot, task)) ids.push_back(task.id);
  return ids;
}

std::vector<std::string> checksum_mismatches(const Snapshot& snapshot, const std::vector<TaskDeclaration>& declared) {
  std::vector<std::string> ids;
  for (const auto& task : declared) {
    const auto* record = record_of(snapshot, task.id);
    if (record && record->checksum != task.checksum) ids.push_back(task.id);
  }
  return ids;
}

}  // namespace afloat::cluster
