#pragma once
#include "cluster/model.h"

namespace afloat::cluster {

/// Derived from stored facts, never stored: so it cannot be out of step with reality.
enum class Phase {
  STABLE,
  READY_TO_UPGRADE,
  MIXED,
  READY_TO_RUN_UPGRADE_TASKS,  ///< approve would be accepted now
  RUNNING_UPGRADE_TASKS,
  UPGRADE_TASKS_FAILED,
};
std::string_view to_string(Phase phase);

struct PhaseView {
  Phase phase = Phase::STABLE;
  std::string reason;  ///< for a person: why this phase, and the next thing to do
};

/// First match: mode off: STABLE; finalize requested and a task failed: UPGRADE_TASKS_FAILED; finalize
/// requested: RUNNING_UPGRADE_TASKS; roster not empty and all on the original: READY_TO_UPGRADE; roster
/// not empty, expand done, all on the target, ACTIVE, leases live: READY_TO_RUN_UPGRADE_TASKS; else MIXED.
PhaseView derive_phase(const Snapshot& snapshot);

}  // namespace afloat::cluster
