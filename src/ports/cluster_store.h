#pragma once
#include <optional>
#include <string>

#include "cluster/admission.h"
#include "cluster/command.h"
#include "cluster/model.h"
#include "ports/database.h"

namespace afloat {

/// What a node renews with each heartbeat.
struct Heartbeat {
  std::string id, incarnation;
  cluster::NodeState state = cluster::NodeState::STARTING;
  int gates_in_use = 0;
  int tasks_running = 0;
  int active_users = 0;
  double load = 0;
};
struct Lease {
  bool held = false;          ///< false: closed, removed, or taken over: exit
  std::int64_t ttl_ms = 5000;
  cluster::ClusterState state;  ///< as of the renewal: gates, window, epoch
};

/// Cluster state by meaning, not SQL: store/ over Database, sim/ in memory.
struct ClusterStore {
  virtual ~ClusterStore() = default;
  virtual Task<cluster::Snapshot> observe(Deadline deadline) = 0;
  /// The admission transaction. On admit, the member row and a lease exist.
  virtual Task<cluster::AdmissionDecision> admit(cluster::Candidate candidate, Deadline deadline) = 0;
  virtual Task<Lease> renew(Heartbeat heartbeat, Deadline deadline) = 0;
  /// State change of one's own row (ACTIVE, DRAINING, ...); lease and closing included.
  virtual Task<void> set_state(std::string id, std::string incarnation, cluster::NodeState state, bool close,
                               Deadline deadline) = 0;
  /// start (with the target build if known), cancel, approve, retry. Checked and applied in one
  /// transaction; narrowing takes the fence lock in 50 ms tries for at most 10 s.
  virtual Task<void> apply(cluster::Command command, std::string actor, std::optional<int> target_build,
                           std::optional<std::int64_t> run_id, Deadline deadline) = 0;
  /// Tombstone; refused while its lease lives.
  virtual Task<void> remove(std::string id_or_name, std::string actor, Deadline deadline) = 0;
};

}  // namespace afloat
