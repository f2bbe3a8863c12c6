#include "server/pages/tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "adapters/http/router.h"
#include "base/text.h"
#include "server/cache.h"
#include "server/pages/common.h"
#include "store/space_store.h"

namespace afloat::server {
namespace {

constexpr int level_shown = 50;   ///< of one level at a time: keeps the page below 60 kB
constexpr int middle_shown = 25;  ///< of the levels between the top and the page
constexpr std::size_t most_levels = 12;

std::string pack(const Branch& branch) {
  std::string out = branch.more ? "+\n" : "\n";
  for (const auto& entry : branch.entries)
    out += fmt::format("{}\t{:d}\t{}\n", entry.id, entry.has_children, replace_all(entry.title, "\n", " "));
  return out;
}
Branch unpack(std::string_view bytes) {
  Branch branch;
  const auto lines = split(bytes, '\n');
  branch.more = lines.front() == "+";
  for (std::size_t i = 1; i + 1 < lines.size(); ++i) {
    const auto& line = lines[i];
    const auto first = line.find('\t'), second = line.find('\t', first + 1);
    branch.entries.push_back({parse_int(line.substr(0, first)).value_or(0), line.substr(second + 1),
                              line.substr(first + 1, second - first - 1) == "1"});
  }
  return branch;
}

std::string link(std::int64_t id, std::string_view title, bool current) {
  return fmt::format("<a href=\"/pages/{}\"{}>{}</a>", id, current ? " aria-current=\"page\"" : "", escape_html(title));
}
std::string entry_html(const store::TreeEntry& entry) {
  return fmt::format("<li data-id=\"{}\"{}>{}</li>\n", entry.id, entry.has_children ? " data-children" : "",
                     link(entry.id, entry.title, false));
}
std::string more_link(std::int64_t parent, int start) {
  return fmt::format("<li class=\"tree-more\"><a href=\"/pages/{}/children?start={}\">More pages</a></li>\n", parent,
                     start);
}

Async<http::Response> children(Context& context, http::Request request) {
  auto visitor = co_await admit_visitor(context, request);
  if (!visitor) co_return std::move(visitor.error());
  auto id = page_id(request);
  if (!id) co_return show_error(context, *visitor, id.error());
  const auto start =
      static_cast<int>(std::clamp<std::int64_t>(parse_int(request.query_or("start", "0")).value_or(0), 0, 10'000'000));
  auto found = co_await store::read_pages(context.database, context.gates.current(), {*id}, request.deadline);
  if (!found) co_return show_error(context, *visitor, found.error());
  if (found->empty())
    co_return show_error(context, *visitor, Error(ErrorKind::not_found, fmt::format("There is no page {}.", *id)));
  const auto& page = found->front();
  auto branch = co_await read_branch(context, page.space_key, *id, start, request.deadline);
  if (!branch) co_return show_error(context, *visitor, branch.error());
  if (request.query_value("fragment")) co_return show_piece(branch_html(*branch, *id, start));
  auto data = frame(context, *visitor, "Pages below " + page.title);
  in_space(data, page.space_key, page.space_name);
  data["url"] = page_url(page.id);
  data["page_title"] = page.title;
  boost::json::array list;
  for (const auto& entry : branch->entries)
    list.push_back(boost::json::object{{"url", page_url(entry.id)}, {"title", entry.title}});
  data["any"] = !list.empty();
  data["children"] = std::move(list);
  data["has_previous"] = start > 0;
  data["previous_url"] = fmt::format("/pages/{}/children?start={}", page.id, std::max(0, start - level_shown));
  data["has_next"] = branch->more;
  data["next_url"] = fmt::format("/pages/{}/children?start={}", page.id, start + level_shown);
  co_return show(context, "below", data);
}

}  // namespace

Task<Branch> read_branch(Context& context, std::string space_key, std::int64_t parent, int start, Deadline deadline) {
  const std::string key = fmt::format("branch/{}", parent);
  if (start == 0)
    if (auto bytes = context.cache.get(key)) co_return unpack(*bytes);
  const auto ticket = context.cache.ticket();
  auto list = co_await store::list_branch(context.database, parent, start, level_shown + 1, deadline);
  if (!list) co_return std::unexpected(list.error());
  Branch branch{std::move(*list), false};
  branch.more = branch.entries.size() > level_shown;
  if (branch.more) branch.entries.resize(level_shown);
  // The space's entry tells of every page that is made, renamed, moved or trashed in it.
  if (start == 0)
    context.cache.put(key, {"space/" + space_key, fmt::format("page/{}", parent)},
                      std::make_shared<const std::string>(pack(branch)), ticket);
  co_return branch;
}

std::string branch_html(const Branch& branch, std::int64_t parent, int start) {
  std::string out;
  for (const auto& entry : branch.entries) out += entry_html(entry);
  if (branch.more) out += more_link(parent, start + static_cast<int>(branch.entries.size()));
  return out;
}

Task<SpaceHead> space_head(Context& context, std::string space_key, Deadline deadline) {
  const std::string entry = "space-head/" + space_key;
  SpaceHead head;
  if (auto bytes = context.cache.get(entry)) {
    const auto lines = split(*bytes, '\n');
    head.name = lines[0];
    head.home = {parse_int(lines[1]).value_or(0), lines[2]};
    co_return head;
  }
  const auto ticket = context.cache.ticket();
  auto space = co_await store::read_space(context.database, space_key, deadline);
  if (!space) co_return std::unexpected(space.error());
  head.name = replace_all(space->name, "\n", " ");
  if (space->homepage_id) {
    auto home = co_await store::read_pages(context.database, context.gates.current(), {*space->homepage_id}, deadline);
    if (!home) co_return std::unexpected(home.error());
    if (!home->empty()) head.home = {*space->homepage_id, replace_all(home->front().title, "\n", " ")};
  }
  context.cache.put(
      entry, {"space/" + space_key},
      std::make_shared<const std::string>(fmt::format("{}\n{}\n{}", head.name, head.home.id, head.home.title)), ticket);
  co_return head;
}

Task<std::string> tree_html(Context& context, std::string space_key, CachedArticle::Step home,
                            std::vector<CachedArticle::Step> path, bool current, Deadline deadline) {
  // Of a very deep place the levels at the top are left out; the breadcrumbs have them.
  if (path.size() > most_levels) path.erase(path.begin(), path.end() - most_levels);
  std::string inner;  // what lies below a page of the path, from the inside out
  for (std::size_t at = path.size() + 1; at-- > 0;) {
    const auto parent = at == 0 ? home.id : path[at - 1].id;
    const bool last = at == path.size();
    auto branch = co_await read_branch(context, space_key, parent, 0, deadline);
    if (!branch) co_return std::unexpected(branch.error());
    if (at > 0 && !last && branch->entries.size() > middle_shown) {
      branch->entries.resize(middle_shown);
      branch->more = true;
    }
    std::string level;
    bool shown = last;
    const auto open = [&](std::string_view title) {
      level += fmt::format("<li data-id=\"{}\"{}>{}", path[at].id, inner.empty() ? "" : " data-children",
                           link(path[at].id, title, current && at + 1 == path.size()));
      if (!inner.empty()) level += "\n<ul>\n" + inner + "</ul>";
      level += "</li>\n";
      shown = true;
    };
    for (const auto& entry : branch->entries) {
      if (!last && entry.id == path[at].id)
        open(entry.title);
      else
        level += entry_html(entry);
    }
    // The way to the page is shown also where it lies beyond the first ones.
    if (!shown) open(path[at].title);
    if (branch->more) level += more_link(parent, static_cast<int>(branch->entries.size()));
    inner = std::move(level);
  }
  std::string top;
  if (home.id != 0)
    top = fmt::format("<li data-id=\"{}\">{}</li>\n", home.id, link(home.id, home.title, current && path.empty()));
  co_return "<ul class=\"tree\" data-space=\"" + escape_html(space_key) + "\">\n" + top + inner + "</ul>\n";
}

void add_tree_routes(http::Router& router, Context& context) {
  router.add("GET", "/pages/{id}/children",
             [&context](http::Request request) { return children(context, std::move(request)); });
}

}  // namespace afloat::server
