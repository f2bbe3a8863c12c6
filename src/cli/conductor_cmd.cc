#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/thread_pool.hpp>
#include <fstream>
#include <memory>

#include "adapters/agent/host_client.h"
#include "adapters/asio/runtime.h"
#include "adapters/files/releases.h"
#include "adapters/haproxy/runtime_api.h"
#include "adapters/http/client.h"
#include "adapters/postgres/database.h"
#include "adapters/site/afloat_client.h"
#include "agent/catalogue.h"
#include "base/hash.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/credentials.h"
#include "conductor/conductor.h"
#include "local/process.h"
#include "server/config.h"
#include "store/cluster_store.h"
#include "store/health_store.h"
#include "store/notes_store.h"
#include "store/notices.h"
#include "store/run_store.h"
#include "version/index.h"
#include "version/path.h"
#include "version/version.h"

namespace afloat::cli {
namespace {

struct ConductorOptions {
  std::string config = "site.toml", backup_command, surge_node;
  std::string surge_server = "check weight 100 inter 1s fall 2 rise 1 slowstart 2s";
  double soak_s = rollout::usual_soak_ms / 1000.0;
  CredentialOptions credentials;
};

void log_line(std::string_view level, const std::string& message) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  fmt::print(stderr, "{} {} {}\n", iso_time(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()), level,
             message);
}

std::string this_holder() {
  char host[256] = "host";
  (void)gethostname(host, sizeof host - 1);
  return fmt::format("{}:{}:{}", host, getpid(), random_hex(4));
}

/// The site's own command, with what it may want to know in its environment.
Task<void> back_up(boost::asio::thread_pool& pool, std::string command, std::string from, std::string to) {
  Result<std::string> said;
  auto done = co_await offload(pool, [&said, &command, &from, &to] {
    local::ProcessOptions run;
    run.argv = {"/bin/sh", "-c", command};
    run.env = {{"AFLOAT_FROM", from}, {"AFLOAT_TO", to}};
    said = local::run_checked(std::move(run), std::chrono::hours(24));
  });
  if (!done) co_return done;
  if (!said)
    co_return fail(ErrorKind::failed_precondition,
                   fmt::format("The backup command failed, so nothing is changed: {}", said.error().message()));
  co_return Result<void>{};
}

Result<void> run_conductor(const ConductorOptions& options) {
  auto site = server::load_config(options.config);
  if (!site) return std::unexpected(site.error());
  for (const auto& key : site->unknown_keys) log_line("warning", key + " It is ignored here; a node refuses it.");
  if (site->haproxy_socket.empty())
    return fail(
        ErrorKind::failed_precondition,
        fmt::format("{} names no haproxy_socket. Without the load balancer no node can be taken out of traffic: "
                    "set it to HAProxy's runtime API socket (level admin).",
                    options.config));
  auto credentials = read_credentials(options.credentials);
  if (!credentials) return std::unexpected(credentials.error());

  std::vector<agent::AgentAddress> agents;
  for (const auto& host : site->hosts) agents.push_back({host.name, host.socket, host.url, host.token_file});
  std::map<std::string, std::string> nodes;
  for (const auto& node : site->nodes) nodes[node.name] = node.url();

  boost::asio::io_context context(1);
  boost::asio::thread_pool blocking(2);
  http::Client client(4);
  client.trust(site->tls_ca);
  SystemClock clock;
  AsioTimer timer(context.get_executor());
  postgres::Options database_options;
  database_options.connection = site->database;
  database_options.application_name = "afloat/conductor/" + std::to_string(version::this_build());
  database_options.build = version::this_build();
  database_options.write_connections = 1;
  database_options.exclusive_connections = 2;  // the lease is renewed while something else is written
  auto database = postgres::make_database(context, blocking, database_options);
  auto runs = store::make_run_store(*database);
  auto notes = store::make_notes_store(*database);
  auto cluster = store::make_cluster_store(*database, clock, timer);
  auto notifier = store::make_event_notifier(*database);
  auto hosts = agent::make_agent_hosts(agents, client);
  auto balancer = haproxy::make_haproxy(site->haproxy_socket, site->haproxy_backend, options.surge_server);
  auto site_client = site::make_site_client(nodes, {credentials->user, credentials->password}, client);

  conductor::Settings settings;
  settings.holder = this_holder();
  settings.edition = site->edition;
  settings.build = version::this_build();
  settings.soak_ms = static_cast<std::int64_t>(options.soak_s * 1000);
  settings.notes = notes.get();
  if (!options.surge_node.empty()) {
    auto surge = server::node_config(*site, options.surge_node);
    if (!surge) return std::unexpected(surge.error());
    settings.surge = conductor::SurgeSetting{surge->name, surge->host, surge->address, surge->port};
  }
  settings.catalogue = [folder = site->catalogue, keys = site->trusted_keys](const std::string& from,
                                                                             const std::string& to) {
    const auto entry = agent::find_release(folder, to);
    conductor::CatalogueEntry seen{.present = entry.has_value() && !entry->problem};
    const auto source = version::parse_version(from), target = version::parse_version(to);
    if (const auto known = files::known_releases(folder); known && source && target) {
      seen.releases = version::fetched_of(*known);
      seen.facts = version::facts_of(*source, *target, *known);
      seen.notes = version::notes_between(*known, *source, *target);
    }
    if (!seen.present) return seen;
    seen.bundle = rollout::BundleView{.keys = !keys.empty()};
    if (keys.empty()) return seen;
    const auto key = agent::signed_by(*entry, keys);
    (key ? seen.bundle->signed_by : seen.bundle->problem) = key ? minisign::shown_id(key->id) : key.error().message();
    return seen;
  };
  settings.way = [folder = site->catalogue](const std::string& from, const std::string& to) {
    const auto known = files::known_releases(folder);
    return known ? version::rolling_way(from, to, version::releases_of(*known)) : std::vector<std::string>();
  };
  settings.log = log_line;
  if (!options.backup_command.empty())
    settings.backup = [&blocking, command = options.backup_command](std::string from, std::string to) {
      return back_up(blocking, command, std::move(from), std::move(to));
    };
  settings.facts = [&database](Deadline deadline) { return store::gather_facts(*database, deadline); };
  settings.publish = [&database](rollout::ConductorFacts facts, Deadline deadline) {
    return store::publish_facts(*database, rollout::conductor_source, version::this_build(), rollout::to_json(facts),
                                deadline);
  };
  for (const auto& node : site->nodes) settings.nodes.push_back(node.name);
  conductor::Conductor conductor(settings, clock, timer, *runs, *cluster, *hosts, *balancer, *site_client, *notifier);

  boost::asio::signal_set signals(context, SIGTERM, SIGINT);
  signals.async_wait([&](boost::system::error_code error, int) {
    if (error) return;
    log_line("info", "stopping after the step's act");
    conductor.stop();
  });
  int running = 3;
  std::exception_ptr broken;
  const auto ended = [&](std::exception_ptr failure) {
    if (failure) broken = failure;
    if (--running == 0 || failure) context.stop();
  };
  boost::asio::co_spawn(context, conductor.lead(), ended);
  boost::asio::co_spawn(context, conductor.renew(), ended);
  boost::asio::co_spawn(context, conductor.tell(), ended);
  log_line("info",
           fmt::format("conductor {} as {}, {} node(s)", version::stamp().version, settings.holder, nodes.size()));
  context.run();
  if (broken) std::rethrow_exception(broken);
  return {};
}

}  // namespace

