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
  bool as_json = false;
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
  auto body = options.access.call("GET", fmt::format("/rest/afloat/1/events?limit={}", options.limit));
  if (!body) return std::unexpected(body.error());
  auto answer = parse_json_object(*body, "the site's answer");
  if (!answer) return std::unexpected(answer.error());
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
  command->add_flag("--json", options->as_json, "As REST gives it");
  command->footer("Times are UTC.\n\nExample: afloat events --limit 100");
  command->callback([options, &exit_code] {
    auto done = events(*options);
    if (done) return;
    fmt::print(stderr, "afloat: {}\n", done.error().message());
    exit_code = 1;
  });
}

}  // namespace afloat::cli
