#pragma once
#include <string>

#include "cluster/model.h"
#include "version/version.h"

namespace afloat::cluster {

struct Candidate {
  std::string id, name, host, address;
  int port = 0;
  version::Version version;
  int build = 0;
  std::string digest;
  std::string incarnation;
  std::string config_hash;
  bool ephemeral = false;
  std::int64_t started_at_ms = 0;  ///< when its process began, by its own clock
  bool clustering_allowed = true;  ///< config key `edition = "data-center"`; false for single-node editions
};

/// What the admission transaction must do. Exactly one of these.
enum class AdmissionOutcome {
  bootstrap,      ///< create cluster_state at the candidate's version, then admit
  admit,          ///< write the member row and lease
  admit_as_target,///< as admit, and record the candidate's build as target_build
  await_expand,   ///< do or await expand, then ask again
  refuse,         ///< exit 78 with the message
  wait,           ///< same id is live elsewhere: ask again after its lease ends, or refuse
};
std::string_view to_string(AdmissionOutcome outcome);

struct AdmissionDecision {
  AdmissionOutcome outcome;
  std::string reason;  ///< stable snake_case code: "mode_off", "removed", "third_version", ...
  std::string message; ///< for a person: found, means, do. Empty when admitted
  /// The candidate's build becomes target_build. True with admit_as_target, and with await_expand when no
  /// target is set yet: then it is pinned before expand begins (expand widens the window to it), either in
  /// this transaction or as expand's first act.
  bool record_target = false;
};

/// The rule of docs/protocol-cluster.md (admission): a pure function of (state, roster, candidate), never of
/// who seems alive (but rule 3 looks at the lease of the candidate's own id).
/// 1 no state: bootstrap. 0 format above known_format: refuse. 2 removed id: refuse. 3 id in use on
/// another host with a live lease: refuse naming the seconds left; same host: the new incarnation
/// closes the earlier one. Two digests of one version in a roster: refuse. 4 mode off: build must lie
/// in the window. 5 mode on: the original's or the target's build; no target yet: the policy decides
/// and the candidate's becomes the target. 6 target's build while expand is not done: await_expand.
/// 7 finalize requested: the target's only. 8 single-node edition: second roster member refused.
AdmissionDecision admit(const Snapshot& snapshot, const Candidate& candidate);

}  // namespace afloat::cluster
