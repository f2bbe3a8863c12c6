#pragma once
#include "store/page_store.h"

namespace afloat::store {

/// All that is set must hold.
struct SearchQuery {
  std::optional<std::string> text;        ///< words as people type them: search_terms.h
  std::optional<std::string> title;       ///< whole title, case ignored
  std::optional<std::string> title_like;  ///< words of the title, the same way
  std::optional<std::string> space_key;
  std::optional<std::string> label;
  std::optional<std::int64_t> ancestor;
  std::optional<std::int64_t> id;
  std::string order = "relevance";  ///< relevance (without words: modified), modified, created, title
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

/// On an exclusive connection. Reads page_search alone, also for excerpts, but for rows that an upgrade from 1.1 has
/// not come to yet (page_index.h). Words that ask for nothing ("*", "...") find nothing.
Task<SearchResult> search_pages(Database& database, Gates gates, SearchQuery query, bool with_excerpt,
                                Deadline deadline);

}  // namespace afloat::store
