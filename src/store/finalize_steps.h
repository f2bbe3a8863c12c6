#pragma once
#include <string>

#include "ports/database.h"

namespace afloat::store {

/// The steps of finalize that change cluster_state. Each is one transaction that does nothing when it
/// was done already, so any target node may try it, again and at once with others.

/// cluster_version := `version`, gates + 1. Persisted before any node activates it.
Task<void> raise_cluster_version(Database& database, std::string version, std::string actor, Deadline deadline);
/// min_gates := gates under the fence lock: a straggler's write is refused (AF003) instead of writing the old form.
/// Errors: unavailable with code 55P03 when writes held the lock for 50 ms: try again.
Task<void> second_fence(Database& database, std::string actor, Deadline deadline);
/// The end: mode off, original and target cleared.
Task<void> end_upgrade_mode(Database& database, std::string actor, Deadline deadline);
/// Change-log entries older than an hour, which no node can still need.
Task<void> trim_change_log(Database& database, Deadline deadline);

}  // namespace afloat::store
