#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <thread>

#include "adapters/files/releases.h"
#include "base/json_fields.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/moment.h"
#include "cli/newest_view.h"
#include "cli/plan_way.h"
#include "cli/release_signing.h"
#include "cli/run_desk.h"
#include "cli/site_access.h"
#include "cli/upgrade_view.h"
#include "server/config.h"

namespace afloat::cli {
namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

constexpr auto watch_every = 250ms;
struct UpgradeOptions {
  SiteAccess access{.site = {}};
  std::string to, reason, config, catalogue, at, not_after;
  std::int64_t id = 0;
  bool wait = false, watch = false, no_hold = false, finalize_intermediate = false, no_chain = false, offline = false,
       as_json = false, acknowledge_notes = false;
  double max_load = -1, soak_s = -1;
  std::int64_t failure_budget = -1;
  std::string on_failure, surge;
};

constexpr auto config_help =
    "The site's file: what its nodes are too old to be asked, and all while none answers, goes straight to the "
    "database";
/// While a site is closed, or its database away, nobody answers.
constexpr auto silence_borne = 30min;

/// The site's upgrade runs.
class Site {
 public:
  /// With the site's file, the address may be left out, and the password too: whoever may read it has the database.
  static Result<Site> open(const UpgradeOptions& options) {
    auto access = options.access;
    if (access.site.empty() && !options.config.empty()) {
      auto file = server::load_config(options.config);
      if (!file) return std::unexpected(file.error());
      access.site = file->base_url;
      if (access.ca_file.empty()) access.ca_file = file->tls_ca;
    }
    auto rest = SiteRest::open(access);
    if (!rest && options.config.empty()) return std::unexpected(rest.error());
    return Site(std::move(rest), options.config);
  }

  Result<json::object> call(const std::string& method, const std::string& path, const std::string& body = {}) {
    return object(method, "/rest/afloat/1/runs" + path, body);
  }

  /// Of the run that was named, or of the latest one.
  Result<std::int64_t> run_id(std::int64_t named) {
    if (named > 0) return named;
    auto runs = call("GET", "?limit=1");
    if (!runs && by_desk(runs.error())) {
      auto latest = RunDesk(config_).show(0);
      if (!latest) return std::unexpected(latest.error());
      return int_or(*latest, "id");
    }
    if (!runs) return std::unexpected(runs.error());
    const auto* array = array_at(*runs, "runs");
    if (!array || array->empty())
      return fail(ErrorKind::not_found,
                  "This site has had no upgrade run yet; `afloat upgrade plan --to VERSION` shows one.");
    return int_or(array->front().as_object(), "id");
  }
  Result<json::object> cluster() { return object("GET", "/rest/afloat/1/cluster"); }
  Result<json::object> end_upgrade_mode() { return object("POST", "/rest/zdu/cancel", {}, 30s); }
  Result<json::object> run(std::int64_t id) {
    for (int left = 3;; --left) {
      auto run = call("GET", fmt::format("/{}", id));
      if (!run) return by_desk(run.error()) ? RunDesk(config_).show(id) : run;
      if (left == 0 || !view_.ask_again(*run)) return view_.filled(*std::move(run));
    }
  }
  /// No node answers or can be asked, and the site's file is there: the database can.
  bool by_desk(const Error& error) const {
    return !config_.empty() && (!rest_ || error.kind() == ErrorKind::unavailable);
  }

 private:
  Site(Result<SiteRest> rest, std::string config) : rest_(std::move(rest)), config_(std::move(config)) {}
  Result<json::object> object(const std::string& method, const std::string& path, const std::string& body = {},
                              std::chrono::milliseconds timeout = 10s) {
    if (!rest_) return std::unexpected(rest_.error());
    // Nodes come and go while these commands look on; one that answers is found soon, or the database is asked.
    return rest_->object(method, path, body, {.timeout = timeout, .patience = config_.empty() ? 15s : 3s});
  }
  Result<SiteRest> rest_;
  std::string config_;
  NewestView view_;
};

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

int code_of(const json::object& run) {
  const auto outcome = string_or(run, "outcome");
  return outcome == "done" || outcome == "cancelled" ? 0 : outcome == "preflight_failed" ? 4 : 1;
}

/// Ended, or waiting for a person: the exit code then.
std::optional<int> over(const json::object& run) {
  if (string_or(run, "state") == "paused") return 1;
  return int_or(run, "ended_at_ms") > 0 ? std::optional(code_of(run)) : std::nullopt;
}

/// Asks for the run again and again, while the site is closed or its database away; says so once.
class PatientEye {
 public:
  explicit PatientEye(Site& site) : site_(site) {}
  Result<json::object> run(std::int64_t id) {
    const auto end = std::chrono::steady_clock::now() + silence_borne;
    for (;;) {
      auto run = site_.run(id);
      if (run) told_ = false;
      if (run || run.error().kind() != ErrorKind::unavailable || std::chrono::steady_clock::now() > end) return run;
      if (!std::exchange(told_, true))
        fmt::print(stderr, "{} Waiting; the run goes on by itself.\n", run.error().message());
      std::this_thread::sleep_for(1s);
    }
  }

