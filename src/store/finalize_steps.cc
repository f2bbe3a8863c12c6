#include "store/finalize_steps.h"

#include <fmt/format.h>

#include "store/cluster_store.h"

namespace afloat::store {

namespace {

Task<void> change(Transaction& transaction, Statement update, std::string actor, std::string kind) {
  if (auto row = co_await lock_cluster_state(transaction); !row) co_return row;
  auto updated = co_await transaction.run(std::move(update));
  if (!updated) co_return std::unexpected(updated.error());
  if (updated->affected == 0) co_return Result<void>{};  // another node was quicker
  co_return co_await add_event(transaction, actor, kind, "{}");
}

Task<void> fenced_change(Transaction& transaction, Statement update, std::string actor, std::string kind) {
  if (auto fence = co_await take_fence_lock(transaction); !fence) co_return fence;
  co_return co_await change(transaction, std::move(update), std::move(actor), std::move(kind));
}

}  // namespace

Task<void> raise_cluster_version(Database& database, std::string version, std::string actor, Deadline deadline) {
  auto done = co_await database.transaction(
      std::nullopt,
      [&](Transaction& transaction) {
        return change(transaction,
                      {"update cluster_state set cluster_version = $1, gates = gates + 1, epoch = epoch + 1 "
                       "where finalize_requested is not null and cluster_version <> $1",
                       {version}},
                      actor, "cluster_version_raised");
      },
      deadline);
  if (!done) co_return done;
  co_return co_await wake_cluster(database, deadline);
}

Task<void> second_fence(Database& database, std::string actor, Deadline deadline) {
  co_return co_await database.transaction(
      std::nullopt,
      [&](Transaction& transaction) {
        return fenced_change(transaction,
                             {"update cluster_state set min_gates = gates, epoch = epoch + 1 "
                              "where finalize_requested is not null and min_gates < gates",
                              {}},
                             actor, "gates_fenced");
      },
      deadline);
}

Task<void> end_upgrade_mode(Database& database, std::string actor, Deadline deadline) {
  auto done = co_await database.transaction(
      std::nullopt,
      [&](Transaction& transaction) {
        return change(
            transaction,
            {"update cluster_state set mode = 'off', original_build = null, target_build = null, expand_done = false, "
             "finalize_requested = null, run_id = null, epoch = epoch + 1 where finalize_requested is not null",
             {}},
            actor, "stable");
      },
      deadline);
  if (!done) co_return done;
  co_return co_await wake_cluster(database, deadline);
}

Task<void> trim_change_log(Database& database, Deadline deadline) {
  auto rows = co_await database.slow_read({"delete from change_log where at < clock_timestamp() - interval '1 hour' "
                                           "and xid < pg_snapshot_xmin(pg_current_snapshot())",
                                           {}},
                                          deadline);
  if (!rows) co_return std::unexpected(rows.error());
  co_return Result<void>{};
}

}  // namespace afloat::store
