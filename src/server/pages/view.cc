#include <fmt/core.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>

#include "adapters/http/router.h"
#include "base/hash.h"
#include "base/text.h"
#include "server/cache.h"
#include "server/concurrently.h"
#include "server/pages/common.h"
#include "server/templates.h"
#include "store/attachment_store.h"
#include "store/page_tree.h"
#include "store/space_store.h"
#include "wiki/render.h"

namespace afloat::server {
namespace {

constexpr int attachments_shown = 200;
constexpr int children_shown = 200;
constexpr int versions_shown = 50;
constexpr std::size_t slow_body_bytes = 100'000;  ///< from here on rendering takes milliseconds

using Bytes = std::shared_ptr<const std::string>;

/// A rendered page as it lies in the cache: four header lines, then HTML without anything of the visitor.
struct CachedArticle {
  std::string etag, space_key, title, place;  ///< place: "home" for the home page of its space
  Bytes bytes;
  std::size_t html_at = 0;
  std::string_view html() const { return std::string_view(*bytes).substr(html_at); }

  static Bytes pack(std::string_view space_key, std::string title, std::string_view place, std::string_view html) {
    title = replace_all(std::move(title), "\n", " ");
    return std::make_shared<const std::string>(
        fmt::format("{}\n{}\n{}\n{}\n{}", sha256_hex(html).substr(0, 16), space_key, title, place, html));
  }
  static CachedArticle unpack(Bytes bytes) {
    CachedArticle article;
    std::size_t at = 0;
    for (std::string* line : {&article.etag, &article.space_key, &article.title, &article.place}) {
      const auto end = bytes->find('\n', at);
      *line = bytes->substr(at, end - at);
      at = end + 1;
    }
    article.html_at = at;
    article.bytes = std::move(bytes);
    return article;
  }
};

class PageViews {
 public:
  explicit PageViews(Context& context) : context_(context) {}
  Async<http::Response> view(http::Request request);
  Async<http::Response> history(http::Request request);

 private:
  struct Linked {
    std::vector<store::TitleMatch> titles;
    std::vector<store::Attachment> attachments;
  };
  Task<Linked> look_up(const store::Page& page, const wiki::References& references, Deadline deadline);
  Task<CachedArticle> article(std::int64_t id, Deadline deadline);
  Task<CachedArticle> render(store::Page page, std::optional<store::PageVersion> old, bool& complete,
                             Deadline deadline);
  Task<Bytes> children(std::int64_t id, std::string space_key, bool home, Deadline deadline);
  Task<Bytes> space_name(std::string key, Deadline deadline);

