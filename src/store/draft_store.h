#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ports/database.h"

/// What people have typed and not yet saved. Each opening of an edit form has a draft of its own, so that two tabs do
/// not replace each other's. Nobody but its author sees one. Writes are to be wrapped in server::with_gates; each may
/// be sent again without harm, and no cache has anything of them.
namespace afloat::store {

/// Where somebody writes: `page_id`, or for a new page its space and the page that it is to lie below.
struct DraftPlace {
  std::int64_t author = 0;
  std::optional<std::int64_t> page_id;
  std::string space_key;                  ///< only for a new page
  std::optional<std::int64_t> parent_id;  ///< only for a new page; nullopt: the home page
};
struct Draft {
  std::string title, body, message;  ///< as typed: the body need not be well-formed
  int base_version = 0;              ///< that the writer started from
  std::int64_t updated_at_ms = 0;
  std::string form;  ///< a word for the opened form that it was typed into; "" of who has none
};

/// A draft as a list shows it.
struct DraftSummary {
  DraftPlace place;   ///< with space_key, of a page too
  std::string title;  ///< as typed; "" = none yet
  std::string space_name;
  std::int64_t updated_at_ms = 0;
  int base_version = 0;
  std::string form;
};

/// The newest first. Left out are those of pages in the trash, those that say what the page says, and new pages in
/// which nothing is written.
Task<std::vector<DraftSummary>> list_drafts(Database& database, std::int64_t author, int limit, Deadline deadline);
/// Those of one place, in the same way.
Task<std::vector<DraftSummary>> list_drafts(Database& database, DraftPlace place, int limit, Deadline deadline);
Task<std::optional<Draft>> read_draft(Database& database, DraftPlace place, std::string form, Deadline deadline);
/// Replaces an earlier one of `draft.form`; `updated_at_ms` is set by the database and returned. Errors: not_found
/// (page or space).
Task<std::int64_t> save_draft(Database& database, Gates gates, DraftPlace place, Draft draft, Deadline deadline);
/// One that is not there is no error.
Task<void> remove_draft(Database& database, Gates gates, DraftPlace place, std::string form, Deadline deadline);

}  // namespace afloat::store
