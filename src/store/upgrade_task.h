#pragma once
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/task_ledger.h"
#include "ports/database.h"

namespace afloat::store {

/// One upgrade task as code. Each schema change of a release is three of them: expand (additive, before
/// new nodes serve), backfill (batches, resumable), contract (after the barrier).
struct UpgradeTask {
  struct Step {
    std::string_view sql;
    /// Set for `create index concurrently`: an INVALID index of that name is dropped first.
    std::string_view concurrent_index = {};
    /// The same step inside a fresh database's bootstrap transaction; empty = as `sql`.
    std::string_view fresh_sql = {};
  };
  cluster::TaskDeclaration declaration;
  std::vector<Step> steps;  ///< expand, contract: DDL in order; each is done once, whoever takes over
  std::vector<std::string_view> relax;  ///< contract: run before the gates rise (drop NOT NULL on the old form)
  /// backfill: does one batch of at most about 50 ms in a fenced transaction and returns the rows done; 0 = none left.
  std::function<Task<std::int64_t>(Transaction&)> batch;
  std::string_view remaining_sql;  ///< backfill: one row, one number: rows still without the new form

  /// Fills in version, build, id and checksum (SHA-256 over every statement).
  static UpgradeTask make(std::string_view version, std::string_view name, cluster::TaskKind kind, int ordinal);
  void seal();
};

/// Every task that this binary knows, in order of build and ordinal (store/tasks/registry.cc). It is the
/// default wherever tasks are handed in; tests hand in tasks of their own.
std::span<const UpgradeTask> all_tasks();
std::vector<cluster::TaskDeclaration> declarations(std::span<const UpgradeTask> tasks);

/// Runs tasks under the ledger's lease: claim with a token, attempts rising before the work, three
/// runners lost or an error: failed, with its name. One per process; call on the database's context.
class TaskRunner {
 public:
  TaskRunner(Database& database, const Clock& clock, Timer& timer, int build, std::string runner,
             std::span<const UpgradeTask> tasks = all_tasks());

  /// Writes the ledger rows of the declared tasks that are missing. Errors: failed_precondition naming
  /// a task whose recorded checksum differs from this binary's.
  Task<void> register_tasks(Deadline deadline);
  /// Expand tasks of the target that are not done, then, in one transaction with the last ledger row,
  /// expand_done and the wider window. Several callers at once are fine: others wait for the lease.
  /// `say` receives a line for each thing done or waited for.
  Task<void> expand(std::function<void(std::string)> say, Deadline deadline);
  /// One backfill batch of this task: true when nothing is left. `final` (after approve, when no old
  /// writer can commit any more): the task is then recorded as done; before that as `recheck`, since old
  /// nodes' writes go on making parts of the new form stale.
  enum class Pass { early, final };
  Task<bool> backfill_some(std::string task_id, Gates gates, Pass pass, Deadline deadline);
  Task<void> relax(std::string task_id, Deadline deadline);
  /// Waits until each connected replica shows all that was committed before the first call, for a fail-over may not
  /// bring back a state in which old nodes write to a schema that is gone. Errors: unavailable while one is behind
  /// (the ledger's row says which), ask again.
  Task<void> contract(std::string task_id, Deadline deadline);
  /// Runs every task's statements inside the bootstrap of a fresh database and records them as done.
  static Task<void> install_fresh(Transaction& transaction, std::span<const UpgradeTask> tasks);

 private:
  const UpgradeTask* find_task(std::string_view id) const;
  Task<void> open_window(Transaction& transaction);
  enum class Claim { mine, taken };
  struct Claimed {
    Claim outcome = Claim::taken;
    int token = 0;
    std::string checkpoint;  ///< how far the runner before us came
  };
  Task<Claimed> claim(std::string task_id, Deadline deadline);
  Task<void> run_step(UpgradeTask::Step step, std::string task_id, int token, std::string checkpoint,
                      std::function<void(std::string)> say, Deadline deadline);
  Task<void> await_replicas(std::string task_id, Deadline deadline);
  Task<void> run_batch(Transaction& transaction, const UpgradeTask& task, int token, std::int64_t& rows_done);
  Task<void> record_failure(std::string task_id, int token, Error error, Deadline deadline);
  /// DDL with lock_timeout 30 ms, retried with jitter until the deadline; says who is in the way.
  Task<void> ddl(std::function<Task<void>(Transaction&)> work, std::function<void(std::string)> say, Deadline deadline);

  Database& database_;
  const Clock& clock_;
  Timer& timer_;
  int build_;
  std::string runner_;
  std::span<const UpgradeTask> tasks_;
  std::map<std::string, int> tokens_;  ///< of backfills that this runner holds
  std::map<std::string, std::string> shown_from_;  ///< of contracts: where the log was at the first call
};

}  // namespace afloat::store
