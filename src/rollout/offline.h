#pragma once
#include <optional>
#include <string>
#include <vector>

#include "rollout/model.h"

/// An upgrade with downtime, for a hop that can't roll: the balancer's maintenance page, backup, all nodes down, the
/// schema, all nodes up, finalize, open again. The steps are those of a rolling run in another order, so that each has
/// the same goal, act and deadline, and a conductor that takes over goes on in the same way.
///
///   there: preflight - distribute - every node: drain, maint - (backup) - every node: stop - mode_on - expand -
///          every node: switch, start, await_active - finalize - await_stable - every node: balance - verify - report
///   back, before finalize: every node that was stopped: maint, stop, switch, start, await_active - mode_off -
///          every node: balance - verify - report
namespace afloat::rollout {

struct ScriptStep {
  StepKind kind = StepKind::preflight;
  std::string node;
  bool operator==(const ScriptStep&) const = default;
};

/// The whole way in its present direction, for the nodes of the roster.
std::vector<ScriptStep> offline_script(const Run& run, const cluster::Snapshot& cluster);
/// The first of it that is not done yet; nullopt: all are.
std::optional<ScriptStep> offline_next(const Run& run, const cluster::Snapshot& cluster);

/// For how long nobody was served: from when the last node was taken out until the first came back; up to `now_ms`
/// while that lasts. 0 for a run that rolls.
std::int64_t downtime_ms(const Run& run, std::int64_t now_ms);

}  // namespace afloat::rollout
