#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rollout/model.h"

/// The conductor's mind: observe -> step() -> record -> act -> observe ...
///
///   (wait_until) - preflight - distribute - mode_on - expand - (add_surge)
///     - for each node: ok_to_stop - drain - ok_to_stop_again - maint - stop - switch - start - await_active - balance
///                          ^                      | no                                          - (soak)
///                          +------- undrain <-----+                            (trial)^
///     - (remove_surge) - (hold_before_finalize) - finalize - await_stable - verify - (next hop: mode_on ...) - report
///   a trial or a soak that is refused, and a person's wish: that node alone goes back, through the same steps from
///   drain to balance, and the run pauses. cancel, at any point before finalize: each node that is not whole on the
///   original version goes through the same steps with the original version, then mode_off - verify - report.
///
/// Every step has a goal that is looked for in reality before anything is done. So a conductor may die
/// between any two lines: the next one finds the open step, sees whether the goal holds already, and
/// acts again if not (all acts are idempotent).
namespace afloat::rollout {

/// What must be observed for the next call of step(): only what the open step looks at.
struct Needs {
  bool cluster = false;
  bool all_hosts = false;  ///< every agent's report
  std::string process;     ///< the report of the agent of this node
  bool all_balancers = false;
  std::string balancer;  ///< of this node
  std::string drain;     ///< drain status of this node
  std::string ready;     ///< readiness of this node
  std::string trial;     ///< how this node answers, before users are sent to it
  std::string surge;     ///< process, balancer and drain status of this node, which may be no member
  std::string soak;      ///< how it does beside the others
  bool catalogue = false;
};
Needs needs(const Run& run);

/// What to do in the world for the open step. The conductor knows how.
struct Act {
  StepKind kind = StepKind::preflight;
  std::string node;
  Release release;                       ///< that nodes are brought to
  std::vector<std::string> hosts{};      ///< distribute: where to
  std::vector<std::string> releases{};   ///< distribute: all of the run's hops
  bool retry_tasks = false;              ///< expand, choose_node, await_stable: after a failed task and a resume
  SurgeMove surge = SurgeMove::none;     ///< add_surge, remove_surge
  std::optional<std::string> process{};  ///< stop: incarnation of the process that is meant
};

struct Decision {
  Run run;  ///< to be recorded first when `record` is set
  bool record = false;
  std::optional<Act> act{};
  std::string waiting{};  ///< for a person; "" when nothing is awaited
};

/// Pure. One decision at a time; call again with a new observation after carrying it out.
Decision step(Run run, const Observation& observation);

/// How long a step may take before the run pauses; 0: no limit (hold).
std::int64_t deadline_of(StepKind kind, const Options& options);

}  // namespace afloat::rollout
