#pragma once
#include <string>

#include "rollout/model.h"
#include "rollout/step.h"

namespace afloat::rollout {

/// How far the open step's goal is, looking at reality only.
enum class Goal {
  waiting,
  reached,
  refused,     ///< ok_to_stop_again: no; trial, soak: it is worse
  impossible,  ///< waiting longer will not help
};
struct GoalView {
  Goal goal = Goal::waiting;
  std::string detail;
  std::int64_t metric_ms = 0;
  bool act_again = false;  ///< what the act did has been undone from outside (a balancer's reload)
};
GoalView look(const Run& run, const StepRecord& step, const Observation& observation);

/// Why a process of this release will not come up by itself; "" while it may.
std::string given_up(const ProcessView& process, std::string_view node, std::string_view version);

/// The act that brings the step towards its goal; nullopt for steps that only wait.
std::optional<Act> act_for(const Run& run, const StepRecord& step, const Observation& observation);

/// JSON object about a node that failed: exit code, last log lines, config hash.
std::string evidence_of(const Observation& observation, const std::string& node);

/// Which node is next and where in its sequence it begins.
struct Choice {
  bool all_settled = false;
  std::string node;
  StepKind entry = StepKind::ok_to_stop;
  std::string waiting;  ///< why nothing can be chosen now
};
Choice choose(const Run& run, const Observation& observation);

}  // namespace afloat::rollout
