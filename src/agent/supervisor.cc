#include "agent/supervisor.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <csignal>
#include <filesystem>

#include "adapters/files/archive.h"
#include "base/json_fields.h"
#include "base/text.h"

namespace afloat::agent {
namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr auto never = SteadyClock::time_point{};
constexpr std::size_t tail_bytes = 4096;
/// After SIGKILL only the kernel is in the way.
constexpr auto kill_timeout = std::chrono::seconds(10);

void send_signal(int pidfd, int signal) { ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0); }

/// "<pid> <ticks>"
Result<ProcessId> read_pid_file(const std::string& path) {
  auto text = files::read_file(path);
  if (!text) return std::unexpected(text.error());
  const auto parts = split(trim(*text), ' ');
  const auto pid = parse_int(parts[0]);
  const auto ticks = parts.size() == 2 ? parse_int(parts[1]) : std::nullopt;
  if (!pid || !ticks) return fail(ErrorKind::not_found, "not a pid file");
  return ProcessId{static_cast<pid_t>(*pid), static_cast<unsigned long long>(*ticks)};
}

}  // namespace

Supervisor::Supervisor(std::vector<NodeSpec> nodes, std::function<void(std::string)> log, SupervisorTimes times)
    : log_(std::move(log)), times_(times) {
  for (auto& spec : nodes) {
    Node node;
    node.spec = std::move(spec);
    nodes_.emplace(node.spec.name, std::move(node));
  }
  wake_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

Supervisor::~Supervisor() {
  {
    std::scoped_lock lock(mutex_);
    quit_ = true;
  }
  wake();
  if (watcher_.joinable()) watcher_.join();
  for (auto& [name, node] : nodes_) close_pidfd(node);
  ::close(wake_fd_);
}

void Supervisor::wake() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t ignored = ::write(wake_fd_, &one, sizeof one);
}

void Supervisor::close_pidfd(Node& node) {
  if (node.pidfd >= 0) ::close(node.pidfd);
  node.pidfd = -1;
}

Result<void> Supervisor::begin() {
  std::scoped_lock lock(mutex_);
  for (auto& [name, node] : nodes_) {
    std::error_code error;
    std::filesystem::create_directories(node.spec.folder, error);
    if (error) return fail(ErrorKind::internal, fmt::format("Can't make {}: {}", node.spec.folder, error.message()));
    if (auto text = files::read_file(node.spec.folder + "/state.json")) {
      if (auto state = parse_json_object(*text, "state.json")) {
        node.wanted = bool_or(*state, "wanted");
        node.restarts = static_cast<int>(int_or(*state, "restarts"));
        node.last_exit_code = static_cast<int>(int_or(*state, "last_exit_code"));
        node.ephemeral = bool_or(*state, "ephemeral");
      }
    }
    auto process = read_pid_file(node.spec.folder + "/pid");
    auto pidfd = process ? open_process(*process) : std::unexpected(process.error());
    if (!pidfd) {
      // An agent that was killed between starting a node and writing its pid file.
      process = find_process(argv_of(node));
      if (process) pidfd = open_process(*process);
    }
    if (pidfd) {
      node.process = *process;
      node.pidfd = *pidfd;
      node.adopted = true;
      node.started = SteadyClock::now();
      log_(fmt::format("node {} runs as {}: adopted", name, to_string(node.process)));
    } else if (node.wanted) {
      if (auto launched = launch(node); !launched) {
        log_(fmt::format("node {} is wanted but can't be started: {}", name, launched.error().message()));
        node.delay = times_.longest_delay;
        node.restart_at = SteadyClock::now() + node.delay;
      }
    }
  }
  watcher_ = std::thread([this] { watch(); });
  return {};
}

std::vector<std::string> Supervisor::argv_of(const Node& node) {
  auto argv = node.spec.argv;
  if (node.ephemeral) argv.emplace_back("--ephemeral");
  return argv;
}

