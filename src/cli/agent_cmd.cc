#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/thread_pool.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "adapters/http/router.h"
#include "adapters/http/server.h"
#include "adapters/http/tls_watch.h"
#include "agent/agent.h"
#include "agent/api.h"
#include "base/text.h"
#include "cli/commands.h"
#include "server/config.h"
#include "version/version.h"

namespace afloat::cli {
namespace {

/// A stop may take a thread for half a minute; a report must not wait for it.
constexpr std::size_t command_threads = 16;
constexpr std::chrono::seconds stop_timeout(30);

struct AgentOptions {
  std::string config = "site.toml";
  std::string host;
  bool stop_nodes = false;
};

void log_line(std::string text) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  fmt::print(stderr, "{} agent: {}\n", iso_time(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()),
             text);
}

Result<void> run_agent(const AgentOptions& options) {
  auto site = server::load_config(options.config);
  if (!site) return std::unexpected(site.error());
  for (const auto& key : site->unknown_keys) log_line(key + " It is ignored here; a node refuses it.");
  const auto host = std::find_if(site->hosts.begin(), site->hosts.end(),
                                 [&](const auto& entry) { return entry.name == options.host; });
  if (host == site->hosts.end()) {
    std::vector<std::string> names;
    for (const auto& entry : site->hosts) names.push_back(entry.name);
    return fail(ErrorKind::not_found, fmt::format("{} has no [[host]] named '{}'; it has: {}.", options.config,
                                                  options.host, join(names, ", ")));
  }
  // Absolute: nodes are started from here, but found again by an agent started elsewhere.
  agent::AgentConfig config;
  config.host = host->name;
  config.data = std::filesystem::absolute(host->data).lexically_normal().string();
  config.site_file = std::filesystem::absolute(options.config).lexically_normal().string();
  config.catalogue = site->catalogue;
  config.version = std::string(version::stamp().version);
  for (const auto& node : site->nodes) {
    if (node.host == host->name) config.nodes.push_back(node.name);
  }
  config.trusted_keys = site->trusted_keys;
  config.log = log_line;

  boost::asio::io_context context(1);
  boost::asio::thread_pool pool(command_threads);
  agent::Agent agent(std::move(config));
  auto router = std::make_shared<http::Router>();
  agent::add_agent_routes(*router, agent, pool);
  http::ServerLimits limits;
  limits.body_bytes = 1024 * 1024;
  limits.request_timeout = std::chrono::hours(24);  // an expand takes what it takes; the caller's timeout_ms rules
  http::Server server(context, limits, [router](http::Request request) { return router->route(std::move(request)); });
  // Before the nodes are started: a signal in between must not leave them behind with --stop-nodes.
  boost::asio::signal_set signals(context, SIGTERM, SIGINT);
  signals.async_wait([&](boost::system::error_code error, int) {
    if (!error) context.stop();
  });
  // What is wrong with a file is told before anything is done, too.
  std::shared_ptr<http::TlsIdentity> certificate;
  std::optional<http::Server> tcp;
  if (!host->listen.empty()) {
    auto loaded = http::TlsIdentity::load({host->tls_certificate, host->tls_key});
    if (!loaded) return std::unexpected(loaded.error());
    certificate = std::move(*loaded);
    auto guard = http::TokenGuard::open(host->token_file, log_line);
    if (!guard) return std::unexpected(guard.error());
    tcp.emplace(context, limits, agent::guarded(router, std::move(*guard)));
    if (auto free = http::check_port_free(host->listen_address, host->listen_port); !free) return free;
  }
  if (auto begun = agent.begin(); !begun) return begun;
  if (!host->socket.empty()) {
    if (auto listening = server.listen_unix(host->socket); !listening) return listening;
    log_line(fmt::format("{} listens on {}", options.host, host->socket));
  }
  if (tcp) {
    if (auto listening = tcp->listen_tcp(host->listen_address, host->listen_port, certificate); !listening) return listening;
    log_line(fmt::format("{} listens on https://{}, for who has a token of {}", options.host, host->listen, host->token_file));
  }
  http::watch_certificate(context, pool, certificate, [](http::Notice, std::string text) { log_line(std::move(text)); });
  context.run();
  if (options.stop_nodes) {
    log_line("stopping the nodes");
    agent.stop_nodes(stop_timeout);
  }
  pool.join();  // a command under way ends; its caller asks the next agent
  log_line(options.stop_nodes ? "ended" : "ended; the nodes go on");
  return {};
}

}  // namespace

void add_agent_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<AgentOptions>();
  auto* command = app.add_subcommand("agent", "Unpack releases and run the nodes of one host");
  command->add_option("--config", options->config, "The site's description")->capture_default_str();
  command->add_option("--host", options->host, "Which [[host]] of it this is")->required();
  command->add_flag("--stop-nodes", options->stop_nodes, "Stop the nodes when the agent ends (otherwise they go on)");
  command->callback([options, &exit_code] {
    auto result = run_agent(*options);
    if (!result) fmt::print(stderr, "afloat agent: {}\n", result.error().message());
    exit_code = result ? 0 : 1;
  });
}

}  // namespace afloat::cli
