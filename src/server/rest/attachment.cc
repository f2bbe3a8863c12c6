#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "server/log.h"
#include "server/metrics.h"
#include "server/rest/content_json.h"
#include "server/rest/routes.h"
#include "server/uploads.h"

namespace afloat::server {

namespace json = boost::json;

namespace {

Result<void> check_token_header(const http::Request& request) {
  const auto token = request.headers.get("X-Atlassian-Token");
  if (equals_ignoring_case(token, "no-check") || equals_ignoring_case(token, "nocheck")) return {};
  return fail(ErrorKind::permission_denied,
              "XSRF check failed: uploads need the header X-Atlassian-Token: no-check; send it.");
}

Task<http::Response> upload(Context& context, http::Request request) {
  if (auto sent = check_token_header(request); !sent) co_return std::unexpected(sent.error());
  auto writer = co_await require_user_for_change(context.auth, request);
  if (!writer) co_return std::unexpected(writer.error());
  auto id = id_in(request.capture("id"));
  if (!id) co_return std::unexpected(id.error());
  auto parts = http::parse_multipart(request);
  if (!parts) co_return std::unexpected(parts.error());
  auto files = co_await store_files(context, std::move(*parts), *writer, *id);
  if (!files) co_return std::unexpected(files.error());
  const auto mode = request.method == "PUT" ? store::UploadMode::create_or_update : store::UploadMode::create;
  const auto deadline = request.deadline;
  json::array results;
  for (const auto& file : *files) {
    auto saved = co_await with_gates<store::Attachment>(context, deadline, [&](Gates gates) {
      return store::upload_attachment(context.database, gates, file, mode, deadline);
    });
    if (!saved) co_return std::unexpected(saved.error());
    results.push_back(attachment_json(context, *saved));
  }
  co_return ok(list_json(context, request, {0, 500}, std::move(results)));
}

Task<http::Response> upload_version(Context& context, http::Request request) {
  if (auto sent = check_token_header(request); !sent) co_return std::unexpected(sent.error());
  auto writer = co_await require_user_for_change(context.auth, request);
  if (!writer) co_return std::unexpected(writer.error());
  auto page = id_in(request.capture("id"));
  if (!page) co_return std::unexpected(page.error());
  auto id = id_in(request.capture("attachment"));
  if (!id) co_return std::unexpected(id.error());
  auto parts = http::parse_multipart(request);
  if (!parts) co_return std::unexpected(parts.error());
  auto files = co_await store_files(context, std::move(*parts), *writer, *page);
  if (!files) co_return std::unexpected(files.error());
  const auto deadline = request.deadline;
  auto saved = co_await with_gates<store::Attachment>(context, deadline, [&](Gates gates) {
    return store::replace_attachment(context.database, gates, *id, files->front(), deadline);
  });
  if (!saved) co_return std::unexpected(saved.error());
  co_return ok(attachment_json(context, *saved));
}

Task<http::Response> list(Context& context, http::Request request) {
  auto reader = co_await context.auth.require_user(request);
  if (!reader) co_return std::unexpected(reader.error());
  auto id = id_in(request.capture("id"));
  if (!id) co_return std::unexpected(id.error());
  auto range = page_range(request);
  if (!range) co_return std::unexpected(range.error());
  auto files = co_await store::list_attachments(context.database, *id, request.query_or("filename", ""), range->start,
                                                range->limit + 1, request.deadline);
  if (!files) co_return std::unexpected(files.error());
  const auto wanted_type = request.query_value("mediaType");
  json::array results;
  for (const auto& file : *files)
    if (!wanted_type || file.media_type == *wanted_type) results.push_back(attachment_json(context, file));
  co_return ok(list_json(context, request, *range, std::move(results)));
}

/// Pages allow scripts of this site, which are its assets: an uploaded file is none, whatever type came with it.
std::string served_type(const std::string& type) {
  return to_lower(type).find("script") == std::string::npos ? type : "application/octet-stream";
}

/// Only what cannot run script in the site's name is shown in the browser; the rest is saved.
bool shown_inline(std::string_view type) {
  constexpr auto harmless =
      std::to_array<std::string_view>({"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp",
                                       "text/plain", "application/pdf", "audio/mpeg", "video/mp4", "video/webm"});
  const auto bare = to_lower(trim(type.substr(0, type.find(';'))));
  return std::ranges::find(harmless, bare) != harmless.end();
}

Task<http::Response> download(Context& context, http::Request request) {
  auto reader = co_await context.auth.require_user(request);
  if (!reader) co_return std::unexpected(reader.error());
  auto id = id_in(request.capture("id"));
  if (!id) co_return std::unexpected(id.error());
  const auto version = static_cast<int>(parse_int(request.query_or("version", "0")).value_or(0));
  auto file =
      co_await store::find_attachment(context.database, *id, request.capture("file"), version, request.deadline);
  if (!file) co_return std::unexpected(file.error());
  http::Response response;
  const auto tag = "\"" + file->digest + "\"";
  response.headers.set("ETag", tag);
  response.headers.set("Cache-Control", "private, no-cache");
  response.headers.set("X-Content-Type-Options", "nosniff");
  if (request.headers.get("If-None-Match") == tag) {
    response.status = 304;
    co_return response;
  }
  auto bytes = co_await context.blobs.get(file->digest);
  const auto finding = "blob/" + file->digest;
  if (!bytes && bytes.error().kind() == ErrorKind::data_corrupted) {
    // Wrong bytes are never sent, and no client should try again: a person has to restore the file.
    auto message = fmt::format("Attachment att{} ({}) of page {} can't be read: {}", file->id, file->file_name, *id,
                               bytes.error().message());
    if (context.metrics.findings.add(finding, "files", message, context.clock.unix_ms()))
      log(Level::error, "attachment_damaged", {{"message", message}});
    co_return fail(ErrorKind::data_corrupted, std::move(message));
  }
  if (!bytes) co_return std::unexpected(bytes.error());
  context.metrics.findings.clear(finding);
  response.body = std::move(*bytes);
  response.headers.set("Content-Type", served_type(file->media_type));
  response.headers.set("Content-Security-Policy", "sandbox; default-src 'none'; style-src 'unsafe-inline'");
  response.headers.set("Content-Disposition",
                       fmt::format("{}; filename*=UTF-8''{}", shown_inline(file->media_type) ? "inline" : "attachment",
                                   url_encode(file->file_name)));
  co_return response;
}

}  // namespace

void add_attachment_routes(http::Router& router, Context& context) {
  const std::string root = "/rest/api/content/{id}/child/attachment";
  add_call(router, context, "GET", root, list);
  add_call(router, context, "POST", root, upload);
  add_call(router, context, "PUT", root, upload);
  add_call(router, context, "POST", root + "/{attachment}/data", upload_version);
  add_call(router, context, "GET", "/download/attachments/{id}/{file}", download);
}

}  // namespace afloat::server
