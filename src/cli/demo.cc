#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <filesystem>
#include <memory>

#include "base/hash.h"
#include "base/json_fields.h"
#include "base/text.h"
#include "cli/by_hand.h"
#include "cli/commands.h"
#include "cli/demo_checks.h"
#include "cli/load.h"
#include "cli/release_signing.h"
#include "cli/report.h"
#include "cli/stage.h"
#include "local/site.h"
#include "server/by_hand.h"

namespace afloat::cli {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using namespace std::chrono_literals;
using std::chrono::seconds;

struct DemoOptions {
  std::string from, to, catalogue = "catalogue", content, report = "report", data;
  std::string space = "PG", space_name = "PostgreSQL 15";
  std::vector<std::string> trusted_keys;  ///< as the command line names them, then as site.toml does
  int nodes = 3;
  double rate = 400;
  int users = 50;
  int seconds_before = 20, seconds_after = 20;
  std::optional<int> base_port;
  bool keep = false, hands_on = false, small = false;
  std::string show;  ///< "checks": another demo
};

/// One demo: a site, people on it, an upgrade, and what became of every request. Each stage either
/// succeeds or says why not; whatever was started is stopped by the destructors, the load before the site.
class Demo {
 public:
  explicit Demo(DemoOptions options) : options_(std::move(options)), watched_(options_.from, options_.to) {}

  Result<bool> run() {
    greet();
    if (auto done = start_site(); !done) return std::unexpected(done.error());
    if (auto done = import_content(); !done) return evidence(done.error());
    if (auto done = start_load(); !done) return evidence(done.error());
    if (auto done = wait_quietly("Look at the site as it is, for comparison", options_.seconds_before); !done)
      return evidence(done.error());
    if (auto done = show_refusal(); !done) return evidence(done.error());
    auto upgraded = options_.hands_on ? await_person() : upgrade();
    // What became of the requests is told after a failed upgrade as well: that is when one wants to know.
    Result<void> after;
    if (upgraded) after = wait_quietly("Look at the upgraded site", options_.seconds_after);
    if (interrupted()) return fail(ErrorKind::unavailable, "interrupted");
    if (auto done = stop_load(); !done) return evidence(done.error());
    auto good = verify_and_report();
    if (!upgraded) return evidence(upgraded.error());
    if (!after) return evidence(after.error());
    if (!good) return evidence(good.error());
    if (options_.keep) hold();
    stages_.begin("Stop the site", "2 s");
    site_->stop();
    stages_.end();
    return *good;
  }

 private:
  void greet() {
    fmt::print("{}\n", stages_.bold(fmt::format("Afloat: {} nodes go from {} to {} while people work on them",
                                                options_.nodes, options_.from, options_.to)));
    fmt::print("{}\n", stages_.dim(fmt::format("{:.0f} requests a second by {} users; about {} minutes in all",
                                               options_.rate, options_.users, options_.small ? 1 : 2)));
    std::fflush(stdout);
  }

  Result<void> start_site() {
    stages_.begin(fmt::format("Start a site of {} nodes with {}", options_.nodes, options_.from), "5 s");
    local::SiteOptions site;
    site.dir = options_.data;
    site.catalogue = options_.catalogue;
    site.nodes = options_.nodes;
    site.base_port = options_.base_port;
    site.conductor = true;
    site.trusted_keys = options_.trusted_keys;
    site.say = [this](const std::string& text) { stages_.passing(text); };
    auto made = local::Site::create(std::move(site));
    if (!made) return std::unexpected(made.error());
    site_ = std::move(*made);
    if (auto started = site_->start_nodes(options_.from); !started) return started;
    stages_.good(fmt::format("{}   user admin, password {}", site_->url(), site_->admin_password()));
    for (const auto& node : site_->nodes()) stages_.line(stages_.dim(fmt::format("{}  {}", node.name, node.url())));
    stages_.line("Watch it: sign in there, read, write; the page's last line names the node that answered.");
    stages_.end();
    return {};
  }

  Result<void> import_content() {
    stages_.begin("Import the PostgreSQL manual", options_.small ? "10 s" : "15 s");
    auto lines = show({"import", "html", options_.content, "--space", options_.space, "--name", options_.space_name,
                       "--config", site_->config()},
                      {}, 10min);
    if (!lines) return std::unexpected(lines.error());
    stages_.end();
    return {};
  }

