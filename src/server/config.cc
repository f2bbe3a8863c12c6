#include "server/config.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <sstream>
#include <toml++/toml.h>

#include "base/hash.h"
#include "base/text.h"
#include "version/version.h"

namespace afloat::server {

namespace {

std::string shown(const toml::node& node) {
  std::ostringstream text;
  text << toml::node_view<const toml::node>(node);
  // A value may be a secret: a connection string with its password is not repeated in a log.
  return text.str().size() > 40 ? "" : fmt::format(", not {}", text.str());
}

// Reads the keys of one table: what is read is known, and what is left over is listed.
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
      else wrong(key, *node, fmt::format("a whole number from {} to {}{}", low, high, shown(*node)));
    }
  }
  void choice(std::string_view key, std::string& out, std::initializer_list<std::string_view> allowed) {
    text(key, out);
    for (auto option : allowed)
      if (out == option) return;
    const auto* node = table_.get(key);
    std::string list;
    for (auto option : allowed) list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", option);
    if (node) wrong(key, *node, fmt::format("one of {}{}", list, shown(*node)));
  }
  /// A value that has the right type and can't be used all the same.
  void check(std::string_view key, bool good, std::string_view allowed) {
    const auto* node = table_.get(key);
    if (!good && node) wrong(key, *node, fmt::format("{}{}", allowed, shown(*node)));
  }
  /// [[name]] tables; none where the key is absent.
  std::vector<const toml::table*> tables(std::string_view key) {
    std::vector<const toml::table*> found;
    const auto* node = find(key);
    if (node == nullptr) return found;
    const auto* array = node->as_array();
    if (array == nullptr) {
      wrong(key, *node, fmt::format("a list of tables: each begins with a line [[{}]]", key));
      return found;
    }
    for (const auto& entry : *array) {
      if (const auto* table = entry.as_table()) found.push_back(table);
      else wrong(key, entry, fmt::format("a list of tables: each begins with a line [[{}]]", key));
    }
    return found;
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
  void require(std::string_view key, bool present, std::string_view because = {}) {
    if (present || error_) return;
    if (const auto* node = table_.get(key)) return wrong(key, *node, "there and not empty");
    error_ = Error(ErrorKind::invalid_argument,
                   fmt::format("{}{}: the key '{}'{} is missing; add it{}.", file_,
                               where_.empty() ? "" : fmt::format(" line {}", table_.source().begin.line), key, in(),
                               because.empty() ? "" : fmt::format(": {}", because)));
  }
  /// `taken` has the values seen so far with their lines; a second one is an error that names both.
  template <class Key>
  void unique(std::string_view key, const Key& value, std::map<Key, std::uint32_t>& taken, std::string_view because) {
    const auto* node = table_.get(key);
    if (node == nullptr || error_) return;
    const auto line = node->source().begin.line;
    const auto [at, fresh] = taken.emplace(value, line);
    if (!fresh)
      error_ = Error(ErrorKind::invalid_argument,
                     fmt::format("{} line {}: '{}'{} is {} as in line {} already: {}.", file_, line, key, in(), value,
                                 at->second, because));
  }
  Result<void> finish(std::vector<std::string>& unknown) {
    if (error_) return std::unexpected(*error_);
    const std::vector<std::string> known(seen_.begin(), seen_.end());
    for (const auto& [key, node] : table_) {
      if (seen_.contains(std::string(key.str()))) continue;
      const auto nearest = nearest_word(key.str(), known);
      unknown.push_back(fmt::format("{} line {}: this version ({}) does not know the key '{}'{}{}", file_,
                                    key.source().begin.line, version::stamp().version, key.str(), in(),
                                    nearest.empty() ? fmt::format("; it knows: {}.", join(known, ", "))
                                                    : fmt::format("; did you mean '{}'?", nearest)));
    }
    return {};
  }

 private:
  std::string in() const { return where_.empty() ? "" : " in " + where_; }
  const toml::node* find(std::string_view key) {
    seen_.emplace(key);
    return table_.get(key);
  }
  void wrong(std::string_view key, const toml::node& node, std::string allowed) {
    if (error_) return;
    error_ = Error(ErrorKind::invalid_argument,
                   fmt::format("{} line {}: '{}'{} must be {}.", file_, node.source().begin.line, key, in(), allowed));
  }
  const toml::table& table_;
  std::string where_;
  const std::string& file_;
  std::set<std::string> seen_;
  std::optional<Error> error_;
};

bool is_address(const std::string& text) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, text.c_str(), bytes) == 1 || inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

/// "10.0.0.7:7443" or "[::1]:7443" in its parts; false for anything else.
bool split_listen(const std::string& text, std::string& address, int& port) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) return false;
  address = text.substr(0, colon);
  if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
  else if (address.find(':') != std::string::npos) return false;
  const auto number = parse_int(text.substr(colon + 1));
  if (!number || *number < 1 || *number > 65535) return false;
  port = static_cast<int>(*number);
  return is_address(address);
}

