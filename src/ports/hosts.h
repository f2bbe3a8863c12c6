#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ports/task.h"
#include "ports/time.h"

namespace afloat {

/// The conductor's leadership: a higher epoch wins, the same epoch from another holder is refused.
struct LeaderLease {
  std::int64_t epoch = 0;
  std::string holder;
};

/// Goes with every command to an agent, so that late and doubled commands miss.
struct Order {
  LeaderLease lead;
  std::int64_t run = 0;
  std::string step;                                 ///< step id, for the agent's journal
  std::optional<std::string> expected_incarnation;  ///< of the node process; checked where set
};

/// Exit code (EX_TEMPFAIL of sysexits.h) of a release's own commands, `upgrade expand` and `selfcheck`, when what
/// stood in the way may pass by itself, such as a database that restarts: the agent tells it as unavailable.
inline constexpr int exit_try_again = 75;

struct HostNode {
  std::string name;
  std::string version;  ///< of the switched link
  bool running = false;
  std::string incarnation;  ///< process incarnation: "<pid>-<start time ticks>"; "" when not running
  int last_exit_code = 0;   ///< of the last process that ended; -1 when unknown (adopted)
  int restarts = 0;
  std::string last_lines;  ///< tail of its log, filled when the process has failed
  bool wanted = false;     ///< the supervisor keeps it running
};
/// For how long a node is a member of the cluster.
enum class Membership {
  lasting,
  ephemeral,  ///< until its clean end: a surge node, which comes for a run and goes with it
};

struct HostReport {
  std::string host;
  std::string agent_version;
  std::int64_t highest_epoch = 0;
  std::string epoch_holder;
  std::string config_hash;            ///< SHA-256 of its site.toml as it is now; "" when it can't be read, or not told
  std::vector<std::string> releases;  ///< versions unpacked and verified
  std::map<std::string, std::string> digests{};  ///< of their manifests; an agent before 1.2.0 tells none
  std::vector<HostNode> nodes;
};

/// How a node's process is stopped, switched and started. One implementation: agent (others later).
/// `host` names an agent of the site's config. Every command is idempotent.
struct NodeHost {
  virtual ~NodeHost() = default;
  virtual std::vector<std::string> hosts() const = 0;
  virtual Task<HostReport> announce(std::string host, LeaderLease lead, Deadline deadline) = 0;
  virtual Task<HostReport> report(std::string host, Deadline deadline) = 0;
  /// Unpacks a release from the catalogue and verifies every digest.
  virtual Task<void> distribute(std::string host, std::string version, Order order, Deadline deadline) = 0;
  /// Runs `afloat upgrade expand` of `version` with the node's config.
  virtual Task<void> expand(std::string host, std::string node, std::string version, Order order,
                            Deadline deadline) = 0;
  /// SIGTERM, waits for exit 0, SIGKILL at the deadline.
  virtual Task<void> stop(std::string host, std::string node, Order order, Deadline deadline) = 0;
  virtual Task<void> switch_to(std::string host, std::string node, std::string version, Order order,
                               Deadline deadline) = 0;
  /// An agent that knows no ephemeral nodes answers not_found.
  virtual Task<void> start(std::string host, std::string node, Order order, Membership membership,
                           Deadline deadline) = 0;
};

}  // namespace afloat