Result<void> Supervisor::launch(Node& node) {
  auto process = spawn(argv_of(node), node.spec.folder + "/log");
  if (!process) return std::unexpected(process.error());
  node.process = *process;
  node.adopted = false;
  node.stopping = false;
  node.started = SteadyClock::now();
  node.restart_at = never;
  // It is our child and nobody else reaps it, so the pid can't have changed its meaning: no check needed.
  node.pidfd = static_cast<int>(::syscall(SYS_pidfd_open, process->pid, 0));
  if (node.pidfd < 0) {  // a process that can't be watched must not run
    ::kill(process->pid, SIGKILL);
    ::waitpid(process->pid, nullptr, 0);
    return fail(ErrorKind::unavailable, "Can't watch a new process: too many open files?");
  }
  if (auto written =
          files::write_file_durably(node.spec.folder + "/pid", fmt::format("{} {}\n", process->pid, process->ticks));
      !written) {
    log_(fmt::format("node {}: {}", node.spec.name, written.error().message()));
  }
  log_(fmt::format("node {} started as {}", node.spec.name, to_string(*process)));
  wake();
  return {};
}

Result<void> Supervisor::start(const std::string& name, Membership membership) {
  std::scoped_lock lock(mutex_);
  const auto found = nodes_.find(name);
  if (found == nodes_.end()) return fail(ErrorKind::not_found, fmt::format("This host has no node '{}'.", name));
  Node& node = found->second;
  node.refused = false;
  node.stopping = false;
  node.delay = {};
  node.restarts = 0;
  node.wanted = true;
  if (node.pidfd < 0) node.ephemeral = membership == Membership::ephemeral;
  save(node);
  if (node.pidfd >= 0) return {};
  return launch(node);
}

Result<void> Supervisor::stop(const std::string& name, std::chrono::milliseconds timeout, bool keep_wanted) {
  std::unique_lock lock(mutex_);
  const auto found = nodes_.find(name);
  if (found == nodes_.end()) return fail(ErrorKind::not_found, fmt::format("This host has no node '{}'.", name));
  Node& node = found->second;
  node.restart_at = never;
  node.stopping = true;  // also keeps the watcher from starting it again when it stays wanted on disk
  if (!keep_wanted) {
    node.wanted = false;
    save(node);
  }
  if (node.pidfd < 0) return {};
  const ProcessId process = node.process;
  const auto gone = [&node, process] { return node.pidfd < 0 || node.process != process; };
  log_(fmt::format("node {} ({}): SIGTERM", name, to_string(process)));
  send_signal(node.pidfd, SIGTERM);
  if (changed_.wait_for(lock, timeout, gone)) return {};
  log_(fmt::format("node {} ({}) did not end within {} ms: SIGKILL", name, to_string(process), timeout.count()));
  send_signal(node.pidfd, SIGKILL);
  if (changed_.wait_for(lock, kill_timeout, gone)) return {};
  return fail(ErrorKind::deadline_exceeded,
              fmt::format("Node {} (process {}) does not end even after SIGKILL: it hangs in "
                          "the kernel, perhaps on a lost file system.",
                          name, process.pid));
}

void Supervisor::stop_all(std::chrono::milliseconds timeout) {
  std::vector<std::string> names;
  {
    std::scoped_lock lock(mutex_);
    for (const auto& [name, node] : nodes_) names.push_back(name);
  }
  std::vector<std::thread> threads;
  for (const auto& name : names) {
    threads.emplace_back([this, name, timeout] {
      if (auto stopped = stop(name, timeout, /*keep_wanted=*/true); !stopped) log_(stopped.error().message());
    });
  }
  for (auto& thread : threads) thread.join();
}

