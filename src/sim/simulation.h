#pragma once
#include <cstdint>
#include <functional>

#include "sim/options.h"

/// A whole upgrade of a simulated site, under faults that the seed chooses: docs/simulation.md.
namespace afloat::sim {

struct Settings {
  std::uint64_t seed = 1;
  Bug bug = Bug::none;
  std::function<void(const std::string& line)> trace;  ///< every line of the history, as it happens
};

/// One seed, from a new site to its end. The same settings give the same history, on every machine.
/// `coverage` is added to.
SeedResult run_seed(const Settings& settings, Coverage& coverage);

struct Summary {
  std::int64_t seeds = 0;
  std::uint64_t events = 0;
  double cpu_seconds = 0;
  Coverage coverage;
  Coverage outcomes;
  std::optional<SeedResult> broken;  ///< the first seed that broke an invariant; the rest was not run
};
/// Seeds first .. first + count - 1, until one breaks an invariant.
Summary run_seeds(std::uint64_t first, std::int64_t count, Bug bug);

}  // namespace afloat::sim
