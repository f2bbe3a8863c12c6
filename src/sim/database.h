#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cluster/admission.h"
#include "cluster/command.h"
#include "cluster/task_ledger.h"
#include "ports/cluster_store.h"
#include "ports/run_store.h"
#include "sim/engine.h"
#include "sim/options.h"

namespace afloat::sim {

class Checker;

inline constexpr const char* old_version = "1.0.0";
inline constexpr const char* new_version = "1.1.0";
inline constexpr int old_build = 10000009, new_build = 10010009;
/// What a build declares: the old one knows no tasks, the new one an expand, a backfill and a contract.
const std::vector<cluster::TaskDeclaration>& tasks_of(int build);
inline const char* version_of(int build) { return build == new_build ? new_version : old_version; }

/// A page in the old form, the new one, or both. Each write has a number of its own.
struct Page {
  std::optional<std::int64_t> old_form, new_form;
};

/// The database: named operations, each of them one serializable transaction that happens at one moment.
/// What READ COMMITTED does inside them is not visible here; the isolation tests on PostgreSQL look at that.
class Database {
 public:
  Database(Engine& engine, Checker& checker, Coverage& coverage, Bug bug)
      : engine_(engine), checker_(checker), coverage_(coverage), bug_(bug) {}

  // Cluster.
  cluster::Snapshot observe() const;
  Result<cluster::AdmissionDecision> admit(const cluster::Candidate& candidate);
  Result<Lease> renew(const Heartbeat& beat);
  Result<void> set_state(const std::string& id, const std::string& incarnation, cluster::NodeState state, bool close);
  Result<void> apply(cluster::Command command, const std::string& actor, std::optional<int> target_build,
                     std::optional<std::int64_t> run);
  Result<void> remove(const std::string& name);

  // Upgrade tasks and finalize. A runner proves itself by the token it was given.
  struct Claimed {
    int token = 0;  ///< 0: another runs it
    std::string checkpoint;
  };
  Result<void> pin_target(int build);
  Result<void> register_tasks(int build);
  Result<Claimed> claim(const std::string& task, const std::string& runner);
  Result<void> expand_step(const std::string& task, int token, int step);
  Result<void> finish_task(const std::string& task, int token, cluster::TaskState as);
  Result<void> fail_task(const std::string& task, int token, const std::string& why);
  Result<void> open_window(int build);
  /// Rows that it moved; fenced as every content write.
  Result<int> backfill(const std::string& task, int token, int build, int gates);
  int rows_without_new_form() const;
  Result<void> relax(const std::string& task, int token);
  Result<void> contract(const std::string& task, int token);
  Result<void> raise(int build);
  Result<void> second_fence();
  Result<void> end_upgrade_mode();

  // Content.
  struct Seen {
    std::optional<std::int64_t> value;
    std::int64_t change = 0;       ///< where the change log stood
    std::vector<int> changed{};    ///< pages that changed since the caller's place in it
  };
  Result<void> write(int build, int gates, int cluster_build_known, int page, std::int64_t value,
                     const std::string& who);
  Result<Seen> read(int build, int page, std::int64_t since) const;
  std::optional<std::int64_t> value_of(int build, int page) const;

  // Runs.
  Result<std::int64_t> create_run(const NewRun& run);
  Result<void> request_cancel(std::int64_t id);
  Result<void> request_resume(std::int64_t id);
  Result<void> request_pause(std::int64_t id);
  Result<void> request_rollback(std::int64_t id, const std::string& node);
  std::optional<rollout::Run> active_run() const;
  Result<std::optional<LeaderLease>> take_lead(const std::string& holder, std::int64_t at_least);
  Result<void> renew_lead(const LeaderLease& lead);
  Result<void> release_lead(const LeaderLease& lead);
  Result<rollout::Run> record(rollout::Run run, const LeaderLease& lead);

  // Facts for the checker, faults and the end of a run.
  const std::optional<cluster::ClusterState>& state() const { return state_; }
  struct MemberRow {
    cluster::Member member;
    Micros lease_until = 0;
    std::string lease_incarnation;
  };
  const std::map<std::string, MemberRow>& members() const { return members_; }
  bool lease_live(const MemberRow& row) const;
  struct TaskRow {
    cluster::TaskRecord record;
    int token = 0;
    Micros lease_until = 0;
    int contracted = 0, steps = 0;
  };
  const std::map<std::string, TaskRow>& tasks() const { return tasks_; }
  const std::map<std::int64_t, rollout::Run>& runs() const { return runs_; }
  const std::map<int, Page>& pages() const { return pages_; }
  bool old_form_dropped() const { return old_form_dropped_; }
  const LeaderLease& lead() const { return lead_; }
  void add_page(int page, std::int64_t value);

  /// Up when false; then every operation is refused.
  bool down = false;
  /// Rises with each change that the invariants look at.
  std::uint64_t revision = 0;
  int failures_to_come = 0;  ///< of backfill and contract
  bool fails_late = false;   ///< they come once finalize was asked for
  /// NOTIFY: told to the nodes that listen, if it arrives.
  std::function<void()> notify_cluster;
  std::function<void(int page)> notify_page;

 private:
  Result<void> fence(int build, int gates) const;
  bool fails_now();
  TaskRow* held(const std::string& task, int token);
  void changed(std::string_view what);
  Result<void> fenced_lead(const LeaderLease& lead);
  std::int64_t ms_of(Micros time) const { return 1'800'000'000'000 + time / ms; }

  Engine& engine_;
  Checker& checker_;
  Coverage& coverage_;
  Bug bug_;
  std::optional<cluster::ClusterState> state_;
  std::map<std::string, MemberRow> members_;  ///< by id
  std::map<std::string, TaskRow> tasks_;
  std::map<int, Page> pages_;
  std::vector<int> change_log_;
  bool expanded_ = false, relaxed_ = false, old_form_dropped_ = false;
  std::map<std::int64_t, rollout::Run> runs_;
  std::map<std::int64_t, rollout::Run> not_written_;  ///< journal_after_act: what the conductor believes is there
  LeaderLease lead_;
  Micros lead_until_ = 0;
  std::int64_t next_step_ = 1;
};

}  // namespace afloat::sim
