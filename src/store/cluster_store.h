#pragma once
#include <memory>

#include "ports/cluster_store.h"
#include "store/upgrade_task.h"

namespace afloat::store {

/// ClusterStore over PostgreSQL. Lock order everywhere: fence lock (4117,1), bootstrap lock (4117,2),
/// cluster_state, member rows, task row. `timer` paces the tries for the fence lock; `tasks` are what a fresh
/// database is brought up to date with.
std::unique_ptr<ClusterStore> make_cluster_store(Database& database, const Clock& clock, Timer& timer,
                                                 std::span<const UpgradeTask> tasks = all_tasks());

/// Wakes every node's cluster listener (channel "afloat_cluster"); sent outside any write transaction.
Task<void> wake_cluster(Database& database, Deadline deadline);

/// The one statement of observe(), for transactions that decide on it.
std::string_view observe_sql();
Result<cluster::Snapshot> parse_snapshot(std::string_view json);
/// What observe_sql() has answered.
Result<cluster::Snapshot> snapshot_from(const Result<Rows>& rows);
/// The fence lock exclusively, or 55P03 after 50 ms: nobody queues behind it for longer. First in its
/// transaction, before any row (lock order).
Task<void> take_fence_lock(Transaction& transaction);
/// Locks the row of cluster_state, for a change of it or for a decision that rests on it. Where PostgreSQL has
/// synchronous standbys, this transaction's commit waits until they show it: nodes act on these decisions, so a
/// fail-over must not take one back.
Task<void> lock_cluster_state(Transaction& transaction);
Task<void> add_event(Transaction& transaction, std::string actor, std::string kind, std::string detail_json);

}  // namespace afloat::store
