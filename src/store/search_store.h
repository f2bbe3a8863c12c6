#pragma once
#include "store/page_store.h"

namespace afloat::store {

/// All that is set must hold.
struct SearchQuery {
  std::optional<std::string> text;        ///< words as people type them in search engines
  std::optional<std::string> title;       ///< whole title, case ignored
  std::optional<std::string> title_like;  ///< words of the title
  std::optional<std::string> space_key;
  std::optional<std::string> label;
  std::optional<std::int64_t> ancestor;
  std::optional<std::int64_t> id;
  std::string order = "relevance";  ///< relevance, modified, created, title
  int start = 0;
  int limit = 25;
};
struct SearchHit {
  PageSummary page;
  std::string excerpt;  ///< plain text; empty unless asked for
};
struct SearchResult {
  std::vector<SearchHit> hits;
  std::int64_t total = 0;
};

/// On an exclusive connection. `with_excerpt` reads the bodies of the hits as well.
Task<SearchResult> search_pages(Database& database, Gates gates, SearchQuery query, bool with_excerpt,
                                Deadline deadline);
/// About 250 characters of `plain_text` around the first word of `words` that is in it.
std::string excerpt_around(std::string_view plain_text, std::string_view words);

}  // namespace afloat::store
