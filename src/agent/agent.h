#pragma once
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agent/leadership.h"
#include "agent/release_store.h"
#include "agent/supervisor.h"
#include "base/minisign.h"
#include "ports/hosts.h"

namespace afloat::agent {

struct AgentConfig {
  std::string host;
  std::string data;       ///< releases, nodes, journal, epoch
  std::string site_file;  ///< site.toml, handed to the nodes
  std::string catalogue;
  std::string version;  ///< of this agent
  std::vector<std::string> nodes;
  std::function<void(std::string)> log;
  std::vector<minisign::PublicKey> trusted_keys = {};  ///< with at least one, only bundles signed by them are taken
};

/// One host's agent: checks who commands, then unpacks, switches, stops and starts.
/// A command is carried out when its epoch is the newest known, the expected incarnation (if any) is the one
/// that runs, and it was not done already. All methods block and are thread-safe; api.h runs them on threads.
class Agent {
 public:
  explicit Agent(AgentConfig config);
  ~Agent();
  /// Locks the data folder, reads epoch and journal, adopts and starts nodes.
  /// Errors: failed_precondition when another agent has the folder.
  Result<void> begin();
  /// Takes the new leader, then waits (at most `timeout`) for stops, switches and starts of the earlier one
  /// that are under way, so that the report is not overtaken by them.
  Result<HostReport> announce(const LeaderLease& lead, std::chrono::milliseconds timeout);
  HostReport report() const;
  /// The end of each node's log, at most `bytes` of it, by name.
  std::map<std::string, std::string> logs(std::size_t bytes) const;
  LeaderLease leader() const { return epoch_.known(); }
  /// True when it was done before and nothing was changed.
  Result<bool> execute(const AgentCommand& command);
  void stop_nodes(std::chrono::milliseconds timeout) { supervisor_->stop_all(timeout); }

 private:
  Result<void> carry_out(const AgentCommand& command);
  Result<void> distribute(const std::string& version);
  Result<void> switch_link(const std::string& node, const std::string& version);
  Result<void> expand(const AgentCommand& command);
  Result<void> check_incarnation(const AgentCommand& command) const;
  std::string linked_version(const std::string& node) const;
  std::string node_folder(const std::string& node) const { return config_.data + "/nodes/" + node; }

  AgentConfig config_;
  int lock_fd_ = -1;
  EpochGuard epoch_;
  CommandJournal journal_;
  ReleaseStore releases_;
  std::unique_ptr<Supervisor> supervisor_;
  std::map<std::string, std::mutex> node_locks_;
  std::mutex release_lock_;
  std::mutex active_mutex_;
  std::condition_variable active_changed_;
  int active_ = 0;  ///< stops, switches and starts under way
};

}  // namespace afloat::agent
