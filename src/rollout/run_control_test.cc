#include <gtest/gtest.h>

#include "rollout/notices.h"
#include "rollout/offline.h"
#include "rollout/plan.h"
#include "rollout/test_world.h"

/// What people ask of a run: schedule, window, pause, one node back, hold, chains of hops, soak.
namespace afloat::rollout {
namespace {

int count(const World& world, StepKind kind, bool back = false) {
  return static_cast<int>(
      std::ranges::count_if(world.run.steps, [&](const auto& step) { return step.kind == kind && step.back == back; }));
}
void resume(World& world) {
  world.run.resume_requested = true;
  world.turn();
}

TEST(RunControl, AScheduledRunWaitsForItsTimeAndCanBeTakenBack) {
  World world;
  world.run.options.not_before_ms = world.now + 60'000;
  const auto begins = world.run.options.not_before_ms;
  while (world.now < begins - 1'000) world.turn();
  EXPECT_EQ(world.names(), std::vector<std::string>{"wait_until"});
  EXPECT_EQ(world.state.mode, Mode::off);
  world.go();
  EXPECT_EQ(world.run.state, RunState::done) << world.run.message;
  EXPECT_GE(world.run.steps[1].started_at_ms, begins);

  World regretted;
  regretted.run.options.not_before_ms = regretted.now + 60'000;
  for (int i = 0; i < 5; ++i) regretted.turn();
  regretted.run.cancel_requested = true;
  regretted.go();
  EXPECT_EQ(regretted.run.state, RunState::cancelled);
  regretted.expect_whole_on("1.0.0");
}

TEST(RunControl, AfterTheWindowNoFurtherNodeIsBegun) {
  World world;
  // It ends while the first node is away.
  world.before_each = [](World& w) {
    if (w.run.options.not_after_ms == 0 && count(w, StepKind::stop) == 1) w.run.options.not_after_ms = w.now;
  };
  world.go();
  EXPECT_EQ(world.run.state, RunState::paused);
  EXPECT_NE(world.run.message.find("window"), std::string::npos) << world.run.message;
  EXPECT_EQ(count(world, StepKind::balance), 1) << "the node that was away is back";
  for (const auto& node : world.nodes) EXPECT_EQ(node.traffic, "UP");
  resume(world);
  world.go();
  EXPECT_EQ(world.run.state, RunState::done) << "a person has the last word: " << world.run.message;

  World late;
  late.run.options.not_after_ms = late.now + 1;
  late.go();
  EXPECT_EQ(late.run.state, RunState::paused);
  EXPECT_EQ(late.state.mode, Mode::off) << "nothing was begun";
}

TEST(RunControl, PauseTakesEffectWithinOneStepOnceTheNodeThatIsAwayIsBack) {
  World counted;
  counted.go();
  for (int at = 1; at < counted.decisions; ++at) {
    SCOPED_TRACE(testing::Message() << "asked for at decision " << at);
    World world;
    std::size_t steps_then = 0;
    bool away = false;
    world.before_each = [&](World& w) {
      if (w.decisions != at) return;
      w.run.requests.pause_by = "admin";
      steps_then = w.run.steps.size();
      const auto* step = w.run.open_step();
      away = step && step->kind >= StepKind::drain && step->kind <= StepKind::balance;
    };
    world.go();
    if (world.run.state == RunState::done) continue;  // it had begun to finalize
    ASSERT_EQ(world.run.state, RunState::paused);
    if (!away) EXPECT_LE(world.run.steps.size(), steps_then + 1);
    for (const auto& node : world.nodes) EXPECT_EQ(node.traffic, "UP") << node.name;
    EXPECT_NE(world.run.message.find("paused by admin"), std::string::npos) << world.run.message;
    EXPECT_TRUE(world.run.requests.pause_by.empty());
    resume(world);
    world.go();
    EXPECT_EQ(world.run.state, RunState::done) << world.run.message;
    world.expect_whole_on("1.1.0");
  }
}

TEST(RunControl, OneNodeGoesBackAndTheRunWaits) {
  World world;
  world.run.options.hold_before_finalize = true;
  world.go();
  ASSERT_TRUE(world.run.open_step()) << world.run.message;
  ASSERT_EQ(world.run.open_step()->kind, StepKind::hold_before_finalize);
  world.run.requests.rollback_node = "node2";
  world.turn();
  world.go();
  ASSERT_EQ(world.run.state, RunState::paused);
  EXPECT_EQ(world.node("node2").member_version, "1.0.0");
  EXPECT_EQ(world.node("node1").member_version, "1.1.0");
  EXPECT_EQ(world.node("node2").traffic, "UP");
  EXPECT_NE(world.run.message.find("node2 is back on 1.0.0"), std::string::npos) << world.run.message;
  resume(world);
  world.go();
  EXPECT_EQ(world.run.state, RunState::paused) << "held again, with node2 upgraded once more";
  EXPECT_EQ(world.node("node2").member_version, "1.1.0");
  resume(world);
  world.go();
  EXPECT_EQ(world.run.state, RunState::done) << world.run.message;
  EXPECT_FALSE(world.taken_out_twice);
}

TEST(RunControl, ANodeThatDoesNotStartCanBeTakenBackAlone) {
  World world;
  world.broken_version = "1.1.0";
  world.go();
  ASSERT_EQ(world.run.state, RunState::paused);
  const auto broken = world.run.open_step()->node;
  world.run.requests.rollback_node = broken;
  world.turn();
  world.go();
  EXPECT_EQ(world.run.state, RunState::paused);
  EXPECT_EQ(world.node(broken).member_version, "1.0.0");
  EXPECT_EQ(world.node(broken).traffic, "UP");
  world.run.cancel_requested = true;
  world.go();
  EXPECT_EQ(world.run.state, RunState::paused) << "go() stops at a pause";
  world.turn();
  world.go();
  EXPECT_EQ(world.run.state, RunState::cancelled) << world.run.message;
  world.expect_whole_on("1.0.0");
}

TEST(RunControl, WhatCannotGoBackIsSaidAndNothingHappens) {
  World world;
  world.run.options.hold_before_finalize = true;
  world.go();
  world.run.requests.rollback_node = "node9";
  world.turn();
  EXPECT_NE(world.run.message.find("node9 is not taken back"), std::string::npos) << world.run.message;
  EXPECT_EQ(world.run.state, RunState::paused);
  EXPECT_TRUE(world.run.requests.rollback_node.empty());
}

TEST(RunControl, ABadSoakTakesTheNodeBackAndPauses) {
  World world;
  world.run.options.soak_ms = 1'000;
  world.canary = CanaryView{Verdict::bad, "10 of 300 requests failed"};
  world.go();
  ASSERT_EQ(world.run.state, RunState::paused);
  EXPECT_NE(world.run.message.find("10 of 300 requests failed"), std::string::npos) << world.run.message;
  EXPECT_EQ(count(world, StepKind::soak), 1);
  EXPECT_EQ(count(world, StepKind::ok_to_stop, true), 0) << "a node that does harm waits for nothing";
  for (const auto& node : world.nodes) {
    EXPECT_EQ(node.member_version, "1.0.0") << node.name;
    EXPECT_EQ(node.traffic, "UP") << node.name;
  }
}

TEST(RunControl, ANodeThatFailsItsTrialGoesBackBeforeAnybodyIsSentToIt) {
  World world;
  world.run.options.soak_ms = 1'000;
  world.trial = CanaryView{Verdict::bad, "15 of 300 reads failed"};
  world.before_each = [](World& w) {
    for (const auto& node : w.nodes) EXPECT_FALSE(node.traffic == "UP" && node.member_version == "1.1.0") << node.name;
  };
  world.go();
  ASSERT_EQ(world.run.state, RunState::paused);
  EXPECT_NE(world.run.message.find("15 of 300 reads failed"), std::string::npos) << world.run.message;
  EXPECT_EQ(count(world, StepKind::trial), 1);
  EXPECT_EQ(count(world, StepKind::soak), 0);
  for (const auto& node : world.nodes) {
    EXPECT_EQ(node.member_version, "1.0.0") << node.name;
    EXPECT_EQ(node.traffic, "UP") << node.name;
  }

  world.before_each = {};
  world.trial = CanaryView{Verdict::good, "fine"};
  world.canary = CanaryView{Verdict::good, "fine"};
  resume(world);
  world.go();
  EXPECT_EQ(world.run.state, RunState::done) << world.run.message;
  EXPECT_EQ(count(world, StepKind::trial), 4);
}

TEST(RunControl, WithoutASoakThereIsNoTrial) {
  World world;
  world.go();
  EXPECT_EQ(world.run.state, RunState::done) << world.run.message;
  EXPECT_EQ(count(world, StepKind::trial), 0);
}

TEST(RunControl, PolicyAndBudgetDecideWhatABadSoakLeadsTo) {
  World cancels;
  cancels.run.options.soak_ms = 1'000;
  cancels.run.options.on_failure = OnFailure::cancel;
  cancels.canary = CanaryView{Verdict::bad, "slow"};
  cancels.go();
  EXPECT_EQ(cancels.run.state, RunState::cancelled) << cancels.run.message;
  cancels.expect_whole_on("1.0.0");

  World again;
  again.run.options.soak_ms = 1'000;
  again.run.options.failure_budget = 2;
  again.canary = CanaryView{Verdict::bad, "slow"};
  again.before_each = [](World& w) {
    if (w.run.memory.failures == 2) w.canary = CanaryView{Verdict::good, "fine"};
  };
  again.go();
  EXPECT_EQ(again.run.state, RunState::done) << again.run.message;
  EXPECT_EQ(again.run.memory.failures, 2);
}

TEST(RunControl, ANodeThatStartsOnNeitherReleaseIsWaitedForOrTakenOut) {
  World world;
  world.run.options.on_failure = OnFailure::cancel;
  // The first node is upgraded; then one breaks.
  world.before_each = [](World& w) {
    if (w.broken_node.empty() && count(w, StepKind::balance) == 1 && w.run.open_step() &&
        w.run.open_step()->kind == StepKind::stop)
      w.broken_node = w.run.open_step()->node;
  };
  world.go();
  const auto broken = world.broken_node;
  ASSERT_EQ(world.run.state, RunState::paused) << world.run.message;
  EXPECT_EQ(std::ranges::count(world.nodes, "UP", &World::Node::traffic), 2) << "no other one was taken out";
  for (const auto& word : {broken + " does not start on 1.0.0", "afloat nodes remove " + broken,
                           std::string("`afloat upgrade resume`")})
    EXPECT_TRUE(world.run.message.contains(word)) << word << " is not in: " << world.run.message;

  auto removed = world;
  std::erase_if(removed.nodes, [&](const auto& node) { return node.name == broken; });
  resume(removed);
  removed.go();
  EXPECT_EQ(removed.run.state, RunState::cancelled) << removed.run.message;
  removed.expect_whole_on("1.0.0");

  world.broken_node = "mended";
  resume(world);
  world.go();
  EXPECT_EQ(world.run.state, RunState::cancelled) << world.run.message;
  world.expect_whole_on("1.0.0");
}

TEST(RunControl, AnInconclusiveSoakPauses) {
  World world;
  world.run.options.soak_ms = 1'000;
  world.canary = CanaryView{Verdict::inconclusive, "too few requests"};
  world.go();
  ASSERT_EQ(world.run.state, RunState::paused);
  EXPECT_NE(world.run.message.find("no verdict"), std::string::npos) << world.run.message;
  world.canary = CanaryView{Verdict::good, "fine"};
  resume(world);
  world.go();
  EXPECT_EQ(world.run.state, RunState::done) << world.run.message;
  EXPECT_EQ(count(world, StepKind::soak), 3);
}

/// A backfill that fails as soon as a node runs the new release, until it is mended.
void let_backfill_fail(World& world, const bool& mended) {
  cluster::TaskRecord task;
  task.id = "1.1.0/words/backfill";
  task.build = build_of("1.1.0");
  task.kind = cluster::TaskKind::backfill;
  world.tasks = {task};
  world.before_each = [&mended](World& w) {
    for (const auto& node : w.nodes) {
      if (mended || node.member_version != "1.1.0" || w.tasks[0].state != cluster::TaskState::pending) continue;
      w.tasks[0].state = cluster::TaskState::failed;
      w.tasks[0].runner = node.name;
      w.tasks[0].error = "page 7 has no text";
    }
  };
}

TEST(RunControl, ABackfillThatFailsEarlyHoldsUpTheNextNodeWhileThereIsAWayBack) {
  World world;
  bool mended = false;
  let_backfill_fail(world, mended);
  world.go();
  ASSERT_EQ(world.run.state, RunState::paused);
  EXPECT_EQ(world.run.open_step()->kind, StepKind::choose_node);
  EXPECT_EQ(std::ranges::count(world.nodes, "1.1.0", &World::Node::member_version), 1);
  for (const auto* word :
       {"1.1.0/words/backfill failed on node1", "page 7 has no text", "afloat upgrade resume", "afloat upgrade cancel"})
    EXPECT_NE(world.run.message.find(word), std::string::npos) << word << " is not in " << world.run.message;

  resume(world);
  world.go();
  EXPECT_EQ(world.run.state, RunState::paused) << "it fails once more";
  EXPECT_EQ(world.retries, 1);
  EXPECT_EQ(std::ranges::count(world.nodes, "1.1.0", &World::Node::member_version), 1);

  mended = true;
  resume(world);
  world.go();
  EXPECT_EQ(world.run.state, RunState::done) << world.run.message;
  EXPECT_EQ(world.retries, 2);
}

TEST(RunControl, ABackfillThatFailsEarlyTurnsTheRunBackWherePolicySaysSo) {
  World world;
  const bool mended = false;
  let_backfill_fail(world, mended);
  world.run.options.on_failure = OnFailure::cancel;
  world.go();
  EXPECT_EQ(world.run.state, RunState::cancelled);
  world.expect_whole_on("1.0.0");
  EXPECT_NE(world.run.message.find("page 7 has no text"), std::string::npos) << world.run.message;
}

TEST(RunControl, TheBudgetIsForTheWholeRun) {
  World world;
  world.broken_version = "1.1.0";
  world.run.options.failure_budget = 3;
  world.go();
  EXPECT_EQ(world.run.state, RunState::paused);
  EXPECT_EQ(world.run.memory.failures, 3);
  EXPECT_EQ(world.run.steps.back().attempt, 4);

  World cancels;
  cancels.broken_version = "1.1.0";
  cancels.run.options.on_failure = OnFailure::cancel;
  cancels.go();
  EXPECT_EQ(cancels.run.state, RunState::cancelled) << cancels.run.message;
  cancels.expect_whole_on("1.0.0");
}

World two_hops() {
  World world;
  world.run.to = "1.2.0";
  world.run.to_build = build_of("1.2.0");
  world.way = {"1.1.1", "1.2.0"};
  world.run.options.finalize_intermediate = true;
  return world;
}

TEST(RunControl, AChainOfHopsIsOneRun) {
  auto world = two_hops();
  world.go();
  EXPECT_EQ(world.run.state, RunState::done) << world.run.message;
  world.expect_whole_on("1.2.0");
  EXPECT_EQ(world.state.cluster_version, "1.2.0");
  EXPECT_EQ(count(world, StepKind::mode_on), 2);
  EXPECT_EQ(count(world, StepKind::finalize), 2);
  EXPECT_EQ(count(world, StepKind::preflight), 1);
  EXPECT_EQ(count(world, StepKind::report), 1);
  EXPECT_EQ(world.run.steps.back().hop, 1);
  const auto planned = plan(world.run, world.observe({.cluster = true}), {});
  ASSERT_EQ(planned.size(), world.run.steps.size());
}

TEST(RunControl, AChainHoldsAtEachHopUnlessToldOtherwise) {
  auto world = two_hops();
  world.run.options.finalize_intermediate = false;
  world.run.options.hold_before_finalize = true;
  world.go();
  ASSERT_TRUE(world.run.open_step()) << world.run.message;
  ASSERT_EQ(world.run.open_step()->kind, StepKind::hold_before_finalize);
  EXPECT_EQ(world.run.hop(), 0);
  resume(world);
  world.go();
  ASSERT_EQ(world.run.state, RunState::paused);
  EXPECT_EQ(world.run.hop(), 1);
  EXPECT_EQ(world.state.cluster_version, "1.1.1");
  // The way back leads to where this hop began.
  world.run.cancel_requested = true;
  world.turn();
  world.go();
  EXPECT_EQ(world.run.state, RunState::cancelled) << world.run.message;
  world.expect_whole_on("1.1.1");
}

TEST(RunControl, AKilledConductorGoesOnInAChainWithSoak) {
  const auto make = [] {
    auto world = two_hops();
    world.run.options.soak_ms = 100;
    world.canary = CanaryView{Verdict::good, "fine"};
    return world;
  };
  auto counted = make();
  counted.go();
  ASSERT_EQ(counted.run.state, RunState::done) << counted.run.message;
  for (const auto kill : {World::Kill::before_record, World::Kill::after_record, World::Kill::after_act})
    for (int at = 0; at < counted.decisions; ++at) {
      SCOPED_TRACE(testing::Message() << "killed at decision " << at << ", kind " << static_cast<int>(kill));
      auto world = make();
      world.killed_at = at;
      world.kill = kill;
      world.go();
      ASSERT_EQ(world.run.state, RunState::done) << world.run.message;
      world.expect_whole_on("1.2.0");
    }
}

World offline() {
  World world;
  world.run.to = "2.0.0";
  world.run.to_build = build_of("2.0.0");
  world.run.options.offline = true;
  world.run.options.backup = true;
  world.may_be_down = true;
  return world;
}

TEST(RunControl, WithDowntimeAllNodesAreDownTogetherAndTheSchemaChangesThen) {
  auto world = offline();
  world.before_each = [](World& w) {
    if (const auto* step = w.run.open_step(); step && step->kind == StepKind::expand)
      for (const auto& node : w.nodes) EXPECT_FALSE(node.running) << node.name;
    if (const auto* step = w.run.open_step(); step && step->kind == StepKind::stop)
      for (const auto& node : w.nodes) EXPECT_EQ(node.traffic, "MAINT") << node.name;
  };
  const auto planned = plan(world.run, world.observe({.cluster = true}), {});
  world.go();
  EXPECT_EQ(world.run.state, RunState::done) << world.run.message;
  world.expect_whole_on("2.0.0");
  EXPECT_EQ(planned.size(), world.run.steps.size());
  const auto without = plan(world.run, world.observe({.cluster = true}), {});
  const auto longer = plan(world.run, world.observe({.cluster = true}), {{StepKind::backup, 600'050}});
  EXPECT_EQ(expected_downtime_ms(world.run, longer) - expected_downtime_ms(world.run, without), 600'000)
      << "a backup that nothing is written after is part of the downtime";
  EXPECT_EQ(count(world, StepKind::backup), 1);
  EXPECT_GT(downtime_ms(world.run, world.now), 0);
  EXPECT_LT(downtime_ms(world.run, world.now), world.run.ended_at_ms + world.now);
}

TEST(RunControl, WithDowntimeACancelAtAnyPointBeforeFinalizeLeadsBack) {
  auto counted = offline();
  counted.go();
  ASSERT_EQ(counted.run.state, RunState::done) << counted.run.message;
  int went_back = 0;
  for (int at = 1; at < counted.decisions; ++at) {
    SCOPED_TRACE(testing::Message() << "cancelled at decision " << at);
    auto world = offline();
    world.before_each = [at](World& w) {
      if (w.decisions >= at && !w.run.finalize_begun) w.run.cancel_requested = true;
    };
    world.go();
    if (world.run.state == RunState::done) continue;
    ++went_back;
    ASSERT_EQ(world.run.state, RunState::cancelled) << world.run.message;
    world.expect_whole_on("1.0.0");
    const auto drained = static_cast<std::size_t>(count(world, StepKind::drain));
    EXPECT_EQ(downtime_ms(world.run, world.now) > 0, drained == world.nodes.size());
  }
  EXPECT_GT(went_back, 60);
}

TEST(RunControl, WithDowntimeAKilledConductorIsFollowedByOneThatGoesOn) {
  auto counted = offline();
  counted.go();
  for (const auto kill : {World::Kill::before_record, World::Kill::after_record, World::Kill::after_act})
    for (int at = 0; at < counted.decisions; ++at) {
      SCOPED_TRACE(testing::Message() << "killed at decision " << at << ", kind " << static_cast<int>(kill));
      auto world = offline();
      world.killed_at = at;
      world.kill = kill;
      world.go();
      ASSERT_EQ(world.run.state, RunState::done) << world.run.message;
      world.expect_whole_on("2.0.0");
    }
}

TEST(RunControl, ProgressCountsWhatIsLeftAndForgetsThePersonsTime) {
  World world;
  world.run.options.hold_before_finalize = true;
  const Needs all{.cluster = true, .all_hosts = true, .all_balancers = true};
  const auto begin = progress(world.run, world.observe(all), {{StepKind::drain, 2'000}});
  EXPECT_EQ(begin.done, 0);
  EXPECT_GT(begin.left_ms, 6'000);
  world.go();
  const auto held = progress(world.run, world.observe(all), {});
  EXPECT_TRUE(held.waits_for_person);
  EXPECT_EQ(held.total - held.done, 5) << "hold, finalize, await STABLE, verify, report";
  resume(world);
  world.go();
  const auto end = progress(world.run, world.observe(all), {});
  EXPECT_EQ(end.done, end.total);
  EXPECT_EQ(end.left_ms, 0);
}

/// The share that is done never falls while a run goes in one direction.
void expect_progress_rises(World& world) {
  double share = 0;
  bool back = false;
  world.before_each = [&, before = world.before_each](World& w) {
    if (before) before(w);
    if (w.run.ended() || w.run.steps.size() < 3) return;  // the hops are not chosen yet
    const auto now = progress(w.run, w.observe({.cluster = true, .all_hosts = true, .all_balancers = true}), {});
    const auto next = static_cast<double>(now.done) / static_cast<double>(now.total);
    if (std::exchange(back, w.run.back) != w.run.back) share = 0;
    EXPECT_GE(next, share) << now.done << " of " << now.total << " at " << w.run.current;
    EXPECT_LT(next, 1.0) << w.run.current;
    share = next;
  };
  world.go();
}

TEST(RunControl, ProgressNeverFallsInOneDirection) {
  World chain;
  chain.run.to = "1.2.0";
  chain.run.to_build = build_of("1.2.0");
  chain.way = {"1.1.0", "1.2.0"};
  chain.run.options.finalize_intermediate = true;
  expect_progress_rises(chain);
  EXPECT_EQ(chain.run.state, RunState::done) << chain.run.message;

  World cancelled;
  cancelled.before_each = [](World& w) {
    if (count(w, StepKind::balance) == 2) w.run.cancel_requested = true;
  };
  expect_progress_rises(cancelled);
  EXPECT_EQ(cancelled.run.state, RunState::cancelled) << cancelled.run.message;
}

TEST(RunControl, FinalizeIsExpectedToTakeAsLongAsItsTasksShow) {
  World world;
  while (!world.run.open_step() || world.run.open_step()->kind != StepKind::await_stable) world.turn();
  const Needs all{.cluster = true, .all_hosts = true, .all_balancers = true};
  world.state.mode = Mode::on;
  world.state.original_build = world.run.from_build;
  world.state.target_build = world.run.to_build;
  cluster::TaskRecord task;
  task.id = "1.1.0/words/backfill";
  task.build = world.run.to_build;
  task.kind = cluster::TaskKind::backfill;
  task.done = 250;
  task.total = 1'000;
  world.tasks = {task};
  world.now = world.run.open_step()->attempt_at_ms + 10'000;
  const auto seen = world.observe(all);
  const auto early = progress(world.run, seen, {}).left_ms;
  world.tasks[0].done = 1'000;
  EXPECT_EQ(early - progress(world.run, world.observe(all), {}).left_ms, 30'000);
}

TEST(RunControl, AtTheHoldFinalizeIsNamedAndNotWhatWouldGoOnByHabit) {
  World world;
  world.run.options.hold_before_finalize = true;
  world.go();
  ASSERT_EQ(world.run.open_step()->kind, StepKind::hold_before_finalize);
  EXPECT_NE(world.run.message.find("`afloat upgrade finalize`"), std::string::npos) << world.run.message;
  EXPECT_EQ(world.run.message.find("resume"), std::string::npos) << world.run.message;
  EXPECT_EQ(world.run.message.find("mended"), std::string::npos) << world.run.message;
}

TEST(RunControl, AComparisonThatWasBrokenOffIsMadeUpFor) {
  World world;
  world.run.options.soak_ms = 3'000;
  bool looks = true;
  world.before_each = [&](World& w) {
    const auto* step = w.run.open_step();
    const bool second = step && step->kind == StepKind::soak && step->node == "node2" && looks;
    w.canary = second ? CanaryView{Verdict::waiting, "looking"} : CanaryView{Verdict::good, "fine"};
  };
  const auto compares_second = [&] {
    const auto* step = world.run.open_step();
    return step && step->kind == StepKind::soak && step->node == "node2";
  };
  while (!compares_second()) world.turn();
  world.run.requests.pause_by = "admin";
  world.go();
  ASSERT_EQ(world.run.state, RunState::paused);
  EXPECT_NE(world.run.message.find("To go on: `afloat upgrade resume`"), std::string::npos) << world.run.message;
  // While it is paused another node is to go back: the comparison is broken off for that.
  world.run.requests.rollback_node = "node1";
  looks = false;
  world.turn();
  world.go();
  ASSERT_EQ(world.run.state, RunState::paused) << "node1 is back";
  resume(world);
  world.go();
  EXPECT_EQ(world.run.state, RunState::done) << world.run.message;
  for (const auto& node : world.nodes) {
    const auto judged = std::ranges::find_if(world.run.steps, [&](const StepRecord& step) {
      return step.node == node.name && step.kind == StepKind::soak && step.state == StepState::done;
    });
    EXPECT_NE(judged, world.run.steps.end()) << node.name << " was never compared";
  }
}

TEST(RunControl, ARunWhoseWindowEndsWhenEveryNodeIsDoneIsHeld) {
  World world;
  world.run.options.hold_before_finalize = true;
  world.before_each = [](World& w) {
    if (w.run.open_step() && w.run.open_step()->kind == StepKind::balance && w.run.open_step()->node == "node3")
      w.run.options.not_after_ms = w.now;
  };
  world.go();
  ASSERT_EQ(world.run.state, RunState::paused);
  EXPECT_EQ(world.run.open_step()->kind, StepKind::hold_before_finalize) << world.run.message;
}

TEST(RunControl, AConfigurationThatChangesOnTheWayHoldsUpTheNextNode) {
  World world;
  world.before_each = [](World& w) {
    if (w.node("node1").member_version == "1.1.0") w.config = "two";
  };
  world.go();
  ASSERT_EQ(world.run.state, RunState::paused);
  EXPECT_EQ(world.run.open_step()->kind, StepKind::ok_to_stop);
  EXPECT_NE(world.run.message.find("site.toml of host1 has changed"), std::string::npos) << world.run.message;
  resume(world);
  world.go();
  EXPECT_EQ(world.run.state, RunState::done) << "it was accepted: " << world.run.message;
  EXPECT_EQ(world.run.memory.config, (std::map<std::string, std::string>{{"host1", "two"}}));

  World put_back;
  put_back.before_each = [](World& w) {
    w.config = w.node("node1").member_version == "1.1.0" && w.run.state == RunState::running && w.decisions < 60
                   ? "two"
                   : "one";
  };
  put_back.go();
  ASSERT_EQ(put_back.run.state, RunState::paused);
  put_back.before_each = [](World& w) { w.config = "one"; };
  resume(put_back);
  put_back.go();
  EXPECT_EQ(put_back.run.state, RunState::done) << put_back.run.message;

  World back;
  back.before_each = [](World& w) {
    if (w.node("node2").member_version == "1.1.0") w.run.cancel_requested = true;
    if (w.run.back) w.config = "two";
  };
  back.go();
  EXPECT_EQ(back.run.state, RunState::cancelled) << "the way back waits for nothing: " << back.run.message;
}

TEST(RunControl, AScheduledRunIsAnnouncedADayAndAnHourBefore) {
  constexpr std::int64_t hour = 3'600'000, day = 24 * hour, begins = 100 * day;
  struct Case {
    std::int64_t now, expected;
  };
  for (const auto& [now, expected] : {Case{begins - 3 * day, begins - day}, Case{begins - day, begins - hour},
                                      Case{begins - 2 * hour, begins - hour}, Case{begins - hour, 0}, Case{begins, 0}})
    EXPECT_EQ(next_announcement(begins, now), expected) << (begins - now) / hour << " h before";
}

TEST(RunControl, PeopleAreToldWhatMatters) {
  World world;
  world.run.options.hold_before_finalize = true;
  world.run.options.not_before_ms = world.now + 1'000;
  std::vector<NoticeKind> told;
  auto before = world.run;
  const auto go = [&] {
    for (int i = 0; i < 500 && !world.run.ended(); ++i) {
      world.turn();
      for (const auto& [kind, text] : notices(before, world.run)) {
        told.push_back(kind);
        EXPECT_FALSE(text.empty());
      }
      before = world.run;
      if (world.run.state == RunState::paused) return;
    }
  };
  go();
  EXPECT_EQ(told, (std::vector{NoticeKind::scheduled, NoticeKind::started, NoticeKind::held}));
  told.clear();
  world.run.resume_requested = true;
  before = world.run;
  world.turn();
  before = world.run;
  go();
  EXPECT_EQ(told, (std::vector{NoticeKind::finalized}));
}

TEST(RunOptions, OfAStoredRunThatThisReleaseKnowsAreReadWhateverStandsBesideThem) {
  const auto options = stored_options(R"({"moon":"full","offline":true,"max_load":"high","failure_budget":3})");
  EXPECT_TRUE(options.offline);
  EXPECT_EQ(options.failure_budget, 3);
  EXPECT_EQ(options.max_load, Options().max_load);
  EXPECT_TRUE(stored_options("no JSON").hold_before_finalize);
  EXPECT_TRUE(stored_options("").hold_before_finalize);
}

TEST(RunOptions, AreReadBackAsTheyWereWrittenAndTypedWrongAreRefused) {
  Options options;
  options.soak_ms = 12'000;
  options.on_failure = OnFailure::cancel;
  options.not_after_ms = 1'795'608'000'000;
  options.finalize_intermediate = true;
  auto read = parse_options(to_json(options));
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(to_json(*read), to_json(options));
  EXPECT_EQ(parse_options("{}")->hold_before_finalize, true);
  EXPECT_EQ(parse_options("{}")->soak_ms, -1);
  EXPECT_TRUE(parse_options(R"({"max_load":0.5,"memory":{"failures":1},"requests":{}})"));
  for (const auto* bad : {R"({"sok_ms":1})", R"({"soak_ms":-1})", R"({"on_failure":"explode"})", R"({"chain":1})",
                          R"({"failure_budget":1000})", "[]"})
    EXPECT_FALSE(parse_options(bad)) << bad;
}

}  // namespace
}  // namespace afloat::rollout
