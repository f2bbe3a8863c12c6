#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <memory>

#include "base/json_fields.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/site_access.h"

/// `afloat upgrade history`: every run, newest first.
namespace afloat::cli {
namespace {

namespace json = boost::json;

struct HistoryOptions {
  SiteAccess access;
  int limit = 25;
  bool as_json = false;
};

Result<void> history(const HistoryOptions& options) {
  auto body = options.access.call("GET", fmt::format("/rest/afloat/1/runs?limit={}", options.limit));
  if (!body) return std::unexpected(body.error());
  auto answer = parse_json_object(*body, "the site's answer");
  if (!answer) return std::unexpected(answer.error());
  if (options.as_json) {
    fmt::print("{}\n", *body);
    return {};
  }
  const auto* runs = array_at(*answer, "runs");
  if (!runs || runs->empty()) {
    fmt::print("No upgrade run has been made yet.\n");
    return {};
  }
  fmt::print("{:>4}  {:<19}  {:<22} {:<13} {:>10} {:>10}  {:<12} {}\n", "run", "begun (UTC)", "from, to", "state",
             "took", "downtime", "by", "reason");
  for (const auto& value : *runs) {
    if (!value.is_object()) continue;
    const auto& run = value.get_object();
    const auto begun = int_or(run, "started_at_ms"), ended = int_or(run, "ended_at_ms"),
               away = int_or(run, "downtime_ms");
    fmt::print("{:>4}  {:<19}  {:<22} {:<13} {:>10} {:>10}  {:<12} {}\n", int_or(run, "id"),
               iso_time(begun).substr(0, 19), string_or(run, "from") + " to " + string_or(run, "to"),
               string_or(run, "state"), ended > 0 ? duration_text(ended - begun) : "",
               away > 0 ? duration_text(away) : "none", string_or(run, "actor"), string_or(run, "reason"));
  }
  return {};
}

}  // namespace

void add_history_command(CLI::App& upgrade, int& exit_code) {
  auto options = std::make_shared<HistoryOptions>();
  auto* command = upgrade.add_subcommand("history", "Every upgrade run, newest first; `upgrade report` tells of one");
  options->access.add_options(*command);
  command->add_option("--limit", options->limit, "The latest so many")
      ->check(CLI::Range(1, 200))
      ->capture_default_str();
  command->add_flag("--json", options->as_json, "As REST gives it");
  command->callback([options, &exit_code] {
    const auto done = history(*options);
    if (!done) fmt::print(stderr, "afloat: {}\n", done.error().message());
    exit_code = done ? 0 : 1;
  });
}

}  // namespace afloat::cli
