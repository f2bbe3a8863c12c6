#include <fmt/core.h>

#include <algorithm>
#include <boost/json.hpp>

#include "adapters/http/router.h"
#include "base/text.h"
#include "server/cache.h"
#include "server/concurrently.h"
#include "server/pages/article.h"
#include "server/pages/common.h"
#include "server/pages/tree.h"
#include "server/templates.h"

namespace afloat::server {
namespace {

class PageViews {
 public:
  explicit PageViews(Context& context) : context_(context) {}
  Async<http::Response> view(http::Request request);

 private:
  Task<CachedArticle> article(std::int64_t id, Deadline deadline);
  Task<CachedArticle> old_article(std::int64_t id, int number, Deadline deadline);
  Result<std::string> below(const Branch& branch, std::int64_t id) const;
  Result<std::string> tools(const CachedArticle& article, const Identity& visitor, std::int64_t id) const;

  Context& context_;
};

Task<CachedArticle> PageViews::article(std::int64_t id, Deadline deadline) {
  const std::string key = fmt::format("article/{}", id);
  if (auto bytes = context_.cache.get(key)) co_return CachedArticle::unpack(std::move(bytes));
  const auto ticket = context_.cache.ticket();
  const auto use = context_.gates.use();
  auto page = co_await store::read_page(context_.database, use.gates(), id, deadline);
  if (!page) co_return std::unexpected(page.error());
  if (page->status != "current")
    co_return fail(ErrorKind::not_found, fmt::format("The page \"{}\" is in the trash.", page->title));
  // The breadcrumbs name the pages above; the space's home page is not among them, so a new page at the
  // top does not throw away every article of the space.
  std::vector<std::string> tags{fmt::format("page/{}", id)};
  for (const auto& ancestor : page->ancestors)
    if (ancestor.id != page->homepage_id) tags.push_back(fmt::format("page/{}", ancestor.id));
  bool complete = false;
  auto rendered = co_await render_article(context_, std::move(*page), std::nullopt, complete, deadline);
  // A link to a page that is not there yet must turn into a working one as soon as it is; nothing would
  // tell this entry, so such pages are rendered each time.
  if (rendered && complete) context_.cache.put(key, std::move(tags), rendered->bytes, ticket);
  co_return rendered;
}

Task<CachedArticle> PageViews::old_article(std::int64_t id, int number, Deadline deadline) {
  const auto use = context_.gates.use();
  auto [page, old] = co_await both(store::read_page(context_.database, use.gates(), id, deadline),
                                   store::read_version(context_.database, use.gates(), id, number, deadline));
  if (!page) co_return std::unexpected(page.error());
  if (!old) co_return std::unexpected(old.error());
  bool complete = false;
  co_return co_await render_article(context_, std::move(*page), std::move(*old), complete, deadline);
}

Result<std::string> PageViews::below(const Branch& branch, std::int64_t id) const {
  boost::json::array entries;
  for (const auto& entry : branch.entries)
    entries.push_back(boost::json::object{{"url", page_url(entry.id)}, {"title", entry.title}});
  return context_.templates.render("children", {{"any", !entries.empty()},
                                                {"children", std::move(entries)},
                                                {"more", branch.more},
                                                {"more_url", page_url(id) + "/children"}});
}

/// What a reader can hang on the page. It has the visitor's token, so it is not kept with the article.
Result<std::string> PageViews::tools(const CachedArticle& article, const Identity& visitor, std::int64_t id) const {
  boost::json::array labels;
  for (const auto& label : article.labels)
    labels.push_back(boost::json::object{{"name", label}, {"url", "/search?label=" + url_encode(label)}});
  const auto limit = context_.config.max_body_bytes;
  return context_.templates.render("tools", {{"csrf", visitor.csrf},
                                             {"limit_bytes", limit},
                                             {"limit", human_bytes(static_cast<std::uint64_t>(limit))},
                                             {"has_labels", !labels.empty()},
                                             {"labels", std::move(labels)},
                                             {"labels_url", page_url(id) + "/labels"},
                                             {"attachments_url", page_url(id) + "/attachments"}});
}

/// The space by its name, which may change without its pages, and the pages above the last of `path`.
std::string crumbs(std::string_view space_key, std::string_view space_name,
                   const std::vector<CachedArticle::Step>& path) {
  std::string html = fmt::format("<nav class=\"crumbs\" aria-label=\"Breadcrumbs\"><a href=\"{}\">{}</a>",
                                 space_url(space_key), escape_html(space_name));
  for (std::size_t i = 0; i + 1 < path.size(); ++i)
    html += fmt::format("<a href=\"{}\">{}</a>", page_url(path[i].id), escape_html(path[i].title));
  return html + "</nav>\n";
}

std::uint64_t fingerprint(std::initializer_list<std::string_view> texts) {
  std::uint64_t hash = 1469598103934665603ull;  // FNV-1a: a mark for the browser's cache, not a defence
  for (auto text : texts) {
    for (unsigned char byte : text) hash = (hash ^ byte) * 1099511628211ull;
    hash = (hash ^ 0xFF) * 1099511628211ull;
  }
  return hash;
}

Async<http::Response> PageViews::view(http::Request request) {
  auto visitor = co_await admit_visitor(context_, request);
  if (!visitor) co_return std::move(visitor.error());
  auto id = page_id(request);
  if (!id) co_return show_error(context_, *visitor, id.error());

  const auto wanted = request.query_value("version");
  const auto number =
      static_cast<int>(std::clamp<std::int64_t>(parse_int(wanted.value_or("")).value_or(0), 0, 1'000'000'000));
  auto article = co_await (wanted ? old_article(*id, number, request.deadline) : this->article(*id, request.deadline));
  if (!article) co_return show_error(context_, *visitor, article.error());
  auto space = co_await space_head(context_, article->space_key, request.deadline);
  if (!space) co_return show_error(context_, *visitor, space.error());
  auto branch = co_await read_branch(context_, article->space_key, *id, 0, request.deadline);
  if (!branch) co_return show_error(context_, *visitor, branch.error());
  auto tree = co_await tree_html(context_, article->space_key, space->home, article->path, true, request.deadline);
  if (!tree) co_return show_error(context_, *visitor, tree.error());
  auto below_html = below(*branch, *id);
  if (!below_html) co_return show_error(context_, *visitor, below_html.error());
  auto tools_html = tools(*article, *visitor, *id);
  if (!tools_html) co_return show_error(context_, *visitor, tools_html.error());

  auto data = frame(context_, *visitor, article->title);
  const std::string etag = fmt::format(
      "W/\"{}-{:x}-{}\"", article->etag,
      fingerprint({*below_html, *tree, *tools_html, space->name, visitor->full_name, data["notice"].as_string()}),
      context_.node.build);
  if (request.headers.get("If-None-Match") == etag) {
    http::Response unchanged;
    unchanged.status = 304;
    unchanged.headers.set("ETag", etag);
    unchanged.headers.set("Cache-Control", "private, no-cache");
    co_return unchanged;
  }
  in_space(data, article->space_key, space->name);
  std::string html;
  html.reserve(article->html().size() + tree->size() + below_html->size() + tools_html->size() + 500);
  html.append(
          "<div class=\"shell\">\n<a class=\"button quiet side-open\" href=\"#af-side\">Pages</a>\n<nav class=\"side\" "
          "id=\"af-side\" aria-label=\"Pages of this space\">\n")
      .append(fmt::format("<p class=\"side-space\"><a href=\"{}\">{}</a></p>\n", space_url(article->space_key),
                          escape_html(space->name)))
      .append(*tree)
      .append("</nav>\n<div class=\"shell-main\">\n")
      .append(crumbs(article->space_key, space->name, article->path))
      .append(article->html())
      .append(*tools_html)
      .append(*below_html)
      .append("</div>\n</div>\n");
  auto response = show_html(context_, html, std::move(data));
  response.headers.set("ETag", etag);
  co_return response;
}

}  // namespace

void add_view_routes(http::Router& router, Context& context) {
  auto views = std::make_shared<PageViews>(context);
  router.add("GET", "/pages/{id}", [views](http::Request request) { return views->view(std::move(request)); });
}

}  // namespace afloat::server
