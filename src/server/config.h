#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/minisign.h"

namespace afloat::server {

/// site.toml: one file describes the whole site; a node finds its own part by --node NAME.
/// A wrong value is an error that names file, line, key and what is allowed. A key that this version does not
/// know is not judged here but listed: a node refuses it (a slip would else go unnoticed), but not while upgrade
/// mode is on, so that the old version starts with a file that was written for the new one.
struct NodeConfig {
  std::string name;
  std::string host;       ///< agent's name
  std::string address = "127.0.0.1";
  int port = 0;
  std::string data;       ///< folder of its own: node id, pid file
  int threads = 1;        ///< io_contexts
  std::string tls_certificate;  ///< PEM: its chain, own certificate first; with it the node serves HTTPS alone
  std::string tls_key;          ///< PEM, without a passphrase
  bool tls() const { return !tls_certificate.empty(); }
  std::string url() const;      ///< "http://127.0.0.1:8101"
};
struct HostConfig {
  std::string name;
  std::string socket;     ///< unix socket of the agent; may be absent where `listen` is there
  std::string listen;     ///< "10.0.0.7:7443": the agent also serves HTTPS there; needs the four below
  std::string url;        ///< where the conductor finds it; "https://" + listen where not given
  std::string tls_certificate;
  std::string tls_key;
  std::string token_file;  ///< bearer tokens, on the agent's host and on the conductor's (http::read_tokens)
  std::string listen_address;  ///< listen's two parts
  int listen_port = 0;
  std::string data;       ///< release store, node links, journal
};
struct SiteConfig {
  std::string path;              ///< of the file itself
  std::string site_name = "Afloat";
  std::string base_url;          ///< what users type; through the balancer
  std::string database;          ///< libpq connection string
  std::string shared_home;
  std::string edition = "data-center";  ///< data-center: may cluster; single-node: may not
  std::string catalogue;         ///< folder of release bundles
  std::vector<minisign::PublicKey> trusted_keys;  ///< with at least one, bundles must be signed by one of them
  std::string haproxy_socket;    ///< runtime API; "" = none
  std::string haproxy_backend = "wiki";
  std::string tls_ca;            ///< PEM: authorities that sign the certificates of nodes and agents; "" = the system's
  std::string log_level = "info";
  std::int64_t max_body_bytes = 64 * 1024 * 1024;
  int header_timeout_ms = 10'000;
  int request_timeout_ms = 8'000;
  int idle_timeout_ms = 75'000;      ///< keep-alive; above the balancer's
  int drain_timeout_ms = 10'000;
  int drain_linger_ms = 600;         ///< on SIGTERM: until every balancer has seen 503 (check interval x fall + margin)
  int write_connections = 8;         ///< per node, shared out over its threads
  std::vector<NodeConfig> nodes;
  std::vector<HostConfig> hosts;
  std::string hash;                  ///< SHA-256 of the file's bytes
  std::vector<std::string> unknown_keys;  ///< one message for each: file, line, key, the nearest known one
};
/// Errors: not_found (can't be read), invalid_argument naming file, line, key and what is allowed.
Result<SiteConfig> load_config(const std::string& path);
/// Errors: not_found naming the nodes there are.
Result<NodeConfig> node_config(const SiteConfig& site, std::string_view name);

}  // namespace afloat::server
