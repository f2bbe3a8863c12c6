#include <fmt/format.h>

#include "sim/scenario.h"

/// What goes wrong. Each fault mends itself after a while; at the calm everything is mended.
namespace afloat::sim {

namespace {
constexpr Micros faults_from = 2 * second, faults_until = 38 * second;
}

int Scenario::any_node() {
  return static_cast<int>(engine_.chance.in(1, static_cast<std::int64_t>(site_.hosts.size())));
}

/// Mostly short, sometimes longer than every lease and timeout.
Micros Scenario::some_time() {
  return engine_.chance.one_in(3) ? engine_.chance.in(4'000, 16'000) * ms : engine_.chance.in(50, 4'000) * ms;
}

void Scenario::plan_faults() {
  auto& chance = engine_.chance;
  options_.hold_before_finalize = chance.one_in(3);
  options_.drain_deadline_ms = chance.in(4, 15) * 1'000;
  options_.active_deadline_ms = chance.in(8, 25) * 1'000;
  options_.ok_to_stop_deadline_ms = chance.in(8, 40) * 1'000;
  options_.soak_ms = chance.one_in(3) ? chance.in(1, 3) * 1'000 : 0;
  options_.failure_budget = chance.one_in(3) ? chance.in(1, 2) : 0;
  if (site_.surge > 0 && chance.one_in(2)) options_.surge = rollout::Surge::always;
  if (chance.one_in(5)) options_.on_failure = rollout::OnFailure::cancel;
  poll_ = std::chrono::milliseconds(chance.in(2, 6) * 20);
  runs_wanted_ = chance.one_in(4) ? 3 : 2;
  calm_at_ = chance.in(36, 46) * second;
  if (chance.one_in(12)) calm_at_ = 4 * second;  // and some upgrades in peace
  if (chance.one_in(6)) site_.database.failures_to_come = static_cast<int>(chance.in(1, 5));
  site_.database.fails_late = site_.database.failures_to_come % 2 == 1;
  if (chance.one_in(14)) release_is_broken_ = true;
  conductors_die_ = chance.one_in(2);
  const auto faults = chance.in(0, 9);
  for (std::int64_t i = 0; i < faults; ++i)
    engine_.at(chance.in(faults_from, faults_until), [this] {
      if (!calm_) one_fault();
    });
  if (chance.one_in(4)) engine_.at(chance.in(faults_from, faults_until), [this] { cancel_run(); });
  if (chance.one_in(4)) engine_.at(chance.in(faults_from, faults_until), [this] { pause_run(); });
  if (chance.one_in(4)) engine_.at(chance.in(faults_from, faults_until), [this] { roll_back(any_node()); });
  if (chance.one_in(3))
    cancel_in_ =
        chance.one_in(2)
            ? rollout::StepKind::undrain
            : static_cast<rollout::StepKind>(chance.in(0, static_cast<int>(rollout::StepKind::hold_before_finalize)));
  for (auto commands = chance.in(0, 3); commands > 0; --commands)
    engine_.at(chance.in(faults_from, faults_until), [this] { command_by_hand(); });
  if (release_is_broken_)
    for (auto& [number, host] : site_.hosts)
      host->broken_starts = chance.one_in(2) ? static_cast<int>(chance.in(1, 6)) : 1'000'000;
}

void Scenario::one_fault() {
  auto& chance = engine_.chance;
  const int node = any_node();
  const auto time = some_time();
  auto& host = *site_.hosts.at(node);
  const int conductor = static_cast<int>(chance.in(1, 2));
  const auto& lead = site_.database.lead().holder;
  // Rather the one that leads.
  const int leader = lead.empty() || chance.one_in(4) ? conductor : lead[9] - '0';
  switch (chance.in(0, 20)) {
    case 0:
      return host.crash_node();
    case 1:
      ++coverage_["fault: node stopped"];
      return pause_for([&host] { return host.node(); }, time);
    case 2: {
      // Frozen, given up by people, and awake again much later.
      ++coverage_["fault: zombie"];
      pause_for([&host] { return host.node(); }, chance.in(9, 40) * second);
      engine_.after(chance.in(5, 8) * second, [this, node] { remove_node(node, 4); });
      return;
    }
    case 3:
    case 4:
      ++coverage_["fault: node cut from the database"];
      return cut_for(at_database, at_node(node), time);
    case 5:
      ++coverage_["fault: conductor cut from the database"];
      return cut_for(at_database, at_conductor(leader), time);
    case 6:
      ++coverage_["fault: conductor cut from the balancer"];
      return cut_for(at_balancer, at_conductor(leader), time);
    case 7:
      ++coverage_["fault: conductor cut from an agent"];
      return cut_for(at_conductor(leader), at_host(node), time);
    case 8:
      ++coverage_["fault: balancer cut from a node"];
      return cut_for(at_balancer, at_node(node), time);
    case 9:
      ++coverage_["fault: clock jump"];
      if (auto& process = conductors_.at(leader); process)
        process->clock_jump_ms += chance.in(-3'600, 3'600) * (chance.one_in(2) ? 1'000 : 10);
      return;
    case 10:
      ++coverage_["fault: balancer lags"];
      site_.balancer->lag = chance.in(50, 900) * ms;
      engine_.after(time, [this] { site_.balancer->lag = 0; });
      return;
    case 11:
      ++coverage_["fault: balancer reloaded"];
      return site_.balancer->reload();
    case 12:
      ++coverage_["fault: balancer's socket gone"];
      site_.balancer->down = true;
      engine_.after(time, [this] { site_.balancer->down = false; });
      return;
    case 13:
      ++coverage_["fault: agent killed"];
      host.crash_agent();
      engine_.after(chance.in(300, 5'000) * ms, [&host] { host.start_agent(); });
      return;
    case 14:
      ++coverage_["fault: agent stopped"];
      return pause_for([&host] { return host.agent(); }, time);
    case 15:
      ++coverage_["fault: conductor stopped"];
      return pause_for([this, leader] { return conductors_.at(leader); }, time);
    case 16:
      ++coverage_["fault: database away"];
      engine_.note("the database is down");
      site_.database.down = true;
      engine_.after(time / 2, [this] {
        engine_.note("the database is up");
        site_.database.down = false;
      });
      return;
    case 17:
      ++coverage_["fault: database slow"];
      engine_.slow_down(at_database, chance.in(20, 1'200) * ms);
      engine_.after(time, [this] { engine_.slow_down(at_database, 0); });
      return;
    case 19: {
      // The leader's orders are stuck on their way, and meanwhile another one leads.
      ++coverage_["fault: orders of a replaced leader"];
      const auto away = chance.in(7, 14) * second;
      cut_for(at_database, at_conductor(leader), away);
      for (const auto& [number, each] : site_.hosts) {
        engine_.cut(at_conductor(leader), at_host(number), Cut::stall);
        engine_.after(away + second, [this, leader, number] { engine_.heal(at_conductor(leader), at_host(number)); });
      }
      return;
    }
    case 18:
      ++coverage_["fault: every node killed"];
      for (auto& [number, each] : site_.hosts) each->crash_node();
      return;
    default:
      // Dead, and its agent cannot help: perhaps just when finalize asks everybody.
      ++coverage_["fault: host dead"];
      host.crash_node();
      host.crash_agent();
      engine_.after(chance.in(3, 18) * second, [&host] { host.start_agent(); });
      return;
  }
}

void Scenario::pause_for(std::function<std::shared_ptr<Actor>()> who, Micros time) {
  const auto process = who();
  if (!process || !process->alive()) return;
  process->pause();
  engine_.after(time, [process] { process->go_on(); });
}

void Scenario::cut_for(Endpoint a, Endpoint b, Micros time) {
  const auto how = static_cast<Cut>(engine_.chance.in(0, 2));
  engine_.note(fmt::format("link {} - {} is cut ({})", a, b,
                           how == Cut::refuse ? "refuses"
                           : how == Cut::drop ? "drops"
                                              : "stalls"));
  engine_.cut(a, b, how);
  engine_.after(time, [this, a, b] {
    engine_.note(fmt::format("link {} - {} is healed", a, b));
    engine_.heal(a, b);
  });
}

void Scenario::start_conductor(int number, Micros wait) {
  engine_.after(wait, [this, number] {
    if (over_) return;
    ConductorProcess::Plan plan;
    plan.poll = poll_;
    auto& chance = engine_.chance;
    if (!calm_ && (conductors_die_ || chance.one_in(4))) {
      using Counting = ConductorProcess::Plan::Counting;
      plan.counting = chance.one_in(4) ? Counting::commands : chance.one_in(2) ? Counting::acts : Counting::all;
      plan.kill_at = static_cast<int>(plan.counting == Counting::commands                  ? chance.in(0, 5)
                                      : plan.counting == Counting::all && chance.one_in(3) ? chance.in(0, 500)
                                                                                           : chance.in(0, 90));
      plan.kill = chance.one_in(2) ? ConductorProcess::Plan::Kill::before : ConductorProcess::Plan::Kill::after;
    }
    auto process = std::make_shared<ConductorProcess>(site_, number, ++conductor_lives_[number], plan);
    process->on_end = [this, number] { start_conductor(number, engine_.chance.in(200, 6'000) * ms); };
    conductors_[number] = process;
    process->begin();
  });
}

void Scenario::calm_down() {
  calm_ = true;
  engine_.note("calm: everything is mended");
  engine_.heal_all();
  site_.database.down = false;
  site_.database.failures_to_come = 0;
  site_.balancer->lag = 0;
  site_.balancer->down = false;
  for (auto& [number, host] : site_.hosts) {
    if (host->broken_starts < 1'000) host->broken_starts = 0;
    if (host->node()) host->node()->go_on();
    host->agent()->go_on();
    host->start_agent();
  }
  for (auto& [number, process] : conductors_)
    if (process) {
      process->spare();
      process->go_on();
    }
}

}  // namespace afloat::sim
