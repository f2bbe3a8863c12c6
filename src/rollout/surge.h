#pragma once
#include <string>

#include "rollout/goal.h"
#include "rollout/model.h"

/// A surge node: one more node for the length of a hop, so that taking the others out one by one costs no capacity. It
/// runs the new release and is the first that is tried and soaked. It comes after expand and goes before the hold, and
/// on the way back once every other node is on the old release. It is an ephemeral member: with its clean end it
/// leaves the roster by itself.
namespace afloat::rollout {

/// The node that was added in this hop and is not yet gone again; "" when there is none. What is half added counts.
std::string surge_of(const Run& run);

/// The surge node that has to be added before `node` is taken out; "" none. Where one is wanted in any case, or where
/// the others could not carry the load without `node`: once per hop, and only where the conductor has one to add. One
/// that is a member and that the balancer, which was reloaded, knows no more: again, whichever node is next ("": none
/// is).
std::string surge_to_add(const Run& run, const Observation& observation, std::string_view node);

/// What is still missing, and the move towards it (Act::surge).
struct SurgeView {
  Goal goal = Goal::waiting;
  std::string detail;
  SurgeMove move = SurgeMove::none;
};
/// ACTIVE on the release, and a server of the balancer, in maintenance.
SurgeView look_add_surge(const Run& run, const StepRecord& step, const Observation& observation);
/// Drained, stopped, no member and no server any more.
SurgeView look_remove_surge(const Run& run, const StepRecord& step, const Observation& observation);

}  // namespace afloat::rollout
