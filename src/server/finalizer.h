#pragma once
#include <functional>
#include <string>

#include "ports/cluster_store.h"
#include "store/upgrade_task.h"

namespace afloat::server {

/// How long to rest after a batch of a backfill that took so long, where the node's event loops are busy for that share
/// of the last minute. Before approve a backfill has a quarter of the time; after it all of it, but half where the site
/// is at work and a quarter where it is near its limit.
std::chrono::milliseconds rest_after_batch(std::chrono::milliseconds took, bool approved, double load);

/// Carries a requested finalize on: every ACTIVE node of the target runs one, and whichever is quicker
/// does the next step, so a crash of any of them stops nothing. Before approve it does the backfill
/// early, since that is reversible, and for a quarter of the time only, since people work meanwhile.
class Finalizer {
 public:
  Finalizer(Database& database, ClusterStore& cluster, const Clock& clock, Timer& timer, int build, std::string version,
            std::string node, std::span<const store::UpgradeTask> tasks = store::all_tasks());
  /// Says how busy this node is, from now on; without it, it is idle.
  void watch_load(std::function<double()> load) { load_ = std::move(load); }
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
  std::function<double()> load_ = [] { return 0.0; };
};

}  // namespace afloat::server
