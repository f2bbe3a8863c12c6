#include "server/pages/article.h"

#include <fmt/core.h>

#include <boost/json.hpp>
#include <map>

#include "base/hash.h"
#include "base/text.h"
#include "server/concurrently.h"
#include "server/pages/common.h"
#include "server/templates.h"
#include "store/page_tree.h"

namespace afloat::server {
namespace {

constexpr int attachments_shown = 200;
constexpr std::size_t slow_body_bytes = 100'000;  ///< from here on rendering takes milliseconds

struct Linked {
  std::vector<store::TitleMatch> titles;
  std::vector<store::Attachment> attachments;
};
Task<Linked> look_up(Context& context, std::optional<std::int64_t> page_id, std::string space_key,
                     const wiki::References& references, Deadline deadline) {
  std::vector<store::TitleQuery> queries;
  for (const auto& reference : references.pages)
    queries.push_back({reference.space_key.empty() ? space_key : reference.space_key, reference.title});
  Linked linked;
  auto [titles, attachments] =
      co_await both(store::find_titles(context.database, std::move(queries), deadline),
                    store::list_attachments(context.database, page_id.value_or(0), "", 0, attachments_shown, deadline));
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

/// Etag and what the page around it needs, a line each, then the HTML.
CachedArticle pack(const store::Page& page, std::string_view title, std::string_view html) {
  boost::json::array path, labels;
  for (const auto& ancestor : page.ancestors)
    if (ancestor.id != page.homepage_id) path.push_back({ancestor.id, ancestor.title});
  if (page.id != page.homepage_id) path.push_back({page.id, page.title});
  for (const auto& label : page.labels) labels.emplace_back(label.name);
  const boost::json::object head{
      {"space", page.space_key}, {"title", title}, {"path", std::move(path)}, {"labels", std::move(labels)}};
  const auto line = boost::json::serialize(head);
  return CachedArticle::unpack(std::make_shared<const std::string>(
      fmt::format("{}\n{}\n{}", sha256_hex(line + std::string(html)).substr(0, 16), line, html)));
}

}  // namespace

CachedArticle CachedArticle::unpack(std::shared_ptr<const std::string> bytes) {
  CachedArticle article;
  const auto first = bytes->find('\n'), second = bytes->find('\n', first + 1);
  article.etag = bytes->substr(0, first);
  const auto head = boost::json::parse(std::string_view(*bytes).substr(first + 1, second - first - 1));
  article.space_key = head.at("space").as_string();
  article.title = head.at("title").as_string();
  for (const auto& step : head.at("path").as_array())
    article.path.push_back({step.at(0).to_number<std::int64_t>(), std::string(step.at(1).as_string())});
  for (const auto& label : head.at("labels").as_array()) article.labels.emplace_back(label.as_string());
  article.html_at = second + 1;
  article.bytes = std::move(bytes);
  return article;
}

Task<RenderedBody> render_body(Context& context, std::optional<std::int64_t> page_id, std::string space_key,
                               std::string body, Deadline deadline) {
  auto linked = co_await look_up(context, page_id, space_key, wiki::references_in(body), deadline);
  if (!linked) co_return std::unexpected(linked.error());

  std::map<std::pair<std::string, std::string>, std::int64_t> ids;
  for (const auto& match : linked->titles) ids[{to_lower(match.space_key), match.title}] = match.id;
  wiki::RenderContext resolve;
  resolve.space_key = space_key;
  resolve.page_url = [&](const wiki::PageReference& reference) -> std::optional<std::string> {
    const auto& key = reference.space_key.empty() ? space_key : reference.space_key;
    const auto found = ids.find({to_lower(key), reference.title});
    return found == ids.end() ? std::nullopt : std::optional(page_url(found->second));
  };
  resolve.new_page_url = [&](const wiki::PageReference& reference) {
    return new_page_url(reference.space_key.empty() ? space_key : reference.space_key, page_id, reference.title);
  };
  resolve.attachment_url = [&](std::string_view name) -> std::optional<std::string> {
    for (const auto& attachment : linked->attachments)
      if (attachment.file_name == name) return attachment_url(attachment.page_id, name);
    return std::nullopt;
  };

  RenderedBody out{fail(ErrorKind::internal, "not rendered"), std::move(linked->attachments)};
  linked->attachments = out.attachments;
  const auto work = [&] { out.rendered = wiki::render_storage(body, resolve); };
  if (body.size() < slow_body_bytes) {
    work();
  } else if (auto done = co_await context.offload(work); !done) {
    co_return std::unexpected(done.error());
  }
  co_return out;
}

Task<CachedArticle> render_article(Context& context, store::Page page, std::optional<store::PageVersion> old,
                                   bool& complete, Deadline deadline) {
  const std::string& body = old ? old->body : page.body;
  auto shown = co_await render_body(context, page.id, page.space_key, body, deadline);
  if (!shown) co_return std::unexpected(shown.error());
  // Bodies are checked when saved; should one be broken all the same, the page must still open.
  auto rendered = shown->rendered
                      ? std::move(*shown->rendered)
                      : wiki::Rendered{fmt::format("<p class=\"macro-unknown\">{}</p><pre>{}</pre>",
                                                   escape_html(shown->rendered.error().message()), escape_html(body)),
                                       {},
                                       {},
                                       false};
  complete = rendered.complete;

  const std::string& title = old ? old->title : page.title;
  boost::json::object data{{"page_title", title},
                           {"edit_url", page_url(page.id) + "/edit"},
                           {"history_url", page_url(page.id) + "/history"},
                           {"organise_url", page_url(page.id) + "/organise"},
                           {"new_url", new_page_url(page.space_key, page.id)},
                           {"version", old ? old->number : page.version},
                           {"author", shown_name(old ? old->author : page.updated_by)},
                           {"empty", rendered.html.empty() || trim(rendered.plain_text).empty()},
                           {"article_html", rendered.html}};
  // A page of images or macros alone is not empty.
  if (rendered.html.find("<img") != std::string::npos || rendered.html.find("class=\"") != std::string::npos)
    data["empty"] = false;
  const auto when = old ? old->created_at_ms : page.updated_at_ms;
  data["time"] = shown_time(when);
  data["time_iso"] = iso_time(when);
  boost::json::array notice;
  if (old)
    notice.push_back(boost::json::object{
        {"text", fmt::format("This is version {}; the page is at version {} now.", old->number, page.version)},
        {"url", page_url(page.id)},
        {"restore_url", fmt::format("{}/edit?version={}", page_url(page.id), old->number)},
        {"diff_url", fmt::format("{}/diff?from={}&to={}", page_url(page.id), old->number, page.version)},
        {"differs", old->number != page.version}});
  data["notice"] = std::move(notice);
  boost::json::array attachments;
  for (const auto& file : shown->attachments)
    attachments.push_back(boost::json::object{{"url", attachment_url(page.id, file.file_name)},
                                              {"name", file.file_name},
                                              {"size", human_bytes(static_cast<std::uint64_t>(file.size))},
                                              {"version", file.version}});
  auto headings = heading_list(rendered.headings);
  data["has_attachments"] = !attachments.empty();
  data["attachments"] = std::move(attachments);
  const bool contents = headings.size() >= 3;
  data["contents"] = contents;
  data["grid"] = contents ? "page" : "page-plain";
  data["headings"] = std::move(headings);
  auto html = context.templates.render("article", data);
  if (!html) co_return std::unexpected(html.error());
  co_return pack(page, title, *html);
}

}  // namespace afloat::server
