#pragma once
#include <string>

#include "rollout/model.h"

namespace afloat::rollout {

struct Answer {
  bool yes = false;
  std::string reason;  ///< why not; or the figures behind a yes
};

/// Does the measured load of the site fit on the others without `node`? True where load is not measured, or the rule is
/// off.
Answer fits_without(const Observation& observation, std::string_view node, const Options& options);

/// May `node` be taken out now? Every other member is ACTIVE with a live lease and, at the balancer, UP
/// with full weight; no long task runs on it; the measured load fits on the others (where load is
/// measured at all).
Answer ok_to_stop(const Observation& observation, std::string_view node, const Options& options);

/// Takes requests, as far as the cluster knows: ACTIVE or DRAINING with a live lease.
bool serving(const cluster::Member& member);

enum class Health { serving, dead, undecided };
/// Dead: not serving, and either its agent says that no process runs, or the database could be reached
/// for a whole lease without a gap while most of the others are alive. Then it may be replaced at once.
Health health_of(const Observation& observation, const cluster::Member& member);

/// On `version`, ACTIVE, its link switched to it, UP with full weight at the balancer.
bool settled(const Observation& observation, const cluster::Member& member, std::string_view version, int build);

}  // namespace afloat::rollout
