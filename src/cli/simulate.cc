#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "sim/simulation.h"

namespace afloat::cli {
namespace {

struct SimulateOptions {
  std::uint64_t seed = 1;
  std::int64_t seeds = 1;
  bool trace = false, coverage = false;
  std::string bug;
};

sim::Bug bug_named(const std::string& name) {
  for (const auto& [bug, known] : sim::planted_bugs)
    if (known == name) return bug;
  return sim::Bug::none;
}

void print_violation(const sim::SeedResult& result) {
  fmt::print("seed {} breaks {} after {:.3f} s: {}\n", result.seed, result.invariant,
             static_cast<double>(result.simulated_ms) / 1'000, result.violation);
  fmt::print("the last events:\n");
  for (const auto& line : result.last_events) fmt::print("{}\n", line);
  fmt::print("again, with everything: afloat simulate --seed {} --trace\n", result.seed);
}

int simulate(const SimulateOptions& options) {
  const auto bug = bug_named(options.bug);
  if (options.seeds == 1) {
    sim::Coverage coverage;
    sim::Settings settings{.seed = options.seed, .bug = bug, .trace = {}};
    if (options.trace) settings.trace = [](const std::string& line) { fmt::print("{}\n", line); };
    const auto result = sim::run_seed(settings, coverage);
    if (!result.ok()) print_violation(result);
    fmt::print("seed {}: {}, {} events in {:.1f} simulated s, trace {:016x}\n", result.seed,
               result.ok() ? result.outcome : "broken", result.events,
               static_cast<double>(result.simulated_ms) / 1'000, result.trace_hash);
    if (!result.reason.empty()) fmt::print("{}\n", result.reason);
    return result.ok() ? 0 : 4;
  }
  const auto summary = sim::run_seeds(options.seed, options.seeds, bug);
  if (options.coverage)
    for (const auto& [what, times] : summary.coverage) fmt::print("{:>8}  {}\n", times, what);
  if (summary.broken) print_violation(*summary.broken);
  std::string outcomes;
  for (const auto& [outcome, times] : summary.outcomes) outcomes += fmt::format(", {} {}", times, outcome);
  fmt::print("{} seeds{}; {} events, {:.1f} CPU seconds ({:.1f} per 1,000 seeds)\n", summary.seeds, outcomes,
             summary.events, summary.cpu_seconds,
             summary.cpu_seconds * 1'000 / static_cast<double>(std::max<std::int64_t>(1, summary.seeds)));
  return summary.broken ? 4 : 0;
}

}  // namespace

void add_simulate_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<SimulateOptions>();
  auto* command = app.add_subcommand("simulate", "Upgrade a simulated site under faults that a seed chooses");
  command->add_option("--seed", options->seed, "The (first) seed")->required();
  command->add_option("--seeds", options->seeds, "How many, one after the other")->check(CLI::PositiveNumber);
  command->add_flag("--trace", options->trace, "Print every line of the history (one seed)");
  command->add_flag("--coverage", options->coverage, "Print how often what was reached (several seeds)");
  std::vector<std::string> bugs;
  for (const auto& [bug, name] : sim::planted_bugs) bugs.emplace_back(name);
  command->add_option("--bug", options->bug, "Switch a known mistake on: it must be found")->check(CLI::IsMember(bugs));
  command->callback([options, &exit_code] { exit_code = simulate(*options); });
}

}  // namespace afloat::cli
