#pragma once
#include <memory>

#include "ports/database.h"
#include "ports/run_store.h"

namespace afloat::store {

/// Runs and their journal over SQL (tables upgrade_run, upgrade_hop, upgrade_step, conductor_lease).
/// `database` outlives it; same thread as the database.
std::unique_ptr<RunStore> make_run_store(Database& database);

/// When the site goes away for a run with downtime, Unix time in ms: what everybody is to be told. nullopt: no such run
/// waits or is under way.
Task<std::optional<std::int64_t>> planned_downtime(Database& database, Deadline deadline);

}  // namespace afloat::store
