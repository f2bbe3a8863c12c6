#include "store/upgrade_task.h"

namespace afloat::store {

// 1.0.0 is the first release: its schema is the bootstrap's, so it brings no task.
std::span<const UpgradeTask> all_tasks() { return {}; }

}  // namespace afloat::store
