#pragma once
#include <string>
#include <vector>

#include "rollout/judge.h"

namespace afloat::rollout {

/// What must be well before an upgrade begins, beside the checks of preflight.h, which calls this. Pure.
std::vector<Check> upgrade_checks(const std::string& to, const Observation& seen);

Check database_version(const Observation& seen);
Check database_privileges(const Observation& seen);
Check database_embedded(const Observation& seen);
Check capacity(const Observation& seen);
Check backfill_finished(const Observation& seen);
Check balancer_check(const Observation& seen);
Check same_release(const std::string& to, const Observation& seen);
Check release_files(const Observation& seen);
Check configuration(const Observation& seen);

}  // namespace afloat::rollout