// Names stand in paths of the REST API, in folders and in the balancer's commands.
bool is_name(const std::string& text) {
  return !text.empty() && text.size() <= 63 && text != "." && text != ".." &&
         std::ranges::all_of(text, [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_' || c == '.'; });
}
constexpr std::string_view name_rule = "made of 1 to 63 letters, digits, '-', '_' and '.'";

Result<std::string> read_whole(const std::string& path) {
  const auto unreadable = [&path](int code) {
    return fail(ErrorKind::not_found,
                fmt::format("Can't read the configuration {}: {}. {}", path, std::strerror(code),
                            code == EACCES   ? "Give the user that runs this program the right to read it."
                            : code == EISDIR ? "Name the file itself with --config FILE."
                                             : "Name it with --config FILE."));
  };
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return unreadable(errno);
  std::string bytes;
  char buffer[4096];
  ssize_t count = 0;
  while ((count = ::read(file, buffer, sizeof buffer)) > 0) bytes.append(buffer, static_cast<std::size_t>(count));
  const int code = errno;
  ::close(file);
  if (count < 0) return unreadable(code);
  return bytes;
}

}  // namespace

Result<SiteConfig> load_config(const std::string& path) {
  auto bytes = read_whole(path);
  if (!bytes) return std::unexpected(bytes.error());
  const std::string& content = *bytes;
  SiteConfig site;
  site.path = path;
  site.hash = sha256_hex(content);
  toml::table root;
  try {
    root = toml::parse(content, path);
  } catch (const toml::parse_error& error) {
    return fail(ErrorKind::invalid_argument,
                fmt::format("{} line {}: this is not TOML: {}.", path, error.source().begin.line,
                            replace_all(std::string(error.description()), "\n", "\\n")));
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
  reader.text("tls_ca", site.tls_ca);
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
  reader.check("base_url", site.base_url.empty() || site.base_url.starts_with("http://") || site.base_url.starts_with("https://"),
               "an address that begins with http:// or https://");
  const auto nodes = reader.tables("node");
  const auto hosts = reader.tables("host");
  if (auto done = reader.finish(site.unknown_keys); !done) return std::unexpected(done.error());
  std::map<std::string, std::uint32_t> host_names, node_names, data_folders;
  std::map<std::string, std::map<int, std::uint32_t>> ports;
  for (const auto* table : hosts) {
    HostConfig host;
    Reader part(*table, "[[host]]", path);
    part.text("name", host.name);
    part.text("socket", host.socket);
    part.text("data", host.data);
    part.text("listen", host.listen);
    part.text("url", host.url);
    part.text("tls_certificate", host.tls_certificate);
    part.text("tls_key", host.tls_key);
    part.text("token_file", host.token_file);
    part.require("name", !host.name.empty());
    if (host.listen.empty()) part.require("socket", !host.socket.empty());
    part.require("data", !host.data.empty());
    part.check("name", is_name(host.name), name_rule);
    part.unique("name", host.name, host_names, "each host needs a name of its own");
    // Who reaches the agent commands the host: never without encryption, never without a token.
    if (!host.listen.empty()) {
      part.check("listen", split_listen(host.listen, host.listen_address, host.listen_port), "an IP address and a port, as \"10.0.0.7:7443\"");
      for (const auto& [key, value] : {std::pair("tls_certificate", &host.tls_certificate), std::pair("tls_key", &host.tls_key),
                                       std::pair("token_file", &host.token_file)})
        part.require(key, !value->empty(), "an agent listens on TCP only with TLS and a token (docs/tls.md)");
      const bool anywhere = host.listen_address == "0.0.0.0" || host.listen_address == "::";
      if (anywhere) part.require("url", !host.url.empty(), "`listen` is no address that the conductor could use");
      if (host.url.empty()) host.url = "https://" + host.listen;
    }
    part.check("url", host.url.empty() || host.url.starts_with("https://"), "an address that begins with https://");
    while (host.url.ends_with('/')) host.url.pop_back();
    if (auto done = part.finish(site.unknown_keys); !done) return std::unexpected(done.error());
    site.hosts.push_back(std::move(host));
  }
  for (const auto* table : nodes) {
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
    part.text("tls_certificate", node.tls_certificate);
    part.text("tls_key", node.tls_key);
    part.require("data", !node.data.empty());
    if (node.tls()) part.require("tls_key", !node.tls_key.empty(), "a certificate is of use only with its key");
    if (!node.tls_key.empty()) part.require("tls_certificate", node.tls(), "a key is of use only with its certificate");
    part.check("name", is_name(node.name), name_rule);
    part.check("address", is_address(node.address), "an IP address");
    part.unique("name", node.name, node_names, "two nodes can't share a name");
    // Two hosts may each have a node on one port and in one folder; where no host is named, the address tells.
    const auto place = node.host + " " + node.address;
    part.unique("port", node.port, ports[place], "two nodes of one host can't listen on one port");
    if (!host_names.empty() && !node.host.empty())
      part.check("host", host_names.contains(node.host), "the name of a [[host]]");
    if (auto done = part.finish(site.unknown_keys); !done) return std::unexpected(done.error());
    auto folder = node.host + ":" + node.data;
    if (!data_folders.emplace(folder, 0).second)
      return fail(ErrorKind::invalid_argument,
                  fmt::format("{} line {}: 'data' in [[node]] is the folder of another node of that host already: each "
                              "node needs a folder of its own.", path, table->get("data")->source().begin.line));
    site.nodes.push_back(std::move(node));
  }
  return site;
}

std::string NodeConfig::url() const {
  const bool v6 = address.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", tls() ? "https" : "http", v6 ? "[" : "", address, v6 ? "]" : "", port);
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
