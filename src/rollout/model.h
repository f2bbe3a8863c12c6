#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cluster/model.h"
#include "rollout/canary.h"
#include "rollout/options.h"
#include "version/policy.h"

/// An upgrade run as data. It is stored (ports/run_store.h), so that whichever conductor leads can go
/// on with it; nothing about a run lives only in a conductor's memory.
namespace afloat::rollout {

enum class RunState {
  running,       ///< on the way to the target
  paused,        ///< waits for a person: resume or cancel
  rolling_back,  ///< on the way back to the original version
  done,          ///< finalized at the target
  cancelled,     ///< back on the original version, upgrade mode off
  failed,        ///< refused by preflight: nothing was changed
};
std::string_view to_string(RunState state);
RunState run_state_from(std::string_view text);

/// In the order of a run. Names are stored: never rename one, add new ones.
enum class StepKind {
  wait_until,  ///< a scheduled run: its time has not come
  preflight,
  distribute,
  backup,  ///< the site's own backup command, where the conductor has one
  mode_on,
  expand,
  add_surge,         ///< node: one more node on the new release, for as long as the hop lasts (rollout/surge.h)
  choose_node,       ///< only where it takes waiting: somebody does not answer
  ok_to_stop,        ///< node: is the site whole without it?
  drain,             ///< node: balancer drains, node finishes what it has
  ok_to_stop_again,  ///< node: the answer may have changed while it drained
  undrain,           ///< node: it had changed; serve again, then ask anew
  maint,             ///< node: the balancer must see it away, or slowstart never happens
  stop,
  switch_release,
  start,
  await_active,
  trial,         ///< node: read from it before anybody is sent to it. refused: it goes back
  balance,       ///< node: UP and at full weight
  soak,          ///< node: is it as good as the others? refused: no, it goes back
  remove_surge,  ///< node: it has done its service
  hold_before_finalize,
  finalize,  ///< approve: no way back from here
  await_stable,
  mode_off,  ///< on the way back: cancel
  verify,
  report,
};
std::string_view to_string(StepKind kind);
/// nullopt for a name that this build does not know.
std::optional<StepKind> step_kind_from(std::string_view text);
/// "drain node2" as one reads it.
std::string title_of(StepKind kind, std::string_view node);

enum class StepState {
  running,
  paused,  ///< its deadline passed or it failed; the run waits for a person
  done,
  refused,      ///< ok_to_stop_again: the answer changed; trial, soak: the node is worse than the others
  interrupted,  ///< left behind: cancel, a node that was removed, a choice made anew
};
std::string_view to_string(StepState state);
StepState step_state_from(std::string_view text);

/// What brings a surge node nearer to where it is to be.
enum class SurgeMove { none, stop, switch_release, start, add_server, drain, maint, remove_member, remove_server };

/// One journal entry: written as `running` before the act (intent), again after it (outcome).
struct StepRecord {
  std::int64_t seq = 0;  ///< 0: not in the database yet
  int hop = 0;           ///< of a chain: index into Run::hops
  StepKind kind = StepKind::preflight;
  std::string node;   ///< "" for steps of the whole site
  bool back = false;  ///< towards the old release: on the way back, or this node alone
  StepState state = StepState::running;
  int attempt = 1;                 ///< rises with each resume
  std::int64_t started_at_ms = 0;  ///< database time; 0 is filled in when recorded
  std::int64_t attempt_at_ms = 0;  ///< deadlines count from here
  std::int64_t ended_at_ms = 0;
  std::string detail;          ///< for a person
  std::int64_t metric_ms = 0;  ///< await_active: start to ACTIVE
  bool changed = false;        ///< must be recorded
  bool open() const { return state == StepState::running || state == StepState::paused; }
};

/// A release that a run stops at.
struct Release {
  std::string version;
  int build = 0;
  bool operator==(const Release&) const = default;
};

/// What people ask of a run while a conductor works on it; each is taken up once.
struct Requests {
  std::string pause_by;       ///< who wants it paused; "" nobody
  std::string rollback_node;  ///< the node that is to go back to the old release; "" none
};

/// What the conductor keeps in mind about a run from one decision to the next, whoever leads.
struct Memory {
  std::int64_t failures = 0;    ///< so much of the failure budget is used up
  bool past_not_after = false;  ///< a person resumed it after its window had ended
  /// What each host's configuration was when the release was tried with it (host -> SHA-256): nodes that are replaced
  /// one after the other are to start with the same. It ends with the run.
  std::map<std::string, std::string> config = {};
  std::string config_differs_on = {};  ///< the host for whose change the run is paused; a resume accepts it
  bool operator==(const Memory&) const = default;
};

struct Run {
  std::int64_t id = 0;
  std::string from, to;
  int from_build = 0, to_build = 0;
  /// Where each hop leads; the last is `to`. Until preflight has chosen the way: empty, or straight there.
  std::vector<Release> hops;
  bool hops_chosen = false;  ///< must be recorded
  RunState state = RunState::running;
  bool back = false;              ///< cancel was accepted
  bool cancel_requested = false;  ///< by a person; cleared never
  bool resume_requested = false;  ///< by a person; cleared when taken up
  Requests requests;
  Requests taken;  ///< of `requests`, those that this decision has taken up: the store clears them
  Memory memory;
  bool finalize_begun = false;  ///< cancel is refused from here on
  std::string outcome;          ///< "done", "cancelled", "preflight_failed"
  std::string reason;           ///< why the run was asked for (--reason)
  std::string actor;
  std::string current;   ///< title of the open step
  std::string message;   ///< what is being waited for, or why it is paused, and the next action
  std::string evidence;  ///< JSON object, of the node that failed
  std::string checks;    ///< JSON array: what preflight found
  std::int64_t started_at_ms = 0, ended_at_ms = 0, mode_on_at_ms = 0, stable_at_ms = 0;
  int journal_build = 0;  ///< an older conductor does not take the run
  Options options;
  std::vector<StepRecord> steps;

