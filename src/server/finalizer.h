#pragma once
#include <functional>
#include <string>

#include "ports/cluster_store.h"
#include "store/upgrade_task.h"

namespace afloat::server {

/// Carries a requested finalize on: every ACTIVE node of the target runs one, and whichever is quicker
/// does the next step, so a crash of any of them stops nothing. Before approve it does the backfill
/// early, since that is reversible, and for a quarter of the time only, since people work meanwhile.
class Finalizer {
 public:
  Finalizer(Database& database, ClusterStore& cluster, const Clock& clock, Timer& timer, int build, std::string version,
            std::string node, std::span<const store::UpgradeTask> tasks = store::all_tasks());
  /// One step; how long to wait before the next call. Errors are logged by the caller and tried again.
  Task<std::chrono::milliseconds> step(cluster::ClusterState state, Deadline deadline);

 private:
  Task<std::chrono::milliseconds> finalize(Deadline deadline);
  Task<std::chrono::milliseconds> backfill_early(Deadline deadline);
  Gates gates_of(const cluster::ClusterState& state) const { return {state.gates, state.cluster_build}; }

  Database& database_;
  ClusterStore& cluster_;
  const Clock& clock_;
  int build_;
  std::string version_, node_;
  std::span<const store::UpgradeTask> tasks_;
  store::TaskRunner runner_;
};

}  // namespace afloat::server
