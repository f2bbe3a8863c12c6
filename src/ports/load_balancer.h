#pragma once
#include <string>

#include "ports/task.h"
#include "ports/time.h"

namespace afloat {

enum class Traffic { ready, drain, maint };
struct BackendView {
  std::string status;   ///< "UP", "DOWN", "DRAIN", "MAINT", "no check"...
  int sessions = 0;     ///< scur
  int weight = 0;       ///< effective now
  int full_weight = 0;  ///< at the end of slowstart
  std::string check{};  ///< what its last health check was: "L7OK 200", "L4OK"; "" not told
  bool up() const { return status.starts_with("UP") && weight >= full_weight; }
};
/// One implementation: adapters/haproxy (runtime API socket).
struct LoadBalancer {
  virtual ~LoadBalancer() = default;
  virtual Task<void> set(std::string node, Traffic traffic, Deadline deadline) = 0;
  /// A server that its configuration does not name, in maintenance at first. Known until remove() or a reload of the
  /// balancer. Being there already is not an error.
  virtual Task<void> add(std::string node, std::string address, int port, Deadline deadline) = 0;
  /// Only one in maintenance. Not being there is not an error. Errors: unavailable while it has connections.
  virtual Task<void> remove(std::string node, Deadline deadline) = 0;
  /// Errors: not_found when it has no such server.
  virtual Task<BackendView> view(std::string node, Deadline deadline) = 0;
};

}  // namespace afloat
