#pragma once
#include <string>
#include <string_view>
#include <vector>

/// What people type into a search field, taken apart and put together as a tsquery. Pure.
///
/// Words must all be there, as they are or by their English stem; `"a phrase"` is looked for exactly, stop words
/// included; `-word` must not be there; `or` stands between alternatives; `vac*` is the beginning of a word. A word
/// of several parts ("max_connections", "pg_hba.conf") means these parts in a row. Whatever else is typed separates.
namespace afloat::store {

struct SearchTerm {
  std::string typed;  ///< without its quotes, minus and star
  std::string words;  ///< index_words() of it; never empty
  bool quoted = false;
  bool prefix = false;  ///< its last word is the beginning of one
  bool excluded = false;
  bool alternative = false;  ///< follows an "or"
};
/// At most 50 terms; what is typed beyond is left out. `typed` may be any bytes.
std::vector<SearchTerm> search_terms(std::string_view typed);

/// What PostgreSQL makes of a term, each as the text of a tsquery, "" when nothing is left of it.
struct TermForms {
  std::string exact;  ///< `words` as they are, in lower case
  std::string stem;   ///< `words` as English stems
};
/// For page_search.words and title_words; "" when nothing is asked for. `forms` are those of `terms`, in order.
std::string words_query(const std::vector<SearchTerm>& terms, const std::vector<TermForms>& forms);
/// What an excerpt should show one of: the terms as typed, and their stems.
std::vector<std::string> shown_words(const std::vector<SearchTerm>& terms, const std::vector<TermForms>& forms);

/// About 250 characters of `plain_text` around the first place where one of `words` begins a word.
std::string excerpt_around(std::string_view plain_text, const std::vector<std::string>& words);

}  // namespace afloat::store
