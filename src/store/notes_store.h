#pragma once
#include <memory>

#include "ports/database.h"
#include "ports/notes_store.h"

namespace afloat::store {

/// NotesStore in the audit log (cluster_event), kind `notes_acknowledged`. A table of its own would have to be made by
/// an upgrade task, after the upgrade that asks for it; the log is there on every site since 1.0.0, and says who and
/// when.
std::unique_ptr<NotesStore> make_notes_store(Database& database);

}  // namespace afloat::store
