#include "rollout/step.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "cluster/task_ledger.h"
#include "rollout/capacity.h"
#include "rollout/goal.h"
#include "rollout/offline.h"
#include "rollout/preflight.h"
#include "rollout/surge.h"
#include "rollout/trial.h"
#include "version/version.h"

namespace afloat::rollout {
namespace {

/// A step of a node that goes back while the run goes on.
bool goes_back_alone(const Run& run, const StepRecord& step) { return step.back && !run.back; }

/// It does harm where it is, so that its going back waits for nothing: its drain came without an ok_to_stop.
bool in_a_hurry(const Run& run, const StepRecord& drain) {
  if (!goes_back_alone(run, drain)) return false;
  const auto at = std::ranges::find_if(run.steps, [&](const StepRecord& step) { return &step == &drain; });
  return at == run.steps.end() || at == run.steps.begin() || std::prev(at)->kind != StepKind::ok_to_stop;
}

/// How a node that did not pass goes.
StepKind goes_by(const Run& run, const std::string& node) {
  return node == surge_of(run) ? StepKind::remove_surge : StepKind::drain;
}

/// What follows a step that is done, where that does not depend on what is seen. nullopt: choose a node.
std::optional<StepKind> follower(const Run& run, const StepRecord& done) {
  if (run.options.offline) return std::nullopt;  // its order is a script over the roster
  switch (done.kind) {
    case StepKind::wait_until:
      return StepKind::preflight;
    case StepKind::preflight:
      return StepKind::distribute;
    case StepKind::distribute:
      return run.options.backup ? StepKind::backup : StepKind::mode_on;
    case StepKind::backup:
      return StepKind::mode_on;
    case StepKind::mode_on:
      return StepKind::expand;
    case StepKind::ok_to_stop:
      return StepKind::drain;
    case StepKind::drain:
      return in_a_hurry(run, done) ? StepKind::maint : StepKind::ok_to_stop_again;
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
      return !done.back && run.options.soak_ms > 0 ? StepKind::trial : StepKind::balance;
    case StepKind::hold_before_finalize:
      return StepKind::finalize;
    case StepKind::finalize:
      return StepKind::await_stable;
    case StepKind::await_stable:
    case StepKind::mode_off:
      return StepKind::verify;
    case StepKind::balance:
      if (!done.back && run.options.soak_ms > 0) return StepKind::soak;
      break;
    case StepKind::add_surge:
      return run.options.soak_ms > 0 ? StepKind::trial : StepKind::balance;
    case StepKind::trial:
      return done.state == StepState::refused ? goes_by(run, done.node) : StepKind::balance;
    case StepKind::soak:
      if (done.state == StepState::refused) return goes_by(run, done.node);
      break;
    case StepKind::verify:
      return run.back || run.last_hop() ? StepKind::report : StepKind::mode_on;
    case StepKind::expand:
    case StepKind::choose_node:
    case StepKind::remove_surge:
    case StepKind::report:
      break;
  }
  return std::nullopt;
}

bool of_one_node(StepKind kind) { return kind >= StepKind::ok_to_stop && kind <= StepKind::soak; }
/// Users are not sent to the node of the open step: a run that is to pause brings it back first, for nobody knows how
/// long the pause will be. With downtime all nodes are away, and whoever pauses wants to look at just that.
bool node_is_away(const Run& run) {
  const auto* step = run.open_step();
  return step && !run.options.offline && step->kind >= StepKind::drain && step->kind <= StepKind::balance;
}
bool of_surge(StepKind kind) { return kind == StepKind::add_surge || kind == StepKind::remove_surge; }

/// A trial or a soak that the node did not pass.
bool found_bad(const StepRecord& step) {
  return (step.kind == StepKind::trial || step.kind == StepKind::soak) && step.state == StepState::refused;
}

enum class Alone { no, yes };

/// Nodes take an upgrade task up again within a second; what fails once more shows by then.
constexpr std::int64_t tried_again_for_ms = 2'000;

void open(Run& run, StepKind kind, std::string node, Alone alone = Alone::no) {
  StepRecord step;
  step.kind = kind;
  step.node = std::move(node);
  step.back = run.back || alone == Alone::yes;
  step.hop = run.hop();
  if (kind == StepKind::mode_on && step.hop < static_cast<int>(run.hops.size()) && !run.steps.empty() &&
      run.steps.back().kind == StepKind::verify) {
    ++step.hop;
    run.finalize_begun = false;  // until this hop is finalized there is a way back again, to where it began
  }
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

/// `when`: what has to come first, where something is to be mended; else "To go on".
std::string next_action(const Run& run, std::string_view when) {
  const auto* step = run.open_step();
  if (step && step->kind == StepKind::hold_before_finalize)
    return fmt::format(
        "`afloat upgrade finalize` ends the upgrade, and there is no way back from there; `afloat upgrade "
        "cancel` leads every node back to {}.",
        run.hop_from().version);
  if (run.finalize_begun)
    return fmt::format("{}: `afloat upgrade resume`. There is no way back after finalize began.", when);
  // No other node is taken out meanwhile: two would be away at once.
  if (run.back && step && step->kind == StepKind::await_active)
    return fmt::format(
        "{0}: `afloat upgrade resume` goes on with the way back to {1}. Or take {2} out for good with `afloat nodes remove "
        "{2}`, and resume: the others then go back without it.",
        when, run.hop_from().version, step->node);
  if (run.back)
    return fmt::format("{}: `afloat upgrade resume` goes on with the way back to {}.", when, run.hop_from().version);
  return fmt::format("{}: `afloat upgrade resume`; or `afloat upgrade cancel` to go back to {}.", when,
                     run.hop_from().version);
}

constexpr std::string_view by_a_person = "paused by ";
constexpr std::string_view window_ended = "the maintenance window has ended; nothing further is begun";

constexpr std::string_view asked_for_cancel = "cancel was asked for";

std::string sentence(const std::string& text) { return text.ends_with('.') ? text : text + '.'; }

/// Why it is paused, and what to do.
std::string pause_message(const Run& run) {
  const auto& why = run.steps.back().detail;
  const bool nothing_is_wrong = why.starts_with(by_a_person) || why == window_ended;
  return fmt::format("{}: {} {}", run.current, sentence(why),
                     next_action(run, nothing_is_wrong ? "To go on" : "When it is mended"));
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
  run.message = pause_message(run);
  if (!step.node.empty()) run.evidence = evidence_of(seen, step.node);
  return {.run = std::move(run), .record = true};
}

/// The run turns round. What is half done is chosen anew, towards the old release.
void turn_back(Run& run, const std::string& why, const Observation& seen) {
  if (run.open_step()) close(run.steps.back(), StepState::interrupted, why, seen);
  run.back = true;
  run.resume_requested = false;
  run.state = RunState::rolling_back;
  run.current = fmt::format("back to {}", run.hop_from().version);
  run.message = why == asked_for_cancel ? std::string() : "It turns back: " + sentence(why);
}

/// Why it turned back by itself; "" where a person wanted it.
std::string why_it_turned(const Run& run) {
  for (auto step = run.steps.rbegin(); step != run.steps.rend(); ++step) {
    if (step->back) continue;
    const bool told = step->state == StepState::interrupted && step->detail != asked_for_cancel;
    return told ? " It turned back because of this: " + sentence(step->detail) : std::string();
  }
  return {};
}

/// Something failed that waiting does not mend: once more while the budget lasts, then what the policy says.
Decision trouble(Run run, const std::string& why, const Observation& seen) {
  auto& step = run.steps.back();
  if (run.memory.failures < run.options.failure_budget) {
    ++run.memory.failures;
    ++step.attempt;
    step.attempt_at_ms = seen.now_ms;
    step.detail = why;
    step.changed = true;
    return {.run = std::move(run), .record = true};
  }
  if (run.options.on_failure == OnFailure::cancel && !run.back && !run.finalize_begun) {
    turn_back(run, why, seen);
    return {.run = std::move(run), .record = true};
  }
  return pause(std::move(run), why, seen);
}

/// Its window has ended: no further node is begun, nothing is finalized.
bool window_over(const Run& run, const Observation& seen) {
  return run.options.not_after_ms > 0 && seen.now_ms >= run.options.not_after_ms && !run.memory.past_not_after &&
         !run.back;
}
Decision pause_for_window(Run run, const Observation& seen) {
  return pause(std::move(run), std::string(window_ended), seen);
}

Decision refuse(Run run, const std::string& why, const Observation& seen) {
  close(run.steps.back(), StepState::done, why, seen);
  run.state = RunState::failed;
  run.outcome = "preflight_failed";
  run.current.clear();
  run.message = why + " Nothing was changed.";
  return {.run = std::move(run), .record = true};
}

/// The step that comes once every node is on the release.
StepKind after_nodes(const Run& run) {
  if (run.back) return StepKind::mode_off;
  const bool hold = run.last_hop() ? run.options.hold_before_finalize : !run.options.finalize_intermediate;
  return hold ? StepKind::hold_before_finalize : StepKind::finalize;
}

/// Opens the step that the choice of a node leads to.
Decision open_chosen(Run run, const Choice& choice, const Observation& seen) {
  const auto add = surge_to_add(run, seen, choice.entry == StepKind::ok_to_stop ? choice.node : "");
  if (!choice.waiting.empty()) {
    open(run, StepKind::choose_node, "");
  } else if (window_over(run, seen) && (choice.all_settled ? after_nodes(run) != StepKind::hold_before_finalize
                                                           : choice.entry == StepKind::ok_to_stop)) {
    open(run, StepKind::choose_node, "");
    return pause_for_window(std::move(run), seen);
  } else if (!add.empty()) {
    open(run, StepKind::add_surge, add);
  } else if (!choice.all_settled) {
    open(run, choice.entry, choice.node);
  } else if (auto surge = surge_of(run); !surge.empty()) {
    open(run, StepKind::remove_surge, surge);
  } else {
    open(run, after_nodes(run), "");
  }
  return {.run = std::move(run), .record = true};
}

/// The last trial or soak of this node, where it was refused and nothing of the node has been tried since.
const StepRecord* found_bad_at(const Run& run, const std::string& node) {
  for (auto step = run.steps.rbegin(); step != run.steps.rend(); ++step) {
    if (step->node != node || step->back) continue;
    return found_bad(*step) ? &*step : nullptr;
  }
  return nullptr;
}

/// A node has gone back while the others stay: what now?
Decision after_going_back(Run run, const Observation& seen) {
  const auto node = run.steps.back().node;
  const auto* bad = found_bad_at(run, node);
  const auto why = fmt::format("{} is back on {}{}{}", node, run.hop_from().version,
                               bad ? ": " : ", as it was asked for", bad ? bad->detail : "");
  if (bad && run.memory.failures < run.options.failure_budget) {
    ++run.memory.failures;
    return open_chosen(run, choose(run, seen), seen);
  }
  open(run, StepKind::choose_node, "");
  if (bad && run.options.on_failure == OnFailure::cancel) {
    turn_back(run, why, seen);
    return {.run = std::move(run), .record = true};
  }
  return pause(std::move(run), why, seen);
}

/// Why the surge node went that the last step has taken away; nullptr where it had done its service.
const StepRecord* surge_found_bad(const Run& run) {
  if (run.back || run.steps.size() < 2 || run.steps.back().kind != StepKind::remove_surge) return nullptr;
  const auto& before = run.steps[run.steps.size() - 2];
  return found_bad(before) ? &before : nullptr;
}

/// The surge node showed that the release is bad, before any other node had it.
Decision after_bad_surge(Run run, const std::string& found, const Observation& seen) {
  const auto why = fmt::format("the surge node {} is taken away: {}", run.steps.back().node, found);
  open(run, StepKind::choose_node, "");
  if (run.options.on_failure == OnFailure::cancel) {
    turn_back(run, why, seen);
    return {.run = std::move(run), .record = true};
  }
  return pause(std::move(run), why, seen);
}

/// The run has turned round, and what follows is not what its last step would have led to.
bool turned(const Run& run) {
  return run.back && (run.steps.empty() || !run.steps.back().back || run.steps.back().state == StepState::interrupted);
}

/// Which upgrade task has failed while there is a way back: expand, or a backfill that began early. Nothing further is
/// begun then, for it would fail again when there is none.
std::string failed_on_the_way(const Run& run, const Observation& seen) {
  if (run.back || run.finalize_begun || !seen.cluster) return {};
  const auto failed = cluster::failed_tasks(*seen.cluster);
  return failed.empty() ? std::string() : "upgrade task " + cluster::failure_text(failed.front());
}

/// With downtime: the next of the script.
Decision advance_offline(Run run, const Observation& seen) {
  if (!seen.cluster) return {.run = std::move(run), .waiting = "the roster could not be read"};
  const auto next = offline_next(run, *seen.cluster);
  if (!next) return {.run = std::move(run), .waiting = "the roster is empty"};  // report ends the run before that
  open(run, next->kind, next->node);
  // What is begun is carried through: a site that is down does not wait for the next window.
  const bool first = next->kind == StepKind::drain && run.steps.size() >= 2 &&
                     run.steps[run.steps.size() - 2].kind == StepKind::distribute;
  if (first && window_over(run, seen)) return pause_for_window(std::move(run), seen);
  return {.run = std::move(run), .record = true};
}

/// No step is open.
Decision advance(Run run, const Observation& seen) {
  if (run.steps.empty() && !run.back) {
    open(run, run.options.not_before_ms > seen.now_ms ? StepKind::wait_until : StepKind::preflight, "");
    return {.run = std::move(run), .record = true};
  }
  if (run.options.offline) return advance_offline(std::move(run), seen);
  const auto next = turned(run) ? std::nullopt : follower(run, run.steps.back());
  if (next) {
    const auto last = run.steps.back();
    const bool alone = of_one_node(*next) && (goes_back_alone(run, last) || found_bad(last));
    open(run, *next, of_one_node(*next) || of_surge(*next) ? last.node : "", alone ? Alone::yes : Alone::no);
    if (*next == StepKind::mode_on && window_over(run, seen)) return pause_for_window(std::move(run), seen);
    return {.run = std::move(run), .record = true};
  }
  if (!run.steps.empty() && run.steps.back().kind == StepKind::balance && goes_back_alone(run, run.steps.back()))
    return after_going_back(std::move(run), seen);
  if (const auto* bad = surge_found_bad(run)) return after_bad_surge(std::move(run), bad->detail, seen);
  if (auto why = failed_on_the_way(run, seen); !why.empty()) {
    open(run, StepKind::choose_node, "");
    return trouble(std::move(run), why, seen);
  }
  const auto choice = choose(run, seen);
  return open_chosen(std::move(run), choice, seen);
}

Decision finish(Run run, const StepRecord& done, GoalView view, const Observation& seen) {
  auto& step = run.steps.back();
  const auto kind = done.kind;
  step.metric_ms = view.metric_ms;
  close(step, view.goal == Goal::refused ? StepState::refused : StepState::done, std::move(view.detail), seen);
  // What every host's selfcheck was content with.
  if (kind == StepKind::distribute) run.memory.config = seen.host_config;
  if (kind == StepKind::mode_on) run.mode_on_at_ms = seen.now_ms;
  if (kind == StepKind::await_stable) run.stable_at_ms = seen.now_ms;
  if (kind == StepKind::report) {
    run.state = run.back ? RunState::cancelled : RunState::done;
    run.outcome = run.back ? "cancelled" : "done";
    run.current.clear();
    run.message = run.back ? fmt::format("Every node is back on {}; upgrade mode is off.{}", run.hop_from().version,
                                         why_it_turned(run))
                           : fmt::format("The site runs {}.", run.to);
    return {.run = std::move(run), .record = true};
  }
  // Outcome and next intent go into one transaction, where the next step is known.
  if (follower(run, run.steps.back())) return advance(std::move(run), seen);
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
    found += fmt::format("{}{}: {} {}", found.empty() ? "" : " ", check.title, sentence(check.found), check.action);
    may_settle = may_settle && check.may_settle;
  }
  if (!run.options.chain && seen.way.size() > 1) {
    found += fmt::format(
        "{}The target takes {} hops ({}), and a chain was not wanted. Choose {} as the target, or leave "
        "out --no-chain.",
        found.empty() ? "" : " ", seen.way.size(), join(seen.way, ", "), seen.way.front());
    may_settle = false;
  }
  const auto begun = run.steps.back().attempt_at_ms;
  if (seen.cluster && found.empty()) {
    run.hops.clear();
    for (const auto& stop : seen.way)
      if (const auto version = version::parse_version(stop))
        run.hops.push_back({stop, version::build_number(*version)});
    if (run.hops.empty()) run.hops.push_back({run.to, run.to_build});
    run.hops_chosen = true;
  }
  if (seen.cluster && found.empty())
    return finish(run, run.steps.back(), {Goal::reached, fmt::format("{} checks", checks.size())}, seen);
  if (found.empty()) found = "The roster could not be read.";
  if (!may_settle || seen.now_ms - begun > deadline_of(StepKind::preflight, run.options))
    return refuse(std::move(run), found, seen);
  return {.run = std::move(run), .waiting = found};
}

/// A run freezes each host's configuration: the next node would start with something else than the one before. Notes
/// what is frozen where that is not known yet.
std::string config_changed(Run& run, const Observation& seen, const std::string& node) {
  const auto* member = find_member(seen, node);
  const auto now = member ? seen.host_config.find(member->host) : seen.host_config.end();
  if (now == seen.host_config.end()) return {};
  const auto& frozen = run.memory.config.try_emplace(now->first, now->second).first->second;
  if (frozen == now->second) return {};
  run.memory.config_differs_on = now->first;
  return fmt::format(
      "site.toml of {} has changed since the release was tried with it (SHA-256 {}, now {}): {} would start with "
      "another configuration "
      "than the nodes before it. Put it back and resume; `afloat upgrade resume` takes what is there then",
      now->first, frozen.substr(0, 12), now->second.substr(0, 12), node);
}

Decision drive(Run run, const Observation& seen) {
  const StepRecord step = run.steps.back();
  if (step.kind == StepKind::preflight) return drive_preflight(std::move(run), seen);
  if (step.kind == StepKind::choose_node) {
    if (auto why = failed_on_the_way(run, seen); !why.empty()) {
      const auto& error = seen.act.error;
      const bool again = error && passing(error->kind());
      if (seen.act.tried && !again) return trouble(std::move(run), error ? error->message() : why, seen);
      Decision decision{.run = std::move(run), .waiting = std::move(why)};
      if (!again || seen.now_ms - seen.act.tried_at_ms >= 200) decision.act = act_for(decision.run, step, seen);
      return decision;
    }
    if (seen.act.tried && seen.now_ms - seen.act.tried_at_ms < tried_again_for_ms)
      return {.run = std::move(run), .waiting = "an upgrade task is tried again"};
    const auto choice = choose(run, seen);
    if (choice.waiting.empty()) {
      close(run.steps.back(), StepState::done, choice.node, seen);
      return open_chosen(std::move(run), choice, seen);
    }
    if (seen.now_ms - step.attempt_at_ms > deadline_of(step.kind, run.options))
      return trouble(std::move(run), choice.waiting, seen);
    return {.run = std::move(run), .waiting = choice.waiting};
  }

  if (of_one_node(step.kind) && seen.cluster && !find_member(seen, step.node)) {
    // A person has removed it from the roster: whatever this step waits for will not come.
    close(run.steps.back(), StepState::interrupted, fmt::format("{} was removed", step.node), seen);
    if (!run.options.offline) open(run, StepKind::choose_node, "");
    return {.run = std::move(run), .record = true};
  }

  if (step.kind == StepKind::ok_to_stop && !run.back)
    if (auto changed = config_changed(run, seen, step.node); !changed.empty())
      return pause(std::move(run), changed, seen);
  if (step.kind == StepKind::ok_to_stop)
    if (const auto surge = surge_to_add(run, seen, step.node); !surge.empty()) {
      close(run.steps.back(), StepState::interrupted, "a surge node comes first", seen);
      open(run, StepKind::add_surge, surge);
      return {.run = std::move(run), .record = true};
    }

  auto view = look(run, step, seen);
  if (view.goal == Goal::reached || view.goal == Goal::refused)
    return finish(std::move(run), step, std::move(view), seen);
  if (view.goal == Goal::impossible)
    return step.kind == StepKind::hold_before_finalize ? pause(std::move(run), view.detail, seen)
                                                       : trouble(std::move(run), view.detail, seen);

  const auto& error = seen.act.error;
  if (error && !passing(error->kind())) return trouble(std::move(run), error->message(), seen);
  const auto deadline = deadline_of(step.kind, run.options);
  if (deadline > 0 && seen.now_ms - step.attempt_at_ms > deadline)
    return trouble(std::move(run),
                   fmt::format("not reached within {} s: {}", deadline / 1000, error ? error->message() : view.detail),
                   seen);

  const bool again = error ? seen.now_ms - seen.act.tried_at_ms >= 200 : view.act_again;
  Decision decision{.run = std::move(run), .waiting = error ? error->message() : view.detail};
  if (!seen.act.tried || again) decision.act = act_for(decision.run, step, seen);
  return decision;
}

/// A person wants one node back on the old release. nullopt: not now, another node is in the middle of its steps.
std::optional<Decision> take_rollback(Run run, const Observation& seen) {
  const auto node = run.requests.rollback_node;
  const auto* open_one = run.open_step();
  const bool elsewhere = open_one && run.state != RunState::paused && of_one_node(open_one->kind) &&
                         open_one->node != node && open_one->kind != StepKind::ok_to_stop;
  if (elsewhere || !seen.cluster) return std::nullopt;
  run.taken.rollback_node = std::exchange(run.requests.rollback_node, {});
  const auto* member = find_member(seen, node);
  const auto old = run.hop_from();
  const bool upgrading =
      node != surge_of(run) && !run.back && !run.finalize_begun && !run.steps.empty() && !run.options.offline;
  if (!member || !upgrading || settled(seen, *member, old.version, old.build)) {
    run.message = fmt::format("{} is not taken back: {}.{}", node,
                              node == surge_of(run) ? "it is the surge node, which goes by itself"
                              : !member             ? "it is not in the roster"
                              : !upgrading          ? "there is no single node to take back now"
                                                    : "it is on " + old.version + " already",
                              run.state == RunState::paused ? " " + pause_message(run) : "");
    return Decision{.run = std::move(run), .record = true};
  }
  if (open_one) close(run.steps.back(), StepState::interrupted, fmt::format("{} is to go back", node), seen);
  run.state = RunState::running;
  run.evidence.clear();
  const bool dead = health_of(seen, *member) == Health::dead;
  open(run, dead ? StepKind::maint : StepKind::ok_to_stop, node, Alone::yes);
  return Decision{.run = std::move(run), .record = true};
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
    case StepKind::add_surge:
      return options.active_deadline_ms + 30'000;
    case StepKind::remove_surge:
      return options.drain_deadline_ms + 30'000;
    case StepKind::backup:
      return 0;  // as long as it takes; `cancel` ends the run afterwards
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
    case StepKind::wait_until:
      return 0;
    case StepKind::trial:
      return Trial::limit_ms + 40'000;  // it gives its verdict before
    case StepKind::soak:
      return options.soak_ms + Canary::extension_ms + 30'000;  // likewise
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
  if (run.ended()) return needs;
  if (!run.requests.rollback_node.empty()) return wide();
  if (run.state == RunState::paused) return needs;
  const auto* step = run.open_step();
  if (!step) {
    if (run.steps.empty() && !run.back) return needs;
    if (!turned(run) && follower(run, run.steps.back())) return needs;
    return wide();
  }
  switch (step->kind) {
    case StepKind::preflight:
      needs.catalogue = true;
      return wide();
    case StepKind::add_surge:
    case StepKind::remove_surge:
      needs.surge = step->node;
      return wide();
    case StepKind::choose_node:
      return wide();
    case StepKind::distribute:
      needs.all_hosts = true;
      break;
    case StepKind::ok_to_stop:
      needs.process = step->node;  // and with it its host's configuration
      [[fallthrough]];
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
    case StepKind::trial:
      needs.cluster = true;
      needs.trial = step->node;
      break;
    case StepKind::soak:
      needs.cluster = true;
      needs.process = needs.soak = step->node;
      break;
    case StepKind::wait_until:
    case StepKind::backup:
    case StepKind::hold_before_finalize:
    case StepKind::report:
      break;
  }
  return needs;
}

Decision step(Run run, const Observation& seen) {
  if (run.ended()) return {.run = std::move(run)};

  if (run.cancel_requested && !run.back && !run.finalize_begun) {
    turn_back(run, std::string(asked_for_cancel), seen);
    return {.run = std::move(run), .record = true};
  }
  if (!run.requests.rollback_node.empty())
    if (auto decision = take_rollback(run, seen)) return std::move(*decision);
  const bool comes_back_first = run.state != RunState::paused && node_is_away(run);
  if (!run.requests.pause_by.empty() && (run.state == RunState::paused || run.open_step()) && !comes_back_first) {
    run.taken.pause_by = std::exchange(run.requests.pause_by, {});
    if (run.state == RunState::paused || run.finalize_begun) return {.run = std::move(run), .record = true};
    const auto why = fmt::format("{}{}", by_a_person, run.taken.pause_by);
    return pause(std::move(run), why, seen);
  }

  if (run.state == RunState::paused) {
    if (!run.resume_requested) return {.run = std::move(run)};
    run.resume_requested = false;
    if (!run.memory.config_differs_on.empty()) run.memory.config.erase(std::exchange(run.memory.config_differs_on, {}));
    run.memory.past_not_after = run.memory.past_not_after || window_over(run, seen);
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

  if (!run.open_step()) return advance(std::move(run), seen);
  const auto pauses_after = comes_back_first && !run.requests.pause_by.empty() ? run.open_step()->node : std::string();
  auto decision = drive(std::move(run), seen);
  if (!pauses_after.empty() && !decision.waiting.empty())
    decision.waiting += fmt::format("; the run pauses once {} is back", pauses_after);
  return decision;
}

}  // namespace afloat::rollout
