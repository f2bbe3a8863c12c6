#pragma once
#include <vector>

#include "store/upgrade_task.h"

namespace afloat::store {

/// 1.4.0: app_user.last_seen, when somebody was here last; of an account that nobody has used, when it was made. Nodes
/// of 1.3 note it in `session` alone, from where backfill takes it.
std::vector<UpgradeTask> last_seen_tasks();

}  // namespace afloat::store
