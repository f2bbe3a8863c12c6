#include "sim/simulation.h"

#include <fmt/format.h>

#include <ctime>

#include "sim/scenario.h"

namespace afloat::sim {

namespace {
constexpr Micros longest = 1'500 * second, quiet_at_end = 3 * second, settles_within = 120 * second;
}

Scenario::Scenario(Engine& engine, Coverage& coverage, Bug bug)
    : engine_(engine),
      coverage_(coverage),
      site_(engine, coverage, bug, static_cast<int>(engine.chance.in(3, 4)), engine.chance.one_in(2)) {}

Scenario::~Scenario() {
  over_ = true;
  engine_.drop_held();
  for (auto& [number, process] : conductors_)
    if (process) {
      process->on_end = nullptr;
      process->kill();
    }
}

void Scenario::run() {
  plan_faults();
  site_.begin();
  start_conductor(1, engine_.chance.in(100, 900) * ms);
  start_conductor(2, engine_.chance.in(100, 900) * ms);
  engine_.after(second, [this] { people_look(); });
  engine_.at(calm_at_, [this] { calm_down(); });
  engine_.after(second, [this] { look_for_the_end(); });
  while (!over_ && engine_.step()) {
    site_.checker.check();
    if (cancel_in_) cancel_in_step();
  }
  site_.checker.at_end();
}

void Scenario::cancel_in_step() {
  if (looked_at_ == site_.database.revision || site_.database.runs().empty()) return;
  looked_at_ = site_.database.revision;
  const auto* step = site_.database.runs().rbegin()->second.open_step();
  if (!step || step->kind != *cancel_in_) return;
  cancel_in_.reset();
  cancel_run();
}

bool Scenario::settled() const {
  const auto& database = site_.database;
  if (database.state()->mode != cluster::Mode::off) return false;
  for (const auto& [id, row] : database.members()) {
    if (row.member.removed) continue;
    if (row.member.ephemeral) return false;  // a surge node goes with its run
    if (row.member.state != cluster::NodeState::ACTIVE || !database.lease_live(row)) return false;
    if (row.member.build != database.state()->cluster_build) return false;
  }
  // So does what runs of it, and its server.
  const auto surge = site_.surge;
  return surge == 0 || (!site_.hosts.at(surge)->node_runs() && !site_.balancer->knows(surge));
}

void Scenario::look_for_the_end() {
  engine_.after(200 * ms, [this] { look_for_the_end(); });
  const auto run = site_.database.active_run();
  if (engine_.now() > longest)
    engine_.violated("O6", fmt::format("after {} s the run still waits: {} {}", longest / second,
                                       run ? rollout::to_string(run->state) : "no run", run ? run->message : ""));
  if (!calm_ || run || site_.database.runs().empty()) {
    settled_since_ = ended_at_ = -1;
    return;
  }
  const auto& last = site_.database.runs().rbegin()->second;
  // People may ask once more; then that run is the one to wait for.
  if (last.state != rollout::RunState::done && runs_wanted_ > 0) return;
  if (ended_at_ < 0) ended_at_ = engine_.now();
  if (!settled()) {
    settled_since_ = -1;
    if (engine_.now() - ended_at_ > settles_within)
      engine_.violated("O6", fmt::format("run {} is {} and the site is neither old nor new", last.id,
                                         rollout::to_string(last.state)));
    return;
  }
  if (settled_since_ < 0) settled_since_ = engine_.now();
  if (engine_.now() - settled_since_ < quiet_at_end) return;
  const int expected = last.state == rollout::RunState::done ? new_build : old_build;
  if (site_.database.state()->cluster_build != expected)
    engine_.violated("O5", fmt::format("run {} is {} and the site is on {}", last.id, rollout::to_string(last.state),
                                       site_.database.state()->cluster_version));
  outcome_ = rollout::to_string(last.state);
  over_ = true;
}

SeedResult run_seed(const Settings& settings, Coverage& coverage) {
  SeedResult result;
  result.seed = settings.seed;
  Engine engine(settings.seed);
  engine.on_note = settings.trace;
  {
    Scenario scenario(engine, coverage, settings.bug);
    try {
      scenario.run();
    } catch (const Violation& violation) {
      result.invariant = violation.invariant;
      result.violation = violation.text;
      result.last_events = engine.last_notes();
    }
    result.outcome = scenario.outcome();
    result.reason = scenario.reason();
  }
  result.trace_hash = engine.trace_hash();
  result.events = engine.events();
  result.simulated_ms = engine.now() / ms;
  return result;
}

Summary run_seeds(std::uint64_t first, std::int64_t count, Bug bug) {
  Summary summary;
  const auto began = std::clock();
  for (std::int64_t i = 0; i < count; ++i) {
    auto result = run_seed({first + static_cast<std::uint64_t>(i), bug, {}}, summary.coverage);
    ++summary.seeds;
    summary.events += result.events;
    if (!result.ok()) {
      summary.broken = std::move(result);
      break;
    }
    ++summary.outcomes[result.outcome];
  }
  summary.cpu_seconds = static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC;
  return summary;
}

}  // namespace afloat::sim
