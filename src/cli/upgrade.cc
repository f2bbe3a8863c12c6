#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <thread>

#include "base/json_fields.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/site_access.h"
#include "cli/upgrade_view.h"

namespace afloat::cli {
namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

constexpr auto watch_every = 250ms;
struct UpgradeOptions {
  SiteAccess access{.site = {}};
  std::string to, reason;
  std::int64_t id = 0;
  bool wait = false, watch = false, hold = false, as_json = false;
  double max_load = -1;
};

/// The site's upgrade runs.
class Site {
 public:
  static Result<Site> open(const UpgradeOptions& options) {
    auto rest = SiteRest::open(options.access);
    if (!rest) return std::unexpected(rest.error());
    return Site(*std::move(rest));
  }

  Result<json::object> call(const std::string& method, const std::string& path, const std::string& body = {}) {
    // Nodes come and go while these commands look on; one that answers is found soon.
    return rest_.object(method, "/rest/afloat/1/runs" + path, body, {.timeout = 10s, .patience = 15s});
  }

  /// Of the run that was named, or of the latest one.
  Result<std::int64_t> run_id(std::int64_t named) {
    if (named > 0) return named;
    auto runs = call("GET", "?limit=1");
    if (!runs) return std::unexpected(runs.error());
    const auto* array = array_at(*runs, "runs");
    if (!array || array->empty())
      return fail(ErrorKind::not_found,
                  "This site has had no upgrade run yet; `afloat upgrade plan --to VERSION` shows one.");
    return int_or(array->front().as_object(), "id");
  }
  Result<json::object> cluster() {
    return rest_.object("GET", "/rest/afloat/1/cluster", {}, {.timeout = 10s, .patience = 15s});
  }
  Result<json::object> end_upgrade_mode() { return rest_.object("POST", "/rest/zdu/cancel", {}, {.timeout = 30s}); }
  Result<json::object> run(std::int64_t id) { return call("GET", fmt::format("/{}", id)); }

 private:
  explicit Site(SiteRest rest) : rest_(std::move(rest)) {}
  SiteRest rest_;
};

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

int code_of(const json::object& run) {
  const auto outcome = string_or(run, "outcome");
  return outcome == "done" || outcome == "cancelled" ? 0 : outcome == "preflight_failed" ? 4 : 1;
}

/// Prints a line as each step begins and ends, until the run has ended or waits for a person.
Result<int> follow(Site& site, std::int64_t id, bool bar) {
  bar = bar && isatty(STDOUT_FILENO) == 1;
  std::map<std::int64_t, std::string> printed;
  std::string last_message;
  for (;;) {
    auto run = site.run(id);
    if (!run) return std::unexpected(run.error());
    if (bar) fmt::print("\r\033[K");
    if (const auto* steps = array_at(*run, "steps")) {
      for (const auto& value : *steps) {
        const auto& step = value.as_object();
        const auto state = string_or(step, "state") + std::to_string(int_or(step, "attempt"));
        auto& seen = printed[int_or(step, "seq")];
        if (seen == state) continue;
        seen = state;
        fmt::print("{}\n", step_line(*run, step));
      }
    }
    const auto state = string_or(*run, "state");
    const auto message = string_or(*run, "message");
    if (int_or(*run, "ended_at_ms") > 0 || state == "paused") {
      fmt::print("Run {} is {}. {}\n", id, state, message);
      return state == "paused" ? 1 : code_of(*run);
    }
    if (bar)
      fmt::print("{}", progress_line(*run, now_ms()));
    else if (!message.empty() && message != last_message)
      fmt::print("          {}\n", message);
    last_message = message;
    std::fflush(stdout);
    std::this_thread::sleep_for(watch_every);
  }
}

Result<int> plan(Site& site, const UpgradeOptions& options) {
  auto answer = site.call("GET", "/plan?to=" + url_encode(options.to));
  if (!answer) return std::unexpected(answer.error());
  fmt::print("{}", options.as_json ? json::serialize(*answer) + "\n" : plan_text(*answer));
  return bool_or(*answer, "possible") ? 0 : 4;
}

Result<int> run(Site& site, const UpgradeOptions& options) {
  json::object wishes;
  if (options.hold) wishes["hold_before_finalize"] = true;
  if (options.max_load >= 0) wishes["max_load"] = options.max_load;
  auto created = site.call(
      "POST", "", json::serialize(json::object{{"to", options.to}, {"reason", options.reason}, {"options", wishes}}));
  if (!created) return std::unexpected(created.error());
  const auto id = int_or(*created, "id");
  fmt::print("Upgrade run {}: {} to {}\n", id, string_or(*created, "from"), string_or(*created, "to"));
  if (!options.wait) {
    fmt::print("Follow it with `afloat upgrade status --watch`; `afloat upgrade cancel` leads back until finalize.\n");
    return 0;
  }
  return follow(site, id, false);
}

Result<int> status(Site& site, const UpgradeOptions& options) {
  auto id = site.run_id(options.id);
  if (!id) return std::unexpected(id.error());
  if (options.watch) return follow(site, *id, true);
  auto run = site.run(*id);
  if (!run) return std::unexpected(run.error());
  fmt::print("{}", options.as_json ? json::serialize(*run) + "\n" : status_text(*run));
  return 0;
}

Result<int> report(Site& site, const UpgradeOptions& options) {
  auto id = site.run_id(options.id);
  if (!id) return std::unexpected(id.error());
  auto run = site.run(*id);
  if (!run) return std::unexpected(run.error());
  fmt::print("{}", options.as_json ? json::serialize(*run) + "\n" : report_text(*run));
  return int_or(*run, "ended_at_ms") > 0 ? code_of(*run) : 0;
}

Result<int> signal(Site& site, const UpgradeOptions& options, const std::string& what) {
  auto id = site.run_id(options.id);
  if (!id) return std::unexpected(id.error());
  auto done = site.call("POST", fmt::format("/{}/{}", *id, what), "{}");
  if (!done) return std::unexpected(done.error());
  fmt::print("Run {}: {} was asked for.\n", *id, what);
  if (!options.wait) return 0;
  // The conductor takes it up within a moment; until then the run is as it was.
  std::this_thread::sleep_for(1s);
  return follow(site, *id, false);
}

/// Of a run; of an upgrade by hand where no run is in charge.
Result<int> cancel(Site& site, const UpgradeOptions& options) {
  auto cluster = site.cluster();
  if (!cluster) return std::unexpected(cluster.error());
  const bool by_hand = options.id == 0 && int_or(*cluster, "run") == 0 && string_or(*cluster, "phase") != "STABLE";
  if (!by_hand) return signal(site, options, "cancel");
  if (auto done = site.end_upgrade_mode(); !done) return std::unexpected(done.error());
  fmt::print("Upgrade mode is off: the upgrade by hand is cancelled.\n");
  return 0;
}

using Verb = Result<int> (*)(Site&, const UpgradeOptions&);

}  // namespace