void add_conductor_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ConductorOptions>();
  auto* command = app.add_subcommand("conductor", "Carry upgrade runs from plan to report (one leads, others wait)");
  command->add_option("--config", options->config, "The site's file")->capture_default_str();
  command
      ->add_option("--soak", options->soak_s,
                   "Seconds for which a new node is compared with the others, where a run does not say; 0: not")
      ->check(CLI::Range(0.0, 86'400.0))
      ->capture_default_str();
  command
      ->add_option("--backup-command", options->backup_command,
                   "Run by sh before upgrade mode is turned on; the run goes on if it ends with 0")
      ->envname("AFLOAT_BACKUP_COMMAND");
  command
      ->add_option("--surge-node", options->surge_node,
                   "A [[node]] of the site's file that runs only while an upgrade needs one more node")
      ->envname("AFLOAT_SURGE_NODE");
  command
      ->add_option("--surge-server", options->surge_server,
                   "HAProxy's options for it: those of the other servers, for `add server` takes none from default-server")
      ->envname("AFLOAT_SURGE_SERVER")
      ->capture_default_str();
  add_credential_options(*command, options->credentials);
  command->callback([options, &exit_code] {
    auto done = run_conductor(*options);
    if (done) return;
    log_line("error", done.error().message());
    exit_code = 1;
  });
}

}  // namespace afloat::cli
