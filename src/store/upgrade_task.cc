#include "store/upgrade_task.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "base/text.h"
#include "cluster/model.h"
#include "faults/faults.h"
#include "store/cluster_store.h"
#include "version/policy.h"
#include "version/version.h"

namespace afloat::store {

using namespace cluster;
using std::chrono::milliseconds;

UpgradeTask UpgradeTask::make(std::string_view release, std::string_view name, TaskKind kind, int ordinal) {
  UpgradeTask task;
  auto& d = task.declaration;
  d.version = std::string(release);
  d.id = fmt::format("{}/{}/{}", release, name, to_string(kind));
  d.kind = kind;
  d.ordinal = ordinal;
  // A pre-release of the release carries its tasks already.
  if (auto parsed = version::parse_version(release)) d.build = version::build_number(*parsed) - 9;
  return task;
}

void UpgradeTask::seal() {
  std::string all = declaration.id;
  for (const auto& step : steps) all += fmt::format("\n{}", step.sql);
  for (const auto& sql : relax) all += fmt::format("\n{}", sql);
  all += fmt::format("\n{}", remaining_sql);
  declaration.checksum = sha256_hex(all);
}

std::vector<TaskDeclaration> declarations(std::span<const UpgradeTask> tasks) {
  std::vector<TaskDeclaration> out;
  for (const auto& task : tasks) out.push_back(task.declaration);
  return out;
}

namespace {

std::unexpected<Error> taken(std::string_view id) {
  return fail(ErrorKind::conflict, fmt::format("Another runner has taken over {}.", id), "taken_over");
}

constexpr std::string_view done_sql =
    "update upgrade_task set state = 'done', lease_until = null, error = '', updated_at = clock_timestamp() "
    "where id = $1 and token = $2::int and state = 'running'";

}  // namespace

TaskRunner::TaskRunner(Database& database, const Clock& clock, Timer& timer, int build, std::string runner,
                       std::span<const UpgradeTask> tasks)
    : database_(database), clock_(clock), timer_(timer), build_(build), runner_(std::move(runner)), tasks_(tasks) {}

const UpgradeTask* TaskRunner::find_task(std::string_view id) const {
  for (const auto& task : tasks_)
    if (task.declaration.id == id) return &task;
  return nullptr;
}

Task<void> TaskRunner::register_tasks(Deadline deadline) {
  auto snapshot = snapshot_from(co_await database_.read({observe_sql(), {}}, deadline));
  if (!snapshot) co_return std::unexpected(snapshot.error());
  const auto declared = declarations(tasks_);
  if (auto wrong = checksum_mismatches(*snapshot, declared); !wrong.empty())
    co_return fail(ErrorKind::failed_precondition,
                   fmt::format("The upgrade task {} was recorded with another checksum: an other build of this release has "
                               "worked on this site. Use the release as it was published.", wrong.front()));
  for (const auto& d : declared) {
    bool known = false;
    for (const auto& recorded : snapshot->tasks) known = known || recorded.id == d.id;
    if (known) continue;
    auto added = co_await database_.slow_read(
        {"insert into upgrade_task (id, version, build, kind, ordinal, checksum) values ($1, $2, $3::int, $4, $5::int, $6) "
         "on conflict (id) do nothing",
         {d.id, d.version, d.build, to_string(d.kind), d.ordinal, d.checksum}},
        deadline);
    if (!added) co_return std::unexpected(added.error());
  }
  co_return Result<void>{};
}

// Takes a task that nobody holds. An index that is being built concurrently holds no row lock and outlasts the
// lease, so while one is under way (its backend goes on even if its runner died) nobody takes over. attempts
// rises before the work, so that a task which kills its runner does not take down one node after another: after
// three lost runners it is failed.
Task<TaskRunner::Claimed> TaskRunner::claim(std::string task_id, Deadline deadline) {
  auto lost = co_await database_.slow_read(
      {"update upgrade_task set state = 'failed', error = 'three runners were lost while they worked on it; the last one was ' || runner "
       "where id = $1 and state = 'running' and lease_until < clock_timestamp() and attempts >= 3 "
       "and not exists (select 1 from pg_stat_progress_create_index where datname = current_database())", {task_id}},
      deadline);
  if (!lost) co_return std::unexpected(lost.error());
  auto rows = co_await database_.slow_read(
      {"update upgrade_task set state = 'running', token = token + 1, attempts = attempts + 1, runner = $2, "
       "lease_until = clock_timestamp() + interval '5 s', updated_at = clock_timestamp() "
       "where id in (select t.id from upgrade_task t where t.id = $1 and (t.state in ('pending', 'recheck') "
       "or (t.state = 'running' and t.lease_until < clock_timestamp() and t.attempts < 3 "
       "and not exists (select 1 from pg_stat_progress_create_index where datname = current_database()))) for update skip locked) "
       "returning token, checkpoint", {task_id, runner_}},
      deadline);
  if (!rows) co_return std::unexpected(rows.error());
  if (rows->empty()) co_return Claimed{};
  co_return Claimed{Claim::mine, static_cast<int>(rows->number(0, 0)), rows->text(0, 1)};
}

Task<void> TaskRunner::record_failure(std::string task_id, int token, Error error, Deadline deadline) {
  auto rows = co_await database_.slow_read(
      {"update upgrade_task set state = 'failed', error = $3, lease_until = null, updated_at = clock_timestamp() "
       "where id = $1 and token = $2::int", {task_id, token, error.message()}},
      deadline);
  if (!rows) co_return std::unexpected(rows.error());
  co_return Result<void>{};
}

Task<void> TaskRunner::ddl(std::function<Task<void>(Transaction&)> work, std::function<void(std::string)> say,
                           Deadline deadline) {
  bool told = false;
  for (int attempt = 0;; ++attempt) {
    auto done = co_await database_.transaction(
        std::nullopt,
        [&work](Transaction& transaction) { return work(transaction); }, deadline);
    if (done || (done.error().code() != "55P03" && done.error().code() != "40P01")) co_return done;
    if (clock_.steady_now() >= deadline)
      co_return fail(ErrorKind::unavailable, "A change of the schema found no moment without a conflicting lock; look for long transactions or a running backup.");
    if (attempt >= 5 && !told) {
      told = true;
      auto who = co_await database_.slow_read(
          {"select coalesce(string_agg(format('%s (pid %s, %s s)', application_name, pid, extract(epoch from clock_timestamp() - xact_start)::int), ', '), '') "
           "from pg_stat_activity where datname = current_database() and xact_start < clock_timestamp() - interval '1 s' and pid <> pg_backend_pid()", {}},
          deadline);
      if (who && !who->text(0, 0).empty()) say("waiting for a lock; long transactions: " + who->text(0, 0));
    }
    auto slept = co_await timer_.sleep_until(clock_.steady_now() + milliseconds(20 + 13 * (attempt % 7)));
    if (!slept) co_return slept;
  }
}

namespace {

// The checkpoint of a task whose statements are done up to this many. Written with the statement itself, so
// that whoever takes over after a lost runner does none a second time.
std::string steps_done(std::size_t count) { return fmt::format("step {}", count); }
std::size_t done_steps(std::string_view checkpoint) {
  constexpr std::string_view word = "step ";
  if (!checkpoint.starts_with(word)) return 0;
  return static_cast<std::size_t>(parse_int(checkpoint.substr(word.size())).value_or(0));
}

// A lock_timeout that users do not feel, and proof that the task is still ours, in the DDL's own transaction.
Task<void> run_ddl(Transaction& transaction, std::string sql, std::string task_id, int token, std::string checkpoint) {
  auto limit = co_await transaction.run({"set local lock_timeout = '30ms'", {}});
  if (!limit) co_return std::unexpected(limit.error());
  auto mine = co_await transaction.run(
      {"update upgrade_task set lease_until = clock_timestamp() + interval '5 s', checkpoint = $3 "
       "where id = $1 and token = $2::int and state = 'running'",
       {task_id, token, checkpoint}});
  if (!mine) co_return std::unexpected(mine.error());
  if (mine->affected == 0) co_return taken(task_id);
  auto done = co_await transaction.run({sql, {}});
  if (!done) co_return std::unexpected(done.error());
  // The statement may have taken longer than the lease: whoever waits for this row must not find it over.
  auto kept = co_await transaction.run(
      {"update upgrade_task set lease_until = clock_timestamp() + interval '5 s' where id = $1", {task_id}});
  if (!kept) co_return std::unexpected(kept.error());
  co_return Result<void>{};
}

Task<void> finish_contract(Transaction& transaction, const UpgradeTask& task, int token) {
  for (std::size_t i = 0; i < task.steps.size(); ++i) {
    if (auto why = faults::task_fails("contract", i)) co_return fail(ErrorKind::internal, *why);
    auto done = co_await run_ddl(transaction, std::string(task.steps[i].sql), task.declaration.id, token, "relaxed");
    if (!done) co_return done;
  }
  auto recorded = co_await transaction.run({done_sql, {task.declaration.id, token}});
  if (!recorded) co_return std::unexpected(recorded.error());
  if (recorded->affected == 0) co_return taken(task.declaration.id);
  co_return co_await add_event(transaction, "upgrade", "task_done", fmt::format(R"({{"task":"{}"}})", task.declaration.id));
}

Task<void> pin_target(Transaction& transaction, int build, std::string runner) {
  if (auto locked = co_await lock_cluster_state(transaction); !locked) co_return locked;
  auto row = co_await transaction.run({"select mode, target_build, original_build, cluster_version from cluster_state", {}});
  if (!row) co_return std::unexpected(row.error());
  if (row->text(0, 0) != "on")
    co_return fail(ErrorKind::failed_precondition, "Upgrade mode is off, so no release may prepare the schema. Start the upgrade first: afloat upgrade run, or POST /rest/zdu/start.");
  if (row->is_null(0, 1)) {
    // No plan has named the target: the policy decides whether this build may be it.
    auto from = version::parse_version(row->text(0, 3));
    if (!from) co_return std::unexpected(from.error());
    auto to = build == version::this_build() ? Result<version::Version>(version::this_version())
                                             : version::parse_version(version::describe_build(build));
    if (!to) co_return std::unexpected(to.error());
    if (const auto advice = version::advise_hop(*from, *to); advice.verdict != version::HopVerdict::rolling)
      co_return fail(ErrorKind::failed_precondition, advice.message);
    auto pinned = co_await transaction.run({"update cluster_state set target_build = $1::int, epoch = epoch + 1", {build}});
    if (!pinned) co_return std::unexpected(pinned.error());
    co_return co_await add_event(transaction, runner, "target_pinned", fmt::format(R"({{"build":{}}})", build));
  }
  if (row->number(0, 1) != build)
    co_return fail(ErrorKind::failed_precondition,
                   fmt::format("This upgrade goes to build {}, and this binary is build {}. Use the target's release, or cancel "
                               "the upgrade first and start another one.", row->text(0, 1), build));
  co_return Result<void>{};
}

}  // namespace

Task<void> TaskRunner::open_window(Transaction& transaction) {
  if (auto row = co_await lock_cluster_state(transaction); !row) co_return row;
  auto snapshot = snapshot_from(co_await transaction.run({observe_sql(), {}}));
  if (!snapshot) co_return std::unexpected(snapshot.error());
  if (!snapshot->state || snapshot->state->mode == Mode::off)
    co_return fail(ErrorKind::failed_precondition, "Upgrade mode is off, so no release may prepare the schema. Start the upgrade first: afloat upgrade run, or POST /rest/zdu/start.");
  if (snapshot->state->expand_done) co_return Result<void>{};
  if (auto pending = pending_expand(*snapshot, declarations(tasks_)); !pending.empty())
    co_return fail(ErrorKind::conflict, fmt::format("The expand task {} is not done yet.", pending.front()));
  // With the record of expand, and not before, the window opens: no new binary writes before its schema is there.
  auto opened = co_await transaction.run(
      {"update cluster_state set expand_done = true, max_build = greatest(max_build, target_build), epoch = epoch + 1", {}});
  if (!opened) co_return std::unexpected(opened.error());
  co_return co_await add_event(transaction, runner_, "expand_done", "{}");
}

Task<void> TaskRunner::run_step(UpgradeTask::Step step, std::string task_id, int token, std::string checkpoint,
                                std::function<void(std::string)> say, Deadline deadline) {
  if (step.concurrent_index.empty()) {
    co_return co_await ddl(
        [&](Transaction& t) { return run_ddl(t, std::string(step.sql), task_id, token, checkpoint); }, say, deadline);
  }
  // Built outside a transaction. One left INVALID by a lost runner is dropped first: IF NOT EXISTS is content with it.
  auto state = co_await database_.slow_read(
      {"select i.indisvalid from pg_index i join pg_class c on c.oid = i.indexrelid where c.relname = $1", {step.concurrent_index}}, deadline);
  if (!state) co_return std::unexpected(state.error());
  if (!state->empty() && state->flag(0, 0)) co_return Result<void>{};
  if (!state->empty()) {
    const std::string drop = fmt::format("drop index concurrently if exists {}", step.concurrent_index);
    auto dropped = co_await database_.slow_read({drop, {}}, deadline);
    if (!dropped) co_return std::unexpected(dropped.error());
  }
  auto held = co_await database_.slow_read(
      {"update upgrade_task set lease_until = clock_timestamp() + interval '5 s' where id = $1 and token = $2::int and state = 'running'",
       {task_id, token}}, deadline);
  if (!held) co_return std::unexpected(held.error());
  if (held->affected == 0) co_return taken(task_id);
  auto built = co_await database_.slow_read({step.sql, {}}, deadline);
  if (!built) co_return std::unexpected(built.error());
  auto kept = co_await database_.slow_read(
      {"update upgrade_task set lease_until = clock_timestamp() + interval '5 s' where id = $1 and token = $2::int",
       {task_id, token}}, deadline);
  if (!kept) co_return std::unexpected(kept.error());
  co_return Result<void>{};
}

Task<void> TaskRunner::expand(std::function<void(std::string)> say, Deadline deadline) {
  auto pinned = co_await database_.transaction(
      std::nullopt, [this](Transaction& t) { return pin_target(t, build_, runner_); }, deadline);
  if (!pinned) co_return pinned;
  if (auto registered = co_await register_tasks(deadline); !registered) co_return registered;
  bool waiting_told = false;
  while (clock_.steady_now() < deadline) {
    auto snapshot = snapshot_from(co_await database_.read({observe_sql(), {}}, deadline));
    if (!snapshot) co_return std::unexpected(snapshot.error());
    if (snapshot->state && snapshot->state->expand_done) co_return Result<void>{};
    const auto pending = pending_expand(*snapshot, declarations(tasks_));
    if (pending.empty()) {
      auto opened = co_await database_.transaction(
          std::nullopt, [this](Transaction& t) { return open_window(t); }, deadline);
      if (opened) {
        auto woken = co_await wake_cluster(database_, deadline);
        (void)woken;
      }
      co_return opened;
    }
    const UpgradeTask* task = find_task(pending.front());
    if (task == nullptr) co_return fail(ErrorKind::internal, fmt::format("no code for task {}", pending.front()));
    const auto& id = task->declaration.id;
    for (const auto& recorded : snapshot->tasks)
      if (recorded.id == id && recorded.state == TaskState::failed)
        co_return fail(ErrorKind::failed_precondition, fmt::format("The expand task {} has failed: {}. Mend the cause, then retry.", id, recorded.error));
    auto claimed = co_await claim(id, deadline);
    if (!claimed) co_return std::unexpected(claimed.error());
    if (claimed->outcome == Claim::taken) {
      if (!waiting_told) say(fmt::format("another process runs {}; waiting for it", id));
      waiting_told = true;
      auto slept = co_await timer_.sleep_until(clock_.steady_now() + milliseconds(50));
      if (!slept) co_return slept;
      continue;
    }
    say(fmt::format("running {}", id));
    Result<void> done;
    for (auto i = done_steps(claimed->checkpoint); done && i < task->steps.size(); ++i) {
      if (auto why = faults::task_fails("expand", i))
        done = fail(ErrorKind::internal, *why);
      else
        done = co_await run_step(task->steps[i], id, claimed->token, steps_done(i + 1), say, deadline);
    }
    if (done) {
      auto recorded = co_await database_.slow_read({done_sql, {id, claimed->token}}, deadline);
      if (!recorded) co_return std::unexpected(recorded.error());
      continue;
    }
    if (done.error().code() == "taken_over") continue;
    auto noted = co_await record_failure(id, claimed->token, done.error(), deadline);
    (void)noted;
    co_return fail(ErrorKind::failed_precondition, fmt::format("The expand task {} failed: {}", id, done.error().message()), done.error().code());
  }
  co_return fail(ErrorKind::unavailable, "Expand was not done in time; nothing is lost, run it again.");
}

Task<void> TaskRunner::run_batch(Transaction& transaction, const UpgradeTask& task, int token, std::int64_t& rows_done) {
  auto counted = co_await task.batch(transaction);
  if (!counted) co_return std::unexpected(counted.error());
  rows_done = *counted;
  auto mine = co_await transaction.run(
      {"update upgrade_task set done = done + $3::bigint, lease_until = clock_timestamp() + interval '5 s', "
       "updated_at = clock_timestamp() where id = $1 and token = $2::int and state = 'running' "
       "returning done - $3::bigint",
       {task.declaration.id, token, rows_done}});
  if (!mine) co_return std::unexpected(mine.error());
  if (mine->affected == 0) co_return taken(task.declaration.id);
  if (auto why = faults::task_fails("backfill", static_cast<std::size_t>(mine->number(0, 0))))
    co_return fail(ErrorKind::internal, *why);
  co_return Result<void>{};
}

Task<bool> TaskRunner::backfill_some(std::string task_id, Gates gates, Pass pass, Deadline deadline) {
  const UpgradeTask* task = find_task(task_id);
  if (task == nullptr) co_return fail(ErrorKind::internal, fmt::format("no code for task {}", task_id));
  if (!tokens_.contains(task_id)) {
    auto claimed = co_await claim(task_id, deadline);
    if (!claimed) co_return std::unexpected(claimed.error());
    if (claimed->outcome == Claim::taken) co_return fail(ErrorKind::conflict, "another node runs it", "taken_over");
    tokens_[task_id] = claimed->token;
    auto total = co_await database_.slow_read({task->remaining_sql, {}}, deadline);
    if (total) {
      auto noted = co_await database_.slow_read(
          {"update upgrade_task set total = done + $2::bigint where id = $1", {task_id, total->number(0, 0)}}, deadline);
      (void)noted;
    }
  }
  const int token = tokens_[task_id];
  std::int64_t rows_done = 0;
  auto batch = co_await database_.transaction(
      gates,
      [&](Transaction& transaction) { return run_batch(transaction, *task, token, rows_done); },
      deadline);
  if (!batch) {
    if (batch.error().code() == "taken_over") {
      tokens_.erase(task_id);
    } else if (batch.error().kind() == ErrorKind::internal || batch.error().kind() == ErrorKind::data_corrupted ||
               batch.error().kind() == ErrorKind::invalid_argument) {
      auto noted = co_await record_failure(task_id, token, batch.error(), deadline);
      (void)noted;
      tokens_.erase(task_id);
    }
    co_return std::unexpected(batch.error());
  }
  if (rows_done > 0) co_return false;
  // No row could be taken. Rows that others hold are skipped, so done is "none without the new form", not "nothing taken".
  auto left = co_await database_.slow_read({task->remaining_sql, {}}, deadline);
  if (!left) co_return std::unexpected(left.error());
  if (left->number(0, 0) > 0) co_return false;
  auto recorded = co_await database_.slow_read(
      {pass == Pass::final ? done_sql
                           : std::string_view("update upgrade_task set state = 'recheck', attempts = 0, lease_until = null "
                                              "where id = $1 and token = $2::int and state = 'running'"),
       {task_id, token}},
      deadline);
  tokens_.erase(task_id);
  if (!recorded) co_return std::unexpected(recorded.error());
  co_return true;
}

Task<void> TaskRunner::relax(std::string task_id, Deadline deadline) {
  const UpgradeTask* task = find_task(task_id);
  if (task == nullptr) co_return fail(ErrorKind::internal, fmt::format("no code for task {}", task_id));
  auto claimed = co_await claim(task_id, deadline);
  if (!claimed) co_return std::unexpected(claimed.error());
  if (claimed->outcome == Claim::taken) co_return Result<void>{};
  Result<void> done;
  for (auto i = done_steps(claimed->checkpoint); done && i < task->relax.size(); ++i)
    done = co_await ddl(
        [&](Transaction& t) {
          return run_ddl(t, std::string(task->relax[i]), task_id, claimed->token, steps_done(i + 1));
        },
        [](std::string) {}, deadline);
  if (!done) {
    if (done.error().code() == "taken_over" || done.error().kind() == ErrorKind::unavailable) co_return done;
    co_return co_await record_failure(task_id, claimed->token, done.error(), deadline);
  }
  // Given back: the contract itself comes after the barrier, perhaps on another node.
  auto recorded = co_await database_.slow_read(
      {"update upgrade_task set checkpoint = 'relaxed', state = 'pending', attempts = 0, lease_until = null "
       "where id = $1 and token = $2::int", {task_id, claimed->token}}, deadline);
  if (!recorded) co_return std::unexpected(recorded.error());
  co_return Result<void>{};
}

Task<void> TaskRunner::await_replicas(std::string task_id, Deadline deadline) {
  auto& from = shown_from_[task_id];
  if (from.empty()) {
    auto now = co_await database_.slow_read({"select pg_current_wal_insert_lsn()::text", {}}, deadline);
    if (!now) co_return std::unexpected(now.error());
    from = now->text(0, 0);
  }
  // To a role without pg_monitor a replica's row is there and all but empty, the state too; the check database_replicas
  // has told that before the upgrade. One that has just connected has a state, and no position yet: it is behind.
  auto behind = co_await database_.slow_read(
      {"select coalesce(string_agg(format('%s is %s bytes behind', coalesce(nullif(application_name, ''), 'one'), "
       "pg_wal_lsn_diff($1::pg_lsn, coalesce(replay_lsn, '0/0'))), ', ' order by application_name), '') "
       "from pg_stat_replication where state <> 'backup' and coalesce(replay_lsn, '0/0') < $1::pg_lsn",
       {from}},
      deadline);
  if (!behind) co_return std::unexpected(behind.error());
  if (behind->text(0, 0).empty()) co_return Result<void>{};
  auto why = fmt::format("waits for the database's replicas, so that a fail-over can't bring back what is removed here: "
                         "{}. It goes on by itself; a replica that is not needed may be disconnected",
                         behind->text(0, 0));
  auto noted = co_await database_.slow_read(
      {"update upgrade_task set error = $2, updated_at = clock_timestamp() where id = $1 and state = 'pending'",
       {task_id, why}},
      deadline);
  if (!noted) co_return std::unexpected(noted.error());
  co_return fail(ErrorKind::unavailable, fmt::format("{} {}", task_id, why));
}

Task<void> TaskRunner::contract(std::string task_id, Deadline deadline) {
  const UpgradeTask* task = find_task(task_id);
  if (task == nullptr) co_return fail(ErrorKind::internal, fmt::format("no code for task {}", task_id));
  if (auto shown = co_await await_replicas(task_id, deadline); !shown) co_return shown;
  auto claimed = co_await claim(task_id, deadline);
  if (!claimed) co_return std::unexpected(claimed.error());
  if (claimed->outcome == Claim::taken) co_return Result<void>{};
  auto done = co_await ddl([&](Transaction& t) { return finish_contract(t, *task, claimed->token); }, [](std::string) {}, deadline);
  if (done || done.error().code() == "taken_over" || done.error().kind() == ErrorKind::unavailable) co_return done;
  co_return co_await record_failure(task_id, claimed->token, done.error(), deadline);
}

Task<void> TaskRunner::install_fresh(Transaction& transaction, std::span<const UpgradeTask> tasks) {
  for (const auto& task : tasks) {
    for (auto sql : task.relax) {
      auto done = co_await transaction.run({sql, {}});
      if (!done) co_return std::unexpected(done.error());
    }
    for (const auto& step : task.steps) {
      auto done = co_await transaction.run({step.fresh_sql.empty() ? step.sql : step.fresh_sql, {}});
      if (!done) co_return std::unexpected(done.error());
    }
    const auto& d = task.declaration;
    auto recorded = co_await transaction.run(
        {"insert into upgrade_task (id, version, build, kind, ordinal, checksum, state) values ($1, $2, $3::int, $4, $5::int, $6, 'done')",
         {d.id, d.version, d.build, to_string(d.kind), d.ordinal, d.checksum}});
    if (!recorded) co_return std::unexpected(recorded.error());
  }
  co_return Result<void>{};
}

}  // namespace afloat::store
