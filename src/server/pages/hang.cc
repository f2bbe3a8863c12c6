#include <fmt/core.h>

#include <algorithm>

#include "adapters/http/router.h"
#include "base/text.h"
#include "server/pages/common.h"
#include "server/rest/content_json.h"
#include "server/uploads.h"
#include "store/page_tree.h"

/// What is hung on a page from the page itself: files and labels. The forms work without scripts.
namespace afloat::server {
namespace {

Async<http::Response> upload(Context& context, http::Request request) {
  auto parts = http::parse_multipart(request);
  std::string token;
  if (parts) {
    for (const auto& part : *parts)
      if (part.name == "csrf") token = part.body;
    // What a browser sends for a field in which no file was chosen.
    std::erase_if(*parts, [](const http::Part& part) { return part.file_name && part.file_name->empty(); });
  }
  auto visitor = co_await admit_sender(context, request, token);
  if (!visitor) co_return std::move(visitor.error());
  auto id = page_id(request);
  if (!id) co_return show_error(context, *visitor, id.error());
  if (!parts) co_return show_error(context, *visitor, parts.error());
  if (std::ranges::none_of(*parts, [](const http::Part& part) { return part.file_name.has_value(); }))
    co_return show_error(context, *visitor,
                         Error(ErrorKind::invalid_argument,
                               "No file was chosen, so nothing was added. Go back, choose one or more files, and send "
                               "the form again."));
  auto files = co_await store_files(context, std::move(*parts), *visitor, *id);
  if (!files) co_return show_error(context, *visitor, files.error());
  const auto deadline = request.deadline;
  for (const auto& file : *files) {
    auto saved = co_await with_gates<store::Attachment>(context, deadline, [&](Gates gates) {
      return store::upload_attachment(context.database, gates, file, store::UploadMode::create_or_update, deadline);
    });
    if (!saved) co_return show_error(context, *visitor, saved.error());
  }
  co_return http::redirect(page_url(*id) + "#af-attachments");
}

Async<http::Response> change_labels(Context& context, http::Request request) {
  auto sent = co_await admit_form(context, request);
  if (!sent) co_return std::move(sent.error());
  const auto& [visitor, form] = *sent;
  auto id = page_id(request);
  if (!id) co_return show_error(context, visitor, id.error());
  const auto deadline = request.deadline;
  std::vector<store::Label> added;
  for (const auto& word : split(replace_all(form_value(form, "add"), ",", " "), ' ')) {
    if (trim(word).empty()) continue;
    auto name = label_name(word);
    if (!name) co_return show_error(context, visitor, name.error());
    added.push_back({"global", std::move(*name)});
  }
  if (!added.empty()) {
    auto all = co_await with_gates<std::vector<store::Label>>(context, deadline, [&](Gates gates) {
      return store::add_labels(context.database, gates, *id, added, deadline);
    });
    if (!all) co_return show_error(context, visitor, all.error());
  }
  if (const auto name = form_value(form, "remove"); !name.empty()) {
    auto done = co_await with_gates<void>(context, deadline, [&](Gates gates) {
      return store::remove_label(context.database, gates, *id, name, deadline);
    });
    if (!done) co_return show_error(context, visitor, done.error());
  }
  co_return http::redirect(page_url(*id) + "#af-labels");
}

}  // namespace

void add_hang_routes(http::Router& router, Context& context) {
  router.add("POST", "/pages/{id}/attachments",
             [&context](http::Request request) { return upload(context, std::move(request)); });
  router.add("POST", "/pages/{id}/labels",
             [&context](http::Request request) { return change_labels(context, std::move(request)); });
}

}  // namespace afloat::server
