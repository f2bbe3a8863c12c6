#include "server/uploads.h"

#include <algorithm>

#include "base/text.h"

namespace afloat::server {
namespace {

std::string media_type(std::string_view declared) {
  const bool fits = !declared.empty() && declared.size() <= 200 &&
                    std::ranges::all_of(declared, [](char c) { return c >= ' ' && c <= '~'; }) &&
                    declared.find('/') != std::string_view::npos;
  return fits ? std::string(declared) : "application/octet-stream";
}

}  // namespace

Task<std::vector<store::UploadedFile>> store_files(Context& context, std::vector<http::Part> parts, Identity writer,
                                                   std::int64_t page_id) {
  std::vector<std::string> comments, names, types;
  for (const auto& part : parts) {
    if (part.name == "comment") comments.push_back(part.body);
    if (part.name == "fileName") names.push_back(part.body);
    if (part.name == "contentType") types.push_back(part.body);
  }
  std::vector<store::UploadedFile> files;
  for (auto& part : parts) {
    if (!part.file_name) continue;
    const auto at = files.size();
    store::UploadedFile file;
    file.page_id = page_id;
    file.file_name = at < names.size() ? names[at] : *part.file_name;
    file.size = static_cast<std::int64_t>(part.body.size());
    file.media_type = media_type(at < types.size() ? std::string_view(types[at]) : part.content_type);
    file.comment = at < comments.size() ? comments[at] : std::string();
    if (!is_utf8(file.comment)) co_return fail(ErrorKind::invalid_argument, "The comment is not UTF-8 text.");
    file.author = writer.user_id;
    auto digest = co_await context.blobs.put(std::make_shared<const std::string>(std::move(part.body)));
    if (!digest) co_return std::unexpected(digest.error());
    file.digest = std::move(*digest);
    files.push_back(std::move(file));
  }
  if (files.empty())
    co_return fail(ErrorKind::invalid_argument,
                   "The request has no file; send a multipart field \"file\" with a file name.");
  co_return files;
}

}  // namespace afloat::server
