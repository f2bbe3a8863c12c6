#pragma once
#include <vector>

#include "store/upgrade_task.h"

namespace afloat::store {

/// 1.3.0: the table draft (draft_store.h), what people have typed and not yet saved.
std::vector<UpgradeTask> drafts_tasks();

}  // namespace afloat::store
