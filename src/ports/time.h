#pragma once
#include <chrono>
#include <cstdint>

#include "ports/task.h"

namespace afloat {

using SteadyTime = std::chrono::steady_clock::time_point;
/// When the caller stops waiting. What has been sent by then may still happen.
using Deadline = SteadyTime;

/// Time is handed in so that a simulation can own it.
struct Clock {
  virtual ~Clock() = default;
  /// For intervals and deadlines.
  virtual SteadyTime steady_now() const = 0;
  /// For people: milliseconds since 1970.
  virtual std::int64_t unix_ms() const = 0;
};

struct Timer {
  virtual ~Timer() = default;
  virtual Task<void> sleep_until(SteadyTime when) = 0;
};

struct Random {
  virtual ~Random() = default;
  virtual std::uint64_t next() = 0;
};

}  // namespace afloat
