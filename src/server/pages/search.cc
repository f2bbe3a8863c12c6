#include <fmt/core.h>

#include <algorithm>
#include <boost/json.hpp>

#include "adapters/http/router.h"
#include "base/text.h"
#include "server/pages/common.h"
#include "store/search_store.h"

namespace afloat::server {
namespace {

constexpr int hits_shown = 20;

std::string search_url(std::string_view words, int start) {
  return fmt::format("/search?q={}&start={}", url_encode(words), start);
}

Async<http::Response> search(Context& context, http::Request request) {
  auto visitor = co_await admit_visitor(context, request);
  if (!visitor) co_return std::move(visitor.error());
  const std::string words(trim(request.query_or("q", "")));
  const int start =
      static_cast<int>(std::clamp<std::int64_t>(parse_int(request.query_or("start", "0")).value_or(0), 0, 10'000));
  store::SearchResult found;
  if (!words.empty()) {
    store::SearchQuery query;
    query.text = words;
    query.start = start;
    query.limit = hits_shown;
    const auto use = context.gates.use();
    auto result = co_await store::search_pages(context.database, use.gates(), std::move(query), true, request.deadline);
    if (!result) co_return show_error(context, *visitor, result.error());
    found = std::move(*result);
  }
  boost::json::array hits;
  for (const auto& hit : found.hits) {
    auto entry = list_entry(hit.page);
    entry["excerpt"] = hit.excerpt;
    hits.push_back(std::move(entry));
  }
  auto data = frame(context, *visitor, words.empty() ? "Search" : "Search: " + words);
  const int next = start + static_cast<int>(hits.size());
  data["query"] = words;
  data["nothing"] = !words.empty() && found.total == 0;
  data["asks"] = words.empty();
  data["has_summary"] = found.total > 0;
  data["summary"] = fmt::format("{} to {} of {}", hits.empty() ? 0 : start + 1, next, found.total);
  data["has_previous"] = start > 0;
  data["previous_url"] = search_url(words, std::max(0, start - hits_shown));
  data["has_next"] = next < found.total && !hits.empty();
  data["next_url"] = search_url(words, next);
  data["hits"] = std::move(hits);
  co_return show(context, "search", data);
}

}  // namespace

void add_search_pages(http::Router& router, Context& context) {
  router.add("GET", "/search", [&context](http::Request request) { return search(context, std::move(request)); });
}

}  // namespace afloat::server
