#include "cluster/phase.h"

#include <gtest/gtest.h>

#include <functional>

#include "cluster/test_site.h"

namespace afloat::cluster {
namespace {

using namespace testing_site;

struct Case {
  std::string name;
  Snapshot site;
  Phase phase;
  std::vector<std::string> says = {};
};

Snapshot with(Snapshot site, const std::function<void(Snapshot&)>& change) {
  change(site);
  return site;
}

void expect(const std::vector<Case>& cases) {
  for (const auto& [name, site, phase, says] : cases) {
    SCOPED_TRACE(name);
    const auto view = derive_phase(site);
    EXPECT_EQ(to_string(view.phase), to_string(phase));
    EXPECT_FALSE(view.reason.empty());
    for (const auto& part : says)
      EXPECT_NE(view.reason.find(part), std::string::npos) << part << "\nis not in\n" << view.reason;
  }
}

TEST(Phase, ModeOff) {
  expect({
      {"no node ever", {}, Phase::STABLE, {"new"}},
      {"three nodes", stable(), Phase::STABLE, {"1.0.0"}},
      {"an empty roster", stable({}), Phase::STABLE},
      {"leftover facts of an earlier run do not count", with(finalizing(), [](auto& s) { s.state->mode = Mode::off; }),
       Phase::STABLE},
  });
}

TEST(Phase, BeforeFinalize) {
  const auto all_target = upgrading({target_build, target_build, target_build});
  const auto all_old = upgrading({old_build, old_build, old_build});
  std::vector<Case> cases = {
      {"all on the original", all_old, Phase::READY_TO_UPGRADE, {"1.0.0"}},
      {"all on the original, expand not done", with(all_old, [](auto& s) { s.state->expand_done = false; }),
       Phase::READY_TO_UPGRADE},
      {"all on the original, no target yet", with(all_old, [](auto& s) { s.state->target_build.reset(); }),
       Phase::READY_TO_UPGRADE},
      {"all on the original, one stopped: its version counts, not its life",
       with(all_old, [](auto& s) { s.members[1].closed = true; }), Phase::READY_TO_UPGRADE},
      {"one upgraded", upgrading({target_build, old_build, old_build}), Phase::MIXED, {"node2 runs 1.0.0", "node3"}},
      {"one left, with a run in charge, which may lead either way",
       with(upgrading({target_build, old_build, target_build}), [](auto& s) { s.state->run_id = 7; }),
       Phase::MIXED,
       {"run 7 is in charge", "between 1.0.0 and 1.1.0", "afloat upgrade status"}},
      {"all on the target, with a run in charge",
       with(all_target, [](auto& s) { s.state->run_id = 7; }),
       Phase::READY_TO_RUN_UPGRADE_TASKS,
       {"run 7 is in charge"}},
      {"one left",
       upgrading({target_build, old_build, target_build}),
       Phase::MIXED,
       {"node2 runs 1.0.0", "start it with 1.1.0"}},
      {"the last one is being switched: OFFLINE on the original still counts",
       with(upgrading({target_build, target_build, old_build}), [](auto& s) { s.members[2].closed = true; }),
       Phase::MIXED,
       {"node3 is OFFLINE and was last on 1.0.0", "afloat nodes remove node3"}},
      {"all on the target", all_target, Phase::READY_TO_RUN_UPGRADE_TASKS, {"1.1.0", "no way back"}},
      {"one node is a roster too", upgrading({target_build}), Phase::READY_TO_RUN_UPGRADE_TASKS},
      {"an empty roster is neither all old nor all new", upgrading({}), Phase::MIXED, {"roster is empty"}},
      {"expand not done", with(all_target, [](auto& s) { s.state->expand_done = false; }), Phase::MIXED, {"expand"}},
      {"no target known",
       with(all_target, [](auto& s) { s.state->target_build.reset(); }),
       Phase::MIXED,
       {"no target version"}},
      {"a lease is over",
       with(all_target, [](auto& s) { s.members[0].lease_live = false; }),
       Phase::MIXED,
       {"node1 has not renewed its lease"}},
      {"one stopped cleanly",
       with(all_target, [](auto& s) { s.members[0].closed = true; }),
       Phase::MIXED,
       {"node1 is OFFLINE"}},
      {"a third build in the roster",
       upgrading({target_build, third_build, target_build}),
       Phase::MIXED,
       {"node2 runs 1.0.1"}},
      {"a backfill that began early has failed: finalize would only fail again, with no way back",
       with(all_target, [](auto& s) { s.tasks = {task("t", TaskKind::backfill, TaskState::failed)}; }),
       Phase::MIXED,
       {"upgrade task t failed", "afloat upgrade retry"}},
      {"a failed task of an abandoned newer target is not of this upgrade",
       with(all_target, [](auto& s) { s.tasks = {task("t", TaskKind::backfill, TaskState::failed, 10020009)}; }),
       Phase::READY_TO_RUN_UPGRADE_TASKS},
  };
  // Every state but ACTIVE keeps approve from being accepted.
  for (const auto state :
       {NodeState::STARTING, NodeState::DRAINING, NodeState::TERMINATING, NodeState::OFFLINE, NodeState::ERROR,
        NodeState::RUNNING_FINALIZE_UPGRADE_TASKS, NodeState::UPGRADE_TASKS_FAILED, NodeState::unknown})
    cases.push_back({"on the target and " + std::string(to_string(state)),
                     with(all_target, [&](auto& s) { s.members[2].state = state; }),
                     Phase::MIXED,
                     {"node3"}});
  expect(cases);
}

TEST(Phase, Finalizing) {
  const auto with_task = [](TaskState state, int build = target_build) {
    return with(finalizing(), [&](auto& s) {
      s.tasks = {task("1.1.0/body-store/contract", TaskKind::contract, state, build)};
      s.tasks[0].error = "disk full";
      s.tasks[0].runner = "node2";
      s.tasks[0].attempts = 1;
    });
  };
  expect({
      {"no tasks", finalizing(), Phase::RUNNING_UPGRADE_TASKS, {"1.1.0"}},
      {"a task is running", with_task(TaskState::running), Phase::RUNNING_UPGRADE_TASKS, {"1 upgrade task left"}},
      {"a task has failed",
       with_task(TaskState::failed),
       Phase::UPGRADE_TASKS_FAILED,
       {"1.1.0/body-store/contract failed on node2 after 1 attempt: disk full", "retry"}},
      {"a failed task of an abandoned newer target is not of this finalize", with_task(TaskState::failed, 10020009),
       Phase::RUNNING_UPGRADE_TASKS},
      {"nor one of before", with_task(TaskState::failed, old_build), Phase::RUNNING_UPGRADE_TASKS},
      {"every node is dead: it is still finalizing",
       with(finalizing(),
            [](auto& s) {
              for (auto& m : s.members) m.lease_live = false;
            }),
       Phase::RUNNING_UPGRADE_TASKS},
      {"an empty roster as well", with(finalizing(), [](auto& s) { s.members.clear(); }), Phase::RUNNING_UPGRADE_TASKS},
      {"the cluster version has risen",
       with(finalizing(), [](auto& s) { s.state->cluster_version = "1.1.0", s.state->cluster_build = target_build; }),
       Phase::RUNNING_UPGRADE_TASKS},
  });
}

}  // namespace
}  // namespace afloat::cluster
