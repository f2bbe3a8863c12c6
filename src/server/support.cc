#include "server/support.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <cstdint>
#include <sstream>

#include "adapters/postgres/secrets.h"
#include "base/text.h"

namespace afloat::server {
namespace {

/// What was not given is left out.
void set(toml::table* table, std::string_view key, const std::string& value) {
  if (!value.empty()) table->insert(key, value);
}

toml::table node_table(const NodeConfig& node) {
  toml::table table;
  set(&table, "name", node.name);
  set(&table, "host", node.host);
  set(&table, "address", node.address);
  table.insert("port", node.port);
  set(&table, "data", node.data);
  table.insert("threads", node.threads);
  set(&table, "tls_certificate", node.tls_certificate);
  set(&table, "tls_key", node.tls_key);
  return table;
}

toml::table host_table(const HostConfig& host) {
  toml::table table;
  set(&table, "name", host.name);
  set(&table, "socket", host.socket);
  set(&table, "listen", host.listen);
  set(&table, "url", host.url);
  set(&table, "tls_certificate", host.tls_certificate);
  set(&table, "tls_key", host.tls_key);
  set(&table, "token_file", host.token_file);
  set(&table, "data", host.data);
  return table;
}

}  // namespace

std::string config_without_secrets(const SiteConfig& site) {
  toml::table table;
  set(&table, "site_name", site.site_name);
  set(&table, "base_url", site.base_url);
  set(&table, "database", postgres::without_secrets(site.database));
  set(&table, "shared_home", site.shared_home);
  set(&table, "edition", site.edition);
  set(&table, "catalogue", site.catalogue);
  toml::array keys;
  for (const auto& key : site.trusted_keys) keys.push_back(minisign::public_key_text(key));
  if (!keys.empty()) table.insert("trusted_keys", std::move(keys));
  set(&table, "haproxy_socket", site.haproxy_socket);
  set(&table, "haproxy_backend", site.haproxy_backend);
  set(&table, "tls_ca", site.tls_ca);
  set(&table, "log_level", site.log_level);
  table.insert("max_body_bytes", site.max_body_bytes);
  table.insert("header_timeout_ms", site.header_timeout_ms);
  table.insert("request_timeout_ms", site.request_timeout_ms);
  table.insert("idle_timeout_ms", site.idle_timeout_ms);
  table.insert("drain_timeout_ms", site.drain_timeout_ms);
  table.insert("drain_linger_ms", site.drain_linger_ms);
  table.insert("write_connections", site.write_connections);
  toml::array nodes, hosts;
  for (const auto& node : site.nodes) nodes.push_back(node_table(node));
  for (const auto& host : site.hosts) hosts.push_back(host_table(host));
  if (!hosts.empty()) table.insert("host", std::move(hosts));
  if (!nodes.empty()) table.insert("node", std::move(nodes));
  std::ostringstream text;
  text << table << "\n";
  for (const auto& message : site.unknown_keys) text << "# " << message << " Its value is left out.\n";
  return text.str();
}

std::string scrubbed(std::string text, const std::vector<std::string>& secrets) {
  constexpr std::size_t common_word = 8;
  for (const auto& secret : secrets)
    if (secret.size() >= common_word) text = replace_all(std::move(text), secret, "***");
  return text;
}

std::vector<files::ZipFile> with_contents(std::string head, const std::vector<SupportFile>& files,
                                          const std::vector<std::string>& secrets) {
  std::vector<files::ZipFile> out{{"contents.txt", std::move(head)}};
  for (const auto& file : files) {
    out.push_back({file.path, scrubbed(file.content, secrets)});
    out.front().content +=
        fmt::format("{:<28} {} ({})\n", file.path, file.about, human_bytes(out.back().content.size()));
  }
  out.front().content = scrubbed(std::move(out.front().content), secrets);
  return out;
}

}  // namespace afloat::server
