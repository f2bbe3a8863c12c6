#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "adapters/files/releases.h"
#include "agent/catalogue.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/release_signing.h"

namespace afloat::cli {
namespace {

namespace json = boost::json;

struct ReleaseOptions {
  std::string catalogue;
  std::string config = "site.toml";
  std::string version;
  std::vector<std::string> trusted_keys;  ///< --trusted-key
  bool json = false;
};

json::object fields_of(const agent::CatalogueEntry& entry) {
  if (entry.problem)
    return {{"version", entry.version}, {"folder", entry.folder}, {"problem", entry.problem->message()}};
  const auto& manifest = entry.manifest;
  return {{"version", entry.version},
          {"build", manifest.build},
          {"architecture", manifest.architecture},
          {"upgradeFromMin", manifest.upgrade_from_min},
          {"rolling", manifest.rolling},
          {"lts", manifest.lts},
          {"requiredStops", json::array(manifest.required_stops.begin(), manifest.required_stops.end())},
          {"kind", std::string(version::to_string(version::kind_of(version::parse_version(entry.version).value())))},
          {"faultProfile", manifest.fault_profile},
          {"archive", manifest.archive},
          {"archiveBytes", entry.archive_bytes},
          {"archiveSha256", manifest.archive_sha256},
          {"files", manifest.files.size()},
          {"digest", entry.digest},
          {"folder", entry.folder},
          {"notes", manifest.notes}};
}

int complain(const Error& error) {
  fmt::print(stderr, "afloat releases: {}\n", error.message());
  return 1;
}

/// The first line of the notes that says something, short.
std::string headline(std::string_view notes) {
  constexpr std::size_t most = 60;
  for (const auto& line : split(notes, '\n')) {
    auto text = std::string(trim(line));
    if (text.starts_with('#') || text.empty()) continue;
    while (text.starts_with('*') || text.starts_with('-') || text.starts_with(' ')) text.erase(0, 1);
    return text.size() <= most ? text : as_utf8(text.substr(0, most)) + "...";
  }
  return {};
}

std::string kind_of(const std::string& version) {
  const auto parsed = version::parse_version(version);
  return parsed ? std::string(version::to_string(version::kind_of(*parsed))) : "";
}

/// What the index that was fetched last offers and the catalogue has not.
std::vector<version::IndexEntry> offered(const std::string& catalogue,
                                         const std::vector<agent::CatalogueEntry>& entries) {
  auto index = files::accepted_index(catalogue);
  if (!index) return {};
  std::erase_if(index->releases, [&](const version::IndexEntry& each) {
    return std::ranges::find(entries, each.version, &agent::CatalogueEntry::version) != entries.end();
  });
  return std::move(index->releases);
}

int list(const ReleaseOptions& options) {
  const auto catalogue = catalogue_of(options.catalogue, options.config);
  auto entries = agent::list_catalogue(catalogue);
  if (!entries) return complain(entries.error());
  const auto others = offered(catalogue, *entries);
  if (options.json) {
    json::array all;
    for (const auto& entry : *entries) {
      auto fields = fields_of(entry);
      fields["fetched"] = true;
      all.push_back(std::move(fields));
    }
    for (const auto& entry : others)
      all.push_back(json::object{{"version", entry.version},
                                 {"build", entry.build},
                                 {"upgradeFromMin", entry.upgrade_from_min},
                                 {"rolling", entry.rolling},
                                 {"lts", entry.lts},
                                 {"kind", entry.kind},
                                 {"date", entry.date},
                                 {"digest", entry.digest},
                                 {"notes", entry.notes},
                                 {"fetched", false}});
    fmt::print("{}\n", json::serialize(json::object{{"releases", std::move(all)}}));
    return 0;
  }
  if (entries->empty() && others.empty())
    fmt::print("No releases in {}.\n", catalogue);
  else
    fmt::print("{:<14} {:>10} {:<9} {:<10} {:>9} {:<13} {}\n", "VERSION", "BUILD", "KIND", "FROM", "SIZE", "DIGEST", "NOTE");
  const auto line = [](const std::string& version, int build, const std::string& from, const std::string& size,
                       const std::string& digest, std::vector<std::string> note, std::string_view notes) {
    if (auto text = headline(notes); !text.empty()) note.push_back(std::move(text));
    fmt::print("{:<14} {:>10} {:<9} {:<10} {:>9} {:<13} {}\n", version, build, kind_of(version), from, size,
               digest.substr(0, 12), join(note, "; "));
  };
  for (const auto& entry : *entries) {
    if (entry.problem) {
      fmt::print("{:<14} {}\n", entry.version, entry.problem->message());
      continue;
    }
    const auto& manifest = entry.manifest;
    std::vector<std::string> note;
    if (manifest.fault_profile != "none") note.push_back("test build: fault " + manifest.fault_profile);
    if (manifest.lts) note.emplace_back("LTS");
    if (!manifest.rolling) note.emplace_back("needs downtime");
    line(entry.version, manifest.build, manifest.upgrade_from_min, human_bytes(entry.archive_bytes), entry.digest,
         std::move(note), manifest.notes);
  }
  for (const auto& entry : others) {
    std::vector<std::string> note{"not fetched"};
    if (entry.lts) note.emplace_back("LTS");
    if (!entry.rolling) note.emplace_back("needs downtime");
    line(entry.version, entry.build, entry.upgrade_from_min, "-", entry.digest, std::move(note), entry.notes);
  }
  if (!others.empty()) fmt::print("Get what is not fetched with 'afloat releases fetch V --from ...'.\n");
  return 0;
}

int show(const ReleaseOptions& options) {
  auto entry = agent::find_release(catalogue_of(options.catalogue, options.config), options.version);
  if (!entry) return complain(entry.error());
  if (options.json) {
    fmt::print("{}\n", json::serialize(fields_of(*entry)));
    return 0;
  }
  const auto& manifest = entry->manifest;
  fmt::print("Afloat {} (build {}, {})\n", entry->version, manifest.build, manifest.architecture);
  fmt::print("  upgrades from   {} or newer, {}\n", manifest.upgrade_from_min,
             manifest.rolling ? "rolling" : "with downtime");
  fmt::print("  archive         {}/{}, {}, {} files\n", entry->folder, manifest.archive,
             human_bytes(entry->archive_bytes), manifest.files.size());
  fmt::print("  digest          {}\n", entry->digest);
  if (manifest.fault_profile != "none") fmt::print("  fault profile   {} (a test build)\n", manifest.fault_profile);
  if (!manifest.notes.empty()) fmt::print("\n{}\n", trim(manifest.notes));
  return 0;
}

int verify(const ReleaseOptions& options) {
  std::vector<agent::CatalogueEntry> entries;
  if (options.version.empty()) {
    auto all = agent::list_catalogue(catalogue_of(options.catalogue, options.config));
    if (!all) return complain(all.error());
    entries = std::move(*all);
  } else {
    auto entry = agent::find_release(catalogue_of(options.catalogue, options.config), options.version);
    if (!entry) return complain(entry.error());
    entries.push_back(std::move(*entry));
  }
  const auto trusted = trusted_keys_of(options.trusted_keys, options.config);
  if (!trusted) return complain(trusted.error());
  int exit_code = 0;
  json::array results;
  for (const auto& entry : entries) {
    auto intact = agent::verify_bundle(entry);
    std::string signed_by, message = intact ? "" : intact.error().message();
    if (intact && !trusted->empty()) {
      auto key = agent::signed_by(entry, *trusted);
      (key ? signed_by : message) = key ? minisign::shown_id(key->id) : key.error().message();
    }
    if (!message.empty()) exit_code = 4;
    results.push_back({{"version", entry.version},
                       {"intact", intact.has_value()},
                       {"signatureChecked", !trusted->empty()},
                       {"signedBy", signed_by},
                       {"message", message}});
    if (options.json) continue;
    if (message.empty())
      message = trusted->empty() ? "intact; no trusted key is set, so its signature was not checked"
                                 : "intact, signed by key " + signed_by;
    fmt::print("{:<14} {}\n", entry.version, message);
  }
  if (options.json) fmt::print("{}\n", json::serialize(json::object{{"releases", std::move(results)}}));
  return exit_code;
}

int pack(const agent::PackRequest& request) {
  auto entry = agent::pack_bundle(request);
  if (!entry) return complain(entry.error());
  fmt::print("{}/{}: {}, {} files, digest {}\n", entry->folder, entry->manifest.archive,
             human_bytes(entry->archive_bytes), entry->manifest.files.size(), entry->digest.substr(0, 12));
  return 0;
}

}  // namespace

void add_release_commands(CLI::App& app, int& exit_code) {
  auto* group = app.add_subcommand("releases", "Release bundles: list, show, verify, fetch, pack, sign, index");
  group->require_subcommand(1);
  auto options = std::make_shared<ReleaseOptions>();
  const auto add = [&](const char* name, const char* help, int (*action)(const ReleaseOptions&)) {
    auto* command = group->add_subcommand(name, help);
    command->add_option("--catalogue", options->catalogue, "Folder of bundles (default: the config's, or ./catalogue)");
    command->add_option("--config", options->config, "The site's description")->capture_default_str();
    command->add_flag("--json", options->json, "For programs");
    command->callback([options, action, &exit_code] { exit_code = action(*options); });
    return command;
  };
  add("list", "What the catalogue holds, and what the index that was fetched last offers", list);
  add("show", "One release: what it upgrades from, its notes", show)
      ->add_option("version", options->version)
      ->required();
  auto* check = add("verify", "Every digest and the signature of one release, or of all", verify);
  check->add_option("version", options->version);
  check->add_option("--trusted-key", options->trusted_keys,
                    "Public key (RW...) or .pub file that may have signed (default: the config's trusted_keys)");

  auto request = std::make_shared<agent::PackRequest>();
  auto* command = group->add_subcommand("pack", "Make a bundle of a built binary and the web files");
  command->add_option("--version", request->version, "1.2.3")->required();
  command->add_option("--binary", request->binary, "The built program")->required()->check(CLI::ExistingFile);
  command->add_option("--web", request->web, "Folder with templates and assets")
      ->required()
      ->check(CLI::ExistingDirectory);
  command->add_option("--notes", request->notes_file, "Release notes, Markdown")->check(CLI::ExistingFile);
  command->add_option("--out", request->out, "Folder to write: CATALOGUE/VERSION")->required();
  command->add_option("--upgrade-from-min", request->upgrade_from_min, "Oldest version it upgrades")
      ->capture_default_str();
  command->add_flag("!--no-rolling", request->rolling, "This release needs downtime, whatever the policy says");
  command->add_flag("--lts", request->lts, "It is supported for long");
  command->add_option("--required-stop", request->required_stops,
                      "Version at which, or above which, a site must be finalized before it takes this one");
  command->add_option("--fault-profile", request->fault_profile, "Of a test build")->capture_default_str();
  command->callback([request, &exit_code] { exit_code = pack(*request); });
  add_signing_commands(*group, exit_code);
  add_index_commands(*group, exit_code);
}

}  // namespace afloat::cli