  Result<void> start_load() {
    stages_.begin(fmt::format("{} users begin to work: {:.0f} requests a second", options_.users, options_.rate),
                  "15 s");
    ledger_ = options_.report + "/ledger";
    fs::remove_all(ledger_);
    for (const auto& file : {stop_file(), ready_file()}) fs::remove(file);
    local::ProcessOptions load;
    load.argv = {local::own_program(),
                 "load",
                 "--site",
                 site_->url(),
                 "--rate",
                 fmt::format("{}", options_.rate),
                 "--users",
                 std::to_string(options_.users),
                 "--space",
                 options_.space,
                 "--ledger",
                 ledger_,
                 "--seconds",
                 "7200",
                 "--until-file",
                 stop_file(),
                 "--ready-file",
                 ready_file(),
                 "--quiet"};
    load.env = site_->credentials();
    load.log = options_.report + "/load.log";
    fs::remove(load.log);
    auto process = local::Process::start(load);
    if (!process) return std::unexpected(process.error());
    load_ = std::move(*process);
    const auto end = std::chrono::steady_clock::now() + 180s;
    while (!fs::exists(ready_file())) {
      if (!load_.running())
        return fail(ErrorKind::internal, "the load did not begin; it said:\n" + load_.last_lines(15));
      if (std::chrono::steady_clock::now() > end)
        return fail(ErrorKind::deadline_exceeded,
                    "the load did not begin within 3 minutes; it said:\n" + load_.last_lines(15));
      if (!pause_for(50ms)) return fail(ErrorKind::unavailable, "interrupted");
    }
    stages_.line("They view, search, create and edit pages, upload and download. Not one request is repeated.");
    stages_.end();
    return {};
  }

  Result<void> wait_quietly(const std::string& title, int time) {
    stages_.begin(title, fmt::format("{} s", time));
    for (int left = time; left > 0; --left) {
      stages_.passing(fmt::format("{} s left", left));
      if (!pause_for(1s)) return fail(ErrorKind::unavailable, "interrupted");
      if (!load_.running())
        return fail(ErrorKind::internal, "the load ended in the middle; it said:\n" + load_.last_lines(15));
    }
    stages_.end();
    return {};
  }

  /// A node of the next release that comes too early: a person forgot to switch upgrade mode on.
  Result<void> show_refusal() {
    stages_.begin(fmt::format("A node with {} tries to join before upgrade mode is on", options_.to), "1 s");
    const auto folder = site_->dir() + "/newcomer";
    fs::remove_all(folder);
    if (auto made = local::make_folders(folder + "/data"); !made) return made;
    auto unpacked = local::run_checked(
        {.argv = {"tar", "--zstd", "-xf", fmt::format("{0}/{1}/afloat-{1}.tar.zst", options_.catalogue, options_.to),
                  "-C", folder}});
    if (!unpacked) return std::unexpected(unpacked.error());
    auto nodes = site_->nodes();
    local::SiteNode newcomer{
        .name = "newcomer", .host = nodes.front().host, .port = site_->spare_port(), .data = folder};
    nodes.push_back(newcomer);
    if (auto written = local::write_file(folder + "/site.toml", site_->site_toml(nodes), 0600); !written)
      return written;
    auto tried = site_->afloat_of(folder + "/bin/afloat",
                                  {"serve", "--config", folder + "/site.toml", "--node", "newcomer"}, 30s);
    if (!tried) return std::unexpected(tried.error());
    std::string words;
    for (const auto& line : split(tried->output, '\n')) {
      auto entry = parse_json_object(line, "a line of the log");
      if (entry && string_or(*entry, "event") == "start_failed") words = string_or(*entry, "message");
      if (words.empty() && !trim(line).empty()) words = std::string(trim(line));
    }
    if (tried->exit_code != 78)
      return fail(ErrorKind::internal,
                  fmt::format("a node with {} was not refused (exit code {}, expected 78); it said:\n{}", options_.to,
                              tried->exit_code, tried->output));
    stages_.good("refused, as it must be (exit code 78):");
    stages_.line(words);
    stages_.end();
    return {};
  }

  Result<void> upgrade() {
    stages_.begin(fmt::format("Upgrade from {} to {}", options_.from, options_.to),
                  fmt::format("{} s", 3 + 3 * options_.nodes));
    auto ran = show({"upgrade", "run", "--to", options_.to, "--acknowledge-notes", "--no-hold", "--wait"},
                    site_->credentials(), 10min);
    if (!ran) return std::unexpected(ran.error());
    stages_.end();
    return {};
  }

