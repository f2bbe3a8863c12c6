#pragma once
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

/// Where PostgreSQL and SQLite differ. The stores say what they want in PostgreSQL's words; here is what SQLite runs
/// for that in a trial. Most statements need a few words exchanged (casts, times, arrays), which rules do. Those that
/// change rows inside a WITH have a form of their own in dialect_forms.cc, found by a digest of PostgreSQL's text: who
/// changes that text is told so by a test, and looks at the other form too. Full-text search alone has no
/// common form: store/search_trial.h. Pure, thread-safe.
namespace afloat::store {

/// The statements that SQLite runs for this one, in order, as adapters/sqlite/connection.h has them. Errors: internal
/// when something in it is PostgreSQL's alone and neither a rule nor a form knows it.
Result<std::vector<std::string>> sqlite_statements(std::string_view sql);

/// A statement with a form of its own. Its steps are in the words of the stores too, and go through the rules.
struct SqliteForm {
  std::string_view name;
  std::string_view digest;  ///< statement_digest() of PostgreSQL's text
  std::vector<std::string_view> steps;
};
std::span<const SqliteForm> sqlite_forms();
std::string statement_digest(std::string_view sql);

/// The tables of a trial as 1.2.0 made them, run once on an empty file.
std::span<const std::string_view> trial_schema();
/// What later releases changed in them, by the version of the file afterwards, in rising order.
std::span<const std::pair<int, std::string_view>> trial_changes();

}  // namespace afloat::store
