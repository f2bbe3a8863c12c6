#include "rollout/step.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "rollout/capacity.h"
#include "rollout/goal.h"
#include "rollout/preflight.h"

namespace afloat::rollout {
namespace {

/// What follows a step that is done, where that does not depend on what is seen. nullopt: choose a node.
std::optional<StepKind> follower(const StepRecord& done) {
  switch (done.kind) {
    case StepKind::preflight:
      return StepKind::distribute;
    case StepKind::distribute:
      return StepKind::mode_on;
    case StepKind::mode_on:
      return StepKind::expand;
    case StepKind::ok_to_stop:
      return StepKind::drain;
    case StepKind::drain:
      return StepKind::ok_to_stop_again;
    case StepKind::ok_to_stop_again:
      return done.state == StepState::refused ? StepKind::undrain : StepKind::maint;
    case StepKind::undrain:
      return StepKind::ok_to_stop;
    case StepKind::maint:
      return StepKind::stop;
    case StepKind::stop:
      return StepKind::switch_release;
    case StepKind::switch_release:
      return StepKind::start;
    case StepKind::start:
      return StepKind::await_active;
    case StepKind::await_active:
      return StepKind::balance;
    case StepKind::hold_before_finalize:
      return StepKind::finalize;
    case StepKind::finalize:
      return StepKind::await_stable;
    case StepKind::await_stable:
    case StepKind::mode_off:
      return StepKind::verify;
    case StepKind::verify:
      return StepKind::report;
    case StepKind::expand:
    case StepKind::choose_node:
    case StepKind::balance:
    case StepKind::report:
      break;
  }
  return std::nullopt;
}

bool of_one_node(StepKind kind) { return kind >= StepKind::ok_to_stop && kind <= StepKind::balance; }

void open(Run& run, StepKind kind, std::string node) {
  StepRecord step;
  step.kind = kind;
  step.node = std::move(node);
  step.back = run.back;
  step.changed = true;
  run.steps.push_back(std::move(step));
  run.current = title_of(kind, run.steps.back().node);
  run.message.clear();
  if (kind == StepKind::finalize) run.finalize_begun = true;
}

void close(StepRecord& step, StepState state, std::string detail, const Observation& seen) {
  step.state = state;
  step.detail = std::move(detail);
  step.ended_at_ms = std::max(seen.now_ms, step.started_at_ms);
  step.changed = true;
}

std::string next_action(const Run& run) {
  if (run.finalize_begun)
    return "When it is mended: `afloat upgrade resume`. There is no way back after finalize began.";
  if (run.back)
    return fmt::format("When it is mended: `afloat upgrade resume` goes on with the way back to {}.", run.from);
  return fmt::format("When it is mended: `afloat upgrade resume`; or `afloat upgrade cancel` to go back to {}.",
                     run.from);
}

Decision pause(Run run, const std::string& why, const Observation& seen) {
  auto& step = run.steps.back();
  step.state = StepState::paused;
  step.detail = why;
  step.changed = true;
  // Nothing was approved, so the way back is still there.
  if (step.kind == StepKind::finalize && seen.cluster && seen.cluster->state &&
      seen.cluster->state->mode == cluster::Mode::on && !seen.cluster->state->finalize_requested_ms)
    run.finalize_begun = false;
  run.state = RunState::paused;
  run.message = fmt::format("{}: {}{} {}", run.current, why, why.ends_with('.') ? "" : ".", next_action(run));
  if (!step.node.empty()) run.evidence = evidence_of(seen, step.node);
  return {.run = std::move(run), .record = true};
}

Decision refuse(Run run, const std::string& why, const Observation& seen) {
  close(run.steps.back(), StepState::done, why, seen);
  run.state = RunState::failed;
  run.outcome = "preflight_failed";
  run.current.clear();
  run.message = why + " Nothing was changed.";
  return {.run = std::move(run), .record = true};
}

/// Opens the step that the choice of a node leads to.
void open_chosen(Run& run, const Choice& choice) {
  if (!choice.waiting.empty())
    open(run, StepKind::choose_node, "");
  else if (!choice.all_settled)
    open(run, choice.entry, choice.node);
  else if (run.back)
    open(run, StepKind::mode_off, "");
  else
    open(run, run.options.hold_before_finalize ? StepKind::hold_before_finalize : StepKind::finalize, "");
}

/// No step is open.
Decision advance(Run run, const Observation& seen) {
  const bool turned = run.back && (run.steps.empty() || !run.steps.back().back);
  if (run.steps.empty() && !run.back)
    open(run, StepKind::preflight, "");
  else if (const auto next = turned ? std::nullopt : follower(run.steps.back()))
    open(run, *next, of_one_node(*next) ? run.steps.back().node : "");
  else
    open_chosen(run, choose(run, seen));
  return {.run = std::move(run), .record = true};
}

Decision finish(Run run, const StepRecord& done, GoalView view, const Observation& seen) {
  auto& step = run.steps.back();
  const auto kind = done.kind;
  step.metric_ms = view.metric_ms;
  close(step, view.goal == Goal::refused ? StepState::refused : StepState::done, std::move(view.detail), seen);
  if (kind == StepKind::mode_on) run.mode_on_at_ms = seen.now_ms;
  if (kind == StepKind::await_stable) run.stable_at_ms = seen.now_ms;
  if (kind == StepKind::report) {
    run.state = run.back ? RunState::cancelled : RunState::done;
    run.outcome = run.back ? "cancelled" : "done";
    run.current.clear();
    run.message = run.back ? fmt::format("Every node is back on {}; upgrade mode is off.", run.from)
                           : fmt::format("The site runs {}.", run.to);
    return {.run = std::move(run), .record = true};
  }
  // Outcome and next intent go into one transaction, where the next step is known.
  if (follower(run.steps.back())) return advance(std::move(run), seen);
  return {.run = std::move(run), .record = true};
}

/// Kinds of error after which the same act may succeed without anybody's help.
bool passing(ErrorKind kind) {
  return kind == ErrorKind::unavailable || kind == ErrorKind::deadline_exceeded || kind == ErrorKind::conflict;
}

Decision drive_preflight(Run run, const Observation& seen) {
  const auto checks = preflight(run.from, run.to, seen);
  run.checks = to_json(checks);
  std::string found;
  bool may_settle = true;
  for (const auto& check : checks) {
    if (check.result != CheckResult::fail) continue;
    found += fmt::format("{}{}: {}. {}", found.empty() ? "" : " ", check.title, check.found, check.action);
    may_settle = may_settle && check.may_settle;
  }
  const auto begun = run.steps.back().attempt_at_ms;
  if (seen.cluster && found.empty())
    return finish(run, run.steps.back(), {Goal::reached, fmt::format("{} checks", checks.size())}, seen);
  if (found.empty()) found = "The roster could not be read.";
  if (!may_settle || seen.now_ms - begun > deadline_of(StepKind::preflight, run.options))
    return refuse(std::move(run), found, seen);
  return {.run = std::move(run), .waiting = found};
}

Decision drive(Run run, const Observation& seen) {
  const StepRecord step = run.steps.back();
  if (step.kind == StepKind::preflight) return drive_preflight(std::move(run), seen);
  if (step.kind == StepKind::choose_node) {
    const auto choice = choose(run, seen);
    if (choice.waiting.empty()) {
      close(run.steps.back(), StepState::done, choice.node, seen);
      open_chosen(run, choice);
      return {.run = std::move(run), .record = true};
    }
    if (seen.now_ms - step.attempt_at_ms > deadline_of(step.kind, run.options))
      return pause(std::move(run), choice.waiting, seen);
    return {.run = std::move(run), .waiting = choice.waiting};
  }

  if (of_one_node(step.kind) && seen.cluster && !find_member(seen, step.node)) {
    // A person has removed it from the roster: whatever this step waits for will not come.
    close(run.steps.back(), StepState::interrupted, fmt::format("{} was removed", step.node), seen);
    open(run, StepKind::choose_node, "");
    return {.run = std::move(run), .record = true};
  }

  auto view = look(run, step, seen);
  if (view.goal == Goal::reached || view.goal == Goal::refused)
    return finish(std::move(run), step, std::move(view), seen);
  if (view.goal == Goal::impossible) return pause(std::move(run), view.detail, seen);

  const auto& error = seen.act.error;
  if (error && !passing(error->kind())) return pause(std::move(run), error->message(), seen);
  const auto deadline = deadline_of(step.kind, run.options);
  if (deadline > 0 && seen.now_ms - step.attempt_at_ms > deadline)
    return pause(std::move(run),
                 fmt::format("not reached within {} s: {}", deadline / 1000, error ? error->message() : view.detail),
                 seen);

  const bool again = error ? seen.now_ms - seen.act.tried_at_ms >= 200 : view.act_again;
  Decision decision{.run = std::move(run), .waiting = error ? error->message() : view.detail};
  if (!seen.act.tried || again) decision.act = act_for(decision.run, step, seen);
  return decision;
}

}  // namespace

std::int64_t deadline_of(StepKind kind, const Options& options) {
  switch (kind) {
    case StepKind::preflight:
    case StepKind::maint:
    case StepKind::ok_to_stop_again:
      return 10'000;
    case StepKind::distribute:
      return 300'000;
    case StepKind::expand:
      return 600'000;
    case StepKind::ok_to_stop:
      return options.ok_to_stop_deadline_ms;
    case StepKind::drain:
      return options.drain_deadline_ms;
    case StepKind::await_active:
      return options.active_deadline_ms;
    case StepKind::choose_node:
    case StepKind::undrain:
    case StepKind::stop:
    case StepKind::balance:
      return 60'000;
    case StepKind::await_stable:
      return 900'000;
    case StepKind::hold_before_finalize:
      return 0;
    case StepKind::mode_on:
    case StepKind::switch_release:
    case StepKind::start:
    case StepKind::finalize:
    case StepKind::mode_off:
    case StepKind::verify:
    case StepKind::report:
      break;
  }
  return 30'000;
}

Needs needs(const Run& run) {
  Needs needs;
  const auto wide = [&] {
    needs.cluster = needs.all_hosts = needs.all_balancers = true;
    return needs;
  };
  if (run.ended() || run.state == RunState::paused) return needs;
  const auto* step = run.open_step();
  if (!step) {
    if (run.steps.empty() && !run.back) return needs;
    const bool turned = run.back && (run.steps.empty() || !run.steps.back().back);
    if (!turned && follower(run.steps.back())) return needs;
    return wide();
  }
  switch (step->kind) {
    case StepKind::preflight:
      needs.catalogue = true;
      return wide();
    case StepKind::choose_node:
      return wide();
    case StepKind::distribute:
      needs.all_hosts = true;
      break;
    case StepKind::ok_to_stop:
    case StepKind::ok_to_stop_again:
    case StepKind::verify:
      needs.cluster = needs.all_balancers = true;
      break;
    case StepKind::drain:
      needs.cluster = true;
      needs.balancer = needs.drain = step->node;
      break;
    case StepKind::maint:
      needs.balancer = step->node;
      break;
    case StepKind::undrain:
    case StepKind::balance:
      needs.cluster = true;
      needs.balancer = step->node;
      break;
    case StepKind::stop:
    case StepKind::switch_release:
    case StepKind::start:
      needs.process = step->node;
      break;
    case StepKind::await_active:
      needs.cluster = true;
      needs.process = needs.ready = step->node;
      break;
    case StepKind::mode_on:
    case StepKind::expand:
    case StepKind::finalize:
    case StepKind::await_stable:
    case StepKind::mode_off:
      needs.cluster = true;
      break;
    case StepKind::hold_before_finalize:
    case StepKind::report:
      break;
  }
  return needs;
}

Decision step(Run run, const Observation& seen) {
  if (run.ended()) return {.run = std::move(run)};

  if (run.cancel_requested && !run.back && !run.finalize_begun) {
    if (run.open_step()) close(run.steps.back(), StepState::interrupted, "cancel was asked for", seen);
    run.back = true;
    run.resume_requested = false;
    run.state = RunState::rolling_back;
    run.current = fmt::format("back to {}", run.from);
    run.message.clear();
    return {.run = std::move(run), .record = true};
  }

  if (run.state == RunState::paused) {
    if (!run.resume_requested) return {.run = std::move(run)};
    run.resume_requested = false;
    run.state = run.back ? RunState::rolling_back : RunState::running;
    run.message.clear();
    run.evidence.clear();
    if (run.open_step() && run.steps.back().kind == StepKind::ok_to_stop) {
      // Nothing was done to this node yet, and perhaps another one must come first by now: one that the
      // balancer keeps away would be waited for in vain.
      close(run.steps.back(), StepState::interrupted, "the next node is chosen anew", seen);
      open(run, StepKind::choose_node, "");
    } else if (run.open_step()) {
      auto& step = run.steps.back();
      step.state = StepState::running;
      ++step.attempt;
      step.attempt_at_ms = seen.now_ms;
      step.changed = true;
      if (step.kind == StepKind::finalize) run.finalize_begun = true;
    }
    return {.run = std::move(run), .record = true};
  }

  return run.open_step() ? drive(std::move(run), seen) : advance(std::move(run), seen);
}

std::vector<StepRecord> plan(const Run& run, const Observation& seen) {
  std::vector<StepRecord> steps;
  const auto add = [&](StepKind kind, std::string node) {
    StepRecord step;
    step.kind = kind;
    step.node = std::move(node);
    steps.push_back(std::move(step));
  };
  for (const auto kind : {StepKind::preflight, StepKind::distribute, StepKind::mode_on, StepKind::expand})
    add(kind, "");
  std::vector<cluster::Member> members;
  if (seen.cluster) members = seen.cluster->members;
  std::ranges::sort(members, [](const auto& a, const auto& b) {
    return std::tie(a.tasks_running, a.active_users, a.name) < std::tie(b.tasks_running, b.active_users, b.name);
  });
  for (const auto& member : members)
    for (const auto kind :
         {StepKind::ok_to_stop, StepKind::drain, StepKind::ok_to_stop_again, StepKind::maint, StepKind::stop,
          StepKind::switch_release, StepKind::start, StepKind::await_active, StepKind::balance})
      add(kind, member.name);
  if (run.options.hold_before_finalize) add(StepKind::hold_before_finalize, "");
  for (const auto kind : {StepKind::finalize, StepKind::await_stable, StepKind::verify, StepKind::report})
    add(kind, "");
  return steps;
}

}  // namespace afloat::rollout
