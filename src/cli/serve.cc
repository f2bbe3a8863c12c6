#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "adapters/asio/runtime.h"
#include "adapters/files/archive.h"
#include "adapters/postgres/database.h"
#include "cli/commands.h"
#include "cli/run_task.h"
#include "local/process.h"
#include "ports/hosts.h"
#include "server/node.h"
#include "server/start_checks.h"
#include "server/templates.h"
#include "server/trial.h"
#include "store/upgrade_task.h"
#include "version/version.h"

namespace afloat::cli {

namespace {

std::string program_folder() { return std::filesystem::path(local::own_program()).parent_path().string(); }

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// A bundle has its web files beside the program's folder; a build tree names them by AFLOAT_WEB.
std::string web_folder() {
  const auto bundled = program_folder() + "/../share/web";
  if (std::filesystem::is_directory(bundled + "/templates")) return bundled;
  return environment("AFLOAT_WEB");
}

// "" outside a bundle.
std::string bundle_digest() { return files::sha256_of_file(program_folder() + "/../manifest.json").value_or(""); }

// When this process began, by the wall clock: the kernel's start time in ticks since boot.
std::int64_t process_started_ms() {
  std::ifstream stat("/proc/self/stat");
  std::string line;
  std::getline(stat, line);
  const auto after_name = line.rfind(')');
  std::istringstream fields(line.substr(after_name + 2));
  std::string field;
  for (int i = 3; i <= 22; ++i) fields >> field;
  timespec boot{}, now{};
  clock_gettime(CLOCK_BOOTTIME, &boot);
  clock_gettime(CLOCK_REALTIME, &now);
  const double since_boot = static_cast<double>(boot.tv_sec) + static_cast<double>(boot.tv_nsec) / 1e9;
  const double age = since_boot - std::strtod(field.c_str(), nullptr) / static_cast<double>(sysconf(_SC_CLK_TCK));
  const double wall = static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
  return static_cast<std::int64_t>((wall - std::max(0.0, age)) * 1000);
}

int serve(const std::string& config_path, const std::string& name, bool ephemeral) {
  auto site = server::load_config(config_path);
  if (!site) {
    fmt::print(stderr, "afloat: {}\n", site.error().message());
    return 1;
  }
  auto node = server::node_config(*site, name);
  if (!node) {
    fmt::print(stderr, "afloat: {}\n", node.error().message());
    return 1;
  }
  server::NodeOptions options;
  options.web = web_folder();
  options.digest = bundle_digest();
  options.admin_password = environment("AFLOAT_ADMIN_PASSWORD");
  options.started_at_ms = process_started_ms();
  options.ephemeral = ephemeral;
  if (auto web = server::check_web(options.web); !web) {
    fmt::print(stderr, "afloat: {}\n", web.error().message());
    return 1;
  }
  return server::run_node(*site, *node, std::move(options));
}

struct ServeChoice {
  std::string config, node;
  bool trial = false, ephemeral = false;
  std::string data = "afloat-trial";
  int port = 8090;
};

int serve_trial(const ServeChoice& choice) {
  server::TrialOptions options{choice.data, choice.port, web_folder(), environment("AFLOAT_ADMIN_PASSWORD")};
  if (auto web = server::check_web(options.web); !web) {
    fmt::print(stderr, "afloat: {}\n", web.error().message());
    return 1;
  }
  return server::run_trial(options);
}

int serve_or_trial(const CLI::App& command, const ServeChoice& choice) {
  const auto given = [&](const char* option) { return command.count(option) > 0; };
  if (choice.trial && (given("--config") || given("--node") || given("--ephemeral"))) {
    fmt::print(stderr, "afloat: --trial serves a database of its own and reads no site.toml. Leave --config, --node and --ephemeral "
                       "away for a trial, or --trial for a node of that site.\n");
    return 1;
  }
  if (choice.trial) return serve_trial(choice);
  if (given("--data") || given("--port")) {
    fmt::print(stderr, "afloat: --data and --port are of --trial; a node has both from site.toml.\n");
    return 1;
  }
  if (!given("--node")) {
    fmt::print(stderr, "afloat: name the node with --node, or try Afloat without a site: afloat serve --trial\n");
    return 1;
  }
  return serve(choice.config.empty() ? "site.toml" : choice.config, choice.node,
               choice.ephemeral);
}

Task<void> expand(boost::asio::io_context& context, boost::asio::thread_pool& pool, std::string connection, std::string name) {
  SystemClock clock;
  AsioTimer timer(context.get_executor());
  postgres::Options options;
  options.connection = std::move(connection);
  options.application_name = fmt::format("afloat-expand/{}/{}", name, version::this_build());
  options.build = version::this_build();
  options.statement_timeout_ms = 0;
  auto database = postgres::make_database(context, pool, options);
  store::TaskRunner runner(*database, clock, timer, version::this_build(), name);
  co_return co_await runner.expand([](std::string line) { fmt::print("{}\n", line); },
                                   clock.steady_now() + std::chrono::minutes(10));
}

int expand_command(const std::string& config_path, const std::string& name) {
  auto site = server::load_config(config_path);
  if (!site) {
    fmt::print(stderr, "afloat: {}\n", site.error().message());
    return 1;
  }
  boost::asio::thread_pool pool(1);
  auto done = run_task<void>([&](boost::asio::io_context& context) {
    return expand(context, pool, site->database, name.empty() ? "expand" : name);
  });
  pool.join();
  if (!done) {
    fmt::print(stderr, "afloat: {}\n", done.error().message());
    // Whoever runs us may try again after these: the database was away, or something else held it up.
    const auto kind = done.error().kind();
    return kind == ErrorKind::unavailable || kind == ErrorKind::deadline_exceeded ? exit_try_again : 1;
  }
  fmt::print("The schema is ready for {}.\n", version::stamp().version);
  return 0;
}

Task<server::DatabaseView> look(boost::asio::io_context& context, boost::asio::thread_pool& pool, std::string connection) {
  postgres::Options options;
  options.connection = std::move(connection);
  options.application_name = fmt::format("afloat-selfcheck/{}", version::this_build());
  options.build = version::this_build();
  auto database = postgres::make_database(context, pool, options);
  co_return co_await server::look_at_database(*database, std::chrono::steady_clock::now() + std::chrono::seconds(10));
}

// What would keep this program from serving as that node, found without serving: it changes nothing.
Result<void> selfcheck(const std::string& config_path, const std::string& name) {
  auto site = server::load_config(config_path);
  if (!site) return std::unexpected(site.error());
  auto node = server::node_config(*site, name);
  if (!node) return std::unexpected(node.error());
  // Told even while upgrade mode is on: once it is off, the node would not start again with such a file.
  if (auto judged = server::judge_unknown_keys(*site, false); !judged) return judged;
  const auto web = web_folder();
  if (auto there = server::check_web(web); !there) return there;
  if (auto templates = server::Templates::load(web + "/templates"); !templates) return std::unexpected(templates.error());
  if (auto folders = server::check_folders(*site, *node); !folders) return folders;
  if (auto certificate = server::load_certificate(*node); !certificate) return std::unexpected(certificate.error());
  boost::asio::thread_pool pool(1);
  auto view = run_task<server::DatabaseView>([&](boost::asio::io_context& context) { return look(context, pool, site->database); });
  pool.join();
  if (!view) return std::unexpected(view.error());
  return server::check_shared_home(*site, *view);
}

struct Choice {
  std::string config = "site.toml";
  std::string node;
};

}  // namespace

void add_serve_command(CLI::App& app, int& exit_code) {
  auto choice = std::make_shared<ServeChoice>();
  auto* command = app.add_subcommand("serve", "Run one node of the site until it is stopped.");
  command->add_option("--config", choice->config, "The site's configuration (default: site.toml)");
  command->add_option("--node", choice->node, "Which [[node]] of it this is");
  command->add_flag("--ephemeral", choice->ephemeral, "A member from this start to its clean end, under an id of its own: a surge node");
  command->add_flag("--trial", choice->trial, "One node with a database of its own, to try Afloat with; no cluster, no site.toml");
  command->add_option("--data", choice->data, "The trial's folder")->capture_default_str();
  command->add_option("--port", choice->port, "The trial's port, on this machine alone")->check(CLI::Range(1, 65535))->capture_default_str();
  command->footer("Example: afloat serve --config site.toml --node node1\n"
                  "         afloat serve --trial --data trial --port 8090\n\n"
                  "Exit codes: 0 stopped, 1 error, 78 refused by the cluster, or by a trial's folder that a later release has\n"
                  "written (don't start it again as it is).");
  command->callback([choice, command, &exit_code] { exit_code = serve_or_trial(*command, *choice); });

  auto checked = std::make_shared<Choice>();
  auto* check = app.add_subcommand("selfcheck", "Tell whether this program could serve as a node here; changes nothing.");
  check->add_option("--config", checked->config, "The site's configuration")->capture_default_str();
  check->add_option("--node", checked->node, "Which [[node]] of it this would be")->required();
  check->footer("Asked for: configuration, web files, folders, database. An upgrade runs it with the new release on every\n"
                "host before the first node stops.\nExit codes: 0 it can, 4 it can't, 75 the database does not answer now.\n\nExample: afloat selfcheck --config site.toml --node node1");
  check->callback([checked, &exit_code] {
    auto good = selfcheck(checked->config, checked->node);
    if (!good) fmt::print(stderr, "afloat: {}\n", good.error().message());
    if (good) fmt::print("Afloat {} can serve as {} here.\n", version::stamp().version, checked->node);
    const bool may_pass = !good && good.error().kind() == ErrorKind::unavailable && good.error().code() != database_refuses;
    exit_code = good ? 0 : may_pass ? exit_try_again : 4;
  });
}

void add_expand_command(CLI::App& upgrade, int& exit_code) {
  auto choice = std::make_shared<Choice>();
  auto* command = upgrade.add_subcommand("expand", "Prepare the schema for this release; additive, and the old release goes on serving.");
  command->add_option("--config", choice->config, "The site's configuration")->capture_default_str();
  command->add_option("--node", choice->node, "The node on whose behalf it runs, for the ledger");
  command->callback([choice, &exit_code] { exit_code = expand_command(choice->config, choice->node); });
}

}  // namespace afloat::cli
