#pragma once
#include <array>

#include "cluster/model.h"

namespace afloat::cluster {

//                   +--------------------- RUNNING_FINALIZE_UPGRADE_TASKS <---> UPGRADE_TASKS_FAILED
//                   v                                                                   |
//   STARTING --> ACTIVE <--> DRAINING --> TERMINATING --> OFFLINE --> STARTING       (to ACTIVE)
//       |                                     ^
//       +-------------------------------------+   any state --> ERROR --> OFFLINE
//
// The two task states also go to DRAINING, when the node is told to stop.
// A node that is lost is not written as OFFLINE by anyone: effective_state() derives that from its lease.
struct NodeTransition {
  NodeState from, to;
};
inline constexpr auto node_transitions = std::to_array<NodeTransition>({
    {NodeState::STARTING, NodeState::ACTIVE},
    {NodeState::STARTING, NodeState::TERMINATING},  // stopped before it ever served: there is nothing to drain
    {NodeState::ACTIVE, NodeState::DRAINING},
    {NodeState::ACTIVE, NodeState::RUNNING_FINALIZE_UPGRADE_TASKS},
    {NodeState::DRAINING, NodeState::ACTIVE},  // undrain: ok-to-stop changed its answer
    {NodeState::DRAINING, NodeState::TERMINATING},
    {NodeState::TERMINATING, NodeState::OFFLINE},
    {NodeState::RUNNING_FINALIZE_UPGRADE_TASKS, NodeState::ACTIVE},
    {NodeState::RUNNING_FINALIZE_UPGRADE_TASKS, NodeState::UPGRADE_TASKS_FAILED},
    {NodeState::RUNNING_FINALIZE_UPGRADE_TASKS, NodeState::DRAINING},  // SIGTERM: another node takes the task over
    {NodeState::UPGRADE_TASKS_FAILED, NodeState::ACTIVE},
    {NodeState::UPGRADE_TASKS_FAILED, NodeState::RUNNING_FINALIZE_UPGRADE_TASKS},  // retry
    {NodeState::UPGRADE_TASKS_FAILED, NodeState::DRAINING},
    {NodeState::ERROR, NodeState::OFFLINE},
    {NodeState::OFFLINE, NodeState::STARTING},  // a new incarnation, through admission
});

/// ERROR is reached from every state but itself; everything else is in the table.
constexpr bool node_may_change(NodeState from, NodeState to) {
  if (to == NodeState::ERROR) return from != NodeState::ERROR;
  for (const auto& transition : node_transitions)
    if (transition.from == from && transition.to == to) return true;
  return false;
}
static_assert(!node_may_change(NodeState::TERMINATING, NodeState::ACTIVE), "its listener is closed: it cannot return");

/// Errors: failed_precondition that names both states and where `from` may go.
Result<void> check_node_change(NodeState from, NodeState to);

/// True for a node that takes requests: running upgrade tasks, or having failed at one, does not keep it from that.
constexpr bool serves(NodeState state) {
  return state == NodeState::ACTIVE || state == NodeState::RUNNING_FINALIZE_UPGRADE_TASKS ||
         state == NodeState::UPGRADE_TASKS_FAILED;
}

}  // namespace afloat::cluster
