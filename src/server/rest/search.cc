#include <fmt/format.h>

#include "base/text.h"
#include "server/rest/content_json.h"
#include "server/rest/cql.h"
#include "server/rest/routes.h"

namespace afloat::server {

namespace json = boost::json;

namespace {

struct Found {
  std::string cql;
  PageRange range;
  store::SearchResult result;
  std::int64_t milliseconds = 0;
};

Task<Found> find(Context& context, const http::Request& request, bool with_excerpt) {
  auto reader = co_await context.auth.require_user(request);
  if (!reader) co_return std::unexpected(reader.error());
  Found found;
  auto range = page_range(request);
  if (!range) co_return std::unexpected(range.error());
  found.range = *range;
  found.cql = request.query_or("cql", "");
  auto query = parse_cql(found.cql);
  if (!query) co_return std::unexpected(query.error());
  if (query->nothing) co_return found;
  query->search.start = range->start;
  query->search.limit = range->limit;
  const auto before = context.clock.steady_now();
  auto use = context.gates.use();
  auto result =
      co_await store::search_pages(context.database, use.gates(), query->search, with_excerpt, request.deadline);
  if (!result) co_return std::unexpected(result.error());
  found.result = std::move(*result);
  found.milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(context.clock.steady_now() - before).count();
  co_return found;
}

json::object envelope(const Context& context, const http::Request& request, const Found& found, json::array results) {
  // list_json() leaves out what is above the limit and makes a link to the next page of it.
  if (found.range.start + static_cast<std::int64_t>(results.size()) < found.result.total && !results.empty())
    results.push_back(nullptr);
  auto range = found.range;
  auto out = list_json(context, request, range, std::move(results));
  out["totalSize"] = found.result.total;
  out["cqlQuery"] = found.cql;
  out["searchDuration"] = found.milliseconds;
  return out;
}

Task<http::Response> search(Context& context, http::Request request) {
  auto found = co_await find(context, request, request.query_or("excerpt", "") != "none");
  if (!found) co_return std::unexpected(found.error());
  json::array results;
  for (const auto& hit : found->result.hits)
    results.push_back({{"content", summary_json(context, hit.page)},
                       {"title", hit.page.title},
                       {"excerpt", hit.excerpt},
                       {"url", fmt::format("/pages/{}", hit.page.id)},
                       {"resultGlobalContainer",
                        {{"title", hit.page.space_name}, {"displayUrl", "/spaces/" + url_encode(hit.page.space_key)}}},
                       {"entityType", "content"},
                       {"iconCssClass", "aui-icon content-type-page"},
                       {"lastModified", iso_time(hit.page.updated_at_ms)},
                       {"timestamp", hit.page.updated_at_ms}});
  co_return ok(envelope(context, request, *found, std::move(results)));
}

Task<http::Response> search_content(Context& context, http::Request request) {
  auto found = co_await find(context, request, false);
  if (!found) co_return std::unexpected(found.error());
  std::vector<store::PageSummary> pages;
  for (const auto& hit : found->result.hits) pages.push_back(hit.page);
  auto results = co_await pages_json(context, pages, Expand(request), request.deadline);
  if (!results) co_return std::unexpected(results.error());
  co_return ok(envelope(context, request, *found, std::move(*results)));
}

}  // namespace

void add_search_routes(http::Router& router, Context& context) {
  add_call(router, context, "GET", "/rest/api/search", search);
  add_call(router, context, "GET", "/rest/api/content/search", search_content);
}

}  // namespace afloat::server
