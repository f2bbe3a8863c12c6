#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ports/database.h"
#include "store/search_store.h"

/// Search in a trial: SQLite's FTS5 in place of tsvectors. What may be typed means the same as on PostgreSQL
/// (store/search_terms.h): words as they are or by their English stem, phrases, prefixes, exclusions, alternatives.
/// Ranks come from another formula, and stems from another stemmer. Pure.
namespace afloat::store {

/// One term that the index is asked for; the texts are FTS5 phrases.
struct TrialTerm {
  std::string exact;
  std::string stem;  ///< "" where only the words as they are will do
  bool excluded = false;
  bool alternative = false;  ///< begins an alternative
};
struct TrialQuestion {
  std::vector<TrialTerm> terms;    ///< empty: nothing can be found
  std::vector<std::string> shown;  ///< for the excerpts
};
TrialQuestion trial_question(std::string_view typed);

/// Of one search; not interned, so it has to live until the answer is there.
struct TrialSearch {
  std::string sql;
  std::vector<Value> args;
};
/// Columns: those of a page, the number of all hits, and with `with_excerpt` the plain text.
TrialSearch trial_search(const SearchQuery& query, const std::optional<TrialQuestion>& text,
                         const std::optional<TrialQuestion>& title, bool with_excerpt);

}  // namespace afloat::store
