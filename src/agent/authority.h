#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "ports/hosts.h"

/// Which commands an agent obeys, as pure functions: no disk, no process. leadership.h keeps on disk what they
/// decide upon; the simulation keeps it in memory.
namespace afloat::agent {

/// One command as the API received it.
struct AgentCommand {
  std::string kind;  ///< distribute, expand, stop, switch, start
  std::string node;
  std::string version;
  Order order;
  std::int64_t timeout_ms = 30'000;
};

/// May `lead` command, where `known` is the highest leader seen so far? Errors: conflict with code
/// "stale_epoch" for a lower epoch or for the same one from another holder; the message names the known one.
Result<void> check_lead(const LeaderLease& known, const LeaderLease& lead);

/// What makes two commands the same one: run, step, kind, node, version, and the process that is meant.
std::string command_key(const AgentCommand& command);

/// Errors: conflict with code "other_incarnation" when the command was meant for another process than the one
/// that runs ("" when none does).
Result<void> check_incarnation(const AgentCommand& command, std::string_view running);

}  // namespace afloat::agent
