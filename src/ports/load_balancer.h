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
  bool up() const { return status.starts_with("UP") && weight >= full_weight; }
};
/// One implementation: adapters/haproxy (runtime API socket).
struct LoadBalancer {
  virtual ~LoadBalancer() = default;
  virtual Task<void> set(std::string node, Traffic traffic, Deadline deadline) = 0;
  virtual Task<BackendView> view(std::string node, Deadline deadline) = 0;
};

}  // namespace afloat