void add_upgrade_commands(CLI::App& app, int& exit_code) {
  auto* upgrade = app.add_subcommand("upgrade", "Upgrade a site without downtime");
  upgrade->require_subcommand(1);
  const auto add = [&](const char* name, const char* about, Verb verb) {
    auto options = std::make_shared<UpgradeOptions>();
    auto* command = upgrade->add_subcommand(name, about);
    options->access.add_options(*command);
    command->callback([options, verb, &exit_code] {
      auto site = Site::open(*options);
      auto code = site ? verb(*site, *options) : Result<int>(std::unexpected(site.error()));
      if (!code) fmt::print(stderr, "{}\n", code.error().message());
      exit_code = code ? *code : code.error().kind() == ErrorKind::invalid_argument ? 2 : 1;
    });
    return std::pair(command, options);
  };

  auto [planner, plan_options] = add("plan", "Checks, and every step per node; changes nothing", plan);
  planner->add_option("--to", plan_options->to, "Target version")->required();
  planner->add_flag("--json", plan_options->as_json, "As REST gives it");

  auto [runner, run_options] = add("run", "Start an upgrade run; the conductor carries it out", run);
  runner->add_option("--to", run_options->to, "Target version")->required();
  runner->add_option("--reason", run_options->reason, "Kept with the run");
  runner->add_flag("--wait", run_options->wait, "Print each step, return when the run has ended");
  runner->add_flag("--hold", run_options->hold, "Wait for `upgrade resume` before finalize");
  runner->add_option("--max-load", run_options->max_load, "Highest load of the other nodes, 0 to 1; 0: no limit")
      ->check(CLI::Range(0.0, 1.0));

  auto [shower, status_options] = add("status", "The latest run, or --id N", status);
  shower->add_option("--id", status_options->id, "Number of the run");
  shower->add_flag("--watch", status_options->watch, "Follow it with a progress bar");
  shower->add_flag("--json", status_options->as_json, "As REST gives it");

  auto [reporter, report_options] = add("report", "What a run did, with its figures", report);
  reporter->add_option("--id", report_options->id, "Number of the run");
  reporter->add_flag("--json", report_options->as_json, "As REST gives it");

  auto [canceller, cancel_options] =
      add("cancel", "Lead every upgraded node back and turn upgrade mode off; possible until finalize",
          cancel);
  canceller->add_option("--id", cancel_options->id, "Number of the run");
  canceller->add_flag("--wait", cancel_options->wait, "Print each step, return when the run has ended");

  auto [resumer, resume_options] =
      add("resume", "Let a paused run go on",
          [](Site& site, const UpgradeOptions& options) { return signal(site, options, "resume"); });
  resumer->add_option("--id", resume_options->id, "Number of the run");
  resumer->add_flag("--wait", resume_options->wait, "Print each step, return when the run has ended");

  add_finalize_commands(*upgrade, exit_code);
  add_expand_command(*upgrade, exit_code);
}

}  // namespace afloat::cli
