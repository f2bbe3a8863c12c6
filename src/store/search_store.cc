#include "store/search_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <set>

#include "base/text.h"
#include "store/page_rows.h"
#include "wiki/storage_xml.h"

namespace afloat::store {

namespace {

/// The statement's text as a key that lives for ever. There are as many as combinations of conditions and
/// orders, a few hundred; arguments are never part of the text.
std::string_view intern(std::string sql) {
  static std::mutex mutex;
  static std::set<std::string> texts;
  const std::lock_guard lock(mutex);
  return *texts.insert(std::move(sql)).first;
}

Statement search_statement(const SearchQuery& query) {
  std::vector<Value> args{query.start, query.limit};
  std::string conditions = "p.status = 'current'";
  const auto add = [&](std::string_view condition, Value value) {
    args.push_back(std::move(value));
    conditions += " and " + fmt::format(fmt::runtime(condition), fmt::format("${}", args.size()));
  };
  std::string rank = "0";
  if (query.space_key) add("p.space_id = (select k.id from space k where lower(k.key) = lower({0}))", *query.space_key);
  if (query.title) add("lower(p.title) = lower({0})", *query.title);
  // Titles are part of the documents, so their index narrows down what has to be looked at.
  if (query.title_like)
    add("f.document @@ websearch_to_tsquery('english', {0})"
        " and to_tsvector('english', p.title) @@ websearch_to_tsquery('english', {0})",
        *query.title_like);
  if (query.label) add("exists (select 1 from label l where l.page_id = p.id and l.name = {0})", *query.label);
  if (query.id) add("p.id = {0}::bigint", *query.id);
  if (query.ancestor)
    add("p.id in (with recursive below as ("
        "   select c.id, 1 as depth from page c where c.parent_id = {0}::bigint"
        "   union all"
        "   select c.id, below.depth + 1 from below join page c on c.parent_id = below.id where below.depth < 100)"
        " select below.id from below)",
        *query.ancestor);
  if (query.text) {
    add("f.document @@ websearch_to_tsquery('english', {0})", *query.text);
    rank = fmt::format("ts_rank(f.document, websearch_to_tsquery('english', ${}))", args.size());
  }
  std::string order = rank + " desc, p.updated_at desc, p.id desc";
  if (query.order == "modified" || (query.order == "relevance" && !query.text)) order = "p.updated_at desc, p.id desc";
  if (query.order == "created") order = "p.created_at desc, p.id desc";
  if (query.order == "title") order = "lower(p.title), p.id";
  return {intern(fmt::format("select {}, count(*) over () from {} {} where {} order by {}"
                             " offset $1::bigint limit $2::bigint",
                             page_columns, page_tables,
                             query.text || query.title_like ? "join page_search f on f.page_id = p.id" : "", conditions,
                             order)),
          std::move(args)};
}

}  // namespace

std::string excerpt_around(std::string_view plain_text, std::string_view words) {
  constexpr std::size_t before = 80, length = 250;
  const auto lower = to_lower(plain_text);
  std::size_t found = std::string::npos;
  for (const auto& word : split(to_lower(words), ' ')) {
    const auto bare = trim(word);
    if (bare.size() >= 2) found = std::min(found, lower.find(bare));
  }
  std::size_t from = found == std::string::npos || found < before ? 0 : found - before;
  while (from > 0 && from < plain_text.size() && plain_text[from - 1] != ' ' && plain_text[from - 1] != '\n' &&
         found - from < before + 20)
    --from;
  while (from > 0 && (static_cast<unsigned char>(plain_text[from]) & 0xC0) == 0x80) --from;
  auto excerpt = std::string(cut_utf8(plain_text.substr(from), length));
  const bool more = from + excerpt.size() < plain_text.size();
  std::ranges::replace(excerpt, '\n', ' ');
  return (from > 0 ? "... " : "") + std::string(trim(excerpt)) + (more ? " ..." : "");
}

Task<SearchResult> search_pages(Database& database, Gates gates, SearchQuery query, bool with_excerpt,
                                Deadline deadline) {
  auto rows = co_await database.slow_read(search_statement(query), deadline);
  if (!rows) co_return std::unexpected(rows.error());
  SearchResult result;
  for (std::size_t row = 0; row < rows->size(); ++row) {
    result.hits.push_back({page_summary(*rows, row), {}});
    result.total = rows->number(row, page_column_count);
  }
  if (result.hits.empty() && query.start > 0) {
    // Beyond the end: the rows, and with them the total, are missing.
    query.start = 0;
    query.limit = 1;
    auto first = co_await database.slow_read(search_statement(query), deadline);
    if (!first) co_return std::unexpected(first.error());
    if (!first->empty()) result.total = first->number(0, page_column_count);
  }
  if (!with_excerpt || result.hits.empty()) co_return result;
  std::vector<std::int64_t> ids;
  for (const auto& hit : result.hits) ids.push_back(hit.page.id);
  auto pages = co_await read_pages(database, gates, std::move(ids), deadline);
  if (!pages) co_return std::unexpected(pages.error());
  const auto words = query.text.value_or(query.title_like.value_or(""));
  for (const auto& page : *pages)
    for (auto& hit : result.hits)
      if (hit.page.id == page.id) hit.excerpt = excerpt_around(wiki::plain_text(page.body), words);
  co_return result;
}

}  // namespace afloat::store
