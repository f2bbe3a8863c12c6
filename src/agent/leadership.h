#pragma once
#include <mutex>
#include <set>
#include <string>

#include "agent/authority.h"

namespace afloat::agent {

/// The highest conductor epoch this host has seen, and whose it is. On disk (fsynced) before it counts, so
/// that a restarted agent can't be commanded by a leader that has been replaced.
/// Thread-safe.
class EpochGuard {
 public:
  explicit EpochGuard(std::string path);
  /// Reads the file; none is epoch 0. Errors: data_corrupted: the agent must not act without it.
  Result<void> load();
  /// Raises the epoch when `lead` is newer. Errors: conflict with code "stale_epoch" for a lower epoch or for
  /// the same one from another holder; the message names the known one.
  Result<void> accept(const LeaderLease& lead);
  LeaderLease known() const;

 private:
  const std::string path_;
  mutable std::mutex mutex_;
  LeaderLease known_;
};

/// What has been carried out, as JSON lines. A command repeated for the same run and step (its answer was lost,
/// or it was delayed in the network while the node went on) is answered as done and changes nothing.
/// So a step that is really to be done again needs an id of its own.
/// Thread-safe.
class CommandJournal {
 public:
  explicit CommandJournal(std::string path);
  /// Reads what is there; a torn last line (the host lost power) is dropped.
  Result<void> load();
  bool is_done(const AgentCommand& command) const;
  /// `outcome`: "begun", "done", "failed". Only "done" is fsynced: the others are for people.
  Result<void> record(const AgentCommand& command, std::string_view outcome, std::string_view message = {});

 private:
  const std::string path_;
  mutable std::mutex mutex_;
  std::set<std::string> done_;
};

}  // namespace afloat::agent
