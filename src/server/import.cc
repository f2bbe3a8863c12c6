#include "server/import.h"

#include <fmt/core.h>

#include <algorithm>
#include <boost/json.hpp>
#include <memory>

#include "base/text.h"
#include "server/auth.h"
#include "server/long_tasks.h"
#include "store/attachment_store.h"
#include "store/page_tree.h"
#include "store/space_store.h"
#include "wiki/storage_xml.h"

namespace afloat::server {
namespace {

constexpr std::size_t batch = 20;  ///< pages per write: one fsync for all, yet no lock held for long
constexpr std::size_t notes_kept = 200;
constexpr auto step_time = std::chrono::seconds(30);

std::string media_type_of(std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> types[] = {
      {".png", "image/png"},     {".jpg", "image/jpeg"},     {".jpeg", "image/jpeg"},     {".gif", "image/gif"},
      {".svg", "image/svg+xml"}, {".webp", "image/webp"},    {".pdf", "application/pdf"}, {".txt", "text/plain"},
      {".css", "text/css"},      {".zip", "application/zip"}};
  const std::string lower = to_lower(name);
  for (const auto& [ending, type] : types)
    if (lower.ends_with(ending)) return std::string(type);
  return "application/octet-stream";
}

/// One import, from the archive to the last attachment. Runs on one context as a long task.
class ImportJob {
 public:
  ImportJob(Context& context, std::string archive, std::string space_key, std::string space_name, std::int64_t author)
      : context_(context),
        archive_(std::move(archive)),
        space_key_(std::move(space_key)),
        space_name_(std::move(space_name)),
        author_(author) {}

  /// `self` keeps the job alive until the task ends.
  static Task<std::string> run(std::shared_ptr<ImportJob> self, LongTasks::Progress& progress) {
    co_return co_await self->work(progress);
  }

 private:
  Task<std::string> work(LongTasks::Progress& progress);
  Task<void> convert(LongTasks::Progress& progress);
  Task<void> find_space();
  Task<void> find_existing();
  Task<void> update_existing(LongTasks::Progress& progress);
  Task<void> create_new(LongTasks::Progress& progress);
  Task<void> attach(LongTasks::Progress& progress);

  Deadline deadline() const { return context_.clock.steady_now() + step_time; }
  void note(LongTasks::Progress& progress, const wiki::ImportNote& note) {
    if (++notes_ <= notes_kept) progress.note(note.path + ": " + note.message);
  }
  Result<void> go_on(const LongTasks::Progress& progress) const {
    if (!progress.stop_requested()) return {};
    return fail(ErrorKind::unavailable,
                "The import stopped because this node is leaving service. Start it again; what is there already stays "
                "as it is.");
  }

