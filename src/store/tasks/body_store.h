#pragma once
#include <vector>

#include "store/upgrade_task.h"

namespace afloat::store {

/// 1.1.0: page bodies move from page_version.body to page_body (store/page_body.h).
std::vector<UpgradeTask> body_store_tasks();

}  // namespace afloat::store
