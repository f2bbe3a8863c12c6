#pragma once
#include <map>
#include <vector>

#include "rollout/model.h"

/// What a run will do, and how long that takes.
namespace afloat::rollout {

/// How long a step of each kind took in past runs of this site, in milliseconds. Kinds that are not there are taken
/// from typical_ms().
using Durations = std::map<StepKind, std::int64_t>;
std::int64_t typical_ms(StepKind kind);

struct PlannedStep {
  StepKind kind = StepKind::preflight;
  std::string node;
  int hop = 0;
  std::int64_t expected_ms = 0;  ///< waiting for a person is not counted
  bool point_of_no_return = false;
};
/// The dry run: every step in the order in which it would be taken, from the very beginning, for the nodes of the
/// roster. Where the run has not chosen its hops yet, those of `observation.way`.
std::vector<PlannedStep> plan(const Run& run, const Observation& observation, const Durations& durations);

/// For how long a run with downtime is expected to serve nobody: from the last node's drain until the first is back,
/// the backup command with it. 0 for a run that rolls.
std::int64_t expected_downtime_ms(const Run& run, const std::vector<PlannedStep>& steps);

struct Progress {
  int done = 0, total = 0;   ///< steps
  std::int64_t left_ms = 0;  ///< expected, without waiting for people
  bool waits_for_person = false;
};
/// How far the run is. `observation`: the roster and the time.
Progress progress(const Run& run, const Observation& observation, const Durations& durations);

}  // namespace afloat::rollout
