#pragma once
#include <vector>

#include "store/upgrade_task.h"

namespace afloat::store {

/// 1.3.0: page_version.words_added and words_removed, how much each version changed of the one before it, so that lists
/// of changes show it without reading a body. Nodes of 1.2 leave them null; backfill fills them in.
std::vector<UpgradeTask> change_sizes_tasks();

}  // namespace afloat::store
