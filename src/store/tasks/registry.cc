#include <algorithm>
#include <iterator>

#include "store/tasks/body_store.h"
#include "store/tasks/change_sizes.h"
#include "store/tasks/drafts.h"
#include "store/tasks/health_report.h"
#include "store/tasks/last_seen.h"
#include "store/tasks/node_series.h"
#include "store/tasks/search_words.h"

namespace afloat::store {

std::span<const UpgradeTask> all_tasks() {
  // Made once, at first use; never changed afterwards. The tasks of releases that a site has behind it stay, for a
  // fresh database runs them too.
  static const std::vector<UpgradeTask> tasks = [] {
    auto all = body_store_tasks();
    std::ranges::move(search_words_tasks(), std::back_inserter(all));
    std::ranges::move(health_report_tasks(), std::back_inserter(all));
    std::ranges::move(change_sizes_tasks(), std::back_inserter(all));
    std::ranges::move(drafts_tasks(), std::back_inserter(all));
    std::ranges::move(node_series_tasks(), std::back_inserter(all));
    std::ranges::move(last_seen_tasks(), std::back_inserter(all));
    return all;
  }();
  return tasks;
}

}  // namespace afloat::store
