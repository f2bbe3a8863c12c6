#include "cluster/command.h"

#include <fmt/format.h>

#include <array>

#include "base/text.h"
#include "cluster/roster.h"
#include "cluster/task_ledger.h"

namespace afloat::cluster {
namespace {

// Each command is legal in one phase; whatever is not here is refused.
//   STABLE --start--> READY_TO_UPGRADE <-> MIXED <-> READY_TO_RUN_UPGRADE_TASKS --approve--> RUNNING_UPGRADE_TASKS ->
//   STABLE READY_TO_UPGRADE --cancel--> STABLE               UPGRADE_TASKS_FAILED --retry--> RUNNING_UPGRADE_TASKS
// Before finalize a failed expand or backfill may be tried again too, which changes no phase by itself; without that
// its cause could be mended and nobody could go on.
enum class When { always, a_task_failed };
struct Legal {
  Command command;
  Phase phase;
  When when = When::always;
};
constexpr auto legal = std::to_array<Legal>({
    {Command::start, Phase::STABLE},
    {Command::cancel, Phase::READY_TO_UPGRADE},
    {Command::approve, Phase::READY_TO_RUN_UPGRADE_TASKS},
    {Command::retry, Phase::UPGRADE_TASKS_FAILED},
    {Command::retry, Phase::STABLE, When::a_task_failed},  // left behind by a release that did not tidy up at cancel
    {Command::retry, Phase::READY_TO_UPGRADE, When::a_task_failed},
    {Command::retry, Phase::MIXED, When::a_task_failed},
});

bool is_legal(const Snapshot& snapshot, Command command, Phase phase) {
  for (const auto& entry : legal)
    if (entry.command == command && entry.phase == phase)
      return entry.when == When::always || !failed_tasks(snapshot).empty();
  return false;
}

std::string_view next_action(Phase phase) {
  switch (phase) {
    case Phase::STABLE:
      return "Next: start (`afloat upgrade run`, or POST /rest/zdu/start).";
    case Phase::READY_TO_UPGRADE:
      return "Next: upgrade the nodes one by one, or cancel.";
    case Phase::MIXED:
      return "Next: bring the other nodes to the target version, then approve; or roll the upgraded nodes back, remove "
             "upgraded nodes that are dead, then cancel (a run's `afloat upgrade cancel` does all of it).";
    case Phase::READY_TO_RUN_UPGRADE_TASKS:
      return "Next: approve (`afloat upgrade finalize`, or POST /rest/zdu/approve); or roll the nodes back, then "
             "cancel "
             "(a run's `afloat upgrade cancel` does both).";
    case Phase::RUNNING_UPGRADE_TASKS:
      return "Next: wait until the upgrade tasks are done; there is no way back any more.";
    case Phase::UPGRADE_TASKS_FAILED:
      return "Next: mend the cause that the task names, then retry (`afloat upgrade retry`, or POST "
             "/rest/zdu/retryUpgrade); there is no way back any more.";
  }
  return "";
}

std::string run_text(std::int64_t run) { return fmt::format("upgrade run {}", run); }

}  // namespace

std::string_view to_string(Command command) {
  switch (command) {
    case Command::start:
      return "start";
    case Command::cancel:
      return "cancel";
    case Command::approve:
      return "approve";
    case Command::retry:
      return "retry";
  }
  return "start";
}

Result<void> check_command(const Snapshot& snapshot, Command command, std::optional<std::int64_t> from_run) {
  const auto refuse = [&](std::string why, std::string_view next) {
    return fail(ErrorKind::failed_precondition, fmt::format("{} is refused: {} {}", to_string(command), why, next));
  };
  if (!snapshot.state) return refuse("no node has ever joined this site.", "Next: start a node.");

  const auto in_charge = snapshot.state->run_id;
  if (in_charge && !from_run && command != Command::retry)
    return refuse(
        fmt::format("{} is in charge of this site.", run_text(*in_charge)),
        "Next: let it finish, or steer it: `afloat upgrade status` tells whether it waits for `afloat upgrade "
        "resume`, `afloat upgrade cancel` leads back.");
  // A delayed command of a run that has ended must not act upon a later one.
  if (from_run && from_run != in_charge && (in_charge || command != Command::start))
    return refuse(fmt::format("it comes from {}, but {} is in charge.", run_text(*from_run),
                              in_charge ? run_text(*in_charge) : std::string("no run")),
                  "Next: look at the run with `afloat upgrade status`.");

  const auto phase = derive_phase(snapshot).phase;
  if (is_legal(snapshot, command, phase)) return {};

  std::string why = fmt::format("the site is {}.", to_string(phase));
  if (phase == Phase::MIXED && command == Command::approve)
    why += fmt::format(" In the way: {}.", join(approve_obstacles(snapshot), "; "));
  if ((phase == Phase::MIXED || phase == Phase::READY_TO_RUN_UPGRADE_TASKS) && command == Command::cancel)
    why += fmt::format(" In the way: {}.", join(cancel_obstacles(snapshot), "; "));
  if (command == Command::retry) why += " No upgrade task has failed.";
  if (phase == Phase::READY_TO_UPGRADE && command == Command::approve)
    why += fmt::format(" Every node is still on {}.", original_text(snapshot));
  return refuse(std::move(why), next_action(phase));
}

}  // namespace afloat::cluster
