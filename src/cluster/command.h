#pragma once
#include "cluster/model.h"
#include "cluster/phase.h"

namespace afloat::cluster {

enum class Command { start, cancel, approve, retry };
std::string_view to_string(Command command);

/// Legality as a table over phases, plus the roster checks: approve needs every roster member ACTIVE
/// with a live lease on the target and expand done; cancel needs the whole roster on the original
/// version, whoever is alive. Refused: failed_precondition with the reason (naming nodes) and the next
/// legal action. `from_run`: the id of the run that issues it; while a run is in charge, start, cancel
/// and approve from elsewhere are refused naming it.
Result<void> check_command(const Snapshot& snapshot, Command command, std::optional<std::int64_t> from_run);

}  // namespace afloat::cluster