  Context& context_;
};

Task<PageViews::Linked> PageViews::look_up(const store::Page& page, const wiki::References& references,
                                           Deadline deadline) {
  std::vector<store::TitleQuery> queries;
  for (const auto& reference : references.pages)
    queries.push_back({reference.space_key.empty() ? page.space_key : reference.space_key, reference.title});
  Linked linked;
  auto [titles, attachments] =
      co_await both(store::find_titles(context_.database, std::move(queries), deadline),
                    store::list_attachments(context_.database, page.id, "", 0, attachments_shown, deadline));
  if (!titles) co_return std::unexpected(titles.error());
  if (!attachments) co_return std::unexpected(attachments.error());
  linked.titles = std::move(*titles);
  linked.attachments = std::move(*attachments);
  co_return linked;
}

boost::json::array heading_list(const std::vector<wiki::Heading>& headings) {
  boost::json::array out;
  for (const auto& heading : headings)
    if (heading.level <= 3 && !heading.text.empty())
      out.push_back(boost::json::object{{"id", heading.id}, {"level", heading.level}, {"text", heading.text}});
  return out;
}

Task<CachedArticle> PageViews::render(store::Page page, std::optional<store::PageVersion> old, bool& complete,
                                      Deadline deadline) {
  const std::string& body = old ? old->body : page.body;
  auto linked = co_await look_up(page, wiki::references_in(body), deadline);
  if (!linked) co_return std::unexpected(linked.error());

  std::map<std::pair<std::string, std::string>, std::int64_t> ids;
  for (const auto& match : linked->titles) ids[{to_lower(match.space_key), match.title}] = match.id;
  wiki::RenderContext resolve;
  resolve.space_key = page.space_key;
  resolve.page_url = [&](const wiki::PageReference& reference) -> std::optional<std::string> {
    const auto& key = reference.space_key.empty() ? page.space_key : reference.space_key;
    const auto found = ids.find({to_lower(key), reference.title});
    return found == ids.end() ? std::nullopt : std::optional(page_url(found->second));
  };
  resolve.new_page_url = [&](const wiki::PageReference& reference) {
    return new_page_url(reference.space_key.empty() ? page.space_key : reference.space_key, page.id, reference.title);
  };
  resolve.attachment_url = [&](std::string_view name) -> std::optional<std::string> {
    for (const auto& attachment : linked->attachments)
      if (attachment.file_name == name) return attachment_url(page.id, name);
    return std::nullopt;
  };

  Result<wiki::Rendered> rendered = fail(ErrorKind::internal, "not rendered");
  const auto work = [&] { rendered = wiki::render_storage(body, resolve); };
  if (body.size() < slow_body_bytes) {
    work();
  } else if (auto done = co_await context_.offload(work); !done) {
    co_return std::unexpected(done.error());
  }
  if (!rendered) {
    // Bodies are checked when saved; should one be broken all the same, the page must still open.
    rendered = wiki::Rendered{fmt::format("<p class=\"macro-unknown\">{}</p><pre>{}</pre>",
                                          escape_html(rendered.error().message()), escape_html(body)),
                              {},
                              {},
                              false};
  }
  complete = rendered->complete;

  boost::json::object data{{"space_key", page.space_key},
                           {"page_title", old ? old->title : page.title},
                           {"edit_url", page_url(page.id) + "/edit"},
                           {"history_url", page_url(page.id) + "/history"},
                           {"new_url", new_page_url(page.space_key, page.id)},
                           {"version", old ? old->number : page.version},
                           {"author", shown_name(old ? old->author : page.updated_by)},
                           {"article_html", rendered->html}};
  const auto when = old ? old->created_at_ms : page.updated_at_ms;
  data["time"] = shown_time(when);
  data["time_iso"] = iso_time(when);
  boost::json::array notice;
  if (old)
    notice.push_back(boost::json::object{
        {"text", fmt::format("This is version {}; the page is at version {} now.", old->number, page.version)},
        {"url", page_url(page.id)},
        {"action", "Show the page as it is now"}});
  data["notice"] = std::move(notice);
  boost::json::array ancestors, labels, attachments;
  for (const auto& ancestor : page.ancestors)
    if (ancestor.id != page.homepage_id)
      ancestors.push_back(boost::json::object{{"url", page_url(ancestor.id)}, {"title", ancestor.title}});
  for (const auto& label : page.labels)
    labels.push_back(boost::json::object{{"name", label.name}, {"url", "/search?q=" + url_encode(label.name)}});
  for (const auto& file : linked->attachments)
    attachments.push_back(boost::json::object{{"url", attachment_url(page.id, file.file_name)},
                                              {"name", file.file_name},
                                              {"size", human_bytes(static_cast<std::uint64_t>(file.size))},
                                              {"version", file.version}});
  auto headings = heading_list(rendered->headings);
  data["ancestors"] = std::move(ancestors);
  data["has_labels"] = !labels.empty();
  data["labels"] = std::move(labels);
  data["has_attachments"] = !attachments.empty();
  data["attachments"] = std::move(attachments);
  const bool contents = headings.size() >= 3;
  data["contents"] = contents;
  data["grid"] = contents ? "page" : "page-plain";
  data["headings"] = std::move(headings);
  auto html = context_.templates.render("article", data);
  if (!html) co_return std::unexpected(html.error());
  co_return CachedArticle::unpack(
      CachedArticle::pack(page.space_key, page.title, page.id == page.homepage_id ? "home" : "", *html));
}

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
  auto rendered = co_await render(std::move(*page), std::nullopt, complete, deadline);
  // A link to a page that is not there yet must turn into a working one as soon as it is; nothing would
  // tell this entry, so such pages are rendered each time.
  if (rendered && complete) context_.cache.put(key, std::move(tags), rendered->bytes, ticket);
  co_return rendered;
}

Task<Bytes> PageViews::children(std::int64_t id, std::string space_key, bool home, Deadline deadline) {
  const std::string key = fmt::format("children/{}", id);
  if (auto bytes = context_.cache.get(key)) co_return bytes;
  const auto ticket = context_.cache.ticket();
  auto list = co_await store::list_children(context_.database, id, 0, children_shown + 1, deadline);
  if (!list) co_return std::unexpected(list.error());
  boost::json::object data{{"any", !list->empty()}, {"shown", children_shown}, {"more", list->size() > children_shown}};
  boost::json::array entries;
  for (std::size_t i = 0; i < list->size() && i < children_shown; ++i)
    entries.push_back(boost::json::object{{"url", page_url((*list)[i].id)}, {"title", (*list)[i].title}});
  data["children"] = std::move(entries);
  auto html = context_.templates.render("children", data);
  if (!html) co_return std::unexpected(html.error());
  auto bytes = std::make_shared<const std::string>(std::move(*html));
  // The space's entry tells of renamed, moved and trashed pages; the page's own of new children.
  // A page created without a parent is told of under the space alone, spelled as the client spelled its key:
  // so the home page's children are read each time. Every new page of the space would drop them anyway.
  if (!home) context_.cache.put(key, {fmt::format("page/{}", id), "space/" + space_key}, bytes, ticket);
  co_return bytes;
}

Task<Bytes> PageViews::space_name(std::string key, Deadline deadline) {
  const std::string entry = "space-name/" + key;
  if (auto bytes = context_.cache.get(entry)) co_return bytes;
  const auto ticket = context_.cache.ticket();
  auto space = co_await store::read_space(context_.database, key, deadline);
  if (!space) co_return std::unexpected(space.error());
  auto bytes = std::make_shared<const std::string>(space->name);
  context_.cache.put(entry, {"space/" + key}, bytes, ticket);
  co_return bytes;
}

std::uint64_t fingerprint(std::string_view a, std::string_view b, std::string_view c) {
  std::uint64_t hash = 1469598103934665603ull;  // FNV-1a: a mark for the browser's cache, not a defence
  for (auto text : {a, b, c}) {
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

  std::optional<CachedArticle> article;
  if (const auto wanted = request.query_value("version")) {
    const auto use = context_.gates.use();
    const auto number = static_cast<int>(std::clamp<std::int64_t>(parse_int(*wanted).value_or(0), 0, 1'000'000'000));
    auto [page, old] =
        co_await both(store::read_page(context_.database, use.gates(), *id, request.deadline),
                      store::read_version(context_.database, use.gates(), *id, number, request.deadline));
    if (!page) co_return show_error(context_, *visitor, page.error());
    if (!old) co_return show_error(context_, *visitor, old.error());
    bool complete = false;
    auto rendered = co_await render(std::move(*page), std::move(*old), complete, request.deadline);
    if (!rendered) co_return show_error(context_, *visitor, rendered.error());
    article = std::move(*rendered);
  } else {
    auto current = co_await this->article(*id, request.deadline);
    if (!current) co_return show_error(context_, *visitor, current.error());
    article = std::move(*current);
  }
  auto [below, name] = co_await both(children(*id, article->space_key, article->place == "home", request.deadline),
                                     space_name(article->space_key, request.deadline));
  if (!below) co_return show_error(context_, *visitor, below.error());
  if (!name) co_return show_error(context_, *visitor, name.error());

  const std::string etag =
      fmt::format("W/\"{}-{:x}-{}\"", article->etag, fingerprint(**below, **name, visitor->csrf + visitor->full_name),
                  context_.node.build);
  if (request.headers.get("If-None-Match") == etag) {
    http::Response unchanged;
    unchanged.status = 304;
    unchanged.headers.set("ETag", etag);
    unchanged.headers.set("Cache-Control", "private, no-cache");
    co_return unchanged;
  }
  auto data = frame(context_, *visitor, article->title);
  in_space(data, article->space_key, **name);
  std::string html;
  html.reserve(article->html().size() + (*below)->size());
  html.append(article->html()).append(**below);
  auto response = show_html(context_, html, std::move(data));
  response.headers.set("ETag", etag);
  co_return response;
}

Async<http::Response> PageViews::history(http::Request request) {
  auto visitor = co_await admit_visitor(context_, request);
  if (!visitor) co_return std::move(visitor.error());
  auto id = page_id(request);
  if (!id) co_return show_error(context_, *visitor, id.error());
  const int start =
      static_cast<int>(std::clamp<std::int64_t>(parse_int(request.query_or("start", "0")).value_or(0), 0, 1'000'000));
  const auto use = context_.gates.use();
  auto [page, versions] =
      co_await both(store::read_page(context_.database, use.gates(), *id, request.deadline),
                    store::list_versions(context_.database, *id, start, versions_shown + 1, request.deadline));
  if (!page) co_return show_error(context_, *visitor, page.error());
  if (!versions) co_return show_error(context_, *visitor, versions.error());
  auto data = frame(context_, *visitor, "History of " + page->title);
  in_space(data, page->space_key, page->space_name);
  data["url"] = page_url(page->id);
  data["page_title"] = page->title;
  boost::json::array list;
  for (std::size_t i = 0; i < versions->size() && i < versions_shown; ++i) {
    const auto& version = (*versions)[i];
    list.push_back(boost::json::object{{"url", fmt::format("{}?version={}", page_url(page->id), version.number)},
                                       {"number", version.number},
                                       {"time", shown_time(version.created_at_ms)},
                                       {"time_iso", iso_time(version.created_at_ms)},
                                       {"author", shown_name(version.author)},
                                       {"title", version.title},
                                       {"message", version.message}});
  }
  data["versions"] = std::move(list);
  data["more"] = versions->size() > versions_shown;
  data["more_url"] = fmt::format("{}/history?start={}", page_url(page->id), start + versions_shown);
  co_return show(context_, "history", data);
}

}  // namespace

void add_view_routes(http::Router& router, Context& context) {
  auto views = std::make_shared<PageViews>(context);
  router.add("GET", "/pages/{id}", [views](http::Request request) { return views->view(std::move(request)); });
  router.add("GET", "/pages/{id}/history",
             [views](http::Request request) { return views->history(std::move(request)); });
}

}  // namespace afloat::server
