#pragma once
#include <string>
#include <vector>

#include "ports/task.h"
#include "ports/time.h"
#include "rollout/trial.h"

namespace afloat {

struct DrainStatus {
  std::string state;          ///< DRAINING, ACTIVE, ...
  int in_flight = 0;
  int streams = 0;
  int tasks_running = 0;
  std::vector<std::string> overdue;  ///< requests still in flight, by name
  bool drained = false;
};
/// A node's own admin calls, straight to its address (not through the balancer).
struct SiteClient {
  virtual ~SiteClient() = default;
  /// Begins or polls a drain. Beginning again is not an error. The caller has told the balancer before.
  virtual Task<DrainStatus> drain(std::string node, Deadline deadline) = 0;
  virtual Task<DrainStatus> drain_status(std::string node, Deadline deadline) = 0;
  virtual Task<void> undrain(std::string node, Deadline deadline) = 0;
  /// GET /health/ready of that node: true when it is ready.
  virtual Task<bool> ready(std::string node, Deadline deadline) = 0;
  /// GET /metrics of that node. `at_ms` is left to the caller, whose clock serves for all nodes.
  virtual Task<rollout::NodeSample> metrics(std::string node, Deadline deadline) = 0;
  /// Reads some pages on both nodes and compares what they say. An error: one of them did not answer.
  virtual Task<rollout::KnownAnswers> compare(std::string node, std::string other, Deadline deadline) = 0;
  /// A few dozen reads of all kinds on each of the two, one after the other; fewer where the time is over before.
  /// What a node does not answer is counted, not an error. Errors: those of the question itself (unauthenticated).
  virtual Task<rollout::TrialReads> try_out(std::string node, std::string other, Deadline deadline) = 0;
};

}  // namespace afloat