void Supervisor::ended(Node& node) {
  int exit_code = -1;
  siginfo_t info{};
  if (!node.adopted && ::waitid(P_PIDFD, static_cast<id_t>(node.pidfd), &info, WEXITED | WNOHANG) == 0 &&
      info.si_pid != 0) {
    exit_code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
  }
  close_pidfd(node);
  node.last_exit_code = exit_code;
  std::error_code ignored;
  std::filesystem::remove(node.spec.folder + "/pid", ignored);
  const std::string what = fmt::format("node {} ({}) ended with {}", node.spec.name, to_string(node.process),
                                       exit_code < 0 ? "unknown code" : fmt::format("code {}", exit_code));
  if (exit_code == exit_refused) {
    node.refused = true;
    log_(what + ": the cluster refuses this release; not started again until it is told to");
  } else if (node.wanted && !node.stopping) {
    const bool settled = SteadyClock::now() - node.started >= times_.settled;
    node.delay =
        settled || node.delay.count() == 0 ? times_.first_delay : std::min(node.delay * 2, times_.longest_delay);
    node.restart_at = SteadyClock::now() + node.delay;
    ++node.restarts;
    log_(fmt::format("{}: started again in {} ms", what, node.delay.count()));
  } else {
    log_(what);
  }
  save(node);
  changed_.notify_all();
}

void Supervisor::save(const Node& node) const {
  const std::string text = boost::json::serialize(boost::json::object{{"wanted", node.wanted},
                                                                      {"ephemeral", node.ephemeral},
                                                                      {"restarts", node.restarts},
                                                                      {"last_exit_code", node.last_exit_code}}) +
                           "\n";
  if (auto written = files::write_file_durably(node.spec.folder + "/state.json", text); !written) {
    log_(fmt::format("node {}: {}", node.spec.name, written.error().message()));
  }
}

void Supervisor::watch() {
  std::unique_lock lock(mutex_);
  while (!quit_) {
    std::vector<pollfd> watched{{wake_fd_, POLLIN, 0}};
    std::vector<std::pair<std::string, ProcessId>> whose{{"", {}}};
    auto next = SteadyClock::now() + std::chrono::hours(1);
    for (auto& [name, node] : nodes_) {
      if (node.pidfd < 0 && node.restart_at != never && node.restart_at <= SteadyClock::now()) {
        if (auto launched = launch(node); !launched) {
          log_(launched.error().message());
          node.delay = std::min(std::max(node.delay * 2, times_.first_delay), times_.longest_delay);
          node.restart_at = SteadyClock::now() + node.delay;
        }
      }
      if (node.pidfd >= 0) {
        watched.push_back({node.pidfd, POLLIN, 0});
        whose.emplace_back(name, node.process);
      } else if (node.restart_at != never) {
        next = std::min(next, node.restart_at);
      }
    }
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(next - SteadyClock::now());
    lock.unlock();
    ::poll(watched.data(), watched.size(), static_cast<int>(std::max<std::int64_t>(wait.count(), 0)));
    std::uint64_t drained = 0;
    [[maybe_unused]] const ssize_t ignored = ::read(wake_fd_, &drained, sizeof drained);
    lock.lock();
    for (std::size_t i = 1; i < watched.size(); ++i) {
      Node& node = nodes_.at(whose[i].first);
      if ((watched[i].revents & POLLIN) && node.pidfd >= 0 && node.process == whose[i].second) ended(node);
    }
  }
}

NodeStatus Supervisor::status_of(const Node& node) const {
  NodeStatus status;
  status.name = node.spec.name;
  status.running = node.pidfd >= 0;
  status.incarnation = status.running ? to_string(node.process) : "";
  status.last_exit_code = node.last_exit_code;
  status.restarts = node.restarts;
  status.wanted = node.wanted && !node.refused;
  const bool failed = node.restarts > 0 || (!status.running && node.last_exit_code != 0);
  if (failed) status.last_lines = tail_of(node.spec.folder + "/log", tail_bytes);
  return status;
}

Result<NodeStatus> Supervisor::status(const std::string& name) const {
  std::scoped_lock lock(mutex_);
  const auto found = nodes_.find(name);
  if (found == nodes_.end()) return fail(ErrorKind::not_found, fmt::format("This host has no node '{}'.", name));
  return status_of(found->second);
}

std::vector<NodeStatus> Supervisor::all() const {
  std::scoped_lock lock(mutex_);
  std::vector<NodeStatus> statuses;
  for (const auto& [name, node] : nodes_) statuses.push_back(status_of(node));
  return statuses;
}

}  // namespace afloat::agent
