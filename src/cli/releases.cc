#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "agent/catalogue.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/release_signing.h"
#include "server/config.h"

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

/// --catalogue, else the config's, else ./catalogue.
std::string catalogue_of(const ReleaseOptions& options) {
  if (!options.catalogue.empty()) return options.catalogue;
  std::error_code error;
  if (std::filesystem::exists(options.config, error)) {
    auto site = server::load_config(options.config);
    if (site && !site->catalogue.empty()) return site->catalogue;
  }
  return "catalogue";
}

json::object fields_of(const agent::CatalogueEntry& entry) {
  if (entry.problem)
    return {{"version", entry.version}, {"folder", entry.folder}, {"problem", entry.problem->message()}};
  const auto& manifest = entry.manifest;
  return {{"version", entry.version},
          {"build", manifest.build},
          {"architecture", manifest.architecture},
          {"upgradeFromMin", manifest.upgrade_from_min},
          {"rolling", manifest.rolling},
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

int list(const ReleaseOptions& options) {
  auto entries = agent::list_catalogue(catalogue_of(options));
  if (!entries) return complain(entries.error());
  if (options.json) {
    json::array all;
    for (const auto& entry : *entries) all.push_back(fields_of(entry));
    fmt::print("{}\n", json::serialize(json::object{{"releases", std::move(all)}}));
    return 0;
  }
  if (entries->empty())
    fmt::print("No releases in {}.\n", catalogue_of(options));
  else
    fmt::print("{:<14} {:>10} {:<10} {:>9} {:<13} {}\n", "VERSION", "BUILD", "FROM", "SIZE", "DIGEST", "NOTE");
  for (const auto& entry : *entries) {
    if (entry.problem) {
      fmt::print("{:<14} {}\n", entry.version, entry.problem->message());
      continue;
    }
    const auto& manifest = entry.manifest;
    std::string note = manifest.rolling ? "" : "needs downtime";
    if (manifest.fault_profile != "none") note = "test build: fault " + manifest.fault_profile;
    fmt::print("{:<14} {:>10} {:<10} {:>9} {:<13} {}\n", entry.version, manifest.build, manifest.upgrade_from_min,
               human_bytes(entry.archive_bytes), entry.digest.substr(0, 12), note);
  }
  return 0;
}

int show(const ReleaseOptions& options) {
  auto entry = agent::find_release(catalogue_of(options), options.version);
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
    auto all = agent::list_catalogue(catalogue_of(options));
    if (!all) return complain(all.error());
    entries = std::move(*all);
  } else {
    auto entry = agent::find_release(catalogue_of(options), options.version);
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
  auto* group = app.add_subcommand("releases", "Release bundles: list, show, verify, pack, sign");
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
  add("list", "What the catalogue holds", list);
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
  command->add_option("--fault-profile", request->fault_profile, "Of a test build")->capture_default_str();
  command->callback([request, &exit_code] { exit_code = pack(*request); });
  add_signing_commands(*group, exit_code);
}

}  // namespace afloat::cli