  /// Leaves the upgrade to the person, and notices when it is done.
  Result<void> await_person() {
    stages_.begin("Now it is your turn", "as long as you like");
    const auto script = site_->dir() + "/by-hand.sh";
    const auto config = server::load_config(site_->config());
    if (!config) return std::unexpected(config.error());
    const auto text = server::by_hand_script(
        *config, {site_->url(), "admin", site_->admin_password(), options_.from, options_.to, local::own_program()});
    if (auto written = local::write_file(script, text, 0600); !written) return written;
    const auto console = site_->url() + "/admin/upgrade";
    stages_.line(
        stages_.bold(fmt::format("In your browser: {}   user admin, password {}", console, site_->admin_password())));
    if (get("/admin/upgrade").status == 200) {
      stages_.line(
          "Plan your upgrade, read the release notes, start; watch the nodes; at the end the run waits for you:");
      stages_.line("Run upgrade tasks and finalize upgrade. Nothing else is needed.");
    } else {
      stages_.line(fmt::format("{} has no console yet, {} has: begin in the terminal. From the first upgraded node on,",
                               options_.from, options_.to));
      stages_.line("that page shows the rest and finalizes; where an old node answers it with 404, load it again.");
    }
    stages_.line("");
    stages_.line(stages_.bold("Or in another terminal, in bash:"));
    stages_.line(fmt::format("  source {}         # short functions; read them first", script));
    stages_.line("");
    stages_.line(stages_.bold("Then with the conductor:"));
    stages_.line("  afloat upgrade run --to $new --acknowledge-notes --no-hold --wait");
    stages_.line("");
    stages_.line(stages_.bold("Or by hand (needs curl and jq):"));
    stages_.line("  phase                          # STABLE");
    stages_.line("  mode_on                        # READY_TO_UPGRADE");
    for (const auto& node : site_->nodes())
      stages_.line(fmt::format("  replace {} $new            # drain, stop, switch, start, ready", node.name));
    stages_.line("  phase                          # READY_TO_RUN_UPGRADE_TASKS");
    stages_.line("  afloat upgrade finalize --wait # no way back from here; STABLE");
    stages_.line("");
    stages_.line("The demo goes on by itself once the site is STABLE on the new release. Ctrl-C ends it.");
    for (;;) {
      const auto state = ask("/rest/zdu/cluster");
      const auto now = std::chrono::system_clock::now().time_since_epoch();
      watched_.see(std::chrono::duration_cast<std::chrono::milliseconds>(now).count(), state);
      if (const auto phase = string_or(state, "state"); !phase.empty())
        stages_.passing(fmt::format("the site is {}", phase));
      if (watched_.arrived()) break;
      if (!load_.running())
        return fail(ErrorKind::internal, "the load ended in the middle; it said:\n" + load_.last_lines(15));
      if (!pause_for(100ms)) return fail(ErrorKind::unavailable, "interrupted");
    }
    stages_.good(fmt::format("the site is STABLE on {}", options_.to));
    stages_.end();
    return {};
  }

  Result<void> stop_load() {
    stages_.begin("The users go home", "5 s");
    if (auto told = local::write_file(stop_file(), ""); !told) return told;
    const auto ended = load_.wait(60s);
    if (!ended)
      return fail(ErrorKind::deadline_exceeded,
                  "the load did not end within a minute; it said:\n" + load_.last_lines(15));
    load_exit_code_ = *ended;
    stages_.end();
    return {};
  }

  Result<bool> verify_and_report() {
    stages_.begin("Read every acknowledged write back, from each node", "10 s");
    auto ledger = read_ledger(ledger_);
    if (!ledger) return std::unexpected(ledger.error());
    VerifyOptions verify;
    for (const auto& node : site_->nodes()) verify.nodes.push_back(node.url());
    verify.admin_password = site_->admin_password();
    auto verified = verify_ledger(*ledger, verify);
    if (!verified) return std::unexpected(verified.error());
    if (auto written = local::write_file(options_.report + "/verify.json", to_json(*verified)); !written)
      return std::unexpected(written.error());
    stages_.line(fmt::format("{} writes were acknowledged; {} are there on every node", verified->acknowledged,
                             verified->verified));
    stages_.end();

    stages_.begin("Report", "2 s");
    const auto run_file = options_.report + "/run.json";
    if (auto written = local::write_file(run_file, json::serialize(latest_run())); !written)
      return std::unexpected(written.error());
    auto report = write_report(run_file, ledger_, options_.report + "/verify.json", options_.report);
    if (!report) return std::unexpected(report.error());
    const auto state = ask("/rest/zdu/cluster");
    const bool arrived = string_or(state, "state") == "STABLE" && all_on(state, options_.to);
    fmt::print("\n{}\n", report_text(*report, stages_.colour()));
    stages_.line(fmt::format("{0}/report.html    {0}/report.json", options_.report));
    bool good = string_or(*report, "outcome") == "succeeded";
    if (options_.hands_on && string_or(*report, "outcome") != "failed") good = true;
    if (!arrived) {
      stages_.bad(fmt::format("the site is not STABLE with every node on {}: {}", options_.to, json::serialize(state)));
      good = false;
    }
    if (!verified->good()) good = false;
    if (load_exit_code_ != 0) {
      stages_.bad(
          fmt::format("the load ended with exit code {}; its last words:\n{}", load_exit_code_, load_.last_lines(8)));
      good = false;
    }
    return good;
  }

