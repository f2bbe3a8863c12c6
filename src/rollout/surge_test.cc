#include "rollout/surge.h"

#include <gtest/gtest.h>

#include "rollout/preflight.h"
#include "rollout/test_world.h"

namespace afloat::rollout {
namespace {

World with_surge(Surge wish) {
  World world;
  world.stand_by("surge1");
  world.run.options.surge = wish;
  return world;
}

std::size_t at(const World& world, const std::string& step) {
  const auto names = world.names();
  return static_cast<std::size_t>(std::ranges::find(names, step) - names.begin());
}
bool has(const World& world, const std::string& step) { return at(world, step) < world.names().size(); }

TEST(Surge, ANodeMoreIsThereWhileTheOthersAreTakenOut) {
  auto world = with_surge(Surge::always);
  world.go();
  EXPECT_EQ(world.run.state, RunState::done) << world.run.message;
  world.expect_whole_on("1.1.0");
  EXPECT_EQ(world.fewest_serving, 3U) << "as many as before";
  EXPECT_LT(at(world, "expand"), at(world, "add_surge surge1"));
  EXPECT_LT(at(world, "add_surge surge1"), at(world, "ok_to_stop node1"));
  EXPECT_LT(at(world, "balance node3"), at(world, "remove_surge surge1"));
  EXPECT_LT(at(world, "remove_surge surge1"), at(world, "finalize"));
}

TEST(Surge, WhenNeededItComesOnlyWhereTheOthersCouldNotCarryTheLoad) {
  for (const double load : {0.2, 0.6}) {
    SCOPED_TRACE(load);
    auto world = with_surge(Surge::when_needed);
    for (auto& node : world.nodes)
      if (!node.surge) node.load = load;
    world.go();
    EXPECT_EQ(world.run.state, RunState::done) << world.run.message;
    EXPECT_EQ(has(world, "add_surge surge1"), load > 0.5);
    world.expect_whole_on("1.1.0");
  }
}

TEST(Surge, WhoseLoadRisesWhileANodeWaitsGetsOneThen) {
  auto world = with_surge(Surge::when_needed);
  bool seen_waiting = false;
  world.before_each = [&](World& w) {
    const auto* step = w.run.open_step();
    if (!step || step->kind != StepKind::ok_to_stop || seen_waiting) return;
    seen_waiting = true;
    for (auto& node : w.nodes)
      if (!node.surge) node.load = 0.65;
  };
  world.go();
  EXPECT_EQ(world.run.state, RunState::done) << world.run.message;
  EXPECT_TRUE(has(world, "add_surge surge1"));
  world.expect_whole_on("1.1.0");
}

TEST(Surge, OneThatIsWishedForAndNotThereIsSaidBeforeAnythingIsDone) {
  World world;
  auto seen = world.observe({.cluster = true, .all_hosts = true});
  const auto check = [&]() -> std::optional<Check> {
    const auto checks = preflight("1.0.0", "1.1.0", seen);
    const auto found = std::ranges::find(checks, "surge_node", &Check::id);
    return found == checks.end() ? std::nullopt : std::optional(*found);
  };
  EXPECT_FALSE(check()) << "nobody asks for one";
  seen.surge_missing = true;
  ASSERT_TRUE(check());
  EXPECT_EQ(check()->result, CheckResult::fail);
  EXPECT_NE(check()->action.find("--surge-node"), std::string::npos);
  seen.surge = SurgeNode{"surge1", "host1"};
  EXPECT_EQ(check()->result, CheckResult::fail) << "its agent does not know it";
  EXPECT_NE(check()->action.find("Start the agent of host1 again"), std::string::npos) << check()->action;
  seen.host_releases.clear();
  EXPECT_EQ(check()->result, CheckResult::unknown);
  seen.nodes["surge1"].process = ProcessView{};
  EXPECT_EQ(check()->result, CheckResult::pass);
}

TEST(Surge, CancelTakesItAwayOnceTheOthersAreBack) {
  for (int cancel_at = 1; cancel_at < 60; ++cancel_at) {
    SCOPED_TRACE(cancel_at);
    auto world = with_surge(Surge::always);
    world.before_each = [&](World& w) { w.run.cancel_requested = w.decisions >= cancel_at; };
    world.go();
    if (world.run.state == RunState::done) break;  // it came too late
    ASSERT_EQ(world.run.state, RunState::cancelled) << world.run.message;
    world.expect_whole_on("1.0.0");
    ASSERT_FALSE(testing::Test::HasFailure());
  }
}

TEST(Surge, AConductorMayDieAtAnyPoint) {
  using enum World::Kill;
  for (const auto kill : {before_record, after_record, after_act})
    for (int killed_at = 0; killed_at < 120; ++killed_at) {
      SCOPED_TRACE(testing::Message() << killed_at << " " << static_cast<int>(kill));
      auto world = with_surge(Surge::always);
      world.kill = kill;
      world.killed_at = killed_at;
      world.go();
      ASSERT_EQ(world.run.state, RunState::done) << world.run.message;
      world.expect_whole_on("1.1.0");
      ASSERT_FALSE(testing::Test::HasFailure());
    }
}

TEST(Surge, ABalancerThatWasReloadedLearnsOfItAgain) {
  auto world = with_surge(Surge::always);
  bool reloaded = false;
  world.before_each = [&](World& w) {
    const auto* step = w.run.open_step();
    if (reloaded || !step || step->kind != StepKind::ok_to_stop || step->node != "node2") return;
    reloaded = true;
    w.node("surge1").at_balancer = false;
  };
  world.go();
  EXPECT_EQ(world.run.state, RunState::done) << world.run.message;
  EXPECT_TRUE(reloaded);
  EXPECT_EQ(std::ranges::count(world.names(), "add_surge surge1"), 2);
  world.expect_whole_on("1.1.0");
}

TEST(Surge, AReleaseThatIsBadShowsOnItBeforeAnyNodeHasIt) {
  for (const auto policy : {OnFailure::pause, OnFailure::cancel}) {
    auto world = with_surge(Surge::always);
    world.run.options.on_failure = policy;
    world.run.options.soak_ms = 1'000;
    world.canary = CanaryView{Verdict::bad, "it fails 12 % of the requests"};
    world.go();
    EXPECT_EQ(world.run.state, policy == OnFailure::pause ? RunState::paused : RunState::cancelled);
    EXPECT_NE(world.run.message.find("it fails 12 %"), std::string::npos) << world.run.message;
    EXPECT_FALSE(has(world, "stop node1"));
    for (const auto& node : world.nodes) {
      EXPECT_EQ(node.member_version, node.surge ? "1.1.0" : "1.0.0");
      EXPECT_EQ(node.running, !node.surge) << node.name;
    }
  }
}

TEST(Surge, OneThatDoesNotStartPausesTheRunAndCancelLeadsBack) {
  auto world = with_surge(Surge::always);
  world.broken_version = "1.1.0";
  world.go();
  ASSERT_EQ(world.run.state, RunState::paused);
  EXPECT_NE(world.run.message.find("surge1 does not start on 1.1.0"), std::string::npos) << world.run.message;
  world.run.cancel_requested = true;
  world.go();
  world.turn();
  while (!world.run.ended() && world.decisions < 2'000) world.turn();
  EXPECT_EQ(world.run.state, RunState::cancelled) << world.run.message;
  world.expect_whole_on("1.0.0");
}

TEST(Surge, ALastingMemberIsNotTakenForOne) {
  World world;
  world.stand_by("node3");
  world.nodes.erase(world.nodes.begin() + 2);
  auto seen = world.observe({.cluster = true, .all_hosts = true});
  cluster::Member member;
  member.name = "node3";
  seen.cluster->members.push_back(member);
  StepRecord step{.kind = StepKind::add_surge, .node = "node3"};
  EXPECT_EQ(look_add_surge(world.run, step, seen).goal, Goal::impossible);
}

}  // namespace
}  // namespace afloat::rollout
