#pragma once
#include <string>
#include <vector>

#include "ports/task.h"
#include "ports/time.h"
#include "version/index.h"

namespace afloat {

/// Who has acknowledged which release notes. Implementation: store/notes_store.h.
struct NotesStore {
  virtual ~NotesStore() = default;
  /// Records all of them together, by `actor`, with the database's time; `at_ms` and `actor` of each are not looked at.
  virtual Task<void> acknowledge(std::string actor, std::vector<version::ReadNotes> notes, Deadline deadline) = 0;
  /// All that were ever acknowledged; of a version and digest that were acknowledged twice, the first.
  virtual Task<std::vector<version::ReadNotes>> acknowledged(Deadline deadline) = 0;
};

}  // namespace afloat
