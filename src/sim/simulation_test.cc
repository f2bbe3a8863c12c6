#include "sim/simulation.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/text.h"
#include "cluster/command.h"
#include "cluster/task_ledger.h"
#include "rollout/model.h"

/// A thousand simulated upgrades under faults. docs/simulation.md says what is in them.
namespace afloat::sim {
namespace {

constexpr std::int64_t seeds = 1'000;

std::string story_of(const SeedResult& result) {
  return fmt::format("seed {} breaks {}: {}\n{}\nagain: afloat simulate --seed {} --trace", result.seed,
                     result.invariant, result.violation, join(result.last_events, "\n"), result.seed);
}

/// Run once, looked at by several tests.
const Summary& thousand() {
  static const Summary summary = [] {
    auto run = run_seeds(1, seeds, Bug::none);
    std::string outcomes;
    for (const auto& [outcome, times] : run.outcomes) outcomes += fmt::format(", {} {}", times, outcome);
    fmt::print("{} seeds{}: {} events, {:.1f} CPU seconds\n", run.seeds, outcomes, run.events, run.cpu_seconds);
    return run;
  }();
  return summary;
}

std::int64_t times(const std::string& what) {
  const auto found = thousand().coverage.find(what);
  return found == thousand().coverage.end() ? 0 : found->second;
}

TEST(Simulation, AThousandSeedsBreakNoInvariant) {
  const auto& summary = thousand();
  ASSERT_FALSE(summary.broken) << story_of(*summary.broken);
  EXPECT_EQ(summary.seeds, seeds);
  EXPECT_GT(summary.outcomes.at("done"), seeds / 2);
  EXPECT_GT(summary.outcomes.at("cancelled"), seeds / 50);
}

TEST(Simulation, EveryCommandIsTriedInEveryPhaseAndDoneWhereItIsLegal) {
  using namespace cluster;
  struct Legal {
    Command command;
    Phase phase;
  };
  constexpr auto legal = std::to_array<Legal>({{Command::start, Phase::STABLE},
                                               {Command::cancel, Phase::READY_TO_UPGRADE},
                                               {Command::approve, Phase::READY_TO_RUN_UPGRADE_TASKS},
                                               {Command::retry, Phase::UPGRADE_TASKS_FAILED}});
  // Only where an upgrade task has failed.
  constexpr auto at_times = std::to_array<Legal>(
      {{Command::retry, Phase::STABLE}, {Command::retry, Phase::READY_TO_UPGRADE}, {Command::retry, Phase::MIXED}});
  for (const auto command : {Command::start, Command::cancel, Command::approve, Command::retry})
    for (const auto phase : {Phase::STABLE, Phase::READY_TO_UPGRADE, Phase::MIXED, Phase::READY_TO_RUN_UPGRADE_TASKS,
                             Phase::RUNNING_UPGRADE_TASKS, Phase::UPGRADE_TASKS_FAILED}) {
      const auto pair = fmt::format("command: {} in {}: ", to_string(command), to_string(phase));
      const auto in = [&](const auto& list) {
        return std::ranges::any_of(list,
                                   [&](const auto& entry) { return entry.command == command && entry.phase == phase; });
      };
      const bool may = in(legal);
      if (may)
        EXPECT_GT(times(pair + "done"), 0) << pair;
      else if (!in(at_times))
        EXPECT_EQ(times(pair + "done"), 0) << pair;
      if (!may) EXPECT_GT(times(pair + "refused"), 0) << pair;
    }
}

TEST(Simulation, EveryStepOfARunAndOfAFinalizeIsReached) {
  using rollout::StepKind;
  for (int kind = 0; kind <= static_cast<int>(StepKind::report); ++kind) {
    const auto name = rollout::to_string(static_cast<StepKind>(kind));
    EXPECT_GT(times(fmt::format("step: {} done", name)), 0) << name;
    // Cancel is asked for in the middle of each step before finalize.
    const bool before = kind != static_cast<int>(StepKind::finalize) && kind < static_cast<int>(StepKind::await_stable);
    if (before && kind != static_cast<int>(StepKind::report))
      EXPECT_GT(times(fmt::format("cancel asked for during {}", name)), 0) << name;
  }
  for (const auto* stage : {"backfill", "relax", "raise", "barrier", "second_fence", "contract", "mode_off", "blocked"})
    EXPECT_GT(times(fmt::format("finalize: {}", stage)), 0) << stage;
}

TEST(Simulation, AConductorIsKilledBeforeAndAfterEachOfItsAwaits) {
  for (const auto* what : {"active run",      "signals",        "take lead",     "renew lead",   "observe",
                           "announce",        "host report",    "balancer view", "balancer set", "balancer add",
                           "balancer remove", "drain",          "drain status",  "ready",        "agent distribute",
                           "agent expand",    "agent stop",     "agent switch",  "agent start",  "command start",
                           "command approve", "command cancel", "record drain",  "record stop",  "record finalize"})
    for (const auto* side : {"before", "after"})
      EXPECT_GT(times(fmt::format("conductor killed {}: {}", side, what)), 0) << side << " " << what;
}

TEST(Simulation, TheSameSeedGivesTheSameHistory) {
  Coverage first, second;
  for (const std::uint64_t seed : {1, 7, 42, 321, 999}) {
    const auto once = run_seed({seed, Bug::none, {}}, first);
    const auto again = run_seed({seed, Bug::none, {}}, second);
    EXPECT_EQ(once.trace_hash, again.trace_hash) << seed;
    EXPECT_EQ(once.events, again.events) << seed;
  }
  EXPECT_EQ(first, second);
  EXPECT_NE(run_seed({1, Bug::none, {}}, first).trace_hash, run_seed({2, Bug::none, {}}, first).trace_hash);
}

struct PlantedCase {
  Bug bug;
  std::vector<std::string> breaks;  ///< one of these invariants, and not just any
};

TEST(Simulation, EachPlantedBugIsFound) {
  const std::vector<PlantedCase> cases = {
      {Bug::no_fence, {"V3", "V6"}},      {Bug::drain_does_not_wait, {"U1"}},          {Bug::journal_after_act, {"O3"}},
      {Bug::lease_without_epoch, {"O4"}}, {Bug::finalize_with_unknown_member, {"O7"}}, {Bug::notify_trusted, {"U2"}},
  };
  ASSERT_EQ(cases.size(), planted_bugs.size());
  for (const auto& [bug, breaks] : cases) {
    std::string name;
    for (const auto& [known, its_name] : planted_bugs)
      if (known == bug) name = its_name;
    const auto summary = run_seeds(1, seeds, bug);
    ASSERT_TRUE(summary.broken) << name << " was not found in " << seeds << " seeds";
    fmt::print("{}: found with seed {} ({})\n", name, summary.broken->seed, summary.broken->invariant);
    EXPECT_NE(std::ranges::find(breaks, summary.broken->invariant), breaks.end())
        << name << ": " << story_of(*summary.broken);
  }
}

}  // namespace
}  // namespace afloat::sim
