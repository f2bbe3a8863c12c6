#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "ports/database.h"

/// How pages lie in page_search, the rows that search and its excerpts read.
///
/// Since 1.2.0 a row has `title_words` (the title's words: as they are, weight A, and stemmed, C), `words` (these, the
/// text's words as they are, B, and its stems, D), `plain` (the text itself, for excerpts) and `version` (the page's
/// version that all this is of). Up to 1.1 it had `document` alone; a site that has been finalized at 1.2, as each one
/// has that this release can join, has no such column any more.
namespace afloat::store {

/// The words of `text` (UTF-8) between single spaces: letters and digits stay, all else separates, so that
/// "max_connections" is two words that follow one another, in a page and in a question alike. Case stays.
std::string index_words(std::string_view text);

/// What is indexed of a page, of its text at most `limit` bytes.
struct IndexedPage {
  std::string plain, words, title_words;
};
IndexedPage indexed_page(std::string_view title, std::string_view body, std::size_t limit);
/// All there is, for texts whose words fit into a tsvector; SQLSTATE 54000 (too_many_words) when they don't.
inline constexpr std::size_t searched_bytes = 500'000;
/// No text of this length has too many words.
inline constexpr std::size_t searched_bytes_at_least = 50'000;
inline constexpr std::string_view too_many_words = "54000";  ///< a tsvector holds 1 MB

/// The tsvectors of what index_words() gave; `argument` is SQL.
std::string title_vector(std::string_view argument);
std::string text_vector(std::string_view argument);
/// Writes the page_search row of `row`, a table expression with the columns id, title, version. Its three
/// arguments, from number `first` on, are those of index_args().
std::string index_sql(std::string_view row, std::size_t first);
void index_args(std::vector<Value>& args, IndexedPage page);

}  // namespace afloat::store
