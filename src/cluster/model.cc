#include "cluster/model.h"

namespace afloat::cluster {

std::string_view to_string(Mode mode) { return mode == Mode::on ? "on" : "off"; }
Mode mode_from(std::string_view text) { return text == "on" ? Mode::on : Mode::off; }

std::string_view to_string(NodeState state) {
  switch (state) {
    case NodeState::STARTING:
      return "STARTING";
    case NodeState::ACTIVE:
      return "ACTIVE";
    case NodeState::DRAINING:
      return "DRAINING";
    case NodeState::TERMINATING:
      return "TERMINATING";
    case NodeState::OFFLINE:
      return "OFFLINE";
    case NodeState::ERROR:
      return "ERROR";
    case NodeState::RUNNING_FINALIZE_UPGRADE_TASKS:
      return "RUNNING_FINALIZE_UPGRADE_TASKS";
    case NodeState::UPGRADE_TASKS_FAILED:
      return "UPGRADE_TASKS_FAILED";
    case NodeState::unknown:
      return "unknown";
  }
  return "unknown";
}

NodeState node_state_from(std::string_view text) {
  for (const auto state :
       {NodeState::STARTING, NodeState::ACTIVE, NodeState::DRAINING, NodeState::TERMINATING, NodeState::OFFLINE,
        NodeState::ERROR, NodeState::RUNNING_FINALIZE_UPGRADE_TASKS, NodeState::UPGRADE_TASKS_FAILED})
    if (text == to_string(state)) return state;
  return NodeState::unknown;
}

NodeState effective_state(const Member& member) {
  return member.closed || !member.lease_live ? NodeState::OFFLINE : member.state;
}

std::string shown_state(const Member& member) {
  const auto state = effective_state(member);
  return std::string(state == NodeState::unknown && !member.state_text.empty() ? member.state_text : to_string(state));
}

std::string_view to_string(TaskKind kind) {
  switch (kind) {
    case TaskKind::expand:
      return "expand";
    case TaskKind::backfill:
      return "backfill";
    case TaskKind::contract:
      return "contract";
  }
  return "expand";
}

std::optional<TaskKind> task_kind_from(std::string_view text) {
  for (const auto kind : {TaskKind::expand, TaskKind::backfill, TaskKind::contract})
    if (text == to_string(kind)) return kind;
  return std::nullopt;
}

std::string_view to_string(TaskState state) {
  switch (state) {
    case TaskState::pending:
      return "pending";
    case TaskState::running:
      return "running";
    case TaskState::done:
      return "done";
    case TaskState::failed:
      return "failed";
    case TaskState::recheck:
      return "recheck";
  }
  return "failed";
}

TaskState task_state_from(std::string_view text) {
  for (const auto state : {TaskState::pending, TaskState::running, TaskState::done, TaskState::recheck})
    if (text == to_string(state)) return state;
  return TaskState::failed;
}

}  // namespace afloat::cluster