  void hold() {
    stages_.begin("The site stays until Ctrl-C", "");
    stages_.good(fmt::format("{}   user admin, password {}", site_->url(), site_->admin_password()));
    while (!interrupted()) pause_for(1h);
  }

  /// The error with what helps to understand it: copies of the logs beside the report.
  std::unexpected<Error> evidence(Error error) {
    if (!interrupted() && site_) {
      const auto folder = options_.report + "/evidence";
      std::error_code ignored;
      fs::remove_all(folder, ignored);
      fs::create_directories(folder, ignored);
      fs::copy(site_->dir() + "/logs", folder, fs::copy_options::recursive, ignored);
      for (const auto& node : site_->nodes())
        fs::copy_file(node.data + "/log", folder + "/" + node.name + ".log", ignored);
      stages_.line("logs of this run: " + folder);
    }
    return std::unexpected(std::move(error));
  }

  /// As the administrator; status 0 where nobody answered.
  http::Response get(const std::string& path) {
    http::ClientRequest request;
    request.url = site_->url() + path;
    request.user = "admin";
    request.password = site_->admin_password();
    auto answer = site_->client().send_blocking(std::move(request), 5s);
    if (answer) return std::move(*answer);
    http::Response nobody;
    nobody.status = 0;
    return nobody;
  }

  json::object ask(const std::string& path) {
    const auto answer = get(path);
    if (answer.status != 200) return {};
    auto parsed = parse_json_object(*answer.body, path);
    return parsed ? std::move(*parsed) : json::object();
  }

  static bool all_on(const json::object& cluster, const std::string& version) {
    const auto* nodes = array_at(cluster, "nodes");
    if (!nodes || nodes->empty()) return false;
    for (const auto& node : *nodes)
      if (!node.is_object() || string_or(node.as_object(), "version") != version) return false;
    return true;
  }

  /// The newest run with its journal; what is known without one after an upgrade by hand.
  json::object latest_run() {
    const auto list = ask("/rest/afloat/1/runs");
    const auto* runs = array_at(list, "runs");
    if (runs && !runs->empty() && runs->front().is_object()) {
      const auto id = optional_string(runs->front().as_object(), "id");
      auto run = id && *id ? ask("/rest/afloat/1/runs/" + **id) : json::object();
      if (!run.empty()) return run;
    }
    return watched_.run();
  }

  /// Runs one of our own commands with its words on our stdout.
  Result<void> show(std::vector<std::string> args, std::map<std::string, std::string> env,
                    std::chrono::milliseconds limit) {
    auto known = site_->credentials();
    env.merge(known);
    local::ProcessOptions command;
    const auto name = args[0];
    command.argv = {local::own_program()};
    command.argv.insert(command.argv.end(), args.begin(), args.end());
    command.env = std::move(env);
    command.folder = fs::current_path().string();
    stages_.passing("");
    auto process = local::Process::start(command);
    if (!process) return std::unexpected(process.error());
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!process->wait(50ms)) {
      if (interrupted()) return fail(ErrorKind::unavailable, "interrupted");
      if (std::chrono::steady_clock::now() > end)
        return fail(ErrorKind::deadline_exceeded,
                    fmt::format("`afloat {}` took more than {} minutes", name,
                                std::chrono::duration_cast<std::chrono::minutes>(limit).count()));
    }
    if (*process->exit_code() != 0)
      return fail(ErrorKind::internal,
                  fmt::format("`afloat {}` ended with exit code {}", join(args, " "), *process->exit_code()));
    return {};
  }

  std::string stop_file() const { return options_.report + "/stop-load"; }
  std::string ready_file() const { return options_.report + "/load-ready"; }

  DemoOptions options_;
  WatchedUpgrade watched_;  // for --hands-on
  Stages stages_;
  std::unique_ptr<local::Site> site_;
  std::string ledger_;
  local::Process load_;  // after the site: it is stopped before
  int load_exit_code_ = 0;
};

