#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "base/hash.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "version/version.h"

int main(int argc, char** argv) {
  using namespace afloat;
  init_crypto();
  // A file that reaches a size limit is an error of its write, like a full disk, and no reason to die.
  std::signal(SIGXFSZ, SIG_IGN);
  CLI::App app("Afloat: a clustered team wiki that is upgraded with no downtime.", "afloat");
  app.set_version_flag("--version", std::string(version::stamp().version));
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);
  int exit_code = 0;
  cli::add_serve_command(app, exit_code);
  cli::add_status_commands(app, exit_code);
  cli::add_check_command(app, exit_code);
  cli::add_events_command(app, exit_code);
  cli::add_users_commands(app, exit_code);
  cli::add_settings_commands(app, exit_code);
  cli::add_support_command(app, exit_code);
  cli::add_upgrade_commands(app, exit_code);
  cli::add_conductor_command(app, exit_code);
  cli::add_agent_command(app, exit_code);
  cli::add_release_commands(app, exit_code);
  cli::add_import_command(app, exit_code);
  cli::add_load_command(app, exit_code);
  cli::add_up_command(app, exit_code);
  cli::add_demo_command(app, exit_code);
  cli::add_simulate_command(app, exit_code);
  cli::add_examples(app);
  if (const auto unknown = cli::unknown_command(app, std::vector<std::string>(argv + 1, argv + argc)); !unknown.empty()) {
    std::fprintf(stderr, "afloat: %s\n", unknown.c_str());
    return 2;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "afloat: %s\n", error.what());
    return 1;
  }
  return exit_code;
}
