#include "agent/agent.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <shared_mutex>

#include "adapters/files/archive.h"
#include "base/hash.h"
#include "base/text.h"
#include "version/version.h"

namespace afloat::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds selfcheck_timeout(30);
constexpr int first_build_with_selfcheck = 10'010'000;  // 1.1.0; of an older one only the version is asked for

bool starts_process(const AgentCommand& command) {
  return command.kind == "start" || command.kind == "start_ephemeral";
}
bool changes_process(const AgentCommand& command) {
  return command.kind == "stop" || command.kind == "switch" || starts_process(command);
}

}  // namespace

Agent::Agent(AgentConfig config)
    : config_(std::move(config)),
      epoch_(config_.data + "/epoch.json"),
      journal_(config_.data + "/journal.jsonl"),
      releases_(
          config_.data + "/releases", config_.catalogue,
          [this](const std::string& version) {
            return std::any_of(config_.nodes.begin(), config_.nodes.end(),
                               [&](const auto& node) { return linked_version(node) == version; });
          },
          config_.trusted_keys) {
  std::vector<NodeSpec> specs;
  for (const auto& node : config_.nodes) {
    const std::string folder = node_folder(node);
    // Through the link: what a restart runs is what the node was switched to.
    specs.push_back(
        {node, {folder + "/current/bin/afloat", "serve", "--config", config_.site_file, "--node", node}, folder});
    node_locks_[node];
  }
  supervisor_ = std::make_unique<Supervisor>(std::move(specs), config_.log);
}

Agent::~Agent() {
  supervisor_.reset();
  if (lock_fd_ >= 0) ::close(lock_fd_);
}

