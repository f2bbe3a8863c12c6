#include "local/site.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <csignal>
#include <filesystem>
#include <future>
#include <thread>

#include "base/hash.h"
#include "base/json_fields.h"

namespace afloat::local {
namespace {

constexpr const char* surge_name = "surge1";

namespace fs = std::filesystem;
namespace json = boost::json;
using namespace std::chrono_literals;

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

/// The first failure of several calls at once.
Result<void> all_of(std::vector<std::future<Result<void>>> calls) {
  Result<void> outcome;
  for (auto& call : calls) {
    auto result = call.get();
    if (!result && outcome) outcome = std::unexpected(result.error());
  }
  return outcome;
}

}  // namespace

Result<std::unique_ptr<Site>> Site::create(SiteOptions options) {
  std::unique_ptr<Site> site(new Site);
  if (options.nodes < 1 || options.nodes > 25)
    return fail(ErrorKind::invalid_argument, fmt::format("a local site has 1 to 25 nodes, not {}", options.nodes));
  if (options.program.empty()) options.program = own_program();
  if (options.dir.empty()) {
    site->temp_ = std::make_unique<TempDir>();
    site->dir_ = site->temp_->path();
  } else {
    site->dir_ = fs::absolute(options.dir).lexically_normal().string();
    if (site->dir_.ends_with('/')) site->dir_.pop_back();
  }
  // Before anything is written: the file of a site that runs would lead its nodes astray.
  auto lock = FolderLock::take(site->dir_);
  if (!lock) return std::unexpected(lock.error());
  site->lock_ = std::move(*lock);
  site->session_ = random_hex(4);
  if (options.base_port) {
    site->ports_ = PortBlock::at(*options.base_port);
  } else {
    auto block = PortBlock::take();
    if (!block) return std::unexpected(block.error());
    site->ports_ = std::move(*block);
  }
  site->balancer_port_ = site->ports_->first();
  site->options_ = std::move(options);
  for (int i = 1; i <= site->options_.nodes; ++i) {
    SiteNode node;
    node.name = fmt::format("node{}", i);
    node.host = site->options_.host_per_node ? fmt::format("host{}", i) : "host1";
    node.port = site->balancer_port_ + i;
    node.tls = site->options_.tls.has_value();
    node.data = site->host_data(node.host) + "/nodes/" + node.name;
    site->nodes_.push_back(node);
  }
  for (const auto& folder : {site->dir_, site->dir_ + "/logs", site->dir_ + "/home"})
    if (auto made = make_folders(folder); !made) return std::unexpected(made.error());
  // A site that is started again keeps its password.
  const auto password_file = site->dir_ + "/admin-password";
  auto& password = site->options_.admin_password;
  if (auto known = read_file(password_file); known && password.empty()) password = *known;
  if (password.empty()) password = random_hex(8);
  if (auto written = write_file(password_file, password, 0600); !written) return std::unexpected(written.error());
  for (const auto& host : site->hosts())
    if (auto made = make_folders(site->host_data(host)); !made) return std::unexpected(made.error());

  if (site->options_.database.empty()) {
    site->say("starting PostgreSQL");
    auto server = Postgres::start(
        {.folder = site->dir_ + "/pg", .log = site->dir_ + "/logs/postgres.log", .fsync = site->options_.fsync});
    if (!server) return std::unexpected(server.error());
    site->postgres_ = std::make_unique<Postgres>(std::move(*server));
    auto made = site->postgres_->create_database("afloat");
    if (!made && made.error().kind() != ErrorKind::conflict) return std::unexpected(made.error());
    site->database_ = site->postgres_->connection("afloat");
  } else {
    site->database_ = site->options_.database;
  }

  site->say("starting HAProxy");
  Haproxy::Options balancer{.folder = site->dir_ + "/haproxy", .port = site->balancer_port_};
  if (const auto& tls = site->options_.tls) {
    balancer.ca_file = tls->ca;
    site->client_.trust(tls->ca);
  }
  for (const auto& node : site->nodes_) balancer.servers.push_back({.name = node.name, .port = node.port});
  auto haproxy = Haproxy::start(std::move(balancer));
  if (!haproxy) return std::unexpected(haproxy.error());
  site->haproxy_ = std::make_unique<Haproxy>(std::move(*haproxy));

  auto described = site->nodes_;
  if (site->options_.surge_node) {
    auto surge = described.front();
    surge.name = surge_name;
    surge.port = site->spare_port(5);
    surge.data = site->host_data(surge.host) + "/nodes/" + surge.name;
    described.push_back(surge);
    site->surge_ = surge;
  }
  if (auto written = write_file(site->config(), site->site_toml(described), 0600); !written)
    return std::unexpected(written.error());
  if (auto started = site->start_agents(); !started) return std::unexpected(started.error());
  if (site->options_.conductor)
    if (auto started = site->start_conductor(); !started) return std::unexpected(started.error());
  return site;
}

Site::~Site() { stop(); }

void Site::say(const std::string& text) const {
  if (options_.say) options_.say(text);
}

void Site::keep() {
  if (temp_) temp_->keep();
}

std::vector<std::string> Site::hosts() const {
  std::vector<std::string> names;
  for (const auto& node : nodes_)
    if (std::ranges::find(names, node.host) == names.end()) names.push_back(node.host);
  return names;
}

std::string Site::site_toml(const std::vector<SiteNode>& nodes) const {
  std::string text = "# A site on one machine, written by afloat.\n";
  std::map<std::string, std::string> keys = {
      {"site_name", quoted("Afloat")},
      {"base_url", quoted(url())},
      {"database", quoted(database_)},
      {"shared_home", quoted(dir_ + "/home")},
      {"catalogue", quoted(fs::absolute(options_.catalogue).lexically_normal().string())},
      {"haproxy_socket", quoted(dir_ + "/haproxy/admin.sock")},
      {"haproxy_backend", quoted("wiki")},
  };
  for (const auto& key : options_.trusted_keys) {
    auto& list = keys["trusted_keys"];
    list = list.empty() ? fmt::format("[{}]", quoted(key))
                        : fmt::format("{}, {}]", list.substr(0, list.size() - 1), quoted(key));
  }
  if (options_.tls) keys["tls_ca"] = quoted(options_.tls->ca);
  for (const auto& [key, value] : options_.settings) keys[key] = value;
  for (const auto& [key, value] : keys) text += fmt::format("{} = {}\n", key, value);
  const auto pair = options_.tls ? fmt::format("tls_certificate = {}\ntls_key = {}\n",
                                               quoted(options_.tls->certificate), quoted(options_.tls->key))
                                 : std::string();
  int further_port = spare_port(10);
  for (const auto& host : hosts()) {
    text += fmt::format("\n[[host]]\nname = {}\nsocket = {}\ndata = {}\n", quoted(host),
                        quoted(host_data(host) + "/agent.sock"), quoted(host_data(host)));
    if (options_.tls && std::ranges::find(options_.tls->agents, host) != options_.tls->agents.end())
      text += fmt::format("listen = \"127.0.0.1:{}\"\ntoken_file = {}\n{}", further_port++,
                          quoted(options_.tls->token_file), pair);
  }
  for (const auto& node : nodes)
    text +=
        fmt::format("\n[[node]]\nname = {}\nhost = {}\naddress = \"127.0.0.1\"\nport = {}\ndata = {}\n{}",
                    quoted(node.name), quoted(node.host), node.port, quoted(node.data + "/data"), node.tls ? pair : "");
  return text;
}

std::map<std::string, std::string> Site::credentials() const {
  std::map<std::string, std::string> all = {{"AFLOAT_USER", "admin"},
                                            {"AFLOAT_PASSWORD", options_.admin_password},
                                            {"AFLOAT_SITE", url()},
                                            {"AFLOAT_CONFIG", config()}};
  if (options_.tls) all["AFLOAT_CA"] = options_.tls->ca;
  return all;
}

Result<void> Site::start_agents() {
  for (const auto& host : hosts()) {
    if (agents_[host].running()) continue;
    say("starting the agent of " + host);
    ProcessOptions run;
    // Were we killed, the agent gets SIGTERM and takes its nodes with it: a local site leaves nothing behind.
    run.argv = {options_.program, "agent", "--config", config(), "--host", host, "--stop-nodes"};
    run.env = options_.env;
    run.env["AFLOAT_ADMIN_PASSWORD"] = options_.first_run ? "" : options_.admin_password;
    run.log = dir_ + "/logs/agent-" + host + ".log";
    auto process = Process::start(run);
    if (!process) return std::unexpected(process.error());
    agents_[host] = std::move(*process);
  }
  const auto end = std::chrono::steady_clock::now() + 10s;
  for (const auto& host : hosts()) {
    while (!report(host)) {
      if (!agents_[host].running() || std::chrono::steady_clock::now() > end)
        return fail(ErrorKind::unavailable,
                    fmt::format("the agent of {} did not come up; it said:\n{}", host, agents_[host].last_lines(15)));
      std::this_thread::sleep_for(5ms);
    }
  }
  return {};
}

void Site::stop_agents() {
  for (auto& [host, process] : agents_) process.stop(5s, SIGKILL);
}

Result<void> Site::start_conductor() {
  say("starting the conductor");
  ProcessOptions run;
  run.argv = {options_.program, "conductor", "--config", config(), "--soak", fmt::format("{}", options_.soak_s)};
  if (options_.surge_node)
    for (const std::string argument : {"--surge-node", surge_name, "--surge-server", Haproxy::server_options})
      run.argv.push_back(argument);
  run.env = credentials();
  run.log = dir_ + "/logs/conductor.log";
  auto process = Process::start(run);
  if (!process) return std::unexpected(process.error());
  conductor_ = std::move(*process);
  return {};
}

Result<std::string> Site::report(const std::string& host) {
  http::ClientRequest request;
  request.url = "http://agent/agent/1/report";
  request.unix_socket = host_data(host) + "/agent.sock";
  auto answer = client_.send_blocking(std::move(request), 5s);
  if (!answer) return std::unexpected(answer.error());
  if (answer->status != 200)
    return fail(ErrorKind::unavailable,
                fmt::format("the agent of {} answered its report with {}", host, answer->status));
  return *answer->body;
}

Result<std::string> Site::order(const std::string& host, const std::string& verb, const std::string& node,
                                const std::string& version, std::chrono::milliseconds limit) {
  // A conductor may take the lead between our look at who leads and our order in its name.
  for (int attempt = 1;; ++attempt) {
    auto known = report(host);
    if (!known) return std::unexpected(known.error());
    auto fields = parse_json_object(*known, "the agent's report");
    if (!fields) return std::unexpected(fields.error());
    // We own this site: we give orders in the name of whoever led last.
    const auto epoch = int_or(*fields, "highest_epoch");
    json::object body{{"epoch", std::max<std::int64_t>(epoch, 1)},
                      {"holder", epoch > 0 ? string_or(*fields, "epoch_holder") : "afloat up"},
                      {"run", 0},
                      {"step", fmt::format("local/{}/{}", session_, ++orders_)},
                      {"timeout_ms", limit.count()}};
    if (!node.empty()) body["node"] = node;
    if (!version.empty()) body["version"] = version;
    http::ClientRequest request;
    request.method = "POST";
    request.url = "http://agent/agent/1/" + verb;
    request.unix_socket = host_data(host) + "/agent.sock";
    request.headers.set("Content-Type", "application/json");
    request.body = json::serialize(body);
    auto answer = client_.send_blocking(std::move(request), limit + 2s);
    if (!answer) return std::unexpected(answer.error());
    if (answer->status == 200) return *answer->body;
    auto said = parse_json_object(*answer->body, "the agent's answer");
    if (said && string_or(*said, "code") == "stale_epoch" && attempt < 5) continue;
    return fail(ErrorKind::failed_precondition,
                fmt::format("the agent of {} refused `{} {} {}`: {}", host, verb, node, version,
                            said ? string_or(*said, "message") : *answer->body));
  }
}

Result<void> Site::distribute(const std::string& version) {
  for (const auto& host : hosts())
    if (auto done = order(host, "distribute", "", version, 60s); !done) return std::unexpected(done.error());
  return {};
}

const SiteNode& Site::node(const std::string& name) const {
  if (surge_ && surge_->name == name) return *surge_;
  const auto found = std::ranges::find(nodes_, name, &SiteNode::name);
  if (found == nodes_.end()) throw std::logic_error("the local site has no node " + name);
  return *found;
}

Result<void> Site::start_node(const std::string& name, const std::string& version) {
  const auto host = node(name).host;
  if (auto done = order(host, "switch", name, version, 10s); !done) return std::unexpected(done.error());
  if (auto done = order(host, "start", name, "", 10s); !done) return std::unexpected(done.error());
  return {};
}

Result<void> Site::stop_node(const std::string& name) {
  if (auto done = order(node(name).host, "stop", name, "", 15s); !done) return std::unexpected(done.error());
  return {};
}

Result<void> Site::wait_ready(const std::string& name, std::chrono::milliseconds limit) {
  const auto& wanted = node(name);
  const auto end = std::chrono::steady_clock::now() + limit;
  std::string seen = "no connection";
  for (int round = 0; std::chrono::steady_clock::now() < end; ++round) {
    http::ClientRequest request;
    request.url = wanted.url() + "/health/ready";
    auto answer = client_.send_blocking(std::move(request), 2s);
    if (answer && answer->status == 200) return {};
    seen = answer ? fmt::format("{} {}", answer->status, *answer->body) : answer.error().message();
    if (options_.given_up && options_.given_up())
      return fail(ErrorKind::unavailable, "Stopped while the site was starting.");
    // A node that may not join says so once and is not started again.
    if (round % 10 == 9) {
      auto said = report(wanted.host);
      auto fields = said ? parse_json_object(*said, "the agent's report") : Result<json::object>();
      const auto* list = fields ? array_at(*fields, "nodes") : nullptr;
      for (const auto& entry : list ? *list : json::array{}) {
        const auto& o = entry.as_object();
        if (string_or(o, "name") == name && !bool_or(o, "running") && int_or(o, "last_exit_code") == 78)
          return fail(ErrorKind::failed_precondition, fmt::format("{} may not join:\n{}", name, node_log(name, 5)));
      }
    }
    std::this_thread::sleep_for(10ms);
  }
  return fail(ErrorKind::deadline_exceeded, fmt::format("{} was not ready within {} s ({}); the end of its log:\n{}",
                                                        name, limit.count() / 1000.0, seen, node_log(name, 15)));
}

Result<void> Site::start_nodes(const std::string& version, std::chrono::milliseconds limit) {
  say("unpacking release " + version);
  if (auto done = distribute(version); !done) return std::unexpected(done.error());
  say(fmt::format("starting {} with {}", nodes_.front().name, version));
  const auto first = nodes_.front().name;
  if (auto done = start_node(first, version); !done) return std::unexpected(done.error());
  if (auto done = wait_ready(first, limit); !done) return std::unexpected(done.error());
  if (nodes_.size() > 1) say(fmt::format("starting {} more", nodes_.size() - 1));
  std::vector<std::future<Result<void>>> calls;
  for (std::size_t i = 1; i < nodes_.size(); ++i)
    calls.push_back(std::async(std::launch::async, [this, i, &version, limit]() -> Result<void> {
      if (auto done = start_node(nodes_[i].name, version); !done) return done;
      return wait_ready(nodes_[i].name, limit);
    }));
  if (auto done = all_of(std::move(calls)); !done) return done;
  return haproxy_->wait_up(static_cast<int>(nodes_.size()), limit);
}

Result<CommandOutput> Site::afloat(std::vector<std::string> args, std::chrono::milliseconds limit) {
  return afloat_of(options_.program, std::move(args), limit);
}

Result<CommandOutput> Site::afloat_of(const std::string& program, std::vector<std::string> args,
                                      std::chrono::milliseconds limit) {
  ProcessOptions run;
  run.argv = {program};
  run.argv.insert(run.argv.end(), args.begin(), args.end());
  // These find the site by its address, AFLOAT_SITE.
  const bool by_address = !args.empty() && (args[0] == "status" || args[0] == "nodes" || args[0] == "events" ||
                                            (args[0] == "upgrade" && args.size() > 1 && args[1] != "expand"));
  if (!by_address && std::ranges::find(args, "--config") == args.end()) {
    run.argv.push_back("--config");
    run.argv.push_back(config());
  }
  run.env = credentials();
  if (program != options_.program) run.without = {"AFLOAT_WEB"};
  return run_command(std::move(run), limit);
}

std::string Site::linked_version() const {
  std::error_code error;
  const auto link = fs::read_symlink(nodes_.front().data + "/current", error);
  return error ? std::string() : link.filename().string();
}

std::string Site::program_of(const std::string& version) const {
  return host_data(hosts().front()) + "/releases/" + version + "/bin/afloat";
}

pid_t Site::node_pid(const std::string& name) {
  auto said = report(node(name).host);
  if (!said) return 0;
  auto fields = parse_json_object(*said, "the agent's report");
  const auto* list = fields ? array_at(*fields, "nodes") : nullptr;
  if (!list) return 0;
  for (const auto& entry : *list) {
    const auto& o = entry.as_object();
    if (string_or(o, "name") == name && bool_or(o, "running")) return atoi(string_or(o, "incarnation").c_str());
  }
  return 0;
}

std::string Site::node_log(const std::string& name, int lines) const {
  return last_lines_of(node(name).data + "/log", lines);
}

void Site::stop() {
  conductor_.stop(5s);
  if (!agents_.empty()) {
    say("stopping nodes, agents, HAProxy and PostgreSQL");
    // A stopped (SIGSTOP) node or a dead agent must not keep the others running.
    if (!start_agents()) say("an agent could not be started again; its nodes are killed");
    std::vector<std::future<Result<void>>> calls;
    for (const auto& node : nodes_)
      calls.push_back(std::async(std::launch::async, [this, name = node.name] { return stop_node(name); }));
    for (std::size_t i = 0; i < calls.size(); ++i)
      if (!calls[i].get())
        if (const auto pid = node_pid(nodes_[i].name)) kill(pid, SIGKILL);
    for (auto& [host, process] : agents_) process.stop(15s);
    agents_.clear();
  }
  if (haproxy_) haproxy_->stop();
  haproxy_.reset();
  if (postgres_ && postgres_->running()) postgres_->stop();
  postgres_.reset();
}

}  // namespace afloat::local
