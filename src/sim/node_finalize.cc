#include <fmt/format.h>

#include "sim/site.h"

/// What a node does for an upgrade: expand where nobody else did, backfill before and after approve, the steps
/// of finalize. It follows store/upgrade_task.cc and server/finalizer.cc; which step is next says
/// cluster::next_finalize_step().
namespace afloat::sim {

using namespace cluster;

namespace {
constexpr Micros time_limit = 10 * second;
}

// ---- expand, by a node that wants to join

void NodeProcess::expand(Micros patience) {
  database<Snapshot>(
      [build = build_](Database& database) -> Result<Snapshot> {
        if (auto pinned = database.pin_target(build); !pinned) return std::unexpected(pinned.error());
        if (auto known = database.register_tasks(build); !known) return std::unexpected(known.error());
        return database.observe();
      },
      time_limit, [this, patience](Result<Snapshot> snapshot) {
        const auto again = [this, patience] { ask_admission(patience); };
        if (!snapshot) return engine_.after(200 * ms, self(), again);
        const auto pending = pending_expand(*snapshot, tasks_of(build_));
        if (pending.empty())
          return database<void>([build = build_](Database& database) { return database.open_window(build); }, time_limit,
                                [this, again](Result<void>) { engine_.after(200 * ms, self(), again); });
        database<Database::Claimed>(
            [task = pending.front(), runner = name()](Database& database) { return database.claim(task, runner); },
            time_limit, [this, patience, again, task = pending.front()](Result<Database::Claimed> claimed) {
              if (!claimed || claimed->token == 0) return engine_.after(100 * ms, self(), again);
              expand_step(patience, task, claimed->token, claimed->checkpoint == "step 1" ? 2 : 1);
            });
      });
}

void NodeProcess::expand_step(Micros patience, std::string task, int token, int step) {
  constexpr int steps = 2;
  database<void>(
      [=](Database& database) -> Result<void> {
        if (step > steps) return database.finish_task(task, token, TaskState::done);
        return database.expand_step(task, token, step);
      },
      time_limit, [this, patience, task, token, step](Result<void> done) {
        if (!done || step > steps) return engine_.after(10 * ms, self(), [this, patience] { expand(patience); });
        engine_.after(engine_.chance.in(5, 60) * ms, self(),
                      [this, patience, task, token, step] { expand_step(patience, task, token, step + 1); });
      });
}

// ---- finalize

void NodeProcess::finalize_again(Micros wait) {
  engine_.after(wait, self(), [this, asked = ++finalize_asked_] {
    if (asked == finalize_asked_ && !gone_) finalize();
  });
}

void NodeProcess::finalize() {
  const bool mine = state_ == NodeState::ACTIVE && seen_.mode == Mode::on && seen_.expand_done &&
                    seen_.target_build == build_;
  if (!mine) return finalize_again(second);
  // Whoever is woken in the middle of a step goes on with it first.
  if (finalizing_) return;
  finalizing_ = true;
  database<Snapshot>([](Database& database) -> Result<Snapshot> { return database.observe(); }, time_limit,
                     [this](Result<Snapshot> snapshot) {
                       if (snapshot) return finalize_step(*snapshot);
                       step_done(500 * ms);
                     });
}

void NodeProcess::step_done(Micros wait) {
  finalizing_ = false;
  finalize_again(wait);
}

void NodeProcess::finalize_step(const Snapshot& snapshot) {
  if (!snapshot.state || !snapshot.state->finalize_requested_ms) {
    for (const auto& task : snapshot.tasks) {
      if (task.kind != TaskKind::backfill || !belongs_to_hop(snapshot, task.build)) continue;
      if (task.state == TaskState::done || task.state == TaskState::failed) continue;
      if (task.state == TaskState::running && task.lease_live && task.runner != name()) continue;
      if (task.state == TaskState::recheck && task.total > 0) continue;  // caught up once
      return backfill(task.id, TaskState::recheck);
    }
    return step_done(second);
  }
  const auto next = next_finalize_step(snapshot, tasks_of(build_));
  ++site_.coverage[fmt::format("finalize: {}", to_string(next.stage))];
  const auto then = [this](Micros wait) { return [this, wait](Result<void>) { step_done(wait); }; };
  switch (next.stage) {
    case FinalizeStage::backfill:
      return backfill(next.task_id, TaskState::done);
    case FinalizeStage::relax:
      return claimed(next.task_id, [task = next.task_id](Database& database, int token) {
        return database.relax(task, token);
      });
    case FinalizeStage::raise:
      return database<void>([build = build_](Database& database) { return database.raise(build); }, time_limit,
                            then(5 * ms));
    case FinalizeStage::second_fence:
      return database<void>([](Database& database) { return database.second_fence(); }, time_limit, then(10 * ms));
    case FinalizeStage::contract:
      return claimed(next.task_id, [task = next.task_id](Database& database, int token) {
        return database.contract(task, token);
      });
    case FinalizeStage::mode_off:
      return database<void>([](Database& database) { return database.end_upgrade_mode(); }, time_limit, then(100 * ms));
    case FinalizeStage::barrier:
      return step_done(10 * ms);
    case FinalizeStage::blocked:
    case FinalizeStage::idle:
      return step_done(200 * ms);
  }
}

/// Claims the task, works a while on it, does `work`. An error of the work itself is written down as its failure.
void NodeProcess::claimed(const std::string& task, std::function<Result<void>(Database&, int token)> work) {
  database<Database::Claimed>(
      [task, runner = name()](Database& database) { return database.claim(task, runner); }, time_limit,
      [this, task, work = std::move(work)](Result<Database::Claimed> claimed) {
        if (!claimed || claimed->token == 0) return step_done(50 * ms);
        const int token = claimed->token;
        engine_.after(engine_.chance.in(1, 80) * ms, self(), [this, task, token, work] {
          database<void>([work, token](Database& database) { return work(database, token); }, time_limit,
                         [this, task, token](Result<void> done) { failed_or_done(task, token, done); });
        });
      });
}

void NodeProcess::failed_or_done(const std::string& task, int token, Result<void> done) {
  if (done || done.error().kind() != ErrorKind::internal) return step_done(10 * ms);
  tokens_.erase(task);
  database<void>(
      [task, token, why = done.error().message()](Database& database) { return database.fail_task(task, token, why); },
      time_limit, [this](Result<void>) { step_done(200 * ms); });
}

void NodeProcess::backfill(const std::string& task, TaskState as) {
  if (const auto token = tokens_.find(task); token != tokens_.end()) return backfill_batch(task, token->second, as);
  database<Database::Claimed>(
      [task, runner = name()](Database& database) { return database.claim(task, runner); }, time_limit,
      [this, task, as](Result<Database::Claimed> claimed) {
        if (!claimed || claimed->token == 0) return step_done(50 * ms);
        tokens_[task] = claimed->token;
        backfill_batch(task, claimed->token, as);
      });
}

void NodeProcess::backfill_batch(const std::string& task, int token, TaskState as) {
  database<int>(
      [=, build = build_, gates = gates_](Database& database) { return database.backfill(task, token, build, gates); },
      time_limit, [this, task, token, as](Result<int> moved) {
        if (!moved) {
          if (moved.error().code() == "taken_over") tokens_.erase(task);
          return failed_or_done(task, token, std::unexpected(moved.error()));
        }
        if (*moved > 0) return step_done(engine_.chance.in(2, 60) * ms);
        database<void>(
            [=](Database& database) -> Result<void> {
              // Done is "no row without the new form", not "nothing was moved".
              if (database.rows_without_new_form() > 0) return {};
              return database.finish_task(task, token, as);
            },
            time_limit, [this, task, as](Result<void>) {
              tokens_.erase(task);
              step_done(as == TaskState::done ? 10 * ms : second);
            });
      });
}

}  // namespace afloat::sim
