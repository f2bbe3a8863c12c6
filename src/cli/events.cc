#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <memory>

#include "base/json_fields.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/site_access.h"

/// `afloat events`: who did what to the cluster, and what administrators were told.
namespace afloat::cli {
namespace {

namespace json = boost::json;

struct EventsOptions {
  SiteAccess access;
  int limit = 40;
  std::string kind, text, since, until;
  bool as_json = false, as_csv = false;
};

/// A notice is a sentence; of anything else its fields.
std::string detail_text(const json::object& detail) {
  if (auto message = string_or(detail, "message"); !message.empty())
    return fmt::format("[{}] {}", string_or(detail, "notice"), message);
  std::vector<std::string> parts;
  for (const auto& [key, value] : detail)
    parts.push_back(
        fmt::format("{} {}", std::string_view(key),
                    value.is_string() ? std::string(std::string_view(value.get_string())) : json::serialize(value)));
  return join(parts, ", ");
}

Result<void> events(const EventsOptions& options) {
  std::string query = fmt::format("limit={}", options.limit);
  for (const auto& [name, value] : {std::pair{"kind", &options.kind}, std::pair{"text", &options.text},
                                    std::pair{"since", &options.since}, std::pair{"until", &options.until}})
    if (!value->empty()) query += fmt::format("&{}={}", name, url_encode(*value));
  if (options.as_csv) {
    auto file = options.access.call("GET", "/rest/afloat/1/events/export?format=csv&" + query);
    if (!file) return std::unexpected(file.error());
    fmt::print("{}", *file);
    return {};
  }
  auto body = options.access.call("GET", "/rest/afloat/1/events?" + query);
  if (!body) return std::unexpected(body.error());
  auto answer = parse_json_object(*body, "the site's answer");
  if (!answer) return std::unexpected(answer.error());
  if (query.contains('&') && !answer->contains("next"))
    return fail(ErrorKind::unavailable,
                "The node that answered runs a release before 1.3.0, which can't choose among events; ask without.");
  if (options.as_json) {
    fmt::print("{}\n", *body);
    return {};
  }
  const auto* results = array_at(*answer, "results");
  if (!results || results->empty()) fmt::print("Nothing has happened yet.\n");
  if (!results) return {};
  // The site tells the newest first; one reads on from where one was.
  for (auto entry = results->rbegin(); entry != results->rend(); ++entry) {
    if (!entry->is_object()) continue;
    const auto& event = entry->as_object();
    const auto* detail = object_at(event, "detail");
    fmt::print("{}  {:<22} {:<24} {}\n", string_or(event, "at").substr(0, 19), string_or(event, "kind"),
               string_or(event, "actor"), detail ? detail_text(*detail) : std::string());
  }
  return {};
}

}  // namespace

void add_events_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<EventsOptions>();
  auto* command = app.add_subcommand("events", "Who did what to the cluster, and what administrators were told");
  options->access.add_options(*command);
  command->add_option("--limit", options->limit, "The latest so many")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  command->add_option("--kind", options->kind, "Only these: node_state, start, approve, user_created, ...");
  command->add_option("--text", options->text, "Only those with this in who did it, in kind or in detail");
  command->add_option("--since", options->since, "From this day on, as 2026-11-26");
  command->add_option("--until", options->until, "Up to this day, and with it");
  command->add_flag("--csv", options->as_csv, "As a table for spreadsheets, newest first");
  command->add_flag("--json", options->as_json, "As REST gives it");
  command->footer("Times and days are UTC.\n\nExample: afloat events --limit 100 --since 2026-11-01 --csv");
  command->callback([options, &exit_code] {
    auto done = events(*options);
    if (done) return;
    fmt::print(stderr, "afloat: {}\n", done.error().message());
    exit_code = 1;
  });
}

}  // namespace afloat::cli
