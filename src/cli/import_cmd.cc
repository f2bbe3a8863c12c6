#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <memory>
#include <thread>

#include "adapters/files/archive.h"
#include "base/json_fields.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/site_access.h"
#include "server/config.h"
#include "wiki/import_html.h"

namespace afloat::cli {
namespace {

using namespace std::chrono_literals;

struct ImportOptions {
  std::string folder, space, name, config;
  SiteAccess access{.site = {}};
};

/// Removes its folder with everything in it.
class ScratchFolder {
 public:
  ScratchFolder() {
    auto pattern = (std::filesystem::temp_directory_path() / "afloat-import-XXXXXX").string();
    if (char* made = ::mkdtemp(pattern.data())) path_ = made;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Result<std::string> pack(const std::string& folder, const std::string& archive) {
  std::error_code failed;
  std::vector<files::PackFile> list;
  const wiki::ImportLimits limits;
  auto entry = std::filesystem::recursive_directory_iterator(folder, failed);
  for (; !failed && entry != std::filesystem::recursive_directory_iterator(); entry.increment(failed)) {
    const auto shown = entry->path().lexically_relative(folder).string();
    if (entry->is_symlink()) {
      fmt::print("note: {}: is a link; it was left out\n", shown);
      continue;
    }
    if (!entry->is_regular_file()) continue;
    auto path = wiki::safe_relative_path(shown);
    if (!path) {
      fmt::print("note: {}\n", path.error().message());
      continue;
    }
    if (const auto size = entry->file_size(); size > limits.file_bytes) {
      fmt::print("note: {}: has {}, the limit is {}; the file was left out\n", shown, human_bytes(size),
                 human_bytes(limits.file_bytes));
      continue;
    }
    list.push_back({std::move(*path), entry->path().string(), false});
  }
  if (failed)
    return fail(ErrorKind::not_found, fmt::format("Cannot read the folder {}: {}.", folder, failed.message()));
  if (list.empty()) return fail(ErrorKind::invalid_argument, fmt::format("There is no file in {}.", folder));
  const auto count = list.size();
  auto packed = files::pack_archive(archive, std::move(list));
  if (!packed) return std::unexpected(packed.error());
  fmt::print("{} files packed\n", count);
  return files::read_file(archive);
}

class Import {
 public:
  Import(const ImportOptions& options, SiteRest site) : options_(options), site_(std::move(site)) {}

  /// True when the task ended well.
  Result<bool> run() {
    ScratchFolder scratch;
    if (scratch.path().empty()) return fail(ErrorKind::unavailable, "Cannot make a folder for temporary files.");
    auto archive = pack(options_.folder, scratch.path() + "/pages.tar.zst");
    if (!archive) return std::unexpected(archive.error());
    auto task = site_.object(
        "POST", "/rest/afloat/1/imports?space=" + url_encode(options_.space) + "&name=" + url_encode(options_.name),
        *std::move(archive), {.content_type = "application/zstd", .timeout = 120s});
    if (!task) return std::unexpected(task.error());
    return watch(string_or(*task, "id"));
  }

 private:
  Result<bool> watch(const std::string& id) {
    const bool terminal = ::isatty(STDOUT_FILENO) == 1;
    std::int64_t printed = -100;
    for (;;) {
      std::this_thread::sleep_for(200ms);
      // Another node answers as soon as this one is out of the balancer; any node can tell.
      auto task = site_.object("GET", "/rest/api/longtask/" + id, {}, {.timeout = 10s, .patience = 30s});
      if (!task) return std::unexpected(task.error());
      const auto percent = int_or(*task, "percentageComplete");
      std::vector<std::string> messages;
      if (const auto* list = array_at(*task, "messages"))
        for (const auto& item : *list)
          if (item.is_object()) messages.push_back(string_or(item.get_object(), "translation"));
      const bool finished = bool_or(*task, "finished");
      if (!finished && terminal) {
        fmt::print("\r\x1b[K{:3} %  {}", percent, messages.empty() ? "" : messages.front());
        std::fflush(stdout);
      } else if (!finished && percent >= printed + 20) {
        fmt::print("{:3} %  {}\n", percent, messages.empty() ? "" : messages.front());
        printed = percent;
      }
      if (!finished) continue;
      if (terminal) fmt::print("\r\x1b[K");
      for (std::size_t i = 1; i < messages.size(); ++i) fmt::print("note: {}\n", messages[i]);
      if (!messages.empty()) fmt::print("{}\n", messages.front());
      return bool_or(*task, "successful");
    }
  }

  const ImportOptions& options_;
  SiteRest site_;
};

Result<SiteRest> open_site(const ImportOptions& options) {
  auto access = options.access;
  if (!options.config.empty()) {
    auto config = server::load_config(options.config);
    if (!config) return std::unexpected(config.error());
    access.site = config->base_url;
  }
  if (access.site.empty())
    return fail(ErrorKind::invalid_argument, "Which site? Name it with --site URL or --config site.toml.");
  return SiteRest::open(access);
}

int import_now(const ImportOptions& options) {
  const auto fault = [](const Error& error) {
    fmt::print(stderr, "{}\n", error.message());
    return 1;
  };
  auto site = open_site(options);
  if (!site) return fault(site.error());
  auto done = Import(options, *std::move(site)).run();
  if (!done) return fault(done.error());
  return *done ? 0 : 1;
}

}  // namespace

void add_import_command(CLI::App& app, int& exit_code) {
  auto* group = app.add_subcommand("import", "Bring content into the wiki");
  group->require_subcommand(1);
  auto options = std::make_shared<ImportOptions>();
  auto* html = group->add_subcommand("html", "Turn a folder of HTML into a page tree with its links and images");
  html->add_option("folder", options->folder, "Folder with the HTML files")->required()->check(CLI::ExistingDirectory);
  html->add_option("--space", options->space, "Key of the space; made if it is not there")->required();
  html->add_option("--name", options->name, "Name of a new space");
  options->access.add_options(*html);
  html->add_option("--config", options->config, "site.toml, in place of --site");
  html->callback([options, &exit_code] { exit_code = import_now(*options); });
}

}  // namespace afloat::cli
