#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "sim/checker.h"
#include "sim/database.h"

/// Runs, their journal, and who conducts: the part of the simulated database that store/run_store.cc has in SQL.
namespace afloat::sim {

using rollout::Run;

namespace {
constexpr Micros lease_time = 5 * second;
}

Result<std::int64_t> Database::create_run(const NewRun& wanted) {
  for (const auto& [id, run] : runs_)
    if (!run.ended()) return fail(ErrorKind::conflict, fmt::format("Upgrade run {} has not ended.", id));
  Run run;
  run.id = static_cast<std::int64_t>(runs_.size()) + 1;
  run.from = state_->cluster_version;
  run.from_build = state_->cluster_build;
  run.to = wanted.to;
  run.to_build = new_build;
  run.options = wanted.options;
  run.message = "waiting for a conductor";
  run.started_at_ms = engine_.unix_ms();
  runs_[run.id] = run;
  changed(fmt::format("run {} to {}", run.id, run.to));
  return run.id;
}

Result<void> Database::request_cancel(std::int64_t id) {
  auto& run = runs_.at(id);
  if (run.ended() || run.finalize_begun) return fail(ErrorKind::failed_precondition, "too late to cancel");
  run.cancel_requested = true;
  if (auto pending = not_written_.find(id); pending != not_written_.end()) pending->second.cancel_requested = true;
  ++coverage_[fmt::format("cancel asked for during {}",
                          run.open_step() ? rollout::to_string(run.open_step()->kind) : "no step")];
  changed(fmt::format("cancel of run {} is asked for", id));
  checker_.cancel_accepted(run);
  return {};
}

Result<void> Database::request_resume(std::int64_t id) {
  auto& run = runs_.at(id);
  if (run.ended() || run.state != rollout::RunState::paused) return fail(ErrorKind::failed_precondition, "not paused");
  run.resume_requested = true;
  changed(fmt::format("resume of run {} is asked for", id));
  return {};
}

Result<void> Database::request_pause(std::int64_t id) {
  auto& run = runs_.at(id);
  if (run.ended() || run.finalize_begun || run.state == rollout::RunState::paused)
    return fail(ErrorKind::failed_precondition, "nothing to pause");
  run.requests.pause_by = "people";
  if (auto pending = not_written_.find(id); pending != not_written_.end()) pending->second.requests = run.requests;
  changed(fmt::format("pause of run {} is asked for", id));
  return {};
}

Result<void> Database::request_rollback(std::int64_t id, const std::string& node) {
  auto& run = runs_.at(id);
  if (run.ended() || run.finalize_begun) return fail(ErrorKind::failed_precondition, "too late to go back");
  run.requests.rollback_node = node;
  if (auto pending = not_written_.find(id); pending != not_written_.end()) pending->second.requests = run.requests;
  changed(fmt::format("{} is to go back in run {}", node, id));
  return {};
}

std::optional<Run> Database::active_run() const {
  for (const auto& [id, run] : runs_)
    if (!run.ended()) return run;
  return std::nullopt;
}

Result<std::optional<LeaderLease>> Database::take_lead(const std::string& holder, std::int64_t at_least) {
  if (lead_until_ >= engine_.now() && lead_.holder != holder) return std::optional<LeaderLease>();
  if (bug_ == Bug::lease_without_epoch)
    lead_.epoch = 1;
  else
    lead_.epoch = std::max(lead_.epoch, at_least) + 1;
  lead_.holder = holder;
  lead_until_ = engine_.now() + lease_time;
  not_written_.clear();  // it was in the earlier leader's memory
  changed(fmt::format("{} leads, epoch {}", holder, lead_.epoch));
  checker_.lead_taken(holder);
  return std::optional<LeaderLease>(lead_);
}

Result<void> Database::fenced_lead(const LeaderLease& lead) {
  const bool same = lead.epoch == lead_.epoch && (lead.holder == lead_.holder || bug_ == Bug::lease_without_epoch);
  if (!same)
    return fail(ErrorKind::failed_precondition, fmt::format("epoch {} of {} no longer leads", lead.epoch, lead.holder),
                lead_lost);
  lead_until_ = engine_.now() + lease_time;
  return {};
}

Result<void> Database::renew_lead(const LeaderLease& lead) { return fenced_lead(lead); }

Result<void> Database::release_lead(const LeaderLease& lead) {
  if (lead.epoch != lead_.epoch || lead.holder != lead_.holder) return {};
  lead_.holder.clear();
  lead_until_ = 0;
  changed(fmt::format("epoch {} is given up", lead.epoch));
  return {};
}

Result<Run> Database::record(Run run, const LeaderLease& lead) {
  if (auto fenced = fenced_lead(lead); !fenced) return std::unexpected(fenced.error());
  auto& row = runs_.at(run.id);
  if (row.ended() || (run.finalize_begun && !row.finalize_begun && row.cancel_requested))
    return fail(ErrorKind::conflict, fmt::format("run {} was changed by somebody else meanwhile", run.id));
  const auto now = engine_.unix_ms();
  run.resume_requested = run.state == rollout::RunState::paused && row.resume_requested &&
                         row.state == rollout::RunState::paused;
  run.cancel_requested = row.cancel_requested;
  // Only what was taken up is cleared: more may have been asked for meanwhile.
  const auto taken = std::exchange(run.taken, {});
  run.requests = row.requests;
  if (!taken.pause_by.empty()) run.requests.pause_by.clear();
  if (!taken.rollback_node.empty()) run.requests.rollback_node.clear();
  run.hops_chosen = false;
  if (run.ended() && run.ended_at_ms == 0) run.ended_at_ms = now;
  for (auto& step : run.steps) {
    if (!step.changed) continue;
    if (step.seq == 0) {
      step.seq = next_step_++;
      step.started_at_ms = step.attempt_at_ms = now;
    }
    for (const auto& before : row.steps)
      if (before.seq == step.seq && before.attempt != step.attempt) step.attempt_at_ms = now;
    step.ended_at_ms = step.open() ? 0 : now;
    step.changed = false;
    ++coverage_[fmt::format("step: {} {}", rollout::to_string(step.kind), rollout::to_string(step.state))];
    engine_.note(fmt::format("journal: run {} {}{} {} {}", run.id, step.back ? "(back) " : "",
                             rollout::title_of(step.kind, step.node), rollout::to_string(step.state), step.detail));
  }
  if (run.state != row.state)
    engine_.note(fmt::format("journal: run {} is {} {}", run.id, rollout::to_string(run.state), run.message));
  ++revision;
  if (bug_ == Bug::journal_after_act) {
    // What a conductor would do that acts first: each write reaches the disk with the next one only.
    auto pending = not_written_.find(run.id);
    if (pending != not_written_.end()) row = pending->second;
    not_written_[run.id] = run;
    if (run.ended()) row = run;
    return run;
  }
  checker_.recorded(row, run);
  row = run;
  return run;
}

}  // namespace afloat::sim
