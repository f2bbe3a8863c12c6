#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <memory>
#include <regex>

#include "adapters/files/releases.h"
#include "base/json_fields.h"
#include "cli/commands.h"
#include "cli/release_signing.h"
#include "cli/site_access.h"
#include "version/path.h"

/// `afloat upgrade path` and `afloat upgrade policy`: what may roll. Neither needs a site.
namespace afloat::cli {
namespace {

namespace json = boost::json;
using version::HopVerdict;

struct PathOptions {
  std::string product = "afloat", from, to, catalogue, config = "site.toml";
  bool as_json = false;
  SiteAccess access;
};

/// Confluence's installers carry their version in their names: atlassian-confluence-7.15.1.tar.gz, or a folder 7.15.1.
Result<std::vector<version::Release>> installers_in(const std::string& folder) {
  std::error_code error;
  std::filesystem::directory_iterator entries(folder, error);
  if (error)
    return fail(ErrorKind::not_found, fmt::format("The catalogue {} can't be read: {}. Name a folder of installers "
                                                  "with --catalogue, or leave it out: then any release will do.",
                                                  folder, error.message()));
  static const std::regex number(R"((^|[^0-9.])([0-9]+\.[0-9]+\.[0-9]+)([^0-9]|$))");
  std::vector<version::Release> releases;
  for (const auto& entry : entries) {
    const auto name = entry.path().filename().string();
    std::smatch match;
    if (!std::regex_search(name, match, number)) continue;
    auto parsed = version::parse_version(match[2].str());
    if (!parsed || std::ranges::find(releases, *parsed, &version::Release::version) != releases.end()) continue;
    releases.emplace_back().version = std::move(*parsed);
  }
  return releases;
}

Result<std::optional<std::vector<version::Release>>> catalogue_for(version::Product product,
                                                                   const PathOptions& options) {
  if (product == version::Product::confluence) {
    if (options.catalogue.empty()) return std::nullopt;
    auto found = installers_in(options.catalogue);
    if (!found) return std::unexpected(found.error());
    return std::move(*found);
  }
  const auto folder = catalogue_of(options.catalogue, options.config);
  auto known = files::known_releases(folder);
  if (!known && options.catalogue.empty())
    return fail(
        ErrorKind::not_found,
        fmt::format("There is no catalogue to look in: {} names none that can be read, and {} is no folder of "
                    "bundles here. Name it with --catalogue FOLDER, or the site's file with --config site.toml.",
                    options.config, folder));
  if (!known) return std::unexpected(known.error());
  return version::releases_of(*known);
}

/// --from, or the version that the site is finalized at.
Result<version::Version> where_from(version::Product product, const PathOptions& options) {
  if (!options.from.empty()) return version::parse_typed_version(options.from);
  if (product == version::Product::confluence)
    return fail(ErrorKind::invalid_argument, "Say which version the site runs: --from 7.14.2.");
  auto answer = options.access.call("GET", "/rest/afloat/1/cluster");
  if (!answer) return fail(answer.error().kind(), answer.error().message() + " Or say where from: --from 1.1.4.");
  auto cluster = parse_json_object(*answer, "the site's answer");
  if (!cluster) return std::unexpected(cluster.error());
  return version::parse_version(string_or(*cluster, "clusterVersion"));
}

std::string path_text(const version::Path& path) {
  std::string text = path.message + "\n";
  int number = 0;
  for (const auto& hop : path.hops)
    text += fmt::format("  {}. {:<12} {:<9} {}{}{}\n", ++number, version::shown_stop(hop.to, hop.any),
                        hop.rolls ? "rolling" : "downtime", hop.lts ? "[LTS] " : "", hop.missing ? "[to get] " : "",
                        hop.why);
  for (const auto& note : path.notes) text += "Note: " + note + "\n";
  return text;
}

int code_of(const version::Path& path) {
  switch (path.verdict) {
    case HopVerdict::downgrade:
      return 2;
    case HopVerdict::downtime:
      return 3;
    case HopVerdict::blocked:
      return 4;
    case HopVerdict::rolling:
    case HopVerdict::same:
      break;
  }
  return path.missing.empty() ? 0 : 4;
}

Result<int> show_path(const PathOptions& options) {
  const auto product = version::parse_product(options.product);
  if (!product) return std::unexpected(product.error());
  const auto to = version::parse_typed_version(options.to);
  if (!to) return std::unexpected(to.error());
  const auto from = where_from(*product, options);
  if (!from) return std::unexpected(from.error());
  auto catalogue = catalogue_for(*product, options);
  if (!catalogue) return std::unexpected(catalogue.error());
  const auto path = version::find_path(version::policy_of(*product), *from, *to, *catalogue);
  fmt::print("{}", options.as_json ? json::serialize(version::path_json(path)) + "\n" : path_text(path));
  return code_of(path);
}

Result<int> show_policy(const PathOptions& options) {
  const auto product = version::parse_product(options.product);
  if (!product) return std::unexpected(product.error());
  const auto& policy = version::policy_of(*product);
  if (options.as_json) {
    fmt::print("{}\n", json::serialize(version::policy_json(policy)));
    return 0;
  }
  for (const auto& row : policy.rows) {
    fmt::print("{} {}:\n", version::to_string(product.value()), row.from);
    for (const auto& [column, rule] :
         {std::pair("bugfix", row.bugfix), std::pair("next feature", row.next_feature),
          std::pair("more than one feature", row.further), std::pair("platform", row.platform)})
      fmt::print("  {:<22} {}\n", column, version::words_of(rule));
  }
  for (const auto& note : policy.notes) fmt::print("Note on {}.{}: {}\n", note.line.major, note.line.minor, note.text);
  std::string lts;
  for (const auto& line : policy.lts) lts += fmt::format("{}{}.{}", lts.empty() ? "" : ", ", line.major, line.minor);
  if (!lts.empty()) fmt::print("Long term support: {}\n", lts);
  return 0;
}

}  // namespace

void add_path_commands(CLI::App& upgrade, int& exit_code) {
  const auto add = [&](const char* name, const char* about, Result<int> (*verb)(const PathOptions&)) {
    auto options = std::make_shared<PathOptions>();
    auto* command = upgrade.add_subcommand(name, about);
    command->add_option("--product", options->product, "afloat or confluence")->capture_default_str();
    command->add_flag("--json", options->as_json, "For programs");
    command->callback([options, verb, &exit_code] {
      const auto code = verb(*options);
      if (!code) fmt::print(stderr, "{}\n", code.error().message());
      exit_code = code ? *code : code.error().kind() == ErrorKind::invalid_argument ? 2 : 1;
    });
    return std::pair(command, options);
  };
  auto [path, options] = add("path",
                             "The way to a version with the fewest downtimes: exit code 0 rolling, 3 downtime needed, "
                             "4 releases are missing, 2 a downgrade",
                             show_path);
  path->add_option("--from", options->from, "Version that the site runs (default: ask the site)");
  path->add_option("--to", options->to, "Target version")->required();
  path->add_option("--catalogue", options->catalogue,
                   "Folder of bundles (default: the config's, or ./catalogue); for Confluence a folder of installers");
  path->add_option("--config", options->config, "The site's description")->capture_default_str();
  options->access.add_options(*path);
  add("policy", "The table of what may roll", show_policy);
}

}  // namespace afloat::cli
