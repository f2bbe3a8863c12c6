#pragma once
#include <memory>

#include "ports/database.h"
#include "ports/run_store.h"

namespace afloat::store {

/// Runs and their journal over SQL (tables upgrade_run, upgrade_hop, upgrade_step, conductor_lease).
/// `database` outlives it; same thread as the database.
std::unique_ptr<RunStore> make_run_store(Database& database);

}  // namespace afloat::store