  Context& context_;
  std::string archive_, space_key_, space_name_;
  std::int64_t author_;
  std::map<std::string, std::string> files_;
  wiki::ImportResult result_;
  std::map<std::string, std::int64_t> existing_;  ///< lower-case title -> id
  std::map<std::string, std::int64_t> ids_;       ///< path -> id, of this import
  std::vector<const wiki::ImportedPage*> new_, old_;
  std::size_t notes_ = 0, created_ = 0, changed_ = 0, unchanged_ = 0, attached_ = 0;
};

Task<std::string> ImportJob::work(LongTasks::Progress& progress) {
  const auto begun = context_.clock.steady_now();
  if (auto done = co_await convert(progress); !done) co_return std::unexpected(done.error());
  if (auto done = co_await find_space(); !done) co_return std::unexpected(done.error());
  if (auto done = co_await find_existing(); !done) co_return std::unexpected(done.error());
  if (auto done = co_await create_new(progress); !done) co_return std::unexpected(done.error());
  if (auto done = co_await update_existing(progress); !done) co_return std::unexpected(done.error());
  if (auto done = co_await attach(progress); !done) co_return std::unexpected(done.error());
  const auto took = std::chrono::duration<double>(context_.clock.steady_now() - begun).count();
  co_return fmt::format(
      "{} pages in space {}: {} created, {} changed, {} as they were; {} attachments, {} links, {} broken links, "
      "{} missing images, {} notes; {:.1f} s",
      result_.pages.size(), space_key_, created_, changed_, unchanged_, attached_, result_.links, result_.broken_links,
      result_.missing_images, notes_, took);
}

Task<void> ImportJob::convert(LongTasks::Progress& progress) {
  progress.set(1, "Unpacking");
  Result<UnpackedImport> unpacked = fail(ErrorKind::internal, "not unpacked");
  auto done = co_await context_.offload([&] { unpacked = unpack_import(archive_); });
  if (!done) co_return std::unexpected(done.error());
  if (!unpacked) co_return std::unexpected(unpacked.error());
  archive_ = {};
  files_ = std::move(unpacked->files);
  for (const auto& found : unpacked->notes) note(progress, found);
  progress.set(5, fmt::format("Converting {} files", files_.size()));
  Result<wiki::ImportResult> converted = fail(ErrorKind::internal, "not converted");
  std::vector<wiki::ImportNote> refused;
  done = co_await context_.offload([&] {
    converted = wiki::import_html(files_);
    if (!converted) return;
    for (auto& page : converted->pages)
      if (auto sound = wiki::check_storage(page.storage); !sound) {
        refused.push_back({page.path, sound.error().message() + " An empty page was made in its place."});
        page.storage = "<p>This page could not be imported.</p>";
      }
  });
  if (!done) co_return std::unexpected(done.error());
  if (!converted) co_return std::unexpected(converted.error());
  result_ = std::move(*converted);
  for (const auto& found : result_.notes) note(progress, found);
  for (const auto& found : refused) note(progress, found);
  co_return Result<void>();
}

Task<void> ImportJob::find_space() {
  auto space = co_await store::read_space(context_.database, space_key_, deadline());
  if (!space && space.error().kind() == ErrorKind::not_found) {
    store::NewSpace wanted;
    wanted.key = space_key_;
    wanted.name = space_name_.empty() ? space_key_ : space_name_;
    wanted.homepage_body =
        fmt::format("<p>Imported: {} pages, starting with the ones below.</p>", result_.pages.size());
    wanted.author = author_;
    const auto until = deadline();
    space = co_await with_gates<store::Space>(
        context_, until, [&](Gates gates) { return store::create_space(context_.database, gates, wanted, until); });
  }
  if (!space) co_return std::unexpected(space.error());
  space_key_ = space->key;
  co_return Result<void>();
}

Task<void> ImportJob::find_existing() {
  constexpr int page_size = 500;
  for (int start = 0;; start += page_size) {
    auto pages = co_await store::list_pages(context_.database, space_key_, "", "current", start, page_size, deadline());
    if (!pages) co_return std::unexpected(pages.error());
    for (const auto& page : *pages) existing_.emplace(to_lower(page.title), page.id);
    if (pages->size() < static_cast<std::size_t>(page_size)) break;
  }
  for (const auto& page : result_.pages) {
    const auto found = existing_.find(to_lower(page.title));
    if (found == existing_.end()) {
      new_.push_back(&page);
    } else {
      old_.push_back(&page);
      ids_[page.path] = found->second;
    }
  }
  auto reserved = co_await store::reserve_page_ids(context_.database, static_cast<int>(new_.size()), deadline());
  if (!reserved) co_return std::unexpected(reserved.error());
  for (std::size_t i = 0; i < new_.size(); ++i) ids_[new_[i]->path] = reserved->at(i);
  co_return Result<void>();
}

Task<void> ImportJob::create_new(LongTasks::Progress& progress) {
  for (std::size_t at = 0; at < new_.size(); at += batch) {
    if (auto on = go_on(progress); !on) co_return on;
    std::vector<store::NewPage> pages;
    for (std::size_t i = at; i < std::min(at + batch, new_.size()); ++i) {
      store::NewPage page;
      page.id = ids_.at(new_[i]->path);
      page.space_key = space_key_;
      if (!new_[i]->parent.empty()) page.parent_id = ids_.at(new_[i]->parent);
      page.title = new_[i]->title;
      page.body = new_[i]->storage;
      page.message = "Imported from " + new_[i]->path;
      page.author = author_;
      pages.push_back(std::move(page));
    }
    const auto until = deadline();
    auto made = co_await with_gates<std::vector<store::SavedPage>>(
        context_, until, [&](Gates gates) { return store::create_pages(context_.database, gates, pages, until); });
    if (!made) co_return std::unexpected(made.error());
    created_ += pages.size();
    progress.set(15 + static_cast<int>(75 * created_ / result_.pages.size()),
                 fmt::format("{} of {} pages created", created_, new_.size()));
  }
  co_return Result<void>();
}

Task<void> ImportJob::update_existing(LongTasks::Progress& progress) {
  for (std::size_t at = 0; at < old_.size(); at += batch) {
    if (auto on = go_on(progress); !on) co_return on;
    std::vector<std::int64_t> ids;
    for (std::size_t i = at; i < std::min(at + batch, old_.size()); ++i) ids.push_back(ids_.at(old_[i]->path));
    const auto use = context_.gates.use();
    auto pages = co_await store::read_pages(context_.database, use.gates(), ids, deadline());
    if (!pages) co_return std::unexpected(pages.error());
    std::map<std::int64_t, const store::Page*> by_id;
    for (const auto& page : *pages) by_id[page.id] = &page;
    for (std::size_t i = at; i < std::min(at + batch, old_.size()); ++i) {
      const auto found = by_id.find(ids_.at(old_[i]->path));
      if (found == by_id.end() || found->second->body == old_[i]->storage) {
        ++unchanged_;
        continue;
      }
      const store::SavePage command{found->first,     found->second->version, found->second->title,
                                    old_[i]->storage, "Imported again",       author_,
                                    std::nullopt};
      const auto until = deadline();
      auto saved = co_await with_gates<store::SavedPage>(
          context_, until, [&](Gates gates) { return store::save_page(context_.database, gates, command, until); });
      if (saved) {
        ++changed_;
      } else if (saved.error().kind() == ErrorKind::conflict) {
        note(progress, {old_[i]->path, "was changed by someone else meanwhile; that version stays"});
      } else {
        co_return std::unexpected(saved.error());
      }
    }
    progress.set(15 + static_cast<int>(75 * (created_ + changed_ + unchanged_) / result_.pages.size()),
                 fmt::format("{} of {} pages compared", changed_ + unchanged_, old_.size()));
  }
  co_return Result<void>();
}

Task<void> ImportJob::attach(LongTasks::Progress& progress) {
  progress.set(92, "Storing attachments");
  std::vector<store::UploadedFile> waiting;
  for (std::size_t i = 0; i < result_.pages.size(); ++i) {
    const auto& page = result_.pages[i];
    if (!page.attachments.empty()) {
      if (auto on = go_on(progress); !on) co_return on;
      const auto id = ids_.at(page.path);
      std::map<std::string, std::string> there;  // name -> digest
      auto listed = co_await store::list_attachments(context_.database, id, "", 0, 1'000, deadline());
      if (!listed) co_return std::unexpected(listed.error());
      for (const auto& file : *listed) there[file.file_name] = file.digest;
      for (const auto& [name, path] : page.attachments) {
        auto bytes = std::make_shared<const std::string>(files_.at(path));
        const auto size = static_cast<std::int64_t>(bytes->size());
        auto digest = co_await context_.blobs.put(std::move(bytes));
        if (!digest) co_return std::unexpected(digest.error());
        if (there[name] == *digest) continue;
        waiting.push_back({id, name, std::move(*digest), size, media_type_of(name), "Imported from " + path, author_});
      }
    }
    const bool last = i + 1 == result_.pages.size();
    if (waiting.empty() || (waiting.size() < batch && !last)) continue;
    const auto until = deadline();
    auto stored = co_await with_gates<void>(context_, until, [&](Gates gates) {
      return store::upload_attachments(context_.database, gates, waiting, until);
    });
    if (!stored) co_return std::unexpected(stored.error());
    attached_ += waiting.size();
    waiting.clear();
  }
  co_return Result<void>();
}

Async<http::Response> start_import(Context& context, http::Request request) {
  auto administrator = co_await require_administrator_for_change(context.auth, request);
  if (!administrator) co_return http::error_response(administrator.error());
  const auto key = request.query_or("space", "");
  const bool fits = !key.empty() && key.size() <= 255 &&
                    std::ranges::all_of(key, [](unsigned char c) { return c < 0x80 && std::isalnum(c); });
  if (!fits)
    co_return http::error_response(
        Error(ErrorKind::invalid_argument,
              "The parameter space is missing or no space key: letters and digits only, as in ?space=PG."));
  if (request.body.empty())
    co_return http::error_response(
        Error(ErrorKind::invalid_argument,
              "The request has no body. Send a tar file packed with zstd, as `afloat import html` does."));
  auto job = std::make_shared<ImportJob>(context, std::move(request.body), key, request.query_or("name", ""),
                                         administrator->user_id);
  auto id = co_await context.long_tasks.start(
      "import", "Import into space " + key, administrator->user_name,
      [job](LongTasks::Progress& progress) { return ImportJob::run(job, progress); }, request.deadline);
  if (!id) co_return http::error_response(id.error());
  co_return http::json_response(
      202, boost::json::serialize(boost::json::object{
               {"id", *id}, {"links", boost::json::object{{"status", "/rest/api/longtask/" + *id}}}}));
}

}  // namespace

void add_import_routes(http::Router& router, Context& context) {
  router.add("POST", "/rest/afloat/1/imports",
             [&context](http::Request request) { return start_import(context, std::move(request)); });
}

}  // namespace afloat::server
