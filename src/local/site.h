#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "adapters/http/client.h"
#include "local/haproxy.h"
#include "local/postgres.h"
#include "local/workplace.h"

namespace afloat::local {

/// Certificates that were made for 127.0.0.1, and who speaks TLS with them.
struct SiteTls {
  std::string ca, certificate, key;  ///< PEM files
  std::string token_file;            ///< for `agents`
  /// Hosts whose agents the conductor reaches by HTTPS; they have their unix socket, too.
  std::vector<std::string> agents = {};
};

struct SiteOptions {
  std::string dir;        ///< "" = a TempDir
  std::string catalogue;  ///< folder of release bundles
  std::string program;    ///< afloat that runs agent and conductor; "" = the running program
  int nodes = 3;
  bool host_per_node = false;    ///< otherwise one agent host, "host1"
  std::optional<int> base_port;  ///< balancer; nodes follow. Otherwise a free block
  std::string admin_password;    ///< "" = random
  /// Nodes make no administrator: the first account is made at /setup. The conductor signs in as admin with
  /// `admin_password` all the same, so whoever makes the account gives it these.
  bool first_run = false;
  bool fsync = true;
  bool surge_node = false;                      ///< "surge1" stands by for the conductor's runs
  bool conductor = false;                       ///< also run `afloat conductor`
  double soak_s = 0;                            ///< `afloat conductor --soak`
  std::map<std::string, std::string> env;       ///< for agents, and so for nodes
  std::vector<std::string> trusted_keys;        ///< public keys of those who may sign releases
  std::map<std::string, std::string> settings;  ///< further top-level keys of site.toml, as TOML values
  std::optional<SiteTls> tls = {};  ///< the nodes serve HTTPS, and HAProxy verifies them
  /// An existing PostgreSQL and a database in it instead of one of the site's own: connection string.
  std::string database;
  std::function<void(const std::string&)> say;  ///< what is being done; may be empty
  std::function<bool()> given_up = {};          ///< somebody wants no site any more: starting nodes ends early
};

struct SiteNode {
  std::string name;
  std::string host;
  int port = 0;
  std::string data;  ///< <host data>/nodes/<name>
  bool tls = false;
  std::string url() const { return (tls ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(port); }
};

/// A whole site on this machine: PostgreSQL, HAProxy, agents, nodes (run by the agents), and if asked a
/// conductor. The destructor stops it all, in order. What the site consists of stays in `dir`; where
/// `dir` was not given it is removed at the end.
///
/// dir/: site.toml  pg/  haproxy/  home/ (shared home)  hosts/<host>/{agent.sock,releases,nodes}  logs/
class Site {
 public:
  /// Makes folders and site.toml, starts PostgreSQL, HAProxy and the agents; no node yet.
  static Result<std::unique_ptr<Site>> create(SiteOptions options);
  ~Site();

  /// Distributes `version` to every host, switches and starts every node, and waits until all are ready
  /// and UP in HAProxy. The first node starts alone: it makes the schema.
  Result<void> start_nodes(const std::string& version, std::chrono::milliseconds limit = std::chrono::seconds(60));
  /// One node through its agent.
  Result<void> distribute(const std::string& version);
  Result<void> start_node(const std::string& name, const std::string& version);
  Result<void> stop_node(const std::string& name);
  Result<void> wait_ready(const std::string& name, std::chrono::milliseconds limit);
  /// Kills the agents (SIGKILL; the nodes go on), or starts them again.
  void stop_agents();
  Result<void> start_agents();
  Result<void> start_conductor();
  void stop();

  /// Runs `afloat ARGS... --config site.toml` as the administrator and collects what it says.
  Result<CommandOutput> afloat(std::vector<std::string> args,
                               std::chrono::milliseconds limit = std::chrono::minutes(2));
  /// The same with another program, such as a bundle's own.
  Result<CommandOutput> afloat_of(const std::string& program, std::vector<std::string> args,
                                  std::chrono::milliseconds limit = std::chrono::minutes(2));
  /// Environment of commands: AFLOAT_USER, AFLOAT_PASSWORD, AFLOAT_SITE.
  std::map<std::string, std::string> credentials() const;
  /// bin/afloat of a release that was distributed.
  std::string program_of(const std::string& version) const;
  /// The version that the first node is switched to; "" on a new site.
  std::string linked_version() const;
  /// Process id of a node, from the agent's report; 0 when it is not running.
  pid_t node_pid(const std::string& name);
  /// Last lines of a node's log.
  std::string node_log(const std::string& name, int lines = 30) const;

  const std::string& dir() const { return dir_; }
  std::string config() const { return dir_ + "/site.toml"; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(balancer_port_); }
  const std::vector<SiteNode>& nodes() const { return nodes_; }
  const SiteNode& node(const std::string& name) const;
  const std::string& admin_password() const { return options_.admin_password; }
  const std::string& database() const { return database_; }
  Postgres& postgres() { return *postgres_; }
  Haproxy& haproxy() { return *haproxy_; }
  void keep();  ///< leave the folder when stopped
  /// The text of site.toml with these nodes; config() has it with the site's own.
  std::string site_toml(const std::vector<SiteNode>& nodes) const;
  /// A further port of the site's block, for a node that is not (yet) part of it.
  int spare_port(int offset = 0) const { return balancer_port_ + 30 + offset; }
  http::Client& client() { return client_; }

 private:
  Site() = default;
  void say(const std::string& text) const;
  Result<std::string> order(const std::string& host, const std::string& verb, const std::string& node,
                            const std::string& version, std::chrono::milliseconds limit);
  /// The agent's report, JSON.
  Result<std::string> report(const std::string& host);
  std::vector<std::string> hosts() const;
  std::string host_data(const std::string& host) const { return dir_ + "/hosts/" + host; }

  SiteOptions options_;
  std::unique_ptr<TempDir> temp_;
  std::optional<PortBlock> ports_;
  FolderLock lock_;  ///< nobody else has a site in dir_
  std::string dir_, database_;
  int balancer_port_ = 0;
  std::vector<SiteNode> nodes_;
  std::optional<SiteNode> surge_;  ///< not one of nodes_
  std::unique_ptr<Postgres> postgres_;
  std::unique_ptr<Haproxy> haproxy_;
  std::map<std::string, Process> agents_;
  Process conductor_;
  std::string session_;  ///< makes our orders' step ids unique
  std::atomic<int> orders_ = 0;
  http::Client client_{4};
};

}  // namespace afloat::local
