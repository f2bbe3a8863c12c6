#pragma once
#include <vector>

#include "store/upgrade_task.h"

namespace afloat::store {

/// 1.3.0: the table node_series, in which nodes tell what they answer while an upgrade is under way
/// (store/node_series.h).
std::vector<UpgradeTask> node_series_tasks();

}  // namespace afloat::store
