#include "store/tasks/body_store.h"

namespace afloat::store {

std::span<const UpgradeTask> all_tasks() {
  // Made once, at first use; never changed afterwards.
  static const std::vector<UpgradeTask> tasks = body_store_tasks();
  return tasks;
}

}  // namespace afloat::store
