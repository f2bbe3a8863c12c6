#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <memory>

#include "agent/fetch.h"
#include "base/text.h"
#include "cli/release_signing.h"

/// `afloat releases index` for publishers, `afloat releases fetch` for sites.
namespace afloat::cli {
namespace {

namespace json = boost::json;

struct IndexOptions {
  std::string catalogue, config = "site.toml", key, password_file, from, ca_file, version;
  std::vector<std::string> trusted_keys;
  bool all_newer = false, as_json = false;
};

int complain(const Error& error) {
  fmt::print(stderr, "afloat releases: {}\n", error.message());
  return error.kind() == ErrorKind::invalid_argument ? 2 : error.kind() == ErrorKind::data_corrupted ? 4 : 1;
}

int make_index(const IndexOptions& options) {
  const auto catalogue = catalogue_of(options.catalogue, options.config);
  const auto key = secret_key_of(options.key, options.password_file);
  if (!key) return complain(key.error());
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  agent::IndexRequest request{.catalogue = catalogue,
                              .date = iso_time(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()),
                              .unix_seconds = std::chrono::duration_cast<std::chrono::seconds>(now).count()};
  const auto made = agent::make_index(request, *key);
  if (!made) return complain(made.error());
  fmt::print("{}/{}: number {}, {} release(s), signed by key {}\n", catalogue, version::index_file, made->index.serial,
             made->index.releases.size(), minisign::shown_id(key->id()));
  for (const auto& entry : made->index.releases)
    fmt::print("  {:<14} {}{}{}\n", entry.version, entry.kind, entry.lts ? ", LTS" : "",
               entry.rolling ? "" : ", needs downtime");
  for (const auto& text : made->left_out) fmt::print("  left out: {}\n", text);
  return made->left_out.empty() ? 0 : 4;
}

/// Newer than the newest that the catalogue has.
Result<std::vector<std::string>> newer_of(const version::ReleaseIndex& index, const std::string& catalogue) {
  auto entries = agent::list_catalogue(catalogue);
  if (!entries) return std::unexpected(entries.error());
  std::optional<version::Version> newest;
  for (const auto& entry : *entries)
    if (auto version = version::parse_version(entry.version);
        version && !entry.problem && (!newest || *newest < *version))
      newest = std::move(*version);
  std::vector<std::string> names;
  for (const auto& entry : index.releases)
    if (const auto version = version::parse_version(entry.version); version && (!newest || *newest < *version))
      names.push_back(entry.version);
  return names;
}

int fetch(const IndexOptions& options) {
  agent::FetchSource source{.from = options.from,
                            .catalogue = catalogue_of(options.catalogue, options.config),
                            .ca_file = options.ca_file,
                            .trusted = {}};
  std::string wanted;
  if (!options.version.empty()) {
    const auto parsed = version::parse_typed_version(options.version);
    if (!parsed) return complain(parsed.error());
    wanted = version::to_string(*parsed);
  }
  auto trusted = trusted_keys_of(options.trusted_keys, options.config);
  if (!trusted) return complain(trusted.error());
  source.trusted = std::move(*trusted);
  const auto index = agent::fetch_index(source);
  if (!index) return complain(index.error());
  std::vector<std::string> versions;
  if (!wanted.empty()) versions.push_back(wanted);
  if (options.all_newer) {
    auto newer = newer_of(*index, source.catalogue);
    if (!newer) return complain(newer.error());
    versions = std::move(*newer);
  }
  if (!options.as_json)
    fmt::print("Index number {} of {}: {} release(s)\n", index->serial, index->date, index->releases.size());
  int exit_code = 0;
  json::array results;
  for (const auto& version : versions) {
    const auto fetched = agent::fetch_release(source, *index, version);
    if (!fetched) exit_code = complain(fetched.error());
    results.push_back(json::object{{"version", version},
                                   {"fetched", fetched.has_value()},
                                   {"wasThere", fetched && fetched->was_there},
                                   {"message", fetched ? "" : fetched.error().message()}});
    if (fetched && !options.as_json)
      fmt::print("{:<14} {}\n", version,
                 fetched->was_there ? "is there already, whole and signed"
                                    : fmt::format("fetched and verified: {}, {}", fetched->entry.folder,
                                                  human_bytes(fetched->entry.archive_bytes)));
  }
  if (options.as_json)
    fmt::print("{}\n", json::serialize(json::object{{"serial", index->serial}, {"releases", std::move(results)}}));
  else if (versions.empty())
    fmt::print("{}\n", options.all_newer ? "Nothing newer than what the catalogue has."
                                         : "See 'afloat releases list'; get one with 'afloat releases fetch V'.");
  return exit_code;
}

}  // namespace

void add_index_commands(CLI::App& releases, int& exit_code) {
  const auto add = [&](const char* name, const char* about, int (*action)(const IndexOptions&)) {
    auto options = std::make_shared<IndexOptions>();
    auto* command = releases.add_subcommand(name, about);
    command->add_option("--catalogue", options->catalogue, "Folder of bundles (default: the config's, or ./catalogue)");
    command->add_option("--config", options->config, "The site's description")->capture_default_str();
    command->callback([options, action, &exit_code] { exit_code = action(*options); });
    return std::pair(command, options);
  };
  auto [index, index_options] =
      add("index", "Make and sign the index of a catalogue, for sites that fetch from it", make_index);
  index->add_option("--key", index_options->key, "Secret key that signed the bundles")
      ->required()
      ->check(CLI::ExistingFile);
  index->add_option("--password-file", index_options->password_file, "File with the key's password");

  auto [getter, options] =
      add("fetch", "Get releases from a folder or an https address, verified; without a version only the index", fetch);
  auto* version = getter->add_option("version", options->version, "Version to get");
  getter->add_option("--from", options->from, "Folder, file:// or https:// address with index.json")->required();
  getter->add_flag("--all-newer", options->all_newer, "All that are newer than the newest in the catalogue")
      ->excludes(version);
  getter->add_option("--ca-file", options->ca_file, "PEM file of your own certificate authority")
      ->check(CLI::ExistingFile);
  getter->add_option("--trusted-key", options->trusted_keys,
                     "Public key (RW...) or .pub file that may have signed (default: the config's trusted_keys)");
  getter->add_flag("--json", options->as_json, "For programs");
}

}  // namespace afloat::cli
