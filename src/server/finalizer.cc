#include "server/finalizer.h"

#include "cluster/task_ledger.h"
#include "server/log.h"
#include "store/finalize_steps.h"

namespace afloat::server {

using namespace cluster;
using std::chrono::milliseconds;

milliseconds rest_after_batch(milliseconds took, bool approved, double load) {
  if (!approved || load > 0.8) return std::max(milliseconds(10), 3 * took);
  return load > 0.5 ? std::max(milliseconds(2), took) : milliseconds(2);
}

Finalizer::Finalizer(Database& database, ClusterStore& cluster, const Clock& clock, Timer& timer, int build,
                     std::string version, std::string node, std::span<const store::UpgradeTask> tasks)
    : database_(database), cluster_(cluster), clock_(clock), build_(build), version_(std::move(version)),
      node_(std::move(node)), tasks_(tasks), runner_(database, clock, timer, build, node_, tasks) {}

Task<milliseconds> Finalizer::step(ClusterState state, Deadline deadline) {
  if (state.mode == Mode::off || !state.expand_done || state.target_build != build_) co_return milliseconds(1000);
  if (state.finalize_requested_ms) co_return co_await finalize(deadline);
  co_return co_await backfill_early(deadline);
}

Task<milliseconds> Finalizer::backfill_early(Deadline deadline) {
  auto snapshot = co_await cluster_.observe(deadline);
  if (!snapshot) co_return std::unexpected(snapshot.error());
  for (const auto& task : snapshot->tasks) {
    if (task.kind != TaskKind::backfill || !belongs_to_hop(*snapshot, task.build)) continue;
    if (task.state == TaskState::done || task.state == TaskState::failed) continue;
    if (task.state == TaskState::running && task.lease_live && task.runner != node_) continue;
    if (task.state == TaskState::recheck && task.total > 0) continue;  // caught up once; the rest comes after approve
    const auto began = clock_.steady_now();
    auto done = co_await runner_.backfill_some(task.id, gates_of(*snapshot->state), store::TaskRunner::Pass::early, deadline);
    if (!done && done.error().code() == "taken_over") continue;
    if (!done) co_return std::unexpected(done.error());
    if (*done) co_return milliseconds(1000);
    co_return rest_after_batch(std::chrono::ceil<milliseconds>(clock_.steady_now() - began), false, load_());
  }
  co_return milliseconds(1000);
}

Task<milliseconds> Finalizer::finalize(Deadline deadline) {
  auto snapshot = co_await cluster_.observe(deadline);
  if (!snapshot) co_return std::unexpected(snapshot.error());
  const auto next = next_finalize_step(*snapshot, store::declarations(tasks_));
  switch (next.stage) {
    case FinalizeStage::backfill: {
      const auto began = clock_.steady_now();
      auto done = co_await runner_.backfill_some(next.task_id, gates_of(*snapshot->state), store::TaskRunner::Pass::final, deadline);
      if (!done && done.error().code() == "taken_over") co_return milliseconds(50);
      if (!done) co_return std::unexpected(done.error());
      co_return rest_after_batch(std::chrono::ceil<milliseconds>(clock_.steady_now() - began), true, load_());
    }
    case FinalizeStage::relax: {
      auto done = co_await runner_.relax(next.task_id, deadline);
      if (!done && done.error().code() != "taken_over") co_return std::unexpected(done.error());
      co_return milliseconds(10);
    }
    case FinalizeStage::raise: {
      auto done = co_await store::raise_cluster_version(database_, version_, node_, deadline);
      if (!done) co_return std::unexpected(done.error());
      co_return milliseconds(5);
    }
    case FinalizeStage::barrier: co_return milliseconds(10);
    case FinalizeStage::second_fence: {
      auto done = co_await store::second_fence(database_, node_, deadline);
      if (!done && done.error().code() != "55P03") co_return std::unexpected(done.error());
      co_return milliseconds(10);
    }
    case FinalizeStage::contract: {
      auto done = co_await runner_.contract(next.task_id, deadline);
      if (!done && done.error().code() != "taken_over") co_return std::unexpected(done.error());
      co_return milliseconds(10);
    }
    case FinalizeStage::mode_off: {
      auto done = co_await store::end_upgrade_mode(database_, node_, deadline);
      if (!done) co_return std::unexpected(done.error());
      log(Level::info, "finalized", {{"version", version_}});
      co_return milliseconds(100);
    }
    case FinalizeStage::blocked: co_return milliseconds(200);
    case FinalizeStage::idle: co_return milliseconds(200);
  }
  co_return milliseconds(200);
}

}  // namespace afloat::server
