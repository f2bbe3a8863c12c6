#include "server/config.h"

#include <fmt/format.h>

#include <fstream>
#include <set>
#include <sstream>
#include <toml++/toml.h>

#include "base/hash.h"
#include "base/text.h"

namespace afloat::server {

namespace {

// Reads the keys of one table: what is read is known, and what is left over is a warning.
class Reader {
 public:
  Reader(const toml::table& table, std::string where, const std::string& file)
      : table_(table), where_(std::move(where)), file_(file) {}

  void text(std::string_view key, std::string& out) {
    if (const auto* node = find(key)) {
      if (auto value = node->value_exact<std::string>()) out = *value;
      else wrong(key, *node, "a text in quotes");
    }
  }
  template <class Number>
  void number(std::string_view key, Number& out, std::int64_t low, std::int64_t high) {
    if (const auto* node = find(key)) {
      auto value = node->value_exact<std::int64_t>();
      if (value && *value >= low && *value <= high) out = static_cast<Number>(*value);
      else wrong(key, *node, fmt::format("a whole number from {} to {}", low, high));
    }
  }
  void choice(std::string_view key, std::string& out, std::initializer_list<std::string_view> allowed) {
    text(key, out);
    for (auto option : allowed)
      if (out == option) return;
    const auto* node = table_.get(key);
    std::string list;
    for (auto option : allowed) list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", option);
    if (node) wrong(key, *node, "one of " + list);
  }
  void keys(std::string_view key, std::vector<minisign::PublicKey>& out) {
    const auto* node = find(key);
    if (node == nullptr) return;
    const auto* list = node->as_array();
    if (list == nullptr) return wrong(key, *node, R"(a list of minisign public keys: ["RW..."])");
    for (const auto& entry : *list) {
      const auto text = entry.value_exact<std::string>();
      auto read = minisign::read_public_key(text.value_or(""), "it");
      if (!text || !read) return wrong(key, entry, R"(a list of minisign public keys: each is the line that begins with RW in a .pub file)");
      out.push_back(std::move(*read));
    }
  }
  void known(std::string_view key) { seen_.emplace(key); }
  void require(std::string_view key, bool present) {
    if (!present && !error_)
      error_ = Error(ErrorKind::invalid_argument,
                     fmt::format("{}: the key '{}'{} is missing; add it.", file_, key, where_.empty() ? "" : " in " + where_));
  }
  Result<void> finish(std::vector<std::string>& warnings) {
    if (error_) return std::unexpected(*error_);
    for (const auto& [key, node] : table_) {
      if (seen_.contains(std::string(key.str()))) continue;
      warnings.push_back(fmt::format("{} line {}: this version does not know the key '{}'{}; it is ignored.", file_,
                                     node.source().begin.line, key.str(), where_.empty() ? "" : " in " + where_));
    }
    return {};
  }

 private:
  const toml::node* find(std::string_view key) {
    seen_.emplace(key);
    return table_.get(key);
  }
  void wrong(std::string_view key, const toml::node& node, std::string allowed) {
    if (error_) return;
    error_ = Error(ErrorKind::invalid_argument, fmt::format("{} line {}: '{}'{} must be {}.", file_, node.source().begin.line,
                                                            key, where_.empty() ? "" : " in " + where_, allowed));
  }
  const toml::table& table_;
  std::string where_;
  const std::string& file_;
  std::set<std::string> seen_;
  std::optional<Error> error_;
};

}  // namespace

Result<SiteConfig> load_config(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorKind::not_found, fmt::format("Can't read the configuration {}. Name it with --config FILE.", path));
  std::stringstream bytes;
  bytes << file.rdbuf();
  const std::string content = bytes.str();
  SiteConfig site;
  site.path = path;
  site.hash = sha256_hex(content);
  toml::table root;
  try {
    root = toml::parse(content, path);
  } catch (const toml::parse_error& error) {
    return fail(ErrorKind::invalid_argument,
                fmt::format("{} line {}: {}.", path, error.source().begin.line, error.description()));
  }
  Reader reader(root, "", path);
  reader.text("site_name", site.site_name);
  reader.text("base_url", site.base_url);
  reader.text("database", site.database);
  reader.text("shared_home", site.shared_home);
  reader.choice("edition", site.edition, {"data-center", "single-node"});
  reader.text("catalogue", site.catalogue);
  reader.keys("trusted_keys", site.trusted_keys);
  reader.text("haproxy_socket", site.haproxy_socket);
  reader.text("haproxy_backend", site.haproxy_backend);
  reader.choice("log_level", site.log_level, {"debug", "info", "warning", "error"});
  reader.number("max_body_bytes", site.max_body_bytes, 1024, 1'000'000'000);
  reader.number("header_timeout_ms", site.header_timeout_ms, 100, 600'000);
  reader.number("request_timeout_ms", site.request_timeout_ms, 100, 600'000);
  reader.number("idle_timeout_ms", site.idle_timeout_ms, 1000, 3'600'000);
  reader.number("drain_timeout_ms", site.drain_timeout_ms, 100, 3'600'000);
  reader.number("drain_linger_ms", site.drain_linger_ms, 0, 600'000);
  reader.number("write_connections", site.write_connections, 1, 200);
  reader.require("database", !site.database.empty());
  reader.require("shared_home", !site.shared_home.empty());
  reader.known("node");
  reader.known("host");
  if (auto done = reader.finish(site.warnings); !done) return std::unexpected(done.error());
  if (const auto* nodes = root["node"].as_array()) {
    for (const auto& entry : *nodes) {
      const auto* table = entry.as_table();
      if (table == nullptr) continue;
      NodeConfig node;
      Reader part(*table, "[[node]]", path);
      part.text("name", node.name);
      part.text("host", node.host);
      part.text("address", node.address);
      part.number("port", node.port, 1, 65535);
      part.text("data", node.data);
      part.number("threads", node.threads, 1, 64);
      part.require("name", !node.name.empty());
      part.require("port", node.port != 0);
      part.require("data", !node.data.empty());
      if (auto done = part.finish(site.warnings); !done) return std::unexpected(done.error());
      site.nodes.push_back(std::move(node));
    }
  }
  if (const auto* hosts = root["host"].as_array()) {
    for (const auto& entry : *hosts) {
      const auto* table = entry.as_table();
      if (table == nullptr) continue;
      HostConfig host;
      Reader part(*table, "[[host]]", path);
      part.text("name", host.name);
      part.text("socket", host.socket);
      part.text("data", host.data);
      part.require("name", !host.name.empty());
      if (auto done = part.finish(site.warnings); !done) return std::unexpected(done.error());
      site.hosts.push_back(std::move(host));
    }
  }
  return site;
}

Result<NodeConfig> node_config(const SiteConfig& site, std::string_view name) {
  std::vector<std::string> names;
  for (const auto& node : site.nodes) {
    if (node.name == name) return node;
    names.push_back(node.name);
  }
  return fail(ErrorKind::not_found,
              fmt::format("{} has no [[node]] called '{}'; it has: {}.", site.path, name, names.empty() ? "none" : join(names, ", ")));
}

}  // namespace afloat::server
