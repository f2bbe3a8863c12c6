#pragma once
#include <string>
#include <vector>

#include "cluster/model.h"

/// What the roster says about the two versions of an upgrade, in words: shared by phases, commands and messages.
namespace afloat::cluster {

/// Why approve is refused, one phrase for each obstacle, naming node, reason and action; empty when the
/// facts allow it: roster not empty, target known, expand done, every member on the target, ACTIVE, lease live, no
/// upgrade task failed (a backfill that begins early would fail again behind the point of no return).
std::vector<std::string> approve_obstacles(const Snapshot& snapshot);
/// Why cancel is refused; empty when the roster is not empty and all of it is on the original version.
/// Liveness does not count: cancel lowers the writer window, which shuts out whoever wakes up later.
std::vector<std::string> cancel_obstacles(const Snapshot& snapshot);

/// "1.1.0", or the build in words; "the target version" while no target is set.
std::string target_text(const Snapshot& snapshot);
std::string original_text(const Snapshot& snapshot);

}  // namespace afloat::cluster
