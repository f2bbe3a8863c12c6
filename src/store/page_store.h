#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ports/database.h"
#include "wiki/diff.h"

/// Pages and their versions. Functions take the Gates of the request, so that no release's change of a form misses
/// one: in this release all forms are the same whatever the gates.
/// Writes are to be wrapped in server::with_gates. Times are milliseconds since 1970.
namespace afloat::store {

struct UserName {
  std::string name;  ///< "" for a user who is no longer there
  std::string full_name;
};
struct Ancestor {
  std::int64_t id = 0;
  std::string title;
};
struct Label {
  std::string prefix = "global";
  std::string name;
};

/// A page as a list shows it.
struct PageSummary {
  std::int64_t id = 0;
  std::int64_t space_id = 0;
  std::string space_key;
  std::string space_name;
  std::optional<std::int64_t> homepage_id;  ///< of its space
  std::optional<std::int64_t> parent_id;
  int position = 0;
  std::string title;
  int version = 0;
  std::string status;  ///< current, trashed
  UserName created_by;
  std::int64_t created_at_ms = 0;
  UserName updated_by;
  std::int64_t updated_at_ms = 0;
};
struct Page : PageSummary {
  std::string body;                 ///< storage format
  std::string message;              ///< of this version
  std::vector<Ancestor> ancestors;  ///< from the top down, without the page itself
  std::vector<Label> labels;
};
struct PageVersion {
  int number = 0;
  std::string title;
  std::string body;  ///< empty in lists
  std::string message;
  UserName author;
  std::int64_t created_at_ms = 0;
  /// Against the version before it. nullopt: a node of 1.2 wrote it, and the upgrade to 1.3 has not met it yet.
  std::optional<wiki::ChangeSize> change;
};

struct NewPage {
  std::optional<std::int64_t> id;  ///< one of reserve_page_ids(), else chosen by the database
  std::string space_key;
  std::optional<std::int64_t> parent_id;  ///< nullopt: the space's home page
  std::string title;
  std::string body;
  std::string message;
  std::int64_t author = 0;
};
struct SavePage {
  std::int64_t id = 0;
  int expected_version = 0;  ///< what the editor started from
  std::string title;
  std::string body;
  std::string message;
  std::int64_t author = 0;
  std::optional<std::int64_t> parent_id;  ///< nullopt: stays where it is
};
struct SavedPage {
  std::int64_t id = 0;
  int version = 0;
};

/// One round trip, with ancestors and labels. Trashed pages too: look at `status`. Errors: not_found.
Task<Page> read_page(Database& database, Gates gates, std::int64_t id, Deadline deadline);
/// The current page of that title (case does not matter). Errors: not_found.
Task<Page> read_page_by_title(Database& database, Gates gates, std::string space_key, std::string title,
                              Deadline deadline);
/// Current pages among `ids`, in no particular order, with bodies, ancestors and labels.
Task<std::vector<Page>> read_pages(Database& database, Gates gates, std::vector<std::int64_t> ids, Deadline deadline);
/// Errors: not_found.
Task<PageVersion> read_version(Database& database, Gates gates, std::int64_t page_id, int number, Deadline deadline);
/// Newest first, without bodies.
Task<std::vector<PageVersion>> list_versions(Database& database, std::int64_t page_id, int start, int limit,
                                             Deadline deadline);

/// Errors: not_found (space), invalid_argument (parent; or duplicate title: the message has "title already exists").
/// Does not check that the body is well-formed: wiki::check_storage first.
Task<SavedPage> create_page(Database& database, Gates gates, NewPage page, Deadline deadline);
/// All or none, in one write batch; a parent_id may be the reserved id of an earlier page of the batch.
/// A page whose space or parent is not there fails the whole batch.
Task<std::vector<SavedPage>> create_pages(Database& database, Gates gates, std::vector<NewPage> pages,
                                          Deadline deadline);
/// Fresh ids for NewPage::id, so that pages of one import can refer to each other.
Task<std::vector<std::int64_t>> reserve_page_ids(Database& database, int count, Deadline deadline);
/// Writes a new version. Errors: not_found; conflict naming the current version when it is not
/// expected_version; invalid_argument (duplicate title, parent elsewhere or below the page itself).
Task<SavedPage> save_page(Database& database, Gates gates, SavePage page, Deadline deadline);

/// Part of create_space's batch: the page whose id is space.homepage_id.
Statement homepage_statement(std::string space_key, std::string title, std::string body, std::int64_t author);
/// For tables of many pages: the statement's error 23505 as "title already exists", others as they are.
Error explain_write_error(const Error& error, std::string_view title);

}  // namespace afloat::store
