#pragma once
#include "store/page_store.h"

/// Where pages are, and what is hung on them: children, recent changes, labels, trash. No bodies here.
namespace afloat::store {

/// Children of a page in order. `limit` at most a few hundred.
Task<std::vector<PageSummary>> list_children(Database& database, std::int64_t parent_id, int start, int limit,
                                             Deadline deadline);
/// The same in short, for a tree of many pages.
struct TreeEntry {
  std::int64_t id = 0;
  std::string title;
  bool has_children = false;
};
Task<std::vector<TreeEntry>> list_branch(Database& database, std::int64_t parent_id, int start, int limit,
                                         Deadline deadline);
/// All pages below, by title.
Task<std::vector<PageSummary>> list_descendants(Database& database, std::int64_t ancestor_id, int start, int limit,
                                                Deadline deadline);
/// Current pages of one space ("" = all), newest change first.
Task<std::vector<PageSummary>> list_recent(Database& database, std::string space_key, int start, int limit,
                                           Deadline deadline);
/// Current or trashed pages of one space ("" = all) by id; `title` "" = any.
Task<std::vector<PageSummary>> list_pages(Database& database, std::string space_key, std::string title,
                                          std::string status, int start, int limit, Deadline deadline);
/// Ids of current pages by (space key, title), case ignored: for the links of one page. Absent ones are left out.
struct TitleQuery {
  std::string space_key;
  std::string title;
};
struct TitleMatch {
  std::string space_key;
  std::string title;  ///< as asked
  std::int64_t id = 0;
};
Task<std::vector<TitleMatch>> find_titles(Database& database, std::vector<TitleQuery> queries, Deadline deadline);

/// To the trash; its children move up to its parent. Errors: not_found, failed_precondition (a home page).
Task<void> trash_page(Database& database, Gates gates, std::int64_t id, std::int64_t actor, Deadline deadline);
/// Back from the trash. Errors: not_found, invalid_argument ("title already exists").
Task<void> restore_page(Database& database, Gates gates, std::int64_t id, std::int64_t actor, Deadline deadline);
/// Removes a trashed page for good, with versions and attachments. Errors: not_found.
Task<void> purge_page(Database& database, Gates gates, std::int64_t id, Deadline deadline);
enum class MovePlace { append, before, after };
/// Errors: not_found, invalid_argument (another space, below itself, a home page).
Task<void> move_page(Database& database, Gates gates, std::int64_t id, MovePlace place, std::int64_t target,
                     Deadline deadline);

Task<std::vector<Label>> list_labels(Database& database, std::int64_t page_id, Deadline deadline);
/// Adding one that is there is not an error. Answers with all labels. Errors: not_found.
Task<std::vector<Label>> add_labels(Database& database, Gates gates, std::int64_t page_id, std::vector<Label> labels,
                                    Deadline deadline);
/// Removing one that is not there is not an error.
Task<void> remove_label(Database& database, Gates gates, std::int64_t page_id, std::string name, Deadline deadline);

}  // namespace afloat::store
