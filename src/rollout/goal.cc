#include "rollout/goal.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <tuple>

#include "base/log_line.h"
#include "base/text.h"
#include "cluster/task_ledger.h"
#include "rollout/capacity.h"
#include "rollout/surge.h"

namespace afloat::rollout {
namespace {

using cluster::Mode;
using cluster::NodeState;

/// exit code of a node that admission has refused: starting it again changes nothing.
constexpr int refused_by_admission = 78;
constexpr int restarts_too_many = 3;

GoalView reached(std::string detail, std::int64_t metric_ms = 0) {
  return {Goal::reached, std::move(detail), metric_ms};
}
GoalView waiting(std::string detail) { return {Goal::waiting, std::move(detail)}; }
GoalView impossible(std::string detail) { return {Goal::impossible, std::move(detail)}; }

GoalView nobody_answers(const Observation& seen, std::string_view what) {
  return waiting(seen.faults.empty() ? fmt::format("{} is not known yet", what) : join(seen.faults, "; "));
}

/// The run's upgrade mode has ended. Somebody may have begun the next upgrade by now: that is not ours to wait for.
bool over(const cluster::ClusterState& state, const Run& run) {
  return state.mode == Mode::off || state.run_id != run.id;
}

std::vector<std::string> versions_of(const Run& run) {
  std::vector<std::string> versions;
  for (const auto& hop : run.hops) versions.push_back(hop.version);
  if (versions.empty()) versions.push_back(run.to);
  return versions;
}

GoalView look_distribute(const Run& run, const Observation& seen) {
  // All of a chain: a host that lacks the second hop's release must be found before the first hop.
  const auto wanted = versions_of(run);
  std::vector<std::string> without;
  for (const auto& host : seen.hosts) {
    const auto found = seen.host_releases.find(host);
    if (found == seen.host_releases.end()) return nobody_answers(seen, "agent " + host);
    for (const auto& version : wanted)
      if (std::ranges::find(found->second, version) == found->second.end())
        without.push_back(fmt::format("{} is not yet on {}", version, host));
  }
  // Also where it is unpacked already: who unpacked it may have known no key, and files may have changed since.
  const bool verified = seen.act.tried && !seen.act.error;
  const auto names = join(wanted, ", ");
  if (without.empty() && verified) return reached(fmt::format("{} verified on {} host(s)", names, seen.hosts.size()));
  if (without.empty()) return waiting(fmt::format("{} is being verified", names));
  return waiting(join(without, ", "));
}

GoalView look_drain(const StepRecord& step, const Observation& seen) {
  const auto* member = find_member(seen, step.node);
  const auto* view = find_node(seen, step.node);
  if (member && !serving(*member))
    return reached(
        fmt::format("{} is {}: nothing to drain", step.node, cluster::to_string(cluster::effective_state(*member))));
  if (!view || !view->balancer || !view->drain) return nobody_answers(seen, step.node);
  const auto& drain = *view->drain;
  const auto& balancer = *view->balancer;
  if (balancer.status.starts_with("UP") && seen.act.tried) {
    auto goal = waiting("the load balancer sends to it again");
    goal.act_again = true;
    return goal;
  }
  if (drain.drained && balancer.sessions == 0 && seen.act.tried) return reached("nothing in flight");
  auto goal = waiting(fmt::format("{} in flight, {} stream(s), {} task(s), {} session(s) at the balancer{}{}",
                                  drain.in_flight, drain.streams, drain.tasks_running, balancer.sessions,
                                  drain.overdue.empty() ? "" : "; overdue: ", join(drain.overdue, ", ")));
  // A node whose process was replaced meanwhile knows nothing of the drain.
  goal.act_again = member && member->state == NodeState::ACTIVE && seen.now_ms - seen.act.tried_at_ms > 1'000;
  return goal;
}

/// Of a dead process's log, the line that says why it died: the last error, for what follows it only says that the
/// process ended. Where there is none, the last line.
std::string telling_line(const std::string& log) {
  std::string last;
  bool error_seen = false;
  for (const auto& line : split(std::string(trim(log)), '\n')) {
    const bool error = line.find(R"("level":"error")") != std::string::npos;
    if (error || !error_seen) last = std::string(trim(line));
    error_seen = error_seen || error;
  }
  return last;
}

GoalView look_active(const Run& run, const StepRecord& step, const Observation& seen) {
  const auto* member = find_member(seen, step.node);
  const auto* view = find_node(seen, step.node);
  const auto goal = run.goal(step);
  if (member && member->build == goal.build && cluster::effective_state(*member) == NodeState::ACTIVE && view &&
      view->ready.value_or(false)) {
    const auto took = member->active_at_ms > 0 ? member->active_at_ms - member->started_at_ms : 0;
    return reached(fmt::format("ACTIVE on {} after {} ms", member->version, took), took);
  }
  // It was told to drain by an earlier step and has lived on: the next step gives it back.
  if (member && member->build == goal.build && cluster::effective_state(*member) == NodeState::DRAINING)
    return reached(fmt::format("DRAINING on {}", member->version));
  if (!view || !view->process) return nobody_answers(seen, "agent of " + step.node);
  const auto& process = *view->process;
  if (auto why = given_up(process, step.node, goal.version); !why.empty() && (step.attempt == 1 || seen.act.tried))
    return impossible(std::move(why));
  if (!process.running)
    return waiting(fmt::format("{} does not run (exit code {})", step.node, process.last_exit_code));
  if (!member) return waiting(fmt::format("{} has not been admitted yet", step.node));
  if (member->build == goal.build && cluster::effective_state(*member) == NodeState::OFFLINE)
    return waiting(fmt::format("the process of {} runs {} and has not become ACTIVE ({}); its log may say why",
                               step.node, member->version, cluster::to_string(member->state)));
  return waiting(
      fmt::format("{} is {} on {}", step.node, cluster::to_string(cluster::effective_state(*member)), member->version));
}

GoalView look_balance(const StepRecord& step, const Observation& seen) {
  const auto* member = find_member(seen, step.node);
  const auto* view = find_node(seen, step.node);
  if (!member || !view || !view->balancer) return nobody_answers(seen, step.node);
  const auto& balancer = *view->balancer;
  const auto state = cluster::effective_state(*member);
  if (seen.act.tried && state == NodeState::ACTIVE && balancer.up()) return reached("UP at full weight");
  auto goal = waiting(fmt::format("{}; the load balancer has it as {}, weight {} of {}", cluster::to_string(state),
                                  balancer.status, balancer.weight, balancer.full_weight));
  const bool away =
      balancer.status.starts_with("MAINT") || balancer.status.starts_with("DRAIN") || state == NodeState::DRAINING;
  goal.act_again = away && seen.now_ms - seen.act.tried_at_ms > 500;
  return goal;
}

GoalView look_stable(const Run& run, const cluster::Snapshot& snapshot, const StepRecord& step,
                     const Observation& seen) {
  const auto& state = *snapshot.state;
  if (over(state, run) && state.cluster_build >= run.hop_to().build)
    return reached(fmt::format("cluster version {}", state.cluster_version));
  std::string running = "nodes finish it by themselves";
  if (const auto failed = cluster::failed_tasks(snapshot);
      !failed.empty() && (step.attempt == 1 || seen.act.tried) && seen.now_ms - seen.act.tried_at_ms > 1'000)
    return impossible("upgrade task " + cluster::failure_text(failed.front()));
  for (const auto& task : snapshot.tasks) {
    if (task.state == cluster::TaskState::running)
      running = fmt::format("{} on {}: {} of {}", task.id, task.runner, task.done, task.total);
  }
  return waiting(running);
}

GoalView look_verify(const Run& run, const cluster::Snapshot& snapshot, const Observation& seen) {
  const auto& state = *snapshot.state;
  const auto goal = run.goal();
  if (!over(state, run)) return waiting("upgrade mode is still on");
  if (state.cluster_build != goal.build)
    return waiting(fmt::format("the cluster version is {}, expected {}", state.cluster_version, goal.version));
  for (const auto& member : snapshot.members) {
    if (settled(seen, member, goal.version, goal.build)) continue;
    const auto* view = find_node(seen, member.name);
    return waiting(fmt::format("{} is {} on {}, at the balancer {}", member.name,
                               cluster::to_string(cluster::effective_state(member)), member.version,
                               view && view->balancer ? view->balancer->status : "unknown"));
  }
  return reached(fmt::format("{} nodes ACTIVE on {}", snapshot.members.size(), goal.version));
}

GoalView look_process(const Run& run, const StepRecord& step, const Observation& seen) {
  const auto* view = find_node(seen, step.node);
  if (!view || !view->process) return nobody_answers(seen, "agent of " + step.node);
  const auto& process = *view->process;
  switch (step.kind) {
    case StepKind::stop:
      if (!process.running && !process.wanted)
        return reached(process.last_exit_code >= 0 ? fmt::format("exit code {}", process.last_exit_code) : "stopped");
      return waiting("its process is ending");
    case StepKind::switch_release:
      if (process.version == run.goal(step).version) return reached(process.version);
      return waiting(fmt::format("its link points to {}", process.version));
    default:
      if (process.wanted || process.running) return reached("its process runs");
      return waiting("its process does not run yet");
  }
}

/// Of a trial and of a soak.
GoalView look_canary(const Observation& seen) {
  if (!seen.canary) return nobody_answers(seen, "how it does");
  switch (seen.canary->verdict) {
    case Verdict::good:
      return reached(seen.canary->reason);
    case Verdict::bad:
      return {Goal::refused, seen.canary->reason};
    case Verdict::inconclusive:
      return impossible("no verdict: " + seen.canary->reason);
    case Verdict::waiting:
      break;
  }
  return waiting(seen.canary->reason);
}

SurgeView surge_view(const Run& run, const StepRecord& step, const Observation& seen) {
  return step.kind == StepKind::add_surge ? look_add_surge(run, step, seen) : look_remove_surge(run, step, seen);
}

/// One move after the other: each look says which is next.
GoalView look_surge(const Run& run, const StepRecord& step, const Observation& seen) {
  auto view = surge_view(run, step, seen);
  return {.goal = view.goal,
          .detail = std::move(view.detail),
          .act_again = view.move != SurgeMove::none && seen.now_ms - seen.act.tried_at_ms >= 50};
}

/// Steps about the whole site, as far as cluster_state answers them.
GoalView look_site(const Run& run, const StepRecord& step, const Observation& seen) {
  if (!seen.cluster || !seen.cluster->state) return nobody_answers(seen, "the cluster's state");
  const auto& state = *seen.cluster->state;
  switch (step.kind) {
    case StepKind::mode_on:
      if (state.mode == Mode::on && state.run_id == run.id && state.target_build == run.hop_to().build)
        return reached("on");
      return waiting("upgrade mode is off");
    case StepKind::expand:
      return state.expand_done ? reached("done") : waiting("the new release prepares the database");
    case StepKind::finalize:
      if (state.finalize_requested_ms || (over(state, run) && state.cluster_build >= run.hop_to().build))
        return reached("approved");
      return waiting("not approved yet");
    case StepKind::mode_off:
      if (over(state, run)) return reached("off");
      return waiting("upgrade mode is still on");
    case StepKind::await_stable:
      return look_stable(run, *seen.cluster, step, seen);
    default:
      return look_verify(run, *seen.cluster, seen);
  }
}

}  // namespace

std::string given_up(const ProcessView& process, std::string_view node, std::string_view version) {
  if (process.running || (process.last_exit_code != refused_by_admission && process.restarts < restarts_too_many))
    return {};
  const auto last = telling_line(process.last_lines);
  return fmt::format("{} does not start on {}: exit code {}, {} restart(s){}{}", node, version, process.last_exit_code,
                     process.restarts, last.empty() ? "" : "; its log says: ", log_message(last));
}

GoalView look(const Run& run, const StepRecord& step, const Observation& seen) {
  switch (step.kind) {
    case StepKind::distribute:
      return look_distribute(run, seen);
    case StepKind::ok_to_stop:
    case StepKind::ok_to_stop_again: {
      auto answer = ok_to_stop(seen, step.node, run.options);
      if (answer.yes) return reached(std::move(answer.reason));
      if (!seen.faults.empty()) return waiting(join(seen.faults, "; "));
      if (step.kind == StepKind::ok_to_stop_again) return {Goal::refused, std::move(answer.reason)};
      return waiting(std::move(answer.reason));
    }
    case StepKind::drain:
      return look_drain(step, seen);
    case StepKind::maint: {
      const auto* view = find_node(seen, step.node);
      if (!view || !view->balancer) return nobody_answers(seen, "the load balancer");
      return view->balancer->status.starts_with("MAINT") ? reached(view->balancer->status)
                                                         : waiting(view->balancer->status);
    }
    case StepKind::stop:
    case StepKind::switch_release:
    case StepKind::start:
      return look_process(run, step, seen);
    case StepKind::await_active:
      return look_active(run, step, seen);
    case StepKind::undrain:
    case StepKind::balance:
      return look_balance(step, seen);
    case StepKind::report:
      return reached("");
    case StepKind::wait_until:
      if (seen.now_ms >= run.options.not_before_ms) return reached("");
      return waiting(fmt::format("begins in {}", duration_text(run.options.not_before_ms - seen.now_ms)));
    case StepKind::backup:
      if (seen.act.tried && !seen.act.error) return reached("made");
      return waiting("the backup is being made");
    case StepKind::trial:
    case StepKind::soak:
      return look_canary(seen);
    case StepKind::add_surge:
    case StepKind::remove_surge:
      return look_surge(run, step, seen);
    case StepKind::hold_before_finalize:
      return step.attempt > 1 ? reached("released")
                              : impossible("all nodes run the new release; going back is still possible");
    default:
      return look_site(run, step, seen);
  }
}

std::optional<Act> act_for(const Run& run, const StepRecord& step, const Observation& seen) {
  Act act{.kind = step.kind, .node = step.node, .release = run.goal(step)};
  const auto* view = find_node(seen, step.node);
  switch (step.kind) {
    case StepKind::distribute:
      // Every host, once all answer: each verifies what it has.
      if (seen.hosts.empty() || seen.host_releases.size() < seen.hosts.size()) return std::nullopt;
      act.hosts = seen.hosts;
      act.releases = versions_of(run);
      return act;
    case StepKind::expand:
      if (!seen.cluster || seen.cluster->members.empty()) return std::nullopt;
      act.node = seen.cluster->members.front().name;
      act.retry_tasks = step.attempt > 1 && !cluster::failed_tasks(*seen.cluster).empty();
      return act;
    case StepKind::choose_node:
      if (step.attempt == 1 || !seen.cluster || cluster::failed_tasks(*seen.cluster).empty()) return std::nullopt;
      act.retry_tasks = true;
      return act;
    case StepKind::stop:
      if (!view || !view->process) return std::nullopt;
      if (view->process->running) act.process = view->process->incarnation;
      return act;
    case StepKind::await_active:
      // The first start was a step of its own; after a resume a process that has given up is started again.
      if (step.attempt == 1 || !view || !view->process || view->process->running) return std::nullopt;
      return act;
    case StepKind::await_stable: {
      if (step.attempt == 1 || !seen.cluster) return std::nullopt;
      if (cluster::failed_tasks(*seen.cluster).empty()) return std::nullopt;
      act.retry_tasks = true;
      return act;
    }
    case StepKind::add_surge:
    case StepKind::remove_surge:
      act.surge = surge_view(run, step, seen).move;
      return act.surge == SurgeMove::none ? std::nullopt : std::optional(act);
    case StepKind::backup:
    case StepKind::mode_on:
    case StepKind::drain:
    case StepKind::undrain:
    case StepKind::maint:
    case StepKind::switch_release:
    case StepKind::start:
    case StepKind::balance:
    case StepKind::finalize:
    case StepKind::mode_off:
      return act;
    default:
      return std::nullopt;
  }
}

std::string evidence_of(const Observation& seen, const std::string& node) {
  boost::json::object evidence{{"node", node}};
  if (const auto* view = find_node(seen, node); view && view->process) {
    evidence["exit_code"] = view->process->last_exit_code;
    evidence["restarts"] = view->process->restarts;
    evidence["release"] = view->process->version;
    evidence["last_lines"] = view->process->last_lines;
  }
  if (const auto* member = find_member(seen, node)) {
    evidence["config_hash"] = member->config_hash;
    evidence["state"] = std::string(cluster::to_string(cluster::effective_state(*member)));
    evidence["version"] = member->version;
  }
  return boost::json::serialize(evidence);
}

/// Its comparison with the others was broken off, and nothing of the node has been done since: it is made up for.
bool owes_soak(const Run& run, const std::string& node) {
  if (run.back || run.options.soak_ms <= 0) return false;
  for (auto step = run.steps.rbegin(); step != run.steps.rend() && step->hop == run.hop(); ++step)
    if (step->node == node) return step->kind == StepKind::soak && step->state == StepState::interrupted && !step->back;
  return false;
}

Choice choose(const Run& run, const Observation& seen) {
  struct Candidate {
    int rank;  ///< dead ones first: they serve nobody; then those that are half-way; then by how busy they are
    int tasks, users;
    std::string name;
    StepKind entry;
  };
  std::vector<Candidate> candidates;
  Choice choice;
  const auto goal = run.goal();
  if (!seen.cluster) {
    choice.waiting = "the roster could not be read";
    return choice;
  }
  const auto surge = surge_of(run);
  for (const auto& member : seen.cluster->members) {
    const auto* view = find_node(seen, member.name);
    if (member.name == surge) continue;  // it has steps of its own
    if (settled(seen, member, goal.version, goal.build)) {
      if (owes_soak(run, member.name))
        candidates.push_back({1, member.tasks_running, member.active_users, member.name, StepKind::soak});
      continue;
    }
    if (!view || !view->process) {
      choice.waiting = seen.faults.empty() ? fmt::format("the agent of {} says nothing of {}", member.host, member.name)
                                           : join(seen.faults, "; ");
      return choice;
    }
    const bool on_goal = view->process->version == goal.version && view->process->running;
    const auto health = health_of(seen, member);
    Candidate candidate{1, member.tasks_running, member.active_users, member.name, StepKind::ok_to_stop};
    if (on_goal) {
      candidate.entry =
          health == Health::serving && member.build == goal.build ? StepKind::balance : StepKind::await_active;
    } else if (health == Health::dead) {
      candidate.rank = 0;
      candidate.entry = StepKind::maint;
    } else if (health == Health::undecided) {
      choice.waiting = fmt::format("{} is {} though its process runs; the database or this observer may be at fault",
                                   member.name, cluster::to_string(cluster::effective_state(member)));
      continue;
    } else {
      // One that gets no traffic costs nothing to take out, and every other one would wait for it.
      candidate.rank = view->balancer && !view->balancer->up() ? 1 : 2;
    }
    candidates.push_back(std::move(candidate));
  }
  if (!candidates.empty() && (choice.waiting.empty() || candidates.front().rank == 0)) {
    const auto best = std::ranges::min_element(candidates, [](const Candidate& a, const Candidate& b) {
      return std::tie(a.rank, a.tasks, a.users, a.name) < std::tie(b.rank, b.tasks, b.users, b.name);
    });
    choice.node = best->name;
    choice.entry = best->entry;
    choice.waiting.clear();
    return choice;
  }
  choice.all_settled = choice.waiting.empty();
  return choice;
}

}  // namespace afloat::rollout
