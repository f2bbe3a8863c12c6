#include "cluster/command.h"

#include <gtest/gtest.h>

#include <array>
#include <map>

#include "cluster/test_site.h"

namespace afloat::cluster {
namespace {

using namespace testing_site;

constexpr auto all_commands = std::to_array({Command::start, Command::cancel, Command::approve, Command::retry});

std::map<Phase, Snapshot> sites() {
  auto failed = finalizing();
  failed.tasks = {task("1.1.0/body-store/contract", TaskKind::contract, TaskState::failed)};
  return {{Phase::STABLE, stable()},
          {Phase::READY_TO_UPGRADE, upgrading({old_build, old_build, old_build})},
          {Phase::MIXED, upgrading({target_build, old_build, old_build})},
          {Phase::READY_TO_RUN_UPGRADE_TASKS, upgrading({target_build, target_build, target_build})},
          {Phase::RUNNING_UPGRADE_TASKS, finalizing()},
          {Phase::UPGRADE_TASKS_FAILED, failed}};
}

TEST(Commands, EveryPhaseAndCommand) {
  const std::map<Phase, Command> legal = {{Phase::STABLE, Command::start},
                                          {Phase::READY_TO_UPGRADE, Command::cancel},
                                          {Phase::READY_TO_RUN_UPGRADE_TASKS, Command::approve},
                                          {Phase::UPGRADE_TASKS_FAILED, Command::retry}};
  for (const auto& [phase, site] : sites()) {
    ASSERT_EQ(derive_phase(site).phase, phase);
    for (const auto command : all_commands) {
      SCOPED_TRACE(std::string(to_string(command)) + " in " + std::string(to_string(phase)));
      const auto allowed = legal.find(phase);
      const auto result = check_command(site, command, std::nullopt);
      EXPECT_EQ(result.has_value(), allowed != legal.end() && allowed->second == command);
      if (result) continue;
      EXPECT_EQ(result.error().kind(), ErrorKind::failed_precondition);
      EXPECT_NE(result.error().message().find(to_string(phase)), std::string::npos) << result.error().message();
      EXPECT_NE(result.error().message().find("Next:"), std::string::npos) << "names the next legal action";
    }
  }
}

TEST(Commands, AFailedTaskMayBeTriedAgainBeforeFinalizeToo) {
  for (auto& [phase, site] : sites()) {
    SCOPED_TRACE(to_string(phase));
    if (phase == Phase::RUNNING_UPGRADE_TASKS || phase == Phase::UPGRADE_TASKS_FAILED) continue;
    auto failed = site;
    failed.tasks = {task("1.1.0/body-store/backfill", TaskKind::backfill, TaskState::failed)};
    EXPECT_TRUE(check_command(failed, Command::retry, std::nullopt));
    EXPECT_FALSE(check_command(failed, Command::approve, std::nullopt));
    failed.tasks[0].build = old_build;
    EXPECT_FALSE(check_command(failed, Command::retry, std::nullopt)) << "of an upgrade that is over";
  }
}

struct Refusal {
  std::string name;
  Snapshot site;
  Command command;
  std::vector<std::string> says;
};

TEST(Commands, RefusalsNameNodeReasonAndAction) {
  auto draining = upgrading({target_build, target_build});
  draining.members[1].state = NodeState::DRAINING;
  auto lapsed = upgrading({target_build, target_build});
  lapsed.members[0].lease_live = false;
  auto dead_old = upgrading({target_build, old_build});
  dead_old.members[1].closed = true;
  auto dead_target = upgrading({old_build, target_build});
  dead_target.members[1].lease_live = false;
  auto not_expanded = upgrading({target_build});
  not_expanded.state->expand_done = false;
  const std::vector<Refusal> refusals = {
      {"approve with an old node",
       upgrading({target_build, old_build}),
       Command::approve,
       {"node2", "runs 1.0.0", "start it with 1.1.0"}},
      {"approve with a stopped old node",
       dead_old,
       Command::approve,
       {"node2", "OFFLINE", "afloat nodes remove node2"}},
      {"approve with a draining node", draining, Command::approve, {"node2", "DRAINING", "afloat nodes return node2"}},
      {"approve with a lapsed lease", lapsed, Command::approve, {"node1", "lease", "afloat nodes remove node1"}},
      {"approve before expand", not_expanded, Command::approve, {"expand", "afloat upgrade expand"}},
      {"approve with nobody there", upgrading({}), Command::approve, {"roster is empty", "start a node"}},
      {"approve before anything was upgraded", upgrading({old_build}), Command::approve, {"still on 1.0.0"}},
      {"cancel with an upgraded node",
       upgrading({old_build, target_build}),
       Command::cancel,
       {"node2 runs 1.1.0", "start it with 1.0.0", "afloat upgrade cancel"}},
      {"cancel with a dead upgraded node",
       dead_target,
       Command::cancel,
       {"node2", "OFFLINE", "afloat nodes remove node2"}},
      {"cancel when all are upgraded",
       upgrading({target_build}),
       Command::cancel,
       {"node1 runs 1.1.0", "afloat upgrade cancel"}},
      {"cancel with nobody there", upgrading({}), Command::cancel, {"roster is empty", "start a node of 1.0.0"}},
      {"cancel after approve", finalizing(), Command::cancel, {"no way back"}},
      {"anything before the first node", {}, Command::start, {"no node has ever joined"}},
  };
  for (const auto& [name, site, command, says] : refusals) {
    SCOPED_TRACE(name);
    const auto result = check_command(site, command, std::nullopt);
    ASSERT_FALSE(result);
    for (const auto& part : says)
      EXPECT_NE(result.error().message().find(part), std::string::npos) << part << "\nis not in\n"
                                                                        << result.error().message();
  }
}

TEST(Commands, CancelAsksForVersionsAndNotForLife) {
  auto site = upgrading({old_build, old_build});
  for (auto& member : site.members) member.lease_live = false;
  EXPECT_TRUE(check_command(site, Command::cancel, std::nullopt));
}

TEST(Commands, WhileARunIsInChargeOthersAreRefused) {
  for (auto& [phase, site] : sites()) {
    auto led = site;
    led.state->run_id = 7;
    for (const auto command : all_commands) {
      SCOPED_TRACE(std::string(to_string(command)) + " in " + std::string(to_string(phase)));
      EXPECT_EQ(check_command(led, command, 7).has_value(), check_command(site, command, std::nullopt).has_value());
      EXPECT_FALSE(check_command(led, command, 6)) << "a delayed command of an earlier run";
      const auto by_hand = check_command(led, command, std::nullopt);
      if (command == Command::retry) {
        EXPECT_EQ(by_hand.has_value(), phase == Phase::UPGRADE_TASKS_FAILED) << "a person may always retry";
      } else {
        ASSERT_FALSE(by_hand);
        EXPECT_NE(by_hand.error().message().find("run 7 is in charge"), std::string::npos) << by_hand.error().message();
      }
    }
  }
}

TEST(Commands, ARunStartsAFreeSiteButCannotGoOnWithoutBeingInCharge) {
  EXPECT_TRUE(check_command(stable(), Command::start, 7));
  EXPECT_FALSE(check_command(upgrading({target_build}), Command::approve, 7));
  EXPECT_FALSE(check_command(upgrading({old_build}), Command::cancel, 7));
}

}  // namespace
}  // namespace afloat::cluster
