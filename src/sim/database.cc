#include "sim/database.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/checker.h"
#include "version/version.h"

/// Cluster state, tasks and content. Each function mirrors the SQL of its namesake in store/.
namespace afloat::sim {

using namespace cluster;

namespace {
constexpr Micros lease_time = 5 * second;

std::unexpected<Error> taken(const std::string& task) {
  return fail(ErrorKind::conflict, fmt::format("Another runner has taken over {}.", task), "taken_over");
}
}  // namespace

const std::vector<TaskDeclaration>& tasks_of(int build) {
  static const std::vector<TaskDeclaration> none;
  static const std::vector<TaskDeclaration> known = {
      {"1.1.0/body/expand", new_version, "e", new_build - 9, TaskKind::expand, 1},
      {"1.1.0/body/backfill", new_version, "b", new_build - 9, TaskKind::backfill, 2},
      {"1.1.0/body/contract", new_version, "c", new_build - 9, TaskKind::contract, 3}};
  return build >= new_build ? known : none;
}

bool Database::lease_live(const MemberRow& row) const {
  return row.lease_until > engine_.now() && !row.member.closed && row.lease_incarnation == row.member.incarnation;
}

void Database::changed(std::string_view what) {
  ++revision;
  engine_.note(fmt::format("database: {}", what));
}

Snapshot Database::observe() const {
  Snapshot snapshot;
  snapshot.now_ms = engine_.unix_ms();
  snapshot.state = state_;
  for (const auto& [id, row] : members_) {
    if (row.member.removed) {
      snapshot.removed_ids.push_back(id);
      continue;
    }
    auto& member = snapshot.members.emplace_back(row.member);
    member.lease_live = lease_live(row);
    member.lease_ms_left = (row.lease_until - engine_.now()) / ms;
  }
  for (const auto& [id, row] : tasks_) {
    auto& task = snapshot.tasks.emplace_back(row.record);
    task.lease_live = row.lease_until > engine_.now();
  }
  return snapshot;
}

Result<AdmissionDecision> Database::admit(const Candidate& candidate) {
  const auto snapshot = observe();
  auto decision = cluster::admit(snapshot, candidate);
  ++coverage_[fmt::format("admission: {}", cluster::to_string(decision.outcome))];
  switch (decision.outcome) {
    case AdmissionOutcome::refuse:
    case AdmissionOutcome::wait:
    case AdmissionOutcome::await_expand:
      engine_.note(fmt::format("database: {} {} is not admitted: {}", candidate.name,
                               version::to_string(candidate.version), decision.reason));
      return decision;
    case AdmissionOutcome::bootstrap:
      state_.emplace();
      state_->cluster_version = version::to_string(candidate.version);
      state_->cluster_build = state_->min_build = state_->max_build = candidate.build;
      break;
    case AdmissionOutcome::admit_as_target:
      state_->target_build = candidate.build;
      ++state_->epoch;
      break;
    case AdmissionOutcome::admit:
      break;
  }
  auto& row = members_[candidate.id];
  row.member = {};
  row.member.id = candidate.id;
  row.member.name = candidate.name;
  row.member.host = candidate.host;
  row.member.ephemeral = candidate.ephemeral;
  row.member.version = version::to_string(candidate.version);
  row.member.build = candidate.build;
  row.member.incarnation = row.lease_incarnation = candidate.incarnation;
  row.member.state = NodeState::STARTING;
  row.member.gates_in_use = state_->gates;
  row.member.started_at_ms = candidate.started_at_ms;
  row.lease_until = engine_.now() + lease_time;
  changed(fmt::format("{} {} is admitted as {}", candidate.name, row.member.version, candidate.incarnation));
  checker_.admitted(row.member);
  return decision;
}

Result<Lease> Database::renew(const Heartbeat& beat) {
  Lease lease;
  lease.state = *state_;
  const auto found = members_.find(beat.id);
  if (found == members_.end()) return lease;
  auto& row = found->second;
  if (row.member.incarnation != beat.incarnation || row.member.closed || row.member.removed) return lease;
  lease.held = true;
  row.lease_until = engine_.now() + lease_time;
  row.member.gates_in_use = beat.gates_in_use;
  row.member.tasks_running = beat.tasks_running;
  row.member.active_users = beat.active_users;
  row.member.load = beat.load;
  return lease;
}

Result<void> Database::set_state(const std::string& id, const std::string& incarnation, NodeState state, bool close) {
  const auto found = members_.find(id);
  if (found == members_.end() || found->second.member.incarnation != incarnation || found->second.member.closed)
    return fail(ErrorKind::failed_precondition, "This start of the node is no longer a member of the cluster.");
  auto& member = found->second.member;
  ++coverage_[fmt::format("node: {} -> {}", to_string(member.state), to_string(state))];
  member.state = state;
  if (state == NodeState::ACTIVE && member.active_at_ms == 0) member.active_at_ms = engine_.unix_ms();
  if (close) member.closed = true;
  if (close && member.ephemeral) member.removed = true;
  changed(fmt::format("{} is {}", member.name, to_string(state)));
  if (notify_cluster) notify_cluster();
  return {};
}

Result<void> Database::apply(Command command, const std::string& actor, std::optional<int> target_build,
                             std::optional<std::int64_t> run) {
  auto snapshot = observe();
  if (bug_ == Bug::finalize_with_unknown_member && command == Command::approve)
    std::erase_if(snapshot.members, [](const Member& member) { return !member.lease_live; });
  const auto phase = derive_phase(snapshot).phase;
  const auto legal = check_command(snapshot, command, run);
  ++coverage_[fmt::format("command: {} in {}: {}", to_string(command), to_string(phase), legal ? "done" : "refused")];
  if (!legal) {
    engine_.note(fmt::format("database: {} by {} is refused in {}", to_string(command), actor, to_string(phase)));
    return legal;
  }
  auto& state = *state_;
  switch (command) {
    case Command::start:
      state.mode = Mode::on;
      state.original_build = state.min_build;
      state.target_build = target_build;
      state.expand_done = false;
      state.finalize_requested_ms.reset();
      state.run_id = run;
      break;
    case Command::cancel:
      for (auto& [id, task] : tasks_) {
        const bool backfilled = task.record.kind == TaskKind::backfill && task.record.state != TaskState::pending;
        if ((!backfilled && task.record.state != TaskState::failed) || task.record.build <= state.original_build)
          continue;
        task.record.state = task.record.kind == TaskKind::backfill ? TaskState::recheck : TaskState::pending;
        task.record.attempts = 0;
        task.record.total = 0;
        task.record.error.clear();
        task.lease_until = 0;
      }
      checker_.before_cancel();
      state.mode = Mode::off;
      state.max_build = *state.original_build;
      state.original_build.reset();
      state.target_build.reset();
      state.expand_done = false;
      state.run_id.reset();
      break;
    case Command::approve:
      checker_.before_approve();
      state.min_build = state.max_build = *state.target_build;
      state.finalize_requested_ms = engine_.unix_ms();
      break;
    case Command::retry:
      for (auto& [id, task] : tasks_) {
        if (task.record.state != TaskState::failed) continue;
        task.record.state = TaskState::pending;
        task.record.attempts = 0;
        task.record.error.clear();
        task.lease_until = 0;
      }
      break;
  }
  if (command != Command::retry) ++state.epoch;
  changed(fmt::format("{} by {}", to_string(command), actor));
  if (notify_cluster) notify_cluster();
  return {};
}

Result<void> Database::remove(const std::string& name) {
  for (auto& [id, row] : members_) {
    if (row.member.name != name || row.member.removed) continue;
    if (lease_live(row)) return fail(ErrorKind::failed_precondition, fmt::format("{} is alive", name));
    row.member.removed = row.member.closed = true;
    changed(fmt::format("{} is removed", name));
    return {};
  }
  return fail(ErrorKind::not_found, fmt::format("no member is called {}", name));
}

// ---- tasks

Database::TaskRow* Database::held(const std::string& task, int token) {
  const auto found = tasks_.find(task);
  if (found == tasks_.end() || found->second.token != token || found->second.record.state != TaskState::running)
    return nullptr;
  return &found->second;
}

Result<void> Database::pin_target(int build) {
  if (state_->mode != Mode::on) return fail(ErrorKind::failed_precondition, "Upgrade mode is off.");
  if (!state_->target_build) {
    state_->target_build = build;
    ++state_->epoch;
  }
  if (*state_->target_build != build) return fail(ErrorKind::failed_precondition, "This upgrade goes elsewhere.");
  return {};
}

Result<void> Database::register_tasks(int build) {
  for (const auto& task : tasks_of(build)) {
    if (tasks_.contains(task.id)) continue;
    auto& record = tasks_[task.id].record;
    record.id = task.id;
    record.version = task.version;
    record.build = task.build;
    record.kind = task.kind;
    record.ordinal = task.ordinal;
    record.checksum = task.checksum;
  }
  return {};
}

Result<Database::Claimed> Database::claim(const std::string& task, const std::string& runner) {
  auto& row = tasks_.at(task);
  auto& record = row.record;
  const bool lost = record.state == TaskState::running && row.lease_until < engine_.now();
  if (lost && record.attempts >= 3) {
    record.state = TaskState::failed;
    record.error = "three runners were lost while they worked on it; the last one was " + record.runner;
    changed(fmt::format("{} failed: {}", task, record.error));
    return Claimed{};
  }
  if (!lost && record.state != TaskState::pending && record.state != TaskState::recheck) return Claimed{};
  record.state = TaskState::running;
  ++row.token;
  ++record.attempts;
  record.runner = runner;
  if (record.kind == TaskKind::backfill) record.total = record.done + rows_without_new_form();
  row.lease_until = engine_.now() + lease_time;
  changed(fmt::format("{} is claimed by {}, attempt {}", task, runner, record.attempts));
  return Claimed{row.token, record.checkpoint};
}

Result<void> Database::expand_step(const std::string& task, int token, int step) {
  auto* row = held(task, token);
  if (!row) return taken(task);
  row->lease_until = engine_.now() + lease_time;
  row->record.checkpoint = fmt::format("step {}", step);
  ++row->steps;
  expanded_ = true;
  changed(fmt::format("{} step {}", task, step));
  return {};
}

Result<void> Database::finish_task(const std::string& task, int token, TaskState as) {
  auto* row = held(task, token);
  if (!row) return {};  // the update meets no row
  row->record.state = as;
  if (as == TaskState::recheck) row->record.attempts = 0;
  if (as == TaskState::done) row->record.error.clear();
  row->lease_until = 0;
  changed(fmt::format("{} is {}", task, to_string(as)));
  return {};
}

Result<void> Database::fail_task(const std::string& task, int token, const std::string& why) {
  auto& row = tasks_.at(task);
  if (row.token != token) return {};
  row.record.state = TaskState::failed;
  row.record.error = why;
  row.lease_until = 0;
  changed(fmt::format("{} failed: {}", task, why));
  return {};
}

Result<void> Database::open_window(int build) {
  if (state_->mode == Mode::off) return fail(ErrorKind::failed_precondition, "Upgrade mode is off.");
  if (state_->expand_done) return {};
  if (!pending_expand(observe(), tasks_of(build)).empty()) return fail(ErrorKind::conflict, "Expand is not done yet.");
  state_->expand_done = true;
  state_->max_build = std::max(state_->max_build, *state_->target_build);
  ++state_->epoch;
  changed("expand is done; the window is wider");
  if (notify_cluster) notify_cluster();
  return {};
}

Result<int> Database::backfill(const std::string& task, int token, int build, int gates) {
  constexpr int batch = 5;
  if (auto allowed = fence(build, gates); !allowed) return std::unexpected(allowed.error());
  auto* row = held(task, token);
  if (!row) return taken(task);
  if (fails_now()) return fail(ErrorKind::internal, "a row cannot be moved");
  int moved = 0;
  for (auto& [id, page] : pages_) {
    if (page.new_form || moved == batch) continue;
    page.new_form = page.old_form;
    ++moved;
  }
  row->record.done += moved;
  row->lease_until = engine_.now() + lease_time;
  if (moved > 0) changed(fmt::format("{} moves {} rows", task, moved));
  return moved;
}

int Database::rows_without_new_form() const {
  return static_cast<int>(std::ranges::count_if(pages_, [](const auto& entry) { return !entry.second.new_form; }));
}

Result<void> Database::relax(const std::string& task, int token) {
  auto* row = held(task, token);
  if (!row) return taken(task);
  relaxed_ = true;
  row->record.checkpoint = "relaxed";
  row->record.state = TaskState::pending;
  row->record.attempts = 0;
  row->lease_until = 0;
  changed(fmt::format("{} has relaxed the old form", task));
  return {};
}

bool Database::fails_now() {
  if (failures_to_come == 0 || (fails_late && !state_->finalize_requested_ms)) return false;
  --failures_to_come;
  return true;
}

Result<void> Database::contract(const std::string& task, int token) {
  auto* row = held(task, token);
  if (!row) return taken(task);
  if (fails_now()) return fail(ErrorKind::internal, "the old form cannot be dropped");
  checker_.before_contract();
  ++row->contracted;
  for (auto& [id, page] : pages_) page.old_form.reset();
  old_form_dropped_ = true;
  row->record.state = TaskState::done;
  row->lease_until = 0;
  changed(fmt::format("{} has dropped the old form", task));
  return {};
}

Result<void> Database::raise(int build) {
  if (!state_->finalize_requested_ms || state_->cluster_build == build) return {};
  state_->cluster_version = version_of(build);
  state_->cluster_build = build;
  ++state_->gates;
  ++state_->epoch;
  changed(fmt::format("the cluster version is {}", state_->cluster_version));
  if (notify_cluster) notify_cluster();
  return {};
}

Result<void> Database::second_fence() {
  if (!state_->finalize_requested_ms || state_->min_gates >= state_->gates) return {};
  state_->min_gates = state_->gates;
  ++state_->epoch;
  changed("stale gates are fenced");
  return {};
}

Result<void> Database::end_upgrade_mode() {
  if (!state_->finalize_requested_ms) return {};
  state_->mode = Mode::off;
  state_->original_build.reset();
  state_->target_build.reset();
  state_->expand_done = false;
  state_->finalize_requested_ms.reset();
  state_->run_id.reset();
  ++state_->epoch;
  changed("upgrade mode is off: STABLE");
  if (notify_cluster) notify_cluster();
  return {};
}

// ---- content

void Database::add_page(int page, std::int64_t value) { pages_[page].old_form = value; }

Result<void> Database::fence(int build, int gates) const {
  if (bug_ == Bug::no_fence) return {};
  if (build < state_->min_build || build > state_->max_build)
    return fail(ErrorKind::failed_precondition, "this build may not write", "AF001");
  if (gates < state_->min_gates) return fail(ErrorKind::conflict, "the gates are stale", "AF003");
  return {};
}

Result<void> Database::write(int build, int gates, int cluster_build_known, int page, std::int64_t value,
                             const std::string& who) {
  if (auto allowed = fence(build, gates); !allowed) {
    ++coverage_[fmt::format("fence: {}", allowed.error().code())];
    return allowed;
  }
  const bool old_form = build < new_build || cluster_build_known < new_build;
  if (old_form && old_form_dropped_) return fail(ErrorKind::internal, "the old form is gone", "42703");
  if (!old_form && !relaxed_) return fail(ErrorKind::internal, "the old form must not be null", "23502");
  auto& row = pages_.at(page);
  if (build < new_build) {
    row.old_form = value;
    row.new_form.reset();  // the trigger of expand: the old form alone was changed
  } else if (old_form) {
    row.old_form = row.new_form = value;
  } else {
    row.old_form.reset();
    row.new_form = value;
  }
  change_log_.push_back(page);
  ++revision;
  checker_.committed(page, value, build, old_form, who);
  if (notify_page) notify_page(page);
  return {};
}

std::optional<std::int64_t> Database::value_of(int build, int page) const {
  const auto& row = pages_.at(page);
  if (build >= new_build && row.new_form) return row.new_form;
  return row.old_form;
}

Result<Database::Seen> Database::read(int build, int page, std::int64_t since) const {
  Seen seen;
  seen.value = value_of(build, page);
  seen.change = static_cast<std::int64_t>(change_log_.size());
  seen.changed.assign(change_log_.begin() + std::min(since, seen.change), change_log_.end());
  return seen;
}

}  // namespace afloat::sim
