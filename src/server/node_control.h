#pragma once
#include <string>
#include <vector>

#include "cluster/model.h"
#include "ports/task.h"
#include "server/context.h"

namespace afloat::server {

struct DrainView {
  cluster::NodeState state = cluster::NodeState::STARTING;
  int in_flight = 0;
  int streams = 0;
  int tasks_running = 0;
  std::vector<std::string> overdue;
  bool drained = false;  ///< DRAINING, and nothing is left
};

/// What handlers may ask of, and do to, the node that they run on. Thread-safe.
struct NodeControl {
  virtual ~NodeControl() = default;
  virtual cluster::NodeState state() const = 0;
  /// False once the lease may have run out: nothing may be answered until it was renewed.
  virtual bool lease_valid() const = 0;
  /// DRAINING from ACTIVE; from DRAINING nothing changes. Any other state: failed_precondition.
  /// Who tells the balancer: `caller` has done so already, `health_checks` means that the balancer finds out
  /// by itself, so that a stop after this drain lingers (drain_linger_ms) until it must have noticed.
  enum class Balancer { caller, health_checks };
  virtual Task<DrainView> drain(std::string actor, Balancer told_by) = 0;
  /// ACTIVE from DRAINING. Any other state: failed_precondition.
  virtual Task<DrainView> undrain(std::string actor) = 0;
  virtual DrainView drain_view() const = 0;
  /// Deep readiness: empty when ready, else what is missing.
  virtual std::string not_ready_because() const = 0;
  virtual std::string metrics_text() const = 0;
};

}  // namespace afloat::server
