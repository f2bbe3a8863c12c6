#include "rollout/step.h"

#include <gtest/gtest.h>

#include <array>

#include "rollout/capacity.h"
#include "rollout/plan.h"
#include "rollout/preflight.h"
#include "rollout/test_world.h"

namespace afloat::rollout {
namespace {

TEST(RolloutStep, HappyPath) {
  World world(2);
  world.nodes[0].users = 5;  // so node2 is less busy
  world.go();
  EXPECT_EQ(world.run.state, RunState::done) << world.run.message;
  world.expect_whole_on("1.1.0");
  const std::vector<std::string> expected{"preflight",
                                          "distribute",
                                          "mode_on",
                                          "expand",
                                          "ok_to_stop node2",
                                          "drain node2",
                                          "ok_to_stop_again node2",
                                          "maint node2",
                                          "stop node2",
                                          "switch node2",
                                          "start node2",
                                          "await_active node2",
                                          "balance node2",
                                          "ok_to_stop node1",
                                          "drain node1",
                                          "ok_to_stop_again node1",
                                          "maint node1",
                                          "stop node1",
                                          "switch node1",
                                          "start node1",
                                          "await_active node1",
                                          "balance node1",
                                          "finalize",
                                          "await_stable",
                                          "verify",
                                          "report"};
  EXPECT_EQ(world.names(), expected);
  EXPECT_FALSE(world.taken_out_twice);
  for (const auto& step : world.run.steps)
    if (step.kind == StepKind::await_active) EXPECT_EQ(step.metric_ms, 100);
}

TEST(RolloutStep, AKilledConductorIsFollowedByOneThatGoesOn) {
  World counted;
  counted.go();
  const int total = counted.decisions;
  ASSERT_GT(total, 60);
  for (const auto kill : {World::Kill::before_record, World::Kill::after_record, World::Kill::after_act}) {
    for (int at = 0; at < total; ++at) {
      SCOPED_TRACE(testing::Message() << "killed at decision " << at << ", kind " << static_cast<int>(kill));
      World world;
      world.killed_at = at;
      world.kill = kill;
      world.go();
      ASSERT_EQ(world.run.state, RunState::done) << world.run.message;
      world.expect_whole_on("1.1.0");
      EXPECT_FALSE(world.taken_out_twice);
    }
  }
}

TEST(RolloutStep, CancelAtAnyPointBeforeFinalizeLeadsBack) {
  World counted;
  counted.go();
  int refused = 0;
  for (int at = 1; at < counted.decisions; ++at) {
    SCOPED_TRACE(testing::Message() << "cancelled at decision " << at);
    World world;
    world.before_each = [at](World& w) {
      // As the store does it: refused once finalize has begun.
      if (w.decisions >= at && !w.run.finalize_begun) w.run.cancel_requested = true;
    };
    world.go();
    if (world.run.state == RunState::done) {
      ++refused;
      EXPECT_TRUE(world.run.finalize_begun);
      continue;
    }
    ASSERT_EQ(world.run.state, RunState::cancelled) << world.run.message;
    EXPECT_EQ(world.run.outcome, "cancelled");
    world.expect_whole_on("1.0.0");
    EXPECT_FALSE(world.taken_out_twice);
  }
  EXPECT_GT(refused, 3);
  EXPECT_LT(refused, 12);
}

TEST(RolloutStep, ARunThatIsCancelledBeforeItsFirstStepEnds) {
  World world;
  world.run.cancel_requested = true;
  world.go();
  EXPECT_EQ(world.run.state, RunState::cancelled) << world.run.message;
  world.expect_whole_on("1.0.0");
}

TEST(RolloutStep, TheNextUpgradeBegunByHandDoesNotHoldUpTheEndOfThisOne) {
  World world;
  // At once, before the conductor has looked again.
  world.before_each = [](World& w) {
    if (!w.state.finalize_requested_ms || w.state.mode == Mode::on) return;
    w.state.mode = Mode::on;
    w.state.run_id.reset();
    w.state.finalize_requested_ms.reset();
  };
  world.go();
  EXPECT_EQ(world.run.state, RunState::done) << world.run.message;
}

TEST(RolloutStep, ANodeThatWasRemovedIsNotWaitedFor) {
  World world;
  world.before_each = [](World& w) {
    const auto* step = w.run.open_step();
    if (step && step->node == "node2" && step->kind == StepKind::drain)
      std::erase_if(w.nodes, [](const auto& node) { return node.name == "node2"; });
  };
  world.go();
  EXPECT_EQ(world.run.state, RunState::done) << world.run.message;
  EXPECT_EQ(world.nodes.size(), 2u);
}

TEST(RolloutStep, ResumeChoosesAnewSoThatANodeLeftInMaintIsGivenBackFirst) {
  World world;
  world.run.options.ok_to_stop_deadline_ms = 1'000;
  // Told by an earlier leader, whose word came late.
  world.before_each = [done = false](World& w) mutable {
    const auto* step = w.run.open_step();
    if (done || !step || step->kind != StepKind::ok_to_stop || step->node != "node2") return;
    done = true;
    w.node("node1").traffic = "MAINT";
  };
  world.go();
  ASSERT_EQ(world.run.state, RunState::paused);
  world.run.resume_requested = true;
  world.turn();
  world.go();
  EXPECT_EQ(world.run.state, RunState::done) << world.run.message;
  world.expect_whole_on("1.1.0");
}

TEST(RolloutStep, ANodeThatComesBackDrainingIsGivenBack) {
  World world;
  world.before_each = [](World& w) {
    const auto* step = w.run.open_step();
    if (step && step->kind == StepKind::await_active) w.node(step->node).state = NodeState::DRAINING;
  };
  world.go();
  EXPECT_EQ(world.run.state, RunState::done) << world.run.message;
  world.expect_whole_on("1.1.0");
}

TEST(RolloutStep, ANewReleaseThatDoesNotStartPausesAndCancelReplacesItAtOnce) {
  World world;
  world.broken_version = "1.1.0";
  world.go();
  ASSERT_EQ(world.run.state, RunState::paused);
  EXPECT_NE(world.run.message.find("exit code 134"), std::string::npos) << world.run.message;
  EXPECT_NE(world.run.message.find("afloat upgrade cancel"), std::string::npos) << world.run.message;
  EXPECT_NE(world.run.evidence.find("log line"), std::string::npos) << world.run.evidence;
  const auto steps_before = world.run.steps.size();
  world.run.cancel_requested = true;
  world.turn();
  world.go();
  ASSERT_EQ(world.run.state, RunState::cancelled) << world.run.message;
  world.expect_whole_on("1.0.0");
  ASSERT_GT(world.run.steps.size(), steps_before);
  EXPECT_EQ(world.run.steps[steps_before].kind, StepKind::maint) << "a dead node needs no drain";
}

TEST(RolloutStep, ResumeAfterMendingGoesOn) {
  World world;
  world.broken_version = "1.1.0";
  world.go();
  ASSERT_EQ(world.run.state, RunState::paused);
  for (int i = 0; i < 50; ++i) world.turn();
  ASSERT_EQ(world.run.state, RunState::paused) << "it must not go on by itself";
  world.broken_version.clear();
  world.run.resume_requested = true;
  world.turn();
  world.go();
  ASSERT_EQ(world.run.state, RunState::done) << world.run.message;
  world.expect_whole_on("1.1.0");
}

TEST(RolloutStep, WhenTheAnswerChangesWhileDrainingTheNodeReturns) {
  World world;
  bool done = false;
  world.before_each = [&](World& w) {
    const auto* open = w.run.open_step();
    if (!open || open->node != "node1") return;
    if (open->kind == StepKind::ok_to_stop_again && !done) {
      w.node("node2").traffic = "DOWN";
      done = true;
    }
    if (open->kind == StepKind::ok_to_stop && done) w.node("node2").traffic = "UP";
  };
  world.go();
  ASSERT_EQ(world.run.state, RunState::done) << world.run.message;
  const auto names = world.names();
  const auto undrain = std::ranges::find(names, "undrain node1");
  ASSERT_NE(undrain, names.end());
  EXPECT_EQ(*(undrain - 1), "ok_to_stop_again node1");
  EXPECT_EQ(*(undrain + 1), "ok_to_stop node1");
}

TEST(RolloutStep, ALongTaskIsWaitedForThenTheRunPauses) {
  World world(2);
  for (auto& node : world.nodes) node.tasks = 1;
  world.go(10'000);
  ASSERT_EQ(world.run.state, RunState::paused);
  EXPECT_NE(world.run.message.find("1 long task"), std::string::npos) << world.run.message;
  for (auto& node : world.nodes) node.tasks = 0;
  world.run.resume_requested = true;
  world.turn();
  world.go();
  EXPECT_EQ(world.run.state, RunState::done) << world.run.message;
}

TEST(RolloutStep, HoldWaitsForAPerson) {
  World world;
  world.run.options.hold_before_finalize = true;
  world.go();
  ASSERT_EQ(world.run.state, RunState::paused);
  EXPECT_FALSE(world.state.finalize_requested_ms);
  world.run.resume_requested = true;
  world.turn();
  world.go();
  EXPECT_EQ(world.run.state, RunState::done) << world.run.message;
}

TEST(RolloutStep, ADeadOldNodeIsReplacedFirstWithoutDrain) {
  World world;
  bool killed = false;
  world.before_each = [&](World& w) {
    if (!killed && !w.run.steps.empty() && w.run.steps.back().kind == StepKind::expand) {
      w.node("node3").running = false;
      w.node("node3").traffic = "DOWN";
      w.node("node3").broken_release = true;
      killed = true;
    }
  };
  world.go();
  ASSERT_EQ(world.run.state, RunState::done) << world.run.message;
  const auto names = world.names();
  EXPECT_EQ(names[4], "maint node3");
  world.expect_whole_on("1.1.0");
}

struct RefusalCase {
  std::string_view name;
  void (*spoil)(World&);
  std::string_view expected;
};
constexpr auto refusals = std::to_array<RefusalCase>({
    {"a version that is not higher", [](World& w) { w.run.to = "1.0.0"; }, "1.0.0"},
    {"one node", [](World& w) { w.nodes.resize(1); }, "1 node(s)"},
    {"upgrade mode is on already",
     [](World& w) {
       w.state.mode = Mode::on;
       w.state.original_build = w.state.cluster_build;
     },
     "No other upgrade"},
    {"a member is down", [](World& w) { w.nodes[1].running = false; }, "node2 is OFFLINE"},
    {"the balancer has a node down", [](World& w) { w.nodes[2].traffic = "DOWN"; }, "node3 is DOWN"},
});

TEST(RolloutStep, PreflightRefusesAndChangesNothing) {
  for (const auto& [name, spoil, expected] : refusals) {
    SCOPED_TRACE(name);
    World world;
    spoil(world);
    world.run.to_build = build_of(world.run.to);
    const auto mode = world.state.mode;
    world.go();
    EXPECT_EQ(world.run.state, RunState::failed);
    EXPECT_EQ(world.run.outcome, "preflight_failed");
    EXPECT_NE(world.run.message.find(expected), std::string::npos) << world.run.message;
    EXPECT_EQ(world.run.message.find(".."), std::string::npos) << world.run.message;
    EXPECT_EQ(world.state.mode, mode);
    EXPECT_EQ(world.releases.size(), 1U);
  }
}

TEST(RolloutStep, PreflightWarnsOfReplicasThatCommitsDoNotWaitFor) {
  struct Case {
    std::optional<Replicas> replicas;
    CheckResult expected;
  };
  for (const auto& [replicas, expected] :
       {Case{std::nullopt, CheckResult::unknown}, Case{Replicas{}, CheckResult::pass},
        Case{Replicas{2, ""}, CheckResult::warn}, Case{Replicas{2, "ANY 1 (a, b)"}, CheckResult::pass}}) {
    Observation seen;
    seen.replicas = replicas;
    const auto checks = preflight("1.0.0", "1.1.0", seen);
    const auto found = std::ranges::find(checks, "database_replicas", &Check::id);
    ASSERT_NE(found, checks.end());
    EXPECT_EQ(found->result, expected) << found->found;
    EXPECT_EQ(found->action.empty(), expected == CheckResult::pass);
  }
}

TEST(RolloutStep, AnActThatIsRefusedPausesOneThatPassesIsRepeated) {
  for (const auto kind : {ErrorKind::failed_precondition, ErrorKind::unavailable}) {
    World world;
    while (!world.run.open_step() || world.run.open_step()->kind != StepKind::mode_on) world.turn();
    world.act = {.tried = true, .error = Error(kind, "no"), .tried_at_ms = world.now};
    world.turn();
    if (kind == ErrorKind::unavailable) {
      world.go();
      EXPECT_EQ(world.run.state, RunState::done);
    } else {
      EXPECT_EQ(world.run.state, RunState::paused);
      EXPECT_NE(world.run.message.find("no."), std::string::npos) << world.run.message;
    }
  }
}

TEST(RolloutStep, ARefusedApproveLeavesTheWayBackOpen) {
  World world;
  while (!world.run.open_step() || world.run.open_step()->kind != StepKind::finalize) world.turn();
  EXPECT_TRUE(world.run.finalize_begun);
  world.act = {
      .tried = true, .error = Error(ErrorKind::failed_precondition, "node2 is OFFLINE"), .tried_at_ms = world.now};
  world.turn();
  ASSERT_EQ(world.run.state, RunState::paused);
  EXPECT_FALSE(world.run.finalize_begun);
  world.run.cancel_requested = true;
  world.turn();
  world.go();
  EXPECT_EQ(world.run.state, RunState::cancelled) << world.run.message;
  world.expect_whole_on("1.0.0");
}

Needs roster_only() {
  Needs needs;
  needs.cluster = true;
  return needs;
}

TEST(RolloutHealth, MostOfTheSiteLostAtOnceIsNotBelieved) {
  World world;
  auto seen = world.observe(roster_only());
  for (auto& member : seen.cluster->members) member.lease_live = false;
  EXPECT_EQ(health_of(seen, seen.cluster->members[0]), Health::undecided);
  for (std::size_t i : {1U, 2U}) seen.cluster->members[i].lease_live = true;
  EXPECT_EQ(health_of(seen, seen.cluster->members[0]), Health::dead);
  seen.database_reached_ms = 1'000;
  EXPECT_EQ(health_of(seen, seen.cluster->members[0]), Health::undecided) << "nobody could renew";
}

TEST(RolloutPlan, NamesEveryStepPerNode) {
  World world;
  const auto steps = plan(world.run, world.observe(roster_only()), {});
  EXPECT_EQ(steps.size(), 4U + 3 * 9 + 4);
}

TEST(RolloutNames, EveryKindHasANameThatReadsBack) {
  for (int i = 0; i <= static_cast<int>(StepKind::report); ++i) {
    const auto kind = static_cast<StepKind>(i);
    EXPECT_EQ(step_kind_from(to_string(kind)), kind);
  }
}

TEST(RolloutOptions, ReadBackAndRefuseTheUnknown) {
  Options options{.hold_before_finalize = true, .max_load = 0.5};
  const auto again = parse_options(to_json(options));
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->hold_before_finalize);
  EXPECT_DOUBLE_EQ(again->max_load, 0.5);
  EXPECT_FALSE(parse_options(R"({"hold":true})"));
  EXPECT_FALSE(parse_options(R"({"max_load":"x"})"));
}

}  // namespace
}  // namespace afloat::rollout
