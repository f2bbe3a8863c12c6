#pragma once
#include <vector>

#include "cluster/model.h"

namespace afloat::cluster {

/// A task as the binary declares it (store/tasks).
struct TaskDeclaration {
  std::string id, version, checksum;
  int build = 0;
  TaskKind kind = TaskKind::expand;
  int ordinal = 0;
};

enum class FinalizeStage {
  backfill,      ///< run the named backfill task
  relax,         ///< run the named contract task's relax part (drop NOT NULL on the old form)
  raise,         ///< cluster_version := target, gates + 1
  barrier,       ///< wait until every member reports the new gates
  second_fence,  ///< min_gates := gates
  contract,      ///< run the named contract task
  mode_off,      ///< STABLE
  blocked,       ///< a task failed: wait for retry
  idle,          ///< nothing requested
};
std::string_view to_string(FinalizeStage stage);

struct FinalizeStep {
  FinalizeStage stage = FinalizeStage::idle;
  std::string task_id;               ///< for backfill, relax, contract
  std::vector<std::string> waiting;  ///< barrier: names of members not there yet
};

/// A build lies in (original_build, target_build] with pre-releases counted as their release. Without a
/// target there is no upper bound; without a cluster state everything belongs (a fresh database runs all).
bool belongs_to_hop(const Snapshot& snapshot, int build);

/// Recorded tasks of this hop that have failed.
std::vector<TaskRecord> failed_tasks(const Snapshot& snapshot);
/// "1.1.0/body_store/backfill failed on node2 after 1 attempt at checkpoint step 2: disk full"
std::string failure_text(const TaskRecord& task);

/// What finalize does next: a pure function of the stored facts, so that any target node goes on after
/// a crash. Order (protocol, finalize): backfill, relax, raise, barrier, second fence, contract, mode
/// off. With no tasks, backfill, relax and contract are empty. Tasks belong to this finalize when their
/// build lies in (original_build, target_build] counting a pre-release of a version as that version.
/// Relaxed is recorded as checkpoint "relaxed" on the contract task.
///
/// A backfill that completes before approve must be recorded as `recheck`, never as `done`: old writers go
/// on until the fence, so it has to look once more when none can commit. Only `done` makes finalize pass it.
FinalizeStep next_finalize_step(const Snapshot& snapshot, const std::vector<TaskDeclaration>& declared);

/// Expand tasks of the target that are not done, in order; empty when expand_done may be set.
std::vector<std::string> pending_expand(const Snapshot& snapshot, const std::vector<TaskDeclaration>& declared);
/// Recorded tasks whose checksum differs from the declaration: refuse to run, naming them.
std::vector<std::string> checksum_mismatches(const Snapshot& snapshot, const std::vector<TaskDeclaration>& declared);

}  // namespace afloat::cluster
