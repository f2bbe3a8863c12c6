#pragma once
#include <vector>

#include "ports/database.h"

namespace afloat::store {

/// Writes what no cache has anything of (sessions, tokens, drafts), without an entry in the change log. Without one the
/// adapter cannot settle a lost answer, so the statements are sent once more where there is time left: each must be one
/// that may be sent again without harm. The rows of each statement. Errors: as Database::write.
Task<std::vector<Rows>> write_unlogged(Database& database, Gates gates, std::vector<Statement> statements,
                                       Deadline deadline);

}  // namespace afloat::store
