#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdlib>
#include <fstream>
#include <memory>

#include "base/json_fields.h"
#include "cli/commands.h"
#include "cli/load.h"
#include "cli/report.h"

namespace afloat::cli {
namespace {

struct Arguments {
  LoadOptions load;
  VerifyOptions verify;
  std::string ledger;
  std::string verify_file, run_file, report_folder;
};

/// Passwords come from the environment, so that no process list shows them.
std::string password_from_environment() {
  const char* password = std::getenv("AFLOAT_PASSWORD");
  return password ? password : "";
}
std::string user_from_environment() {
  const char* user = std::getenv("AFLOAT_USER");
  return user && *user ? user : "admin";
}

int load_now(LoadOptions options) {
  options.admin_password = password_from_environment();
  auto summary = run_load(options);
  if (!summary) {
    fmt::print(stderr, "{}\n", summary.error().message());
    return 1;
  }
  fmt::print("{} requests due, {} sent, {} late, {} failed; {} writes acknowledged; ledger in {}\n",
             summary->counters.offered, summary->counters.sent, summary->counters.late, summary->failed,
             summary->acknowledged, options.ledger);
  for (const auto& reason : summary->reasons) fmt::print(stderr, "not good: {}\n", reason);
  return summary->reasons.empty() ? 0 : 1;
}

int verify_now(const Arguments& arguments) {
  auto options = arguments.verify;
  options.admin_password = password_from_environment();
  auto ledger = read_ledger(arguments.ledger);
  if (!ledger) {
    fmt::print(stderr, "{}\n", ledger.error().message());
    return 1;
  }
  auto report = verify_ledger(*ledger, options);
  if (!report) {
    fmt::print(stderr, "{}\n", report.error().message());
    return 1;
  }
  if (!arguments.verify_file.empty()) {
    std::ofstream out(arguments.verify_file);
    out << to_json(*report) << "\n";
    if (!out.flush()) {
      fmt::print(stderr, "{} cannot be written.\n", arguments.verify_file);
      return 1;
    }
  }
  fmt::print("{} acknowledged writes read back from {} nodes: {} verified, {} lost, {} stale, {} duplicated\n",
             report->acknowledged, report->nodes.size(), report->verified, report->lost, report->stale,
             report->duplicated);
  for (std::size_t i = 0; i < report->offenders.size() && i < 20; ++i)
    fmt::print(stderr, "{}: {}\n", report->offenders[i].verdict, report->offenders[i].what);
  return report->good() ? 0 : 1;
}

int report_now(const Arguments& arguments) {
  auto report = write_report(arguments.run_file, arguments.ledger, arguments.verify_file, arguments.report_folder);
  if (!report) {
    fmt::print(stderr, "{}\n", report.error().message());
    return 1;
  }
  fmt::print("{}  {}/report.html\n", report_text(*report, ::isatty(STDOUT_FILENO) != 0), arguments.report_folder);
  return string_or(*report, "outcome") == "failed" ? 1 : 0;
}

}  // namespace

void add_load_command(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<Arguments>();
  auto& load = arguments->load;
  load.admin_user = arguments->verify.admin_user = user_from_environment();

  auto* command =
      app.add_subcommand("load", "Send real users' requests at a fixed rate and keep a ledger of every one");
  command->require_subcommand(0, 1);
  command->add_option("--site", load.site, "Address of the load balancer, http://HOST:PORT");
  command->add_option("--rate", load.rate, "Requests a second")->capture_default_str()->check(CLI::Range(1.0, 20000.0));
  command->add_option("--seconds", load.seconds, "How long; with --until-file, the most")
      ->capture_default_str()
      ->check(CLI::Range(1, 86400));
  command->add_option("--until-file", load.until_file, "End as soon as this file exists");
  command->add_option("--ready-file", load.ready_file, "Write this file once the measured part begins");
  command->add_option("--users", load.users, "Signed-in users, made at the beginning")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  command->add_option("--space", load.space, "Key of the space whose pages are read");
  command->add_option("--write-space", load.write_space, "Key of the space to write to; made when missing")
      ->capture_default_str();
  command->add_option("--admin-user", load.admin_user, "Administrator who makes the users; password in AFLOAT_PASSWORD")
      ->capture_default_str();
  command->add_option("--ledger", load.ledger, "Folder for the ledger; it must not hold one yet");
  command->add_option("--connections", load.connections, "Most connections at a time")
      ->capture_default_str()
      ->check(CLI::Range(1, 5000));
  command->add_flag("--quiet", load.quiet, "No line per second");

  auto* verify = command->add_subcommand("verify", "Read every acknowledged write back from each node");
  verify->add_option("--ledger", arguments->ledger, "Folder that `afloat load` wrote")->required();
  verify->add_option("--node", arguments->verify.nodes, "Address of one node; give each")->required();
  verify->add_option("--out", arguments->verify_file, "Write the outcome as JSON to this file");
  verify->add_option("--admin-user", arguments->verify.admin_user, "User who reads; password in AFLOAT_PASSWORD")
      ->capture_default_str();
  verify->callback([arguments, &exit_code] { exit_code = verify_now(*arguments); });

  command->callback([arguments, verify, &exit_code] {
    if (*verify) return;
    for (const auto& [value, name] : {std::pair<const std::string*, const char*>{&arguments->load.site, "--site"},
                                      {&arguments->load.space, "--space"},
                                      {&arguments->load.ledger, "--ledger"}})
      if (value->empty()) throw CLI::RequiredError(name);
    exit_code = load_now(arguments->load);
  });

  auto* report = app.add_subcommand("report", "Put journal, ledger and read-back of one upgrade together");
  report->add_option("--run", arguments->run_file, "The run as JSON, from GET /rest/afloat/1/runs/{id}")->required();
  report->add_option("--ledger", arguments->ledger, "Folder that `afloat load` wrote")->required();
  report->add_option("--verify", arguments->verify_file, "What `afloat load verify --out` wrote")->required();
  report->add_option("--out", arguments->report_folder, "Folder for report.json, report.html, timeline.svg")
      ->required();
  report->callback([arguments, &exit_code] { exit_code = report_now(*arguments); });
}

}  // namespace afloat::cli
