#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agent/process.h"
#include "base/error.h"
#include "ports/hosts.h"

namespace afloat::agent {

struct NodeSpec {
  std::string name;
  std::vector<std::string> argv;
  std::string folder;  ///< <data>/nodes/NAME: pid, state.json, log
};
struct SupervisorTimes {
  std::chrono::milliseconds first_delay{200};
  std::chrono::milliseconds longest_delay{10'000};
  std::chrono::milliseconds settled{10'000};  ///< a process that lived this long starts the delays anew
};
struct NodeStatus {
  std::string name;
  bool running = false;
  std::string incarnation;
  int last_exit_code = 0;  ///< -1: unknown, it was adopted
  int restarts = 0;
  bool wanted = false;
  std::string last_lines;  ///< of the log, when the last process failed
};

/// An exit code that says: this binary may not join (admission). Starting it again changes nothing.
inline constexpr int exit_refused = 78;

/// Keeps the wanted nodes of a host running.
///
/// Nodes are sessions of their own and outlive the agent; a new agent adopts them by pid and start time.
/// A wanted node that dies is started again after 0.2 s, doubling to 10 s; not after exit 78, and not after
/// stop(). What is wanted is on disk, so it holds across restarts of agent and host.
/// Thread-safe; calls block (stop for as long as the node needs). One thread watches all pidfds.
class Supervisor {
 public:
  Supervisor(std::vector<NodeSpec> nodes, std::function<void(std::string)> log, SupervisorTimes times = {});
  /// Stops watching. Nodes go on.
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  /// Adopts what runs, starts what is wanted and doesn't, and begins to watch. Call once.
  Result<void> begin();
  /// Running already is not an error. Errors: not_found, internal (can't be executed).
  Result<void> start(const std::string& name, Membership membership = Membership::lasting);
  /// SIGTERM, then SIGKILL after `timeout`. Not running is not an error. `keep_wanted`: the next agent starts it again.
  Result<void> stop(const std::string& name, std::chrono::milliseconds timeout, bool keep_wanted = false);
  /// All at once.
  void stop_all(std::chrono::milliseconds timeout);
  Result<NodeStatus> status(const std::string& name) const;
  std::vector<NodeStatus> all() const;

 private:
  struct Node {
    NodeSpec spec;
    ProcessId process;
    int pidfd = -1;  ///< open while it runs
    bool adopted = false;
    bool wanted = false;
    bool ephemeral = false;  ///< started with --ephemeral, also after a crash
    bool refused = false;   ///< it exited with 78; until the next start()
    bool stopping = false;  ///< its end was asked for
    int last_exit_code = 0;
    int restarts = 0;
    std::chrono::milliseconds delay{0};
    std::chrono::steady_clock::time_point started{};
    std::chrono::steady_clock::time_point restart_at{};  ///< epoch value: none planned
  };
  Result<void> launch(Node& node);
  static std::vector<std::string> argv_of(const Node& node);
  void ended(Node& node);
  void save(const Node& node) const;
  void watch();
  void wake() const;
  NodeStatus status_of(const Node& node) const;
  void close_pidfd(Node& node);

  std::function<void(std::string)> log_;
  const SupervisorTimes times_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Node> nodes_;
  int wake_fd_ = -1;
  bool quit_ = false;
  std::thread watcher_;
};

}  // namespace afloat::agent
