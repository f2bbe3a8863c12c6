#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

/// The facts that the cluster's decisions are made of. Stored in PostgreSQL,
/// read in one snapshot, decided upon by the pure functions of this folder.
namespace afloat::cluster {

enum class Mode { off, on };
std::string_view to_string(Mode mode);
/// Unknown text counts as off: then only the builds of the writer window may start, the narrowest reading.
Mode mode_from(std::string_view text);

/// The one row of cluster_state. min_build..max_build is the writer window: the builds whose writes commit.
struct ClusterState {
  std::string cluster_version;
  int cluster_build = 0;  ///< build number of cluster_version
  int min_build = 0;
  int max_build = 0;
  int gates = 1;
  int min_gates = 1;
  Mode mode = Mode::off;
  std::optional<int> original_build;
  std::optional<int> target_build;
  bool expand_done = false;
  std::optional<std::int64_t> finalize_requested_ms;
  std::optional<std::int64_t> run_id;  ///< the upgrade run in charge, if any
  std::int64_t epoch = 1;
  int format = 1;
};
/// A cluster_state.format above this makes a binary refuse to start.
inline constexpr int known_format = 1;

/// Spelled as in JSON, SQL and docs. Unknown text from a newer release is kept as `unknown`.
enum class NodeState {
  STARTING,     ///< admitted, warming up
  ACTIVE,       ///< takes requests
  DRAINING,     ///< answers what still arrives, asks clients to go elsewhere
  TERMINATING,  ///< listener closed, going
  OFFLINE,      ///< stopped or lost; still in the roster
  ERROR,        ///< shut out (window, time going back): exits
  RUNNING_FINALIZE_UPGRADE_TASKS,
  UPGRADE_TASKS_FAILED,
  unknown,
};
std::string_view to_string(NodeState state);
NodeState node_state_from(std::string_view text);

/// One member of the roster: admitted once, and not removed since. Stopped and lost ones count.
struct Member {
  std::string id;    ///< 8 hex digits, kept in the node's data folder
  std::string name;  ///< "node1"
  std::string host;
  std::string address;
  int port = 0;
  std::string version;
  int build = 0;
  std::string digest;  ///< of its bundle's manifest; "" when run from a build folder
  std::string incarnation;
  NodeState state = NodeState::OFFLINE;  ///< as the node last wrote it; see effective_state()
  std::string state_text;                ///< the same in its own words, which a newer release may have more of
  bool lease_live = false;               ///< by database time, at the snapshot
  std::int64_t lease_ms_left = 0;
  bool closed = false;   ///< this incarnation has ended
  bool removed = false;  ///< tombstone: its id never comes back
  bool ephemeral = false;
  int gates_in_use = 0;  ///< lowest gates number that a request there still uses
  int tasks_running = 0;
  int active_users = 0;
  double load = 0;  ///< busy share of its event loops, 0..1
  std::string config_hash;
  std::int64_t started_at_ms = 0;
  std::int64_t active_at_ms = 0;  ///< 0 until it became ACTIVE
};
/// OFFLINE when closed or when its lease is over, whatever it last wrote.
NodeState effective_state(const Member& member);
/// effective_state() for people: a state that only a newer release knows is shown as that release wrote it.
std::string shown_state(const Member& member);

enum class TaskKind { expand, backfill, contract };
std::string_view to_string(TaskKind kind);
std::optional<TaskKind> task_kind_from(std::string_view text);
/// Text in SQL: pending, running, done, failed, recheck.
enum class TaskState { pending, running, done, failed, recheck };
std::string_view to_string(TaskState state);
/// Unknown text counts as failed: finalize stops there instead of doing twice what it does not understand.
TaskState task_state_from(std::string_view text);

/// One row of the ledger upgrade_task.
struct TaskRecord {
  std::string id;       ///< "1.1.0/body-store/expand"
  std::string version;  ///< the release that brings it
  int build = 0;
  TaskKind kind = TaskKind::expand;
  int ordinal = 0;
  std::string checksum;
  TaskState state = TaskState::pending;
  std::string kind_text, state_text;  ///< as written, to be shown: a newer release may have more of them
  int attempts = 0;
  std::string runner;  ///< node name
  bool lease_live = false;
  std::string checkpoint;
  std::int64_t done = 0;
  std::int64_t total = 0;
  std::string error;
};

/// Everything read in one statement. `members` has no removed ones; `removed_ids` has those.
struct Snapshot {
  std::optional<ClusterState> state;  ///< nullopt before the first node ever
  std::vector<Member> members;
  std::vector<std::string> removed_ids;
  std::vector<TaskRecord> tasks;
  std::int64_t now_ms = 0;  ///< database time
};

}  // namespace afloat::cluster
