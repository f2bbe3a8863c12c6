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

std::string search_url(std::string_view words, std::string_view label, int start) {
  return fmt::format("/search?q={}&label={}&start={}", url_encode(words), url_encode(label), start);
}

Async<http::Response> search(Context& context, http::Request request) {
  auto visitor = co_await admit_visitor(context, request);
  if (!visitor) co_return std::move(visitor.error());
  const std::string words(trim(request.query_or("q", "")));
  const std::string label(trim(request.query_or("label", "")));
  const bool asked = !words.empty() || !label.empty();
  const int start =
      static_cast<int>(std::clamp<std::int64_t>(parse_int(request.query_or("start", "0")).value_or(0), 0, 10'000));
  store::SearchResult found;
  if (asked) {
    store::SearchQuery query;
    if (!words.empty()) query.text = words;
    if (!label.empty()) query.label = label;
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
  auto data = frame(context, *visitor, !asked ? "Search" : "Search: " + (words.empty() ? label : words));
  const int next = start + static_cast<int>(hits.size());
  data["query"] = words;
  data["label"] = label;
  data["has_label"] = !label.empty();
  data["without_label_url"] = "/search?q=" + url_encode(words);
  data["nothing"] = asked && found.total == 0;
  data["nothing_said"] = words.empty()   ? "No page has this label."
                         : label.empty() ? "No page has all of these words."
                                         : "No page with this label has all of these words.";
  data["asks"] = !asked;
  data["has_summary"] = found.total > 0;
  data["summary"] = fmt::format("{} to {} of {}", hits.empty() ? 0 : start + 1, next, found.total);
  data["has_previous"] = start > 0;
  data["previous_url"] = search_url(words, label, std::max(0, start - hits_shown));
  data["has_next"] = next < found.total && !hits.empty();
  data["next_url"] = search_url(words, label, next);
  data["hits"] = std::move(hits);
  co_return show(context, "search", data);
}

}  // namespace

void add_search_pages(http::Router& router, Context& context) {
  router.add("GET", "/search", [&context](http::Request request) { return search(context, std::move(request)); });
}

}  // namespace afloat::server