Result<void> Agent::begin() {
  std::error_code error;
  fs::create_directories(config_.data + "/nodes", error);
  if (error) return fail(ErrorKind::internal, fmt::format("Can't make {}: {}", config_.data, error.message()));
  lock_fd_ = ::open((config_.data + "/agent.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_fd_ < 0 || ::flock(lock_fd_, LOCK_EX | LOCK_NB) != 0) {
    return fail(
        ErrorKind::failed_precondition,
        fmt::format("Another agent runs on {}: two would start each node twice. Stop that one first.", config_.data));
  }
  if (auto loaded = epoch_.load(); !loaded) return loaded;
  if (auto loaded = journal_.load(); !loaded) return loaded;
  if (auto cleaned = releases_.clean(); !cleaned) return cleaned;
  return supervisor_->begin();
}

std::string Agent::linked_version(const std::string& node) const {
  std::error_code error;
  const auto target = fs::read_symlink(node_folder(node) + "/current", error);
  return error ? "" : target.filename().string();
}

HostReport Agent::report() const {
  HostReport report;
  report.host = config_.host;
  report.agent_version = config_.version;
  const LeaderLease known = epoch_.known();
  report.highest_epoch = known.epoch;
  report.epoch_holder = known.holder;
  if (auto text = files::read_file(config_.site_file)) report.config_hash = sha256_hex(*text);
  report.releases = releases_.versions();
  for (const auto& version : report.releases)
    report.digests[version] = files::sha256_of_file(releases_.path_of(version) + "/manifest.json").value_or("");
  for (auto& status : supervisor_->all()) {
    HostNode node;
    node.version = linked_version(status.name);
    node.name = std::move(status.name);
    node.running = status.running;
    node.incarnation = std::move(status.incarnation);
    node.last_exit_code = status.last_exit_code;
    node.restarts = status.restarts;
    node.wanted = status.wanted;
    node.last_lines = std::move(status.last_lines);
    report.nodes.push_back(std::move(node));
  }
  return report;
}

std::map<std::string, std::string> Agent::logs(std::size_t bytes) const {
  std::map<std::string, std::string> ends;
  for (const auto& node : config_.nodes) ends[node] = tail_of(node_folder(node) + "/log", bytes);
  return ends;
}

Result<HostReport> Agent::announce(const LeaderLease& lead, std::chrono::milliseconds timeout) {
  const LeaderLease before = epoch_.known();
  if (auto accepted = epoch_.accept(lead); !accepted) return std::unexpected(accepted.error());
  if (before.epoch != lead.epoch) config_.log(fmt::format("leader is now {}, epoch {}", lead.holder, lead.epoch));
  std::unique_lock lock(active_mutex_);
  if (!active_changed_.wait_for(lock, timeout, [this] { return active_ == 0; })) {
    return fail(ErrorKind::unavailable, "A command of the earlier leader is still being carried out here. Ask again.");
  }
  return report();
}

Result<void> Agent::check_incarnation(const AgentCommand& command) const {
  if (!command.order.expected_incarnation) return {};
  auto status = supervisor_->status(command.node);
  if (!status) return std::unexpected(status.error());
  return agent::check_incarnation(command, status->incarnation);
}

Result<bool> Agent::execute(const AgentCommand& command) {
  if (auto accepted = epoch_.accept(command.order.lead); !accepted) return std::unexpected(accepted.error());
  std::mutex* lock_of = &release_lock_;
  if (command.kind != "distribute") {
    const auto found = node_locks_.find(command.node);
    if (found == node_locks_.end()) {
      return fail(ErrorKind::not_found, fmt::format("Host {} has no node '{}'; it has: {}.", config_.host, command.node,
                                                    join(config_.nodes, ", ")));
    }
    // An expand may take long and touches no process, so stops and starts need not wait for it.
    if (command.kind != "expand") lock_of = &found->second;
  }
  const std::unique_lock lock(*lock_of);

  // Counted before the epoch is checked again: an announcement either is seen here or waits for us.
  struct Active {
    Agent& agent;
    bool counted;
    Active(Agent& a, bool counts) : agent(a), counted(counts) { add(1); }
    ~Active() { add(-1); }
    void add(int change) {
      if (!counted) return;
      std::scoped_lock guard(agent.active_mutex_);
      agent.active_ += change;
      agent.active_changed_.notify_all();
    }
  };
  const Active active(*this, changes_process(command));
  if (auto accepted = epoch_.accept(command.order.lead); !accepted) return std::unexpected(accepted.error());
  // Unpacking again finds the release intact, or repairs it: better than to take the journal's word.
  if (command.kind != "distribute" && journal_.is_done(command)) return true;
  if (auto expected = check_incarnation(command); !expected) return std::unexpected(expected.error());
  if (auto begun = journal_.record(command, "begun"); !begun) return std::unexpected(begun.error());
  auto outcome = carry_out(command);
  auto recorded =
      outcome ? journal_.record(command, "done") : journal_.record(command, "failed", outcome.error().message());
  config_.log(fmt::format("{} {} {} (run {}, step {}): {}", command.kind, command.node, command.version,
                          command.order.run, command.order.step, outcome ? "done" : outcome.error().message()));
  if (!outcome) return std::unexpected(outcome.error());
  if (!recorded) return std::unexpected(recorded.error());
  return false;
}

Result<void> Agent::carry_out(const AgentCommand& command) {
  const std::chrono::milliseconds timeout(command.timeout_ms);
  if (command.kind == "distribute") return distribute(command.version);
  if (command.kind == "expand") return expand(command);
  if (command.kind == "stop") return supervisor_->stop(command.node, timeout);
  if (command.kind == "switch") return switch_link(command.node, command.version);
  if (starts_process(command)) {
    const std::string version = linked_version(command.node);
    if (version.empty() || !releases_.has(version)) {
      return fail(ErrorKind::failed_precondition,
                  fmt::format("Node {} has no release to run: switch it to one first.", command.node));
    }
    return supervisor_->start(command.node,
                              command.kind == "start" ? Membership::lasting : Membership::ephemeral);
  }
  return fail(ErrorKind::invalid_argument, fmt::format("The agent knows no command '{}'.", command.kind));
}

Result<void> Agent::distribute(const std::string& version) {
  const auto on_this_host = [this](const Error& error) {
    return std::unexpected(Error(error.kind(), fmt::format("Host {}: {}", config_.host, error.message()), error.code()));
  };
  if (auto unpacked = releases_.distribute(version); !unpacked) return on_this_host(unpacked.error());
  // Nothing has been stopped yet: what the new program can't do here it says now.
  const auto parsed = version::parse_version(version);
  if (!parsed) return on_this_host(parsed.error());
  const std::string program = releases_.path_of(version) + "/bin/afloat";
  const bool checks_itself = version::build_number(*parsed) / 10 >= first_build_with_selfcheck / 10;
  const auto run = [&](std::vector<std::string> argv, const std::string& what) -> Result<std::string> {
    auto finished = run_program(argv, selfcheck_timeout);
    if (!finished)
      return on_this_host(Error(finished.error().kind() == ErrorKind::internal ? ErrorKind::failed_precondition
                                                                               : finished.error().kind(),
                                fmt::format("release {} {}: {}. Mend that, then try again; nothing was stopped.", version,
                                            what, finished.error().message())));
    if (finished->exit_code == 0) return std::string(trim(finished->output));
    const auto said = std::string(trim(finished->output));
    return on_this_host(Error(finished->exit_code == exit_try_again ? ErrorKind::unavailable : ErrorKind::failed_precondition,
                              fmt::format("release {} {}: {} (code {}). Mend that, then try again; nothing was stopped.",
                                          version, what, said.empty() ? "it said nothing" : said, finished->exit_code)));
  };
  auto own = run({program, "--version"}, "does not run here");
  if (!own) return std::unexpected(own.error());
  if (*own != version)
    return on_this_host(Error(ErrorKind::data_corrupted,
                              fmt::format("the program of release {} says that it is {}: another release was packed "
                                          "under this name. Get the bundle again; nothing was stopped.", version, *own)));
  if (!checks_itself) return {};
  for (const auto& node : config_.nodes)
    if (auto fit = run({program, "selfcheck", "--config", config_.site_file, "--node", node}, "can't serve as " + node + " here"); !fit)
      return std::unexpected(fit.error());
  return {};
}

Result<void> Agent::switch_link(const std::string& node, const std::string& version) {
  if (linked_version(node) == version) return {};
  if (!releases_.has(version)) {
    return fail(ErrorKind::failed_precondition,
                fmt::format("Release {} is not unpacked on host {}: distribute it first.", version, config_.host));
  }
  auto status = supervisor_->status(node);
  if (!status) return std::unexpected(status.error());
  // Otherwise a crash right now would bring the node back as another version in the middle of its service.
  if (status->running || status->wanted) {
    return fail(ErrorKind::failed_precondition, fmt::format("Node {} is running {}: stop it before switching it to {}.",
                                                            node, linked_version(node), version));
  }
  const std::string link = node_folder(node) + "/current";
  const std::string temporary = link + ".tmp-" + random_hex(4);
  std::error_code error;
  fs::create_symlink("../../releases/" + version, temporary, error);
  if (!error) fs::rename(temporary, link, error);
  if (error) return fail(ErrorKind::internal, fmt::format("Can't switch {}: {}", link, error.message()));
  const int folder = ::open(node_folder(node).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    ::fsync(folder);
    ::close(folder);
  }
  return {};
}

Result<void> Agent::expand(const AgentCommand& command) {
  if (!releases_.has(command.version)) {
    return fail(
        ErrorKind::failed_precondition,
        fmt::format("Release {} is not unpacked on host {}: distribute it first.", command.version, config_.host));
  }
  auto finished = run_program({releases_.path_of(command.version) + "/bin/afloat", "upgrade", "expand", "--config",
                               config_.site_file, "--node", command.node},
                              std::chrono::milliseconds(command.timeout_ms));
  if (!finished) return std::unexpected(finished.error());
  if (finished->exit_code == 0) return {};
  // The conductor tries again after what passes by itself, such as a database that restarts; else it asks a person.
  const auto kind = finished->exit_code == exit_try_again ? ErrorKind::unavailable
                    : finished->exit_code == 2              ? ErrorKind::invalid_argument
                                                            : ErrorKind::failed_precondition;
  return fail(kind,
              fmt::format("'afloat upgrade expand' of release {} ended with code {}: {}", command.version,
                          finished->exit_code, trim(finished->output)));
}

}  // namespace afloat::agent
