#include "sim/checker.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "rollout/capacity.h"
#include "sim/database.h"

namespace afloat::sim {

using cluster::Mode;
using cluster::NodeState;
using rollout::StepKind;
using rollout::StepState;

namespace {
/// What a conductor saw may be so old when its record arrives: it may have been stopped in between for as
/// long as its lease lives, and a message may be on its way.
constexpr Micros old_news = 12 * second;
}  // namespace

void Checker::check() {
  if (database_->revision == seen_revision_) return;
  seen_revision_ = database_->revision;
  const auto& state = database_->state();
  if (!state) return;
  if (state->cluster_build < highest_cluster_build_)
    engine_.violated("V1", fmt::format("the cluster version went back to {}", state->cluster_version));
  if (state->epoch < highest_epoch_) engine_.violated("V1", "the cluster state went back in time");
  highest_cluster_build_ = state->cluster_build;
  highest_epoch_ = state->epoch;
  if (state->min_build > state->max_build || state->min_gates > state->gates)
    engine_.violated("V3", "the writer window is empty");
  watch_members();
  same_version_outside_upgrade_mode();
}

void Checker::watch_members() {
  for (const auto& [id, row] : database_->members()) {
    if (row.member.removed) continue;
    const bool serves = database_->lease_live(row) &&
                        (row.member.state == NodeState::ACTIVE || row.member.state == NodeState::DRAINING);
    (serves ? last_serving_ : last_not_serving_)[row.member.name] = engine_.now();
  }
}

void Checker::same_version_outside_upgrade_mode() {
  std::set<int> builds;
  for (const auto& [id, row] : database_->members())
    if (database_->lease_live(row) && !row.member.removed) builds.insert(row.member.build);
  const auto& state = *database_->state();
  if (builds.size() > 2) engine_.violated("V2", "three versions are live");
  for (const int build : builds) {
    if (state.mode == Mode::off && build != state.cluster_build)
      engine_.violated("V3", fmt::format("a live node is build {} while the site is STABLE on {}", build,
                                         state.cluster_version));
    if (state.finalize_requested_ms && build != state.target_build)
      engine_.violated("V2", fmt::format("a live node is build {} while the site is being finalized", build));
  }
}

void Checker::admitted(const cluster::Member& member) {
  const auto& state = *database_->state();
  if (member.build != state.cluster_build && state.mode == Mode::off)
    engine_.violated("V3", fmt::format("{} was admitted on build {} in a STABLE site", member.name, member.build));
  if (member.build == new_build && state.cluster_build < new_build && !state.expand_done)
    engine_.violated("V5", fmt::format("{} was admitted before expand was done", member.name));
}

// ---- users' data

void Checker::committed(int page, std::int64_t value, int build, bool old_form, const std::string& who) {
  const auto& state = *database_->state();
  if (build < state.min_build || build > state.max_build)
    engine_.violated(state.finalize_requested_ms || state.cluster_build > old_build || state.epoch > 1 ? "V6" : "V3",
                     fmt::format("{} (build {}) has committed page {} outside the window {}..{}", who, build, page,
                                 state.min_build, state.max_build));
  if (!old_form && state.cluster_build < new_build)
    engine_.violated("V5", fmt::format("{} wrote the new form alone before its gate was open", who));
  auto& history = pages_[page];
  if (history.values.empty()) history.values.push_back(0);
  place_of_[value] = history.values.size();
  history.values.push_back(value);
  ++writes_;
}

void Checker::acknowledged(int page, std::int64_t value) {
  const auto place = place_of_.find(value);
  if (place == place_of_.end())
    engine_.violated("U2", fmt::format("write {} was acknowledged and never committed", value));
  auto& history = pages_[page];
  history.acknowledged = std::max(history.acknowledged, place->second);
}

std::size_t Checker::read_begins(int page) const {
  const auto found = pages_.find(page);
  return found == pages_.end() ? 0 : found->second.acknowledged;
}

void Checker::read_returned(int page, std::size_t at_least, std::int64_t value, const std::string& node) {
  const auto place = place_of_.find(value);
  if ((place == place_of_.end() ? 0 : place->second) < at_least)
    engine_.violated("U2", fmt::format("{} answers page {} with write {}, older than one that was acknowledged before",
                                       node, page, value));
}

void Checker::before_contract() {
  for (const auto& [id, page] : database_->pages()) {
    const auto found = pages_.find(id);
    const auto last = found == pages_.end() ? 0 : found->second.values.back();
    if (page.new_form.value_or(-1) != last)
      engine_.violated("O8", fmt::format("contract drops the old form while page {} is not whole in the new one", id));
  }
  const auto& state = *database_->state();
  if (state.cluster_build < new_build || state.min_gates < state.gates || state.min_build < new_build)
    engine_.violated("O8", "contract runs before every writer of the old form is shut out");
}

// ---- commands

void Checker::before_approve() {
  const auto& state = *database_->state();
  for (const auto& [id, row] : database_->members()) {
    if (row.member.removed) continue;
    const auto& member = row.member;
    if (member.build == state.target_build && member.state == NodeState::ACTIVE && database_->lease_live(row)) continue;
    engine_.violated("O7", fmt::format("approved though {} is {} on {}, lease {}", member.name,
                                       cluster::to_string(member.state), member.version,
                                       database_->lease_live(row) ? "alive" : "over"));
  }
}

void Checker::before_cancel() {
  const auto& state = *database_->state();
  for (const auto& [id, row] : database_->members())
    if (!row.member.removed && row.member.build != state.original_build)
      engine_.violated("O5", fmt::format("upgrade mode ends while {} is on {}", row.member.name, row.member.version));
}

void Checker::cancel_accepted(const rollout::Run& run) {
  const auto& state = *database_->state();
  if (state.run_id == run.id && state.finalize_requested_ms)
    engine_.violated("O5", fmt::format("a cancel of run {} was accepted after approve", run.id));
}

void Checker::lead_taken(const std::string& holder) {
  const int next = static_cast<int>(leaders_.size()) + 1;
  leaders_[holder] = next;
  if (static_cast<int>(leaders_.size()) < next) leaders_[holder] = next;
}

void Checker::agent_knows(const std::string& host, const LeaderLease& lead) {
  const auto leader = leaders_.find(lead.holder);
  if (leader == leaders_.end()) engine_.violated("O4", fmt::format("{} commands and never led", lead.holder));
  auto& highest = host_leader_[host];
  if (leader->second < highest)
    engine_.violated("O4", fmt::format("{} obeys {}, which was replaced before", host, lead.holder));
  highest = leader->second;
}

void Checker::agent_effect(const std::string& host, const std::string& kind, const std::string& node,
                           const Order& order) {
  agent_knows(host, order.lead);
  const auto run = database_->runs().find(order.run);
  if (run != database_->runs().end())
    for (const auto& step : run->second.steps)
      if (fmt::format("{}-{}", step.seq, step.attempt) == order.step) return;
  // An attempt that was given up keeps its number; only what was never written is missing.
  if (run != database_->runs().end())
    for (const auto& step : run->second.steps)
      if (order.step.starts_with(fmt::format("{}-", step.seq)) &&
          parse_int(order.step.substr(order.step.find('-') + 1)).value_or(0) < step.attempt)
        return;
  engine_.violated("O3", fmt::format("{} does \"{} {}\" for step {}, which is not in the journal", host, kind, node,
                                     order.step));
}

void Checker::cluster_effect(std::int64_t run_id, const std::vector<StepKind>& kinds) {
  const auto run = database_->runs().find(run_id);
  if (run != database_->runs().end() && !run->second.steps.empty() &&
      std::ranges::find(kinds, run->second.steps.back().kind) != kinds.end())
    return;
  engine_.violated("O3", fmt::format("run {} does \"{}\" and its journal does not say so", run_id,
                                     rollout::to_string(kinds.back())));
}

void Checker::balancer_effect(const std::string& node) {
  for (const auto& [id, run] : database_->runs())
    for (const auto& step : run.steps)
      if (step.node == node) return;
  engine_.violated("O3", fmt::format("the balancer is told about {}, which the journal does not name", node));
}

void Checker::recorded(const rollout::Run& before, const rollout::Run& after) {
  if (before.back && !after.back) engine_.violated("O5", "a run that goes back has turned again");
  if (after.back && after.finalize_begun) engine_.violated("O5", "a run goes back after finalize began");
  if (after.state == rollout::RunState::paused && after.message.find("afloat upgrade") == std::string::npos)
    engine_.violated("O6", fmt::format("paused without a next action: \"{}\"", after.message));
  if (const auto* step = after.open_step(); step && step->state == StepState::paused &&
                                            before.state != rollout::RunState::paused &&
                                            step->detail.starts_with("not reached within")) {
    // A second for what was on its way.
    const auto waited = engine_.unix_ms() - step->attempt_at_ms;
    if (waited + 1'000 < rollout::deadline_of(step->kind, after.options))
      engine_.violated("O6", fmt::format("{} was given up after {} ms: {}", after.current, waited, step->detail));
  }
  if (before.state == rollout::RunState::paused && after.state == rollout::RunState::running && !before.resume_requested &&
      before.requests.rollback_node.empty())
    engine_.violated("O5", "a paused run goes on though nobody asked for it");
  for (const auto& step : after.steps) {
    if (step.kind != StepKind::ok_to_stop_again || step.state != StepState::done) continue;
    const bool news = std::ranges::none_of(before.steps, [&](const auto& old) {
      return old.seq == step.seq && old.state == StepState::done;
    });
    if (news) others_were_serving(step);
  }
  if (const auto* step = after.open_step(); step && step->kind == StepKind::stop && step->seq > 0) {
    const bool news = before.steps.empty() || before.steps.back().seq != step->seq;
    if (news) stop_was_allowed(after);
  }
}

void Checker::others_were_serving(const rollout::StepRecord& step) {
  watch_members();
  for (const auto& [id, row] : database_->members()) {
    const auto& member = row.member;
    if (member.removed || member.name == step.node) continue;
    if (const auto last = last_serving_.find(member.name);
        last == last_serving_.end() || engine_.now() - last->second > old_news)
      engine_.violated("O1", fmt::format("{} may be stopped though {} has not served for {} s", step.node, member.name,
                                         old_news / second));
  }
}

void Checker::stop_was_allowed(const rollout::Run& run) {
  const auto& stop = run.steps.back();
  std::vector<StepKind> kinds;
  for (auto step = run.steps.rbegin() + 1; step != run.steps.rend() && step->node == stop.node; ++step) {
    if (step->state != StepState::done) break;
    kinds.push_back(step->kind);
    if (step->kind == StepKind::drain || step->kind == StepKind::balance) break;
  }
  if (kinds.empty() || kinds.front() != StepKind::maint)
    engine_.violated("O2", fmt::format("{} is stopped without having been taken out of the balancer", stop.node));
  if (kinds.size() >= 3 && kinds[1] == StepKind::ok_to_stop_again && kinds[2] == StepKind::drain) return;
  // One that soaked badly leaves at once, drained, whatever the others would say.
  const auto soaked = std::find_if(run.steps.rbegin(), run.steps.rend(), [&](const auto& step) {
    return step.node == stop.node && !step.back;
  });
  const bool harmful = soaked != run.steps.rend() &&
                       (soaked->kind == StepKind::soak || soaked->kind == StepKind::trial) &&
                       soaked->state == rollout::StepState::refused && stop.back;
  if (harmful && kinds.size() >= 2 && kinds[1] == StepKind::drain) return;
  // Straight to maint: only for one that serves nobody.
  watch_members();
  const auto last = last_not_serving_.find(stop.node);
  if (last == last_not_serving_.end() || engine_.now() - last->second > old_news)
    engine_.violated("O2", fmt::format("{} is stopped without drain though it serves", stop.node));
}

// ---- nodes

void Checker::answers(const std::string& node, const std::string& id, const std::string& incarnation, int build) {
  const auto row = database_->members().find(id);
  if (row == database_->members().end() || row->second.member.incarnation != incarnation ||
      row->second.lease_until <= engine_.now() || row->second.member.removed)
    engine_.violated("V3", fmt::format("{} answers though its lease is over", node));
  const auto& state = *database_->state();
  if (build < state.min_build || build > state.max_build)
    engine_.violated("V3", fmt::format("{} answers with build {}, outside the window", node, build));
}

void Checker::gates_taken(const std::string& node, int number, int cluster_build) {
  const auto& state = *database_->state();
  if (number > state.gates || cluster_build > state.cluster_build)
    engine_.violated("V4", fmt::format("{} works with gates {} before they are in the database", node, number));
  auto& [known, known_build] = node_gates_[node];
  if (number < known || cluster_build < known_build)
    engine_.violated("V1", fmt::format("{} has seen the cluster version go back", node));
  known = number;
  known_build = cluster_build;
}

void Checker::ended_by_plan(const std::string& node, int cut_requests) {
  if (cut_requests > 0)
    engine_.violated("U1", fmt::format("{} was stopped as planned with {} requests in flight", node, cut_requests));
}

void Checker::at_end() {
  const auto& state = *database_->state();
  for (const auto& [id, page] : database_->pages()) {
    const auto found = pages_.find(id);
    const auto last = found == pages_.end() ? 0 : found->second.values.back();
    for (const int build : {old_build, new_build}) {
      if (state.cluster_build >= new_build && build == old_build) continue;
      if (database_->value_of(build, id).value_or(-1) != last)
        engine_.violated("U2", fmt::format("page {} is not what was written last, as build {} reads it", id, build));
    }
  }
  for (const auto& [id, task] : database_->tasks()) {
    if (task.contracted > 1) engine_.violated("O8", fmt::format("{} was done twice", id));
    if (state.cluster_build >= new_build && state.mode == Mode::off && task.record.state != cluster::TaskState::done)
      engine_.violated("O8", fmt::format("the site is finalized and {} is {}", id,
                                         cluster::to_string(task.record.state)));
  }
  if (state.cluster_build >= new_build && state.mode == Mode::off &&
      (!database_->old_form_dropped() || state.gates != 2 || state.min_gates != 2))
    engine_.violated("O8", "finalize ended in another state than a clean one");
}

}  // namespace afloat::sim
