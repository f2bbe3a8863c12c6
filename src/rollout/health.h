#pragma once
#include <vector>

#include "rollout/judge.h"

namespace afloat::rollout {

/// Is the site well, whether or not it is to be upgraded? Over what was found at one moment; pure. A check that can't
/// find out says so (unknown) and never passes.
std::vector<Check> health(const Observation& seen);

// One unit each; the limits are in the .cc beside their reasons, and docs/checks.md names them.
Check members_well(const Observation& seen);
Check agents_well(const Observation& seen);
Check open_files(const Observation& seen);
Check process_limit(const Observation& seen);
Check disk_space(const Observation& seen);
Check shared_home(const Observation& seen);
Check clocks(const Observation& seen);
Check long_transactions(const Observation& seen);
Check database_connections(const Observation& seen);
Check search_index(const Observation& seen);
Check long_tasks(const Observation& seen);
Check certificates(const Observation& seen);
Check base_url(const Observation& seen);
Check node_findings(const Observation& seen);

}  // namespace afloat::rollout
