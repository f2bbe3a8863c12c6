#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <thread>

#include "base/json_fields.h"
#include "cli/commands.h"
#include "cli/site_access.h"
#include "cli/upgrade_view.h"

/// An upgrade without a conductor: `upgrade start`, `upgrade finalize` and `upgrade retry`. Its cancel is
/// `upgrade cancel`, as of a run.
namespace afloat::cli {
namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

constexpr auto watch_every = 250ms;

struct FinalizeOptions {
  SiteAccess access{.site = {}};
  bool wait = false;
};

/// Prints a line whenever phase or upgrade tasks have changed, until the site is STABLE or a task failed.
Result<int> follow_site(SiteRest& site) {
  std::string last;
  std::map<std::string, std::string> seen;
  for (;;) {
    auto cluster = site.object("GET", "/rest/afloat/1/cluster", {}, {.timeout = 10s, .patience = 15s});
    if (!cluster) return std::unexpected(cluster.error());
    if (const auto* tasks = array_at(*cluster, "tasks"))
      for (const auto& value : *tasks) {
        const auto& task = value.as_object();
        const auto line = task_line(task);
        auto& known = seen[string_or(task, "id")];
        // Those that are done already when we come are not news.
        if (known == line || (known.empty() && string_or(task, "state") == "done")) continue;
        known = line;
        fmt::print("{}\n", line);
      }
    const auto phase = string_or(*cluster, "phase");
    const auto line = fmt::format("{}: {}", phase, string_or(*cluster, "message"));
    if (line != last) fmt::print("{}\n", line);
    last = line;
    std::fflush(stdout);
    if (phase == "STABLE") return 0;
    if (phase == "UPGRADE_TASKS_FAILED") return 1;
    std::this_thread::sleep_for(watch_every);
  }
}

/// After approve or retry: the tasks run.
Result<int> tasks_run(SiteRest& site, const FinalizeOptions& options, const json::object& asked) {
  if (options.wait) return follow_site(site);
  fmt::print("The site is {}; `afloat status` shows its upgrade tasks.\n", string_or(asked, "state"));
  return 0;
}

Result<int> start(SiteRest& site, const FinalizeOptions& options) {
  auto asked = site.object("POST", "/rest/zdu/start", {}, {.timeout = 30s});
  if (!asked) return std::unexpected(asked.error());
  fmt::print("Upgrade mode is on: replace one node after the other. The first one of another release decides which.\n");
  if (options.wait) return follow_site(site);
  fmt::print("The site is {}; `afloat upgrade cancel` ends the mode once all nodes are on the old release.\n",
             string_or(*asked, "state"));
  return 0;
}

/// The run that waits for a person before it finalizes; 0: none.
std::int64_t held_run(SiteRest& site) {
  auto cluster = site.object("GET", "/rest/afloat/1/cluster");
  const auto id = cluster ? int_or(*cluster, "run") : 0;
  auto run = id > 0 ? site.object("GET", fmt::format("/rest/afloat/1/runs/{}", id)) : Result<json::object>(json::object());
  return run && is_held(*run) ? id : 0;
}

Result<int> finalize(SiteRest& site, const FinalizeOptions& options) {
  if (const auto id = held_run(site); id > 0) {
    auto resumed = site.object("POST", fmt::format("/rest/afloat/1/runs/{}/resume", id), "{}", {.timeout = 30s});
    if (!resumed) return std::unexpected(resumed.error());
    fmt::print("Run {} goes on: it finalizes, and there is no way back.\n", id);
    if (options.wait) return follow_site(site);
    fmt::print("Follow it with `afloat upgrade status --watch`.\n");
    return 0;
  }
  // Narrowing may wait 10 s for writes of the old release.
  auto asked = site.object("POST", "/rest/zdu/approve", {}, {.timeout = 30s});
  if (!asked) return std::unexpected(asked.error());
  fmt::print("Finalizing: the old release can no longer write, and there is no way back.\n");
  return tasks_run(site, options, *asked);
}

Result<int> retry(SiteRest& site, const FinalizeOptions& options) {
  auto asked = site.object("POST", "/rest/zdu/retryUpgrade", {}, {.timeout = 30s});
  if (!asked) return std::unexpected(asked.error());
  fmt::print("The failed upgrade tasks run again.\n");
  auto cluster = site.object("GET", "/rest/afloat/1/cluster");
  if (const auto run = cluster ? int_or(*cluster, "run") : 0; run > 0)
    fmt::print("Upgrade run {} is in charge: if it has paused, let it go on with `afloat upgrade resume`.\n", run);
  return tasks_run(site, options, *asked);
}

}  // namespace

void add_finalize_commands(CLI::App& upgrade, int& exit_code) {
  const auto add = [&](const char* name, const char* about, Result<int> (*verb)(SiteRest&, const FinalizeOptions&)) {
    auto options = std::make_shared<FinalizeOptions>();
    auto* command = upgrade.add_subcommand(name, about);
    options->access.add_options(*command);
    command->add_flag("--wait", options->wait, "Print what happens, return when the site is STABLE");
    command->callback([options, verb, &exit_code] {
      auto site = SiteRest::open(options->access);
      auto code = site ? verb(*site, *options) : Result<int>(std::unexpected(site.error()));
      if (!code) fmt::print(stderr, "{}\n", code.error().message());
      exit_code = code ? *code : code.error().kind() == ErrorKind::invalid_argument ? 2 : 1;
    });
  };
  add("start", "Turn upgrade mode on for an upgrade by hand; `run` does it by itself", start);
  add("finalize", "Approve an upgrade that was made by hand: the upgrade tasks run, and there is no way back",
      finalize);
  add("retry", "Run the upgrade tasks that failed once more", retry);
}

}  // namespace afloat::cli
