#pragma once
#include <vector>

#include "store/upgrade_task.h"

namespace afloat::store {

/// 1.2.0: the table health_report, in which nodes and the conductor tell how they are (store/health_store.h).
std::vector<UpgradeTask> health_report_tasks();

}  // namespace afloat::store
