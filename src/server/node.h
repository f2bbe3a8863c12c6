#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "server/config.h"

namespace afloat::server {

struct NodeOptions {
  std::string web;             ///< folder with templates/ and assets/
  std::string digest;          ///< SHA-256 of the bundle's manifest, "" outside a bundle
  std::string admin_password;  ///< makes the first administrator on an empty site
  std::int64_t started_at_ms = 0;
  bool ephemeral = false;  ///< a member from its start to its clean end, under a new id each time (a surge node)
};

/// Exit codes of a node.
inline constexpr int exit_clean = 0;
inline constexpr int exit_error = 1;
inline constexpr int exit_refused = 78;  ///< admission said no, or the writer window shut it out: do not restart

/// One node, from admission to its clean end. `run` blocks until SIGTERM has drained it, or until it must
/// not go on. Lifecycle: STARTING -> ACTIVE <-> DRAINING -> TERMINATING -> OFFLINE.
///
/// Threads: one control thread (the caller's: lease, drain, finalize, signals) with a database
/// connection of its own, so that no slow request starves the heartbeat; one thread per shard.
int run_node(const SiteConfig& site, const NodeConfig& node, NodeOptions options);

}  // namespace afloat::server