 private:
  Site& site_;
  bool told_ = false;
};

/// Prints a line as each step begins and ends, until the run has ended or waits for a person.
Result<int> follow(Site& site, std::int64_t id) {
  std::map<std::int64_t, std::string> printed;
  std::string last_message;
  PatientEye eye(site);
  for (;;) {
    auto run = eye.run(id);
    if (!run) return std::unexpected(run.error());
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
    const auto message = string_or(*run, "message");
    if (const auto code = over(*run)) {
      fmt::print("Run {} is {}. {}\n", id, string_or(*run, "state"), message);
      return *code;
    }
    if (!message.empty() && message != last_message) fmt::print("          {}\n", message);
    last_message = message;
    std::fflush(stdout);
    std::this_thread::sleep_for(watch_every);
  }
}

/// The same on a terminal: one picture, drawn again in its place.
Result<int> watch(Site& site, std::int64_t id) {
  if (isatty(STDOUT_FILENO) != 1) return follow(site, id);
  std::ptrdiff_t lines = 0;
  PatientEye eye(site);
  for (;;) {
    auto run = eye.run(id);
    if (!run) return std::unexpected(run.error());
    const auto text = watch_text(*run);
    if (lines > 0) fmt::print("\033[{}A\033[J", lines);
    fmt::print("{}", text);
    std::fflush(stdout);
    lines = std::ranges::count(text, '\n');
    if (const auto code = over(*run)) return *code;
    std::this_thread::sleep_for(watch_every);
  }
}

Result<int> plan(Site& site, const UpgradeOptions& options) {
  auto answer = site.call("GET", "/plan?to=" + url_encode(options.to) + (options.offline ? "&offline=true" : ""));
  if (!answer) return std::unexpected(answer.error());
  if (!answer->contains("verdict")) {
    const auto folder = catalogue_of(options.catalogue, options.config.empty() ? "site.toml" : options.config);
    if (const auto known = files::known_releases(folder))
      find_way(*answer, *known);
    else if (!bool_or(*answer, "possible"))
      fmt::print(stderr,
                 "The site's nodes run {}, which judge a single hop only. Name the catalogue (--catalogue FOLDER, or "
                 "--config site.toml), and the way of several hops is looked for there.\n",
                 string_or(*answer, "from"));
  }
  fmt::print("{}", options.as_json ? json::serialize(*answer) + "\n" : plan_text(*answer));
  if (options.offline && !bool_or(*answer, "offline")) {
    fmt::print(stderr,
               "The site's nodes run {}, which can't plan a run with downtime: the plan above is of one that rolls.\n",
               string_or(*answer, "from"));
    return 1;
  }
  // Nodes of older releases give no verdict; then the failed check says it.
  if (string_or(*answer, "verdict") == "downtime" && !options.offline) return 3;
  return bool_or(*answer, "possible") ? 0 : 4;
}

/// The wishes that differ from what a run does by itself, so that nodes that know fewer of them are not asked in vain.
Result<json::object> wishes_of(const UpgradeOptions& options) {
  // With downtime the site is down while it is held, so it is not.
  json::object wishes{{"hold_before_finalize", !options.no_hold && !options.offline}};
  if (options.offline) wishes["offline"] = true;
  if (options.finalize_intermediate) wishes["finalize_intermediate"] = true;
  if (options.no_chain) wishes["chain"] = false;
  if (options.max_load >= 0) wishes["max_load"] = options.max_load;
  if (options.soak_s >= 0) wishes["soak_ms"] = static_cast<std::int64_t>(options.soak_s * 1000);
  if (options.failure_budget >= 0) wishes["failure_budget"] = options.failure_budget;
  if (!options.on_failure.empty()) wishes["on_failure"] = options.on_failure;
  if (!options.surge.empty()) wishes["surge"] = replace_all(options.surge, "-", "_");
  auto begins = now_ms();
  if (!options.at.empty()) {
    auto at = parse_moment(options.at, begins);
    if (!at) return std::unexpected(at.error());
    wishes["not_before_ms"] = begins = *at;
  }
  if (!options.not_after.empty()) {
    auto end = parse_moment(options.not_after, begins);
    if (!end) return std::unexpected(end.error());
    wishes["not_after_ms"] = *end;
  }
  return wishes;
}

/// A refusal of something that this site's nodes do not know yet.
bool too_new_for_nodes(const Error& error) {
  return error.message().contains("unknown option") || error.kind() == ErrorKind::not_found;
}

Error ask_with_config(const Error& error) {
  return Error(error.kind(), fmt::format("{} The site's nodes are older than this program: give --config site.toml (or "
                                         "AFLOAT_CONFIG), and it is asked for in the database.",
                                         error.message()));
}

Result<json::object> create_run(Site& site, const UpgradeOptions& options) {
  auto wishes = wishes_of(options);
  if (!wishes) return std::unexpected(wishes.error());
  json::object body{{"to", options.to}, {"reason", options.reason}, {"options", *wishes}};
  // Beside the options: nodes of older releases take no notice of it there, but refuse an option that they don't know.
  if (options.acknowledge_notes) body["acknowledge_notes"] = true;
  auto created = site.call("POST", "", json::serialize(body));
  if (created || !created.error().message().contains("unknown option")) return created;
  if (options.config.empty()) return std::unexpected(ask_with_config(created.error()));
  auto read = rollout::parse_options(json::serialize(*wishes));
  if (!read) return std::unexpected(read.error());
  return RunDesk(options.config).create(options.to, options.reason, *read);
}

/// The exit code of a run that its first step, which takes a moment, has refused; nothing where it goes on, or where no
/// conductor has begun it by then.
std::optional<int> refused_at_once(Site& site, std::int64_t id) {
  for (const auto end = std::chrono::steady_clock::now() + 3s; std::chrono::steady_clock::now() < end;) {
    const auto run = site.run(id);
    if (!run) return std::nullopt;
    if (string_or(*run, "state") == "failed") {
      fmt::print(stderr, "Refused: {}\n", string_or(*run, "message"));
      return code_of(*run);
    }
    const auto* steps = array_at(*run, "steps");
    if (steps && !steps->empty() && string_or(steps->back().as_object(), "name") != "preflight") return std::nullopt;
    std::this_thread::sleep_for(100ms);
  }
  return std::nullopt;
}

Result<int> run(Site& site, const UpgradeOptions& options) {
  auto created = create_run(site, options);
  if (!created) return std::unexpected(created.error());
  const auto id = int_or(*created, "id");
  fmt::print("Upgrade run {}: {} to {}\n", id, string_or(*created, "from"), string_or(*created, "to"));
  std::fflush(stdout);
  if (options.acknowledge_notes && !array_at(*created, "notes_acknowledged"))
    fmt::print(
        "The site's nodes run {}, which can't record that the release notes were read; the run goes on without.\n",
        string_or(*created, "from"));
  const auto* given = object_at(*created, "options");
  if (const auto at = given ? int_or(*given, "not_before_ms") : 0; at > 0)
    fmt::print("It begins {}.\n", shown_moment(at));
  if (const auto end = given ? int_or(*given, "not_after_ms") : 0; end > 0)
    fmt::print("No node is begun after {}; it pauses then, between two nodes.\n", shown_moment(end));
  if (!options.wait) {
    if (const auto refused = refused_at_once(site, id)) return *refused;
    fmt::print("Follow it with `afloat upgrade status --watch`; `afloat upgrade cancel` leads back until finalize.\n");
    return 0;
  }
  return follow(site, id);
}

Result<int> status(Site& site, const UpgradeOptions& options) {
  auto id = site.run_id(options.id);
  if (!id) return std::unexpected(id.error());
  if (options.watch) return watch(site, *id);
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

Result<int> signal(Site& site, const UpgradeOptions& options, const std::string& what, RunDesk::Signal kind) {
  auto id = site.run_id(options.id);
  if (!id) return std::unexpected(id.error());
  if (kind == RunDesk::Signal::resume) {
    auto run = site.run(*id);
    if (!run) return std::unexpected(run.error());
    if (is_held(*run))
      return fail(ErrorKind::failed_precondition,
                  fmt::format("Run {} waits before the point of no return. `afloat upgrade finalize` ends it, and then "
                              "there is no way back; `afloat upgrade cancel` leads every node back.",
                              *id));
  }
  auto done = site.call("POST", fmt::format("/{}/{}", *id, what), "{}");
  if (!done && site.by_desk(done.error())) {
    done = RunDesk(options.config).send(kind, *id);
  } else if (!done && too_new_for_nodes(done.error()) && what == "pause") {
    if (options.config.empty()) return std::unexpected(ask_with_config(done.error()));
    done = RunDesk(options.config).send(kind, *id);
  }
  if (!done) return std::unexpected(done.error());
  fmt::print("Run {}: {} was asked for.\n", *id, what);
  if (!options.wait) return 0;
  // The conductor takes it up within a moment; until then the run is as it was.
  std::this_thread::sleep_for(1s);
  return follow(site, *id);
}

/// Of a run; of an upgrade by hand where no run is in charge.
Result<int> cancel(Site& site, const UpgradeOptions& options) {
  auto cluster = site.cluster();
  if (!cluster && site.by_desk(cluster.error())) return signal(site, options, "cancel", RunDesk::Signal::cancel);
  if (!cluster) return std::unexpected(cluster.error());
  const bool by_hand = options.id == 0 && int_or(*cluster, "run") == 0 && string_or(*cluster, "phase") != "STABLE";
  if (!by_hand) return signal(site, options, "cancel", RunDesk::Signal::cancel);
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
    command->add_option("--config", options->config, config_help)->envname("AFLOAT_CONFIG");
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
  planner->add_option("--catalogue", plan_options->catalogue,
                      "Folder of bundles, for sites whose nodes judge single hops only (default: the config's, or "
                      "./catalogue)");
  planner->add_flag("--offline", plan_options->offline, "Of a run with downtime, and how long the site will be closed");
  planner->add_flag("--json", plan_options->as_json, "As REST gives it");

  auto [runner, run_options] = add("run", "Start an upgrade run; the conductor carries it out", run);
  runner->add_option("--to", run_options->to, "Target version")->required();
  runner->add_option("--reason", run_options->reason, "Kept with the run");
  runner->add_flag("--wait", run_options->wait, "Print each step, return when the run has ended");
  runner->add_flag("--acknowledge-notes", run_options->acknowledge_notes,
                   "You have read the release notes (`upgrade notes`); recorded with your name");
  runner->add_flag("--no-hold", run_options->no_hold,
                   "Finalize at once; otherwise the run waits for `upgrade finalize`, and can still be cancelled (one "
                   "with --offline does not wait, for the site is closed)");
  runner->add_flag("--finalize-intermediate", run_options->finalize_intermediate,
                   "Of more than one hop: finalize all but the last without waiting");
  runner->add_flag("--no-chain", run_options->no_chain, "Refuse a target that takes more than one hop");
  runner->add_flag(
      "--offline", run_options->offline,
      "With downtime: all nodes down together behind the balancer's maintenance page, for what can't roll");
  runner->add_option("--at", run_options->at, "Begin then: 03:00, \"2026-11-26 03:00\", +2h");
  runner->add_option("--not-after", run_options->not_after, "Begin no further node after that time: 05:00, +3h");
  runner
      ->add_option("--soak", run_options->soak_s, "Seconds for which each new node is compared with the others; 0: not")
      ->check(CLI::Range(0.0, 86'400.0));
  runner->add_option("--on-failure", run_options->on_failure, "pause (default) or cancel: lead every node back")
      ->check(CLI::IsMember({"pause", "cancel"}));
  runner
      ->add_option("--surge", run_options->surge,
                   "A node more for as long as it lasts (the conductor's --surge-node): never, when-needed (default: "
                   "where the others could not carry the load), always")
      ->check(CLI::IsMember({"never", "when-needed", "always"}));
  runner
      ->add_option("--failure-budget", run_options->failure_budget,
                   "So many failures of the whole run are tried again without asking")
      ->check(CLI::Range(0, 100));
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
      add("cancel", "Lead every upgraded node back and turn upgrade mode off; possible until finalize", cancel);
  canceller->add_option("--id", cancel_options->id, "Number of the run");
  canceller->add_flag("--wait", cancel_options->wait, "Print each step, return when the run has ended");

  auto [resumer, resume_options] =
      add("resume", "Let a paused run go on", [](Site& site, const UpgradeOptions& options) {
        return signal(site, options, "resume", RunDesk::Signal::resume);
      });
  resumer->add_option("--id", resume_options->id, "Number of the run");
  resumer->add_flag("--wait", resume_options->wait, "Print each step, return when the run has ended");

  auto [pauser, pause_options] = add(
      "pause", "Let a run wait between two steps; a node that is away comes back first",
      [](Site& site, const UpgradeOptions& options) { return signal(site, options, "pause", RunDesk::Signal::pause); });
  pauser->add_option("--id", pause_options->id, "Number of the run");

  add_history_command(*upgrade, exit_code);
  add_path_commands(*upgrade, exit_code);
  add_notes_command(*upgrade, exit_code);
  add_finalize_commands(*upgrade, exit_code);
  add_expand_command(*upgrade, exit_code);
}

}  // namespace afloat::cli
