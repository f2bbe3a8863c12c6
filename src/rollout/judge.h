#pragma once
#include <functional>
#include <string>

#include "rollout/facts.h"
#include "rollout/preflight.h"

/// What checks that judge facts have in common.
namespace afloat::rollout {

struct Judgement {
  CheckResult result = CheckResult::unknown;
  std::string found;
};

/// The check with its answer; what to do is left out where there is nothing to do.
Check answered(Check check, Judgement verdict);
/// fail before warn before unknown before pass: what could not be found out is never hidden by what was.
CheckResult worse(CheckResult one, CheckResult other);

/// Asks what each member has told. The result is the worst one, and only who differs from `all_well` is named.
/// A member without a recent report is unknown, with the reason.
Check of_each_node(Check check, const Observation& seen, std::string all_well,
                   const std::function<Judgement(const std::string& node, const NodeFacts&)>& judge);
/// "" for a member whose facts are there and recent; otherwise why they are not.
std::string silent_because(const Observation& seen, const cluster::Member& member);
/// Its facts; nullptr for one that is silent.
const NodeFacts* facts_of(const Observation& seen, const cluster::Member& member);
/// The conductor's facts when they are recent; nullptr otherwise.
const ConductorFacts* conductor_facts(const Observation& seen);
/// The database's facts; nullptr when they could not be had, which database_silent_because() explains.
const DatabaseFacts* database_facts(const Observation& seen);
std::string database_silent_because(const Observation& seen);

}  // namespace afloat::rollout