/// Public keys as site.toml names them.
Result<std::vector<std::string>> keys_of(const std::vector<std::string>& given) {
  std::vector<std::string> texts;
  if (given.empty()) return texts;
  auto keys = trusted_keys_of(given, "");
  if (!keys) return std::unexpected(keys.error());
  for (const auto& key : *keys) texts.push_back(minisign::public_key_text(key));
  return texts;
}

Result<bool> run_checks_demo(const DemoOptions& options) {
  if (!fs::exists(options.catalogue + "/" + options.to + "/manifest.json"))
    return fail(ErrorKind::not_found,
                fmt::format("the catalogue {} has no release {}: ./run demo makes it", options.catalogue, options.to));
  auto keys = keys_of(options.trusted_keys);
  if (!keys) return std::unexpected(keys.error());
  return show_checks({options.to, fs::canonical(options.catalogue).string(), options.data, std::move(*keys)});
}

Result<bool> run_demo(DemoOptions options) {
  if (options.show == "checks") return run_checks_demo(options);
  if (options.from.empty() || options.content.empty())
    return fail(ErrorKind::invalid_argument, "--from and --content are needed: ./run demo gives both");
  if (options.small) {
    options.seconds_before = std::min(options.seconds_before, 8);
    options.seconds_after = std::min(options.seconds_after, 5);
  }
  if (auto made = local::make_folders(options.report); !made) return std::unexpected(made.error());
  options.report = fs::canonical(options.report).string();
  for (const auto& version : {options.from, options.to})
    if (!fs::exists(options.catalogue + "/" + version + "/manifest.json"))
      return fail(ErrorKind::not_found,
                  fmt::format("the catalogue {} has no release {}: ./run demo makes both", options.catalogue, version));
  options.catalogue = fs::canonical(options.catalogue).string();
  if (!fs::is_directory(options.content))
    return fail(ErrorKind::not_found, fmt::format("--content {}: there is no such folder", options.content));
  options.content = fs::canonical(options.content).string();
  auto keys = keys_of(options.trusted_keys);
  if (!keys) return std::unexpected(keys.error());
  options.trusted_keys = std::move(*keys);
  return Demo(std::move(options)).run();
}

}  // namespace

void add_demo_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<DemoOptions>();
  auto* command =
      app.add_subcommand("demo", "Upgrade a site on this machine under load, and account for every request");
  command->add_option("--from", options->from, "Release to start with");
  command->add_option("--to", options->to, "Release to upgrade to")->required();
  command->add_option("--catalogue", options->catalogue, "Folder of release bundles")->capture_default_str();
  command->add_option("--content", options->content, "Folder of HTML to import");
  command->add_option("--space", options->space, "Space for it")->capture_default_str();
  command->add_option("--space-name", options->space_name, "Its name")->capture_default_str();
  command->add_option("--nodes", options->nodes, "How many nodes")->check(CLI::Range(1, 25))->capture_default_str();
  command->add_option("--rate", options->rate, "Requests per second")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--users", options->users, "Signed-in users")->check(CLI::PositiveNumber)->capture_default_str();
  command->add_option("--trusted-key", options->trusted_keys,
                      "Public key or .pub file; with it, releases must be signed by it");
  command->add_option("--report", options->report, "Folder for the report")->capture_default_str();
  command->add_option("--data", options->data, "Folder of the site (default: a temporary one)");
  command->add_option("--base-port", options->base_port, "Port of the balancer (default: a free one)");
  command->add_option("--seconds-before", options->seconds_before, "Load before the upgrade")->capture_default_str();
  command->add_option("--seconds-after", options->seconds_after, "Load after it")->capture_default_str();
  command->add_flag("--keep", options->keep, "Keep the site until Ctrl-C");
  command->add_flag("--hands-on", options->hands_on, "Leave the upgrade to you");
  command->add_option("--show", options->show, "Another demo: checks, a site with much wrong and what is found of it")
      ->check(CLI::IsMember({"checks"}));
  command->add_flag("--small", options->small, "Shorter windows, for a quick look");
  command->callback([options, &exit_code] {
    init_crypto();
    catch_interrupts();
    auto good = run_demo(*options);
    if (!good) {
      fmt::print(stderr, "\nThe demo stopped: {}\n", good.error().message());
      exit_code = 1;
    } else if (!*good) {
      fmt::print(stderr, "\nThe demo ran to its end, but {}.\n",
                 options->show.empty() ? "the promise was not kept: see the report" : "not all of it was found");
      exit_code = 1;
    }
  });
}

}  // namespace afloat::cli
