#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <memory>

#include "adapters/files/releases.h"
#include "base/json_fields.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/release_signing.h"
#include "cli/site_access.h"

/// `afloat upgrade notes`: the release notes of the target and of every version in between.
namespace afloat::cli {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

constexpr const char* path = "/rest/afloat/1/runs/notes";

struct NotesOptions {
  SiteAccess access{.site = {}};
  std::string to, catalogue, config = "site.toml";
  bool acknowledge = false, as_json = false;
};

std::string notes_text(const json::object& state) {
  std::string text;
  if (const auto* notes = array_at(state, "notes"))
    for (const auto& value : *notes) {
      const auto& each = value.as_object();
      const auto* read = object_at(each, "acknowledged");
      text += fmt::format(
          "== {} ({}{}){}\n\n{}\n\n", string_or(each, "version"), string_or(each, "kind"),
          bool_or(each, "lts") ? ", LTS" : "",
          read ? fmt::format(", acknowledged by {} at {}", string_or(*read, "by"), string_or(*read, "at")) : "",
          string_or(each, "text"));
    }
  if (text.empty())
    return fmt::format("There are no release notes between {} and {}.\n", string_or(state, "from"),
                       string_or(state, "to"));
  return text + (bool_or(state, "acknowledged")
                     ? "All of them are acknowledged.\n"
                     : fmt::format("Acknowledge them with: afloat upgrade notes --to {} --acknowledge\n",
                                   string_or(state, "to")));
}

/// Says so where the target is none of those that there are: it may be a slip, and without its own notes the others are
/// only half of what there is to read. `there` is empty where nobody told.
int code_of(const std::vector<std::string>& there, const std::string& to) {
  if (there.empty() || std::ranges::find(there, to) != there.end()) return 0;
  fmt::print(stderr, "The catalogue has no {}, so its notes are not here. It has {}.\n", to, join(there, ", "));
  return 1;
}

/// The site's nodes are of a release that has no such call: what the catalogue here tells, without any record.
Result<int> from_catalogue(SiteRest& site, const NotesOptions& options) {
  auto cluster = site.object("GET", "/rest/afloat/1/cluster");
  if (!cluster) return std::unexpected(cluster.error());
  const auto running = string_or(*cluster, "clusterVersion");
  const auto from = version::parse_version(running);
  if (!from) return std::unexpected(from.error());
  const auto to = version::parse_typed_version(options.to);
  if (!to) return std::unexpected(to.error());
  const auto explain = fmt::format(
      "The site's nodes run {}, which can neither show release notes nor record that they "
      "were read; a run that they take does not ask for it.",
      running);
  auto known = files::known_releases(catalogue_of(options.catalogue, options.config));
  if (!known)
    return fail(ErrorKind::failed_precondition,
                explain + " Read them where the release was published, or name the catalogue: --catalogue FOLDER.");
  json::array notes;
  for (const auto& each : version::notes_between(*known, *from, *to))
    notes.push_back(json::object{{"version", each.version}, {"text", each.text}});
  const json::object state{
      {"from", running}, {"to", version::to_string(*to)}, {"acknowledged", false}, {"notes", notes}};
  if (options.as_json) {
    fmt::print("{}\n", json::serialize(state));
  } else {
    for (const auto& value : notes)
      fmt::print("== {}\n\n{}\n\n", string_or(value.as_object(), "version"), string_or(value.as_object(), "text"));
    if (notes.empty()) fmt::print("The catalogue has no release notes between {} and {}.\n", running, options.to);
  }
  fmt::print(stderr, "{}\n", explain);
  std::vector<std::string> there;
  for (const auto& each : *known) there.push_back(version::to_string(each.release.version));
  const auto code = code_of(there, version::to_string(*to));
  return options.acknowledge ? 1 : code;
}

Result<int> show(const NotesOptions& options) {
  auto site = SiteRest::open(options.access);
  if (!site) return std::unexpected(site.error());
  const CallOptions patient{.timeout = 10s, .patience = 15s};
  const auto shown = site->send("GET", path + ("?to=" + url_encode(options.to)), {}, patient);
  if (!shown) return std::unexpected(shown.error());
  // To a node that has no such call "notes" is the number of a run, and a wrong one.
  const bool unknown_call =
      shown->status == 404 ||
      (shown->status == 400 && shown->body->find("is not the number of an upgrade run") != std::string::npos);
  if (unknown_call) return from_catalogue(*site, options);
  if (shown->status != 200) return std::unexpected(refusal_of(*shown));
  auto state = options.acknowledge ? site->object("POST", std::string(path) + "/acknowledge",
                                                  json::serialize(json::object{{"to", options.to}}), patient)
                                   : parse_json_object(*shown->body, "the site's answer");
  if (!state) return std::unexpected(state.error());
  std::vector<std::string> there;
  if (const auto* releases = array_at(*state, "releases"))
    for (const auto& value : *releases)
      if (value.is_string()) there.emplace_back(value.get_string());
  const auto code = code_of(there, string_or(*state, "to"));
  if (options.as_json || code == 0)
    fmt::print("{}", options.as_json ? json::serialize(*state) + "\n" : notes_text(*state));
  return code;
}

}  // namespace

void add_notes_command(CLI::App& upgrade, int& exit_code) {
  auto options = std::make_shared<NotesOptions>();
  auto* command = upgrade.add_subcommand("notes", "Release notes of the target and of every version in between");
  options->access.add_options(*command);
  command->add_option("--to", options->to, "Target version")->required();
  command->add_flag("--acknowledge", options->acknowledge, "Record that you have read them; a run asks for it");
  command->add_option("--catalogue", options->catalogue,
                      "Folder of bundles, for sites whose nodes can't tell (default: the config's, or ./catalogue)");
  command->add_option("--config", options->config, "The site's description")->capture_default_str();
  command->add_flag("--json", options->as_json, "As REST gives it");
  command->callback([options, &exit_code] {
    const auto code = show(*options);
    if (!code) fmt::print(stderr, "{}\n", code.error().message());
    exit_code = code ? *code : code.error().kind() == ErrorKind::invalid_argument ? 2 : 1;
  });
}

}  // namespace afloat::cli