  bool ended() const { return state == RunState::done || state == RunState::cancelled || state == RunState::failed; }
  /// The hop under way.
  int hop() const { return steps.empty() ? 0 : steps.back().hop; }
  bool last_hop() const { return hop() + 1 >= static_cast<int>(hops.size()); }
  Release hop_from() const {
    return hop() == 0 ? Release{from, from_build} : hops.at(static_cast<std::size_t>(hop()) - 1);
  }
  Release hop_to() const { return hops.empty() ? Release{to, to_build} : hops.at(static_cast<std::size_t>(hop())); }
  /// The release that nodes are being brought to now.
  Release goal() const { return back ? hop_from() : hop_to(); }
  /// The same for one step: a node may go back alone.
  Release goal(const StepRecord& step) const { return step.back ? hop_from() : hop_to(); }
  /// nullptr when none is open; it is always the last.
  const StepRecord* open_step() const { return !steps.empty() && steps.back().open() ? &steps.back() : nullptr; }
};

struct ProcessView {
  std::string version;  ///< of the switched link
  bool running = false, wanted = false;
  std::string incarnation;
  int last_exit_code = 0, restarts = 0;
  std::string last_lines;
};
struct BalancerView {
  std::string status;
  int sessions = 0, weight = 0, full_weight = 0;
  std::string check{};  ///< how the balancer last checked the node: "L7OK 200"; "" not told
  bool up() const { return status.starts_with("UP") && weight >= full_weight; }
};
struct DrainView {
  bool drained = false;
  int in_flight = 0, streams = 0, tasks_running = 0;
  std::vector<std::string> overdue;
};
/// A node as its agent, the balancer and it itself see it. Absent: not asked for, or nobody answered.
struct NodeView {
  std::optional<ProcessView> process;
  std::optional<BalancerView> balancer;
  std::optional<DrainView> drain;
  std::optional<bool> ready;  ///< GET /health/ready
};

/// What became of the act of the open step, in this leader's life.
struct ActState {
  bool tried = false;
  std::optional<Error> error;  ///< of the last try
  std::int64_t tried_at_ms = 0;
};

/// What the signature of the target's bundle says.
struct BundleView {
  bool keys = false;      ///< the site has trusted_keys
  std::string signed_by;  ///< key id; "" when not signed by one of them
  std::string problem;    ///< why not
};

/// The release notes on the way to the target.
struct NotesView {
  std::vector<std::string> read, unread;  ///< versions, highest first
  std::string readers;                    ///< who has read them: "admin, bob"
  bool recordable = true;                 ///< Options::notes_recorded
};

/// Copies of the database that follow it.
struct Replicas {
  int connected = 0;
  std::string synchronous{};  ///< synchronous_standby_names: commits wait for these; "" = for none
};

/// What a run that was paused because the database went back in time says after what was found.
inline constexpr const char* after_going_back =
    "It was restored, or failed over to a replica that lacked its latest commits: steps may have been done that this "
    "run's journal does not show, and the last saves may be gone. See `afloat status`; then `afloat upgrade resume` "
    "goes on from what is there, and `afloat upgrade cancel` leads back.";

/// A node of site.toml that stands by: not a member until a run adds it.
struct SurgeNode {
  std::string name, host;
};
struct Facts;  // rollout/facts.h

struct Observation {
  std::int64_t now_ms = 0;  ///< database time
  std::optional<cluster::Snapshot> cluster;
  std::map<std::string, NodeView> nodes;                          ///< by name
  std::map<std::string, std::vector<std::string>> host_releases;  ///< hosts that answered: verified releases
  std::map<std::string, std::string> host_config;                 ///< SHA-256 of site.toml, of hosts that told it
  std::vector<std::string> hosts;                                 ///< all that the site's config names
  std::vector<std::string> faults;  ///< who did not answer and why: "agent host1: connection refused"
  /// For how long the conductor has reached the database without a gap: a lease that ran out while
  /// nobody could renew it proves nothing about the node.
  std::int64_t database_reached_ms = 0;
  ActState act;
  std::optional<SurgeNode> surge;    ///< that the conductor may add
  bool surge_missing = false;        ///< one is wished for in any case, and the conductor has none
  std::optional<CanaryView> canary;  ///< of the node that is tried, or soaks

  // Only for preflight.
  bool offline = false;  ///< the run is one with downtime
  std::string edition, database_encoding;
  std::optional<Replicas> replicas;  ///< nullopt: not asked
  int conductor_build = 0;
  std::optional<bool> in_catalogue;  ///< nullopt: not asked
  std::vector<std::string> catalogue_has;  ///< versions that are there, lowest first; the target may be none of them
  version::HopFacts target;          ///< what the target's manifest says of a hop from the run's `from` to it
  std::vector<std::string> way;      ///< stops after `from` by policy and catalogue; empty: straight
  std::optional<BundleView> bundle;  ///< nullopt: not asked, or the bundle is not there
  std::optional<NotesView> notes;    ///< nullopt: not asked, or the catalogue can't be read
  std::shared_ptr<const Facts> facts;  ///< of the site's health; null: not asked
};

const cluster::Member* find_member(const Observation& observation, std::string_view node);
const NodeView* find_node(const Observation& observation, std::string_view node);

}  // namespace afloat::rollout
