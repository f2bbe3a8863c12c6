#include <fmt/core.h>

#include <algorithm>
#include <boost/json.hpp>

#include "adapters/http/router.h"
#include "base/text.h"
#include "server/concurrently.h"
#include "server/pages/common.h"
#include "server/pages/diff_html.h"
#include "server/pages/pages.h"

/// The versions of a page, and what differs between two of them.
namespace afloat::server {
namespace {

constexpr int versions_shown = 50;

std::string diff_url(std::int64_t page, int from, int to) {
  return fmt::format("{}/diff?from={}&to={}", page_url(page), from, to);
}
int number_in(const http::Request& request, std::string_view name) {
  return static_cast<int>(
      std::clamp<std::int64_t>(parse_int(request.query_or(name, "")).value_or(0), 0, 1'000'000'000));
}

Async<http::Response> history(Context& context, http::Request request) {
  auto visitor = co_await admit_visitor(context, request);
  if (!visitor) co_return std::move(visitor.error());
  auto id = page_id(request);
  if (!id) co_return show_error(context, *visitor, id.error());
  const int start = std::min(number_in(request, "start"), 1'000'000);
  const auto use = context.gates.use();
  auto [page, versions] =
      co_await both(store::read_page(context.database, use.gates(), *id, request.deadline),
                    store::list_versions(context.database, *id, start, versions_shown + 1, request.deadline));
  if (!page) co_return show_error(context, *visitor, page.error());
  if (!versions) co_return show_error(context, *visitor, versions.error());
  auto data = frame(context, *visitor, "History of " + page->title);
  in_space(data, page->space_key, page->space_name);
  data["url"] = page_url(page->id);
  data["edit_url"] = page_url(page->id) + "/edit";
  data["diff_url"] = page_url(page->id) + "/diff";
  data["page_title"] = page->title;
  const auto shown = std::min<std::size_t>(versions->size(), versions_shown);
  boost::json::array list;
  for (std::size_t i = 0; i < shown; ++i) {
    const auto& version = (*versions)[i];
    list.push_back(boost::json::object{{"url", fmt::format("{}?version={}", page_url(page->id), version.number)},
                                       {"number", version.number},
                                       {"time", shown_time(version.created_at_ms)},
                                       {"time_iso", iso_time(version.created_at_ms)},
                                       {"author", shown_name(version.author)},
                                       {"title", version.title},
                                       {"message", version.message},
                                       {"has_size", version.change.has_value()},
                                       {"added", version.change ? version.change->added_words : 0},
                                       {"removed", version.change ? version.change->removed_words : 0},
                                       {"has_before", version.number > 1},
                                       {"change_url", diff_url(page->id, version.number - 1, version.number)},
                                       // The newest change is chosen to begin with.
                                       {"is_to", i == 0},
                                       {"is_from", i == 1}});
  }
  data["versions"] = std::move(list);
  data["comparable"] = shown > 1;
  data["only_one"] = start == 0 && shown == 1;
  data["more"] = versions->size() > shown;
  data["more_url"] = fmt::format("{}/history?start={}", page_url(page->id), start + versions_shown);
  co_return show(context, "history", data);
}

boost::json::object version_data(std::int64_t page, const store::PageVersion& version) {
  return {{"url", fmt::format("{}?version={}", page_url(page), version.number)},
          {"number", version.number},
          {"author", shown_name(version.author)},
          {"time", shown_time(version.created_at_ms)},
          {"time_iso", iso_time(version.created_at_ms)},
          {"has_message", !version.message.empty()},
          {"message", version.message}};
}

Async<http::Response> diff(Context& context, http::Request request) {
  auto visitor = co_await admit_visitor(context, request);
  if (!visitor) co_return std::move(visitor.error());
  auto id = page_id(request);
  if (!id) co_return show_error(context, *visitor, id.error());
  const auto use = context.gates.use();
  auto page = co_await store::read_page(context.database, use.gates(), *id, request.deadline);
  if (!page) co_return show_error(context, *visitor, page.error());
  int to = number_in(request, "to"), from = number_in(request, "from");
  if (to == 0) to = page->version;
  if (from == 0) from = to - 1;
  if (from > to) std::swap(from, to);
  if (from == to || from == 0)
    co_return show_error(context, *visitor,
                         Error(ErrorKind::invalid_argument,
                               from == 0 ? "The first version has none before it to be compared with."
                                         : fmt::format("Version {} is the same as itself. Choose two versions in the "
                                                       "page's history.",
                                                       to)));
  auto [before, after] = co_await both(store::read_version(context.database, use.gates(), *id, from, request.deadline),
                                       store::read_version(context.database, use.gates(), *id, to, request.deadline));
  if (!before) co_return show_error(context, *visitor, before.error());
  if (!after) co_return show_error(context, *visitor, after.error());

  auto view = co_await diff_view(context, std::move(before->body), std::move(after->body),
                                 fmt::format("Version {}", from), fmt::format("Version {}", to));
  if (!view) co_return show_error(context, *visitor, view.error());
  auto data = frame(context, *visitor, fmt::format("{}: versions {} and {}", page->title, from, to));
  in_space(data, page->space_key, page->space_name);
  data["url"] = page_url(page->id);
  data["history_url"] = page_url(page->id) + "/history";
  data["page_title"] = page->title;
  data["before"] = version_data(page->id, *before);
  data["after"] = version_data(page->id, *after);
  data["renamed"] = before->title != after->title;
  data["title_html"] = title_html(before->title, after->title);
  data["summary"] = view->summary;
  data["diff_html"] = view->html;
  data["has_older"] = from > 1;
  data["older_url"] = diff_url(page->id, from - 1, from);
  data["has_newer"] = to < page->version;
  data["newer_url"] = diff_url(page->id, to, to + 1);
  co_return show(context, "diff", data);
}

}  // namespace

void add_history_routes(http::Router& router, Context& context) {
  router.add("GET", "/pages/{id}/history",
             [&context](http::Request request) { return history(context, std::move(request)); });
  router.add("GET", "/pages/{id}/diff",
             [&context](http::Request request) { return diff(context, std::move(request)); });
}

}  // namespace afloat::server
