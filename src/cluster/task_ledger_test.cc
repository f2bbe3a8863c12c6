#include "cluster/task_ledger.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "cluster/test_site.h"

namespace afloat::cluster {
namespace {

using namespace testing_site;
using Stage = FinalizeStage;
using Names = std::vector<std::string>;

TaskDeclaration declare(std::string id, TaskKind kind, int ordinal, int build = target_build) {
  return {.id = std::move(id), .version = "1.1.0", .checksum = "c", .build = build, .kind = kind, .ordinal = ordinal};
}

// Out of order on purpose: ordinals decide.
const std::vector<TaskDeclaration> two_features = {
    declare("b/contract", TaskKind::contract, 6), declare("b/backfill", TaskKind::backfill, 5),
    declare("b/expand", TaskKind::expand, 4),     declare("a/expand", TaskKind::expand, 1),
    declare("a/backfill", TaskKind::backfill, 2), declare("a/contract", TaskKind::contract, 3)};

Snapshot approved() {
  auto s = finalizing();
  for (const auto& d : two_features) {
    s.tasks.push_back(task(d.id, d.kind, d.kind == TaskKind::expand ? TaskState::done : TaskState::pending));
    s.tasks.back().ordinal = d.ordinal;
  }
  return s;
}

TaskRecord& record(Snapshot& s, std::string_view id) { return *std::ranges::find(s.tasks, id, &TaskRecord::id); }

/// Does in the facts what the stage asks for, as the server does it in the database.
void carry_out(Snapshot& s, const FinalizeStep& step) {
  switch (step.stage) {
    case Stage::backfill:
    case Stage::contract:
      record(s, step.task_id).state = TaskState::done;
      break;
    case Stage::relax:
      record(s, step.task_id).checkpoint = "relaxed";
      break;
    case Stage::raise:
      s.state->cluster_version = "1.1.0";
      s.state->cluster_build = target_build;
      ++s.state->gates;
      break;
    case Stage::barrier:
      for (auto& member : s.members)
        if (member.name == step.waiting.front()) member.gates_in_use = s.state->gates;
      break;
    case Stage::second_fence:
      s.state->min_gates = s.state->gates;
      break;
    case Stage::mode_off:
      s.state->mode = Mode::off;
      s.state->original_build.reset();
      s.state->target_build.reset();
      s.state->finalize_requested_ms.reset();
      break;
    case Stage::blocked:
    case Stage::idle:
      break;
  }
}

Names run(Snapshot s, const std::vector<TaskDeclaration>& declared) {
  Names steps;
  for (int i = 0; i < 50; ++i) {
    const auto step = next_finalize_step(s, declared);
    // Asking again is what the node does that takes over after a crash at this point.
    const auto again = next_finalize_step(s, declared);
    EXPECT_EQ(again.stage, step.stage);
    EXPECT_EQ(again.task_id, step.task_id);
    if (step.stage == Stage::idle || step.stage == Stage::blocked) {
      steps.emplace_back(to_string(step.stage));
      return steps;
    }
    steps.push_back(std::string(to_string(step.stage)) + (step.task_id.empty() ? "" : " " + step.task_id));
    if (step.stage == Stage::barrier) steps.back() += " " + step.waiting.front();
    carry_out(s, step);
  }
  ADD_FAILURE() << "finalize does not end";
  return steps;
}

TEST(Finalize, TheWholeOrderWithTasks) {
  EXPECT_EQ(run(approved(), two_features),
            (Names{"backfill a/backfill", "backfill b/backfill", "relax a/contract", "relax b/contract", "raise",
                   "barrier node1", "barrier node2", "barrier node3", "second_fence", "contract a/contract",
                   "contract b/contract", "mode_off", "idle"}));
}

TEST(Finalize, TheWholeOrderWithoutTasks) {
  EXPECT_EQ(run(finalizing(), {}),
            (Names{"raise", "barrier node1", "barrier node2", "barrier node3", "second_fence", "mode_off", "idle"}));
}

TEST(Finalize, NothingIsAskedForBeforeApprove) {
  EXPECT_EQ(next_finalize_step({}, two_features).stage, Stage::idle);
  EXPECT_EQ(next_finalize_step(stable(), two_features).stage, Stage::idle);
  EXPECT_EQ(next_finalize_step(upgrading({target_build}), two_features).stage, Stage::idle);
}

TEST(Finalize, ARunnerThatDiesLeavesAStepThatTheNextOneFinds) {
  // Killed after the claim, before the work was recorded: the row says running, with a lease or without.
  for (const bool lease : {true, false}) {
    auto s = approved();
    for (auto id : {"a/backfill", "b/backfill"}) record(s, id).state = TaskState::done;
    auto& contract = record(s, "a/contract");
    contract.state = TaskState::running;
    contract.lease_live = lease;
    EXPECT_EQ(next_finalize_step(s, two_features).stage, Stage::relax);
    contract.checkpoint = "relaxed";
    record(s, "b/contract").checkpoint = "relaxed";
    carry_out(s, {Stage::raise, {}, {}});
    for (auto& m : s.members) m.gates_in_use = 2;
    s.state->min_gates = 2;
    const auto step = next_finalize_step(s, two_features);
    EXPECT_EQ(step.stage, Stage::contract);
    EXPECT_EQ(step.task_id, "a/contract");
  }
}

TEST(Finalize, ABackfillThatWasCompleteBeforeApproveLooksOnceMore) {
  auto s = approved();
  record(s, "a/backfill").state = TaskState::recheck;
  EXPECT_EQ(next_finalize_step(s, two_features).task_id, "a/backfill");
}

TEST(Finalize, AFailedTaskBlocksEveryStage) {
  for (const auto id : {"a/backfill", "b/backfill", "a/contract", "b/contract"}) {
    SCOPED_TRACE(id);
    auto s = approved();
    record(s, id).state = TaskState::failed;
    const auto step = next_finalize_step(s, two_features);
    EXPECT_EQ(step.stage, Stage::blocked);
    EXPECT_EQ(step.task_id, id);
    record(s, id).state = TaskState::pending;  // retry
    EXPECT_EQ(next_finalize_step(s, two_features).stage, Stage::backfill);
  }
}

TEST(Finalize, TheBarrierNamesEverybodyWhoIsNotThere) {
  auto s = finalizing();
  carry_out(s, {Stage::raise, {}, {}});
  s.members[0].gates_in_use = 2;
  s.members[2].closed = true;  // stopped: named as well, for nobody may be ignored
  const auto step = next_finalize_step(s, {});
  EXPECT_EQ(step.stage, Stage::barrier);
  EXPECT_EQ(step.waiting, (Names{"node2", "node3"}));
  s.members.pop_back();  // removed by a person
  s.members[1].gates_in_use = 2;
  EXPECT_EQ(next_finalize_step(s, {}).stage, Stage::second_fence);
}

TEST(Finalize, AnEmptyRosterDoesNotPassTheBarrier) {
  auto s = finalizing();
  carry_out(s, {Stage::raise, {}, {}});
  s.members.clear();
  EXPECT_EQ(next_finalize_step(s, {}).stage, Stage::barrier);
}

struct HopCase {
  std::string_view name;
  int original, target, task;
  bool belongs;
};
constexpr auto hop_cases = std::to_array<HopCase>({
    {"the target's own", 10000009, 10010009, 10010009, true},
    {"one on the way", 10000009, 10010009, 10000019, true},
    {"the original's", 10000009, 10010009, 10000009, false},
    {"of a later release", 10000009, 10010009, 10020009, false},
    {"a pre-release of the target has the target's tasks", 10000009, 10010000, 10010009, true},
    {"declared by a pre-release", 10000009, 10010009, 10010000, true},
    {"from a pre-release, its own are done", 10010000, 10010009, 10010009, false},
});

TEST(TaskLedger, WhichTasksBelongToAHop) {
  for (const auto& [name, original, target, build, belongs] : hop_cases) {
    SCOPED_TRACE(name);
    auto s = finalizing();
    s.state->original_build = original;
    s.state->target_build = target;
    EXPECT_EQ(belongs_to_hop(s, build), belongs);
  }
  EXPECT_TRUE(belongs_to_hop({}, old_build)) << "a fresh database runs every task";
}

TEST(TaskLedger, TasksOfOtherReleasesAreLeftAlone) {
  auto declared = two_features;
  declared.push_back(declare("later/backfill", TaskKind::backfill, 1, 10020009));
  declared.push_back(declare("earlier/contract", TaskKind::contract, 1, old_build));
  auto s = approved();
  s.tasks.push_back(task("later/expand", TaskKind::expand, TaskState::failed, 10020009));
  EXPECT_EQ(run(s, declared), run(approved(), two_features));
}

TEST(TaskLedger, PendingExpand) {
  auto s = upgrading({old_build});
  EXPECT_EQ(pending_expand(s, two_features), (Names{"a/expand", "b/expand"}))
      << "rows that are missing count as pending";
  for (const auto state : {TaskState::pending, TaskState::running, TaskState::failed, TaskState::recheck}) {
    s.tasks = {task("a/expand", TaskKind::expand, state), task("b/expand", TaskKind::expand, TaskState::done)};
    EXPECT_EQ(pending_expand(s, two_features), Names{"a/expand"}) << to_string(state);
  }
  s.tasks[0].state = TaskState::done;
  EXPECT_EQ(pending_expand(s, two_features), Names{});
  s.tasks.clear();
  s.state->target_build.reset();
  EXPECT_EQ(pending_expand(s, two_features), (Names{"a/expand", "b/expand"}));
}

TEST(TaskLedger, ChecksumMismatches) {
  auto s = approved();
  EXPECT_EQ(checksum_mismatches(s, two_features), Names{});
  record(s, "a/backfill").checksum = "other";
  EXPECT_EQ(checksum_mismatches(s, two_features), Names{"a/backfill"});
  EXPECT_EQ(checksum_mismatches({}, two_features), Names{}) << "what is not recorded cannot differ";
}

}  // namespace
}  // namespace afloat::cluster
