#pragma once
#include <span>
#include <string_view>

namespace afloat::cluster {

/// A feature gate: a behaviour that is off until the cluster version reaches the version that brought it.
/// The *sender* decides by it (writing, enqueueing, linking); handling is never gated, since a node of the
/// same release that has seen the gate open may already be sending. Names are persisted: never reuse one.
struct Gate {
  std::string_view name;
  int major = 0, minor = 0, patch = 0;  ///< the release that brings it, its pre-releases included
  std::string_view guards;              ///< what is off while it is closed
  std::string_view removable;           ///< when the check may be deleted from the code

  /// `cluster_build` is the build number of the cluster version, from the request's gate snapshot.
  constexpr bool open_at(int cluster_build) const {
    return cluster_build >= (major * 1'000'000 + minor * 1'000 + patch) * 10;
  }
};

/// Every gate that this release knows, oldest first.
std::span<const Gate> gates();
/// nullptr for a name that this release does not know.
const Gate* find_gate(std::string_view name);
const Gate* find_gate(std::span<const Gate> table, std::string_view name);

}  // namespace afloat::cluster
