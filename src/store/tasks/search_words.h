#pragma once
#include <vector>

#include "store/upgrade_task.h"

namespace afloat::store {

/// 1.2.0: page_search gets words as they are typed and the text for excerpts (store/page_index.h).
std::vector<UpgradeTask> search_words_tasks();

}  // namespace afloat::store
