#include "cluster/admission.h"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/roster.h"
#include "version/policy.h"

namespace afloat::cluster {
namespace {

AdmissionDecision refuse(std::string reason, std::string message) {
  return {AdmissionOutcome::refuse, std::move(reason), std::move(message)};
}
AdmissionDecision accept(AdmissionOutcome outcome, std::string reason) { return {outcome, std::move(reason), {}}; }

std::string builds_text(int low, int high) {
  return low == high ? version::describe_build(low)
                     : fmt::format("{} and {}", version::describe_build(low), version::describe_build(high));
}

/// Rules 2, 3 and the digest rule: who the candidate is. nullopt: nothing against it.
std::optional<AdmissionDecision> check_identity(const Snapshot& snapshot, const Candidate& candidate) {
  if (std::ranges::find(snapshot.removed_ids, candidate.id) != snapshot.removed_ids.end())
    return refuse("removed",
                  fmt::format("The node id {} was removed from this cluster, and a removed id never comes back: what "
                              "its data folder knows may be out of date. To add this host again, start {} with an "
                              "empty data folder; it gets a new id.",
                              candidate.id, candidate.name));
  for (const auto& member : snapshot.members) {
    if (member.id == candidate.id) {
      // On the same host the new process takes over: the agent starts one only when the earlier one has ended.
      if (member.host == candidate.host || member.closed || !member.lease_live) continue;
      return AdmissionDecision{
          AdmissionOutcome::wait, "id_in_use",
          fmt::format(
              "The node id {} is in use by {} on host {}, whose lease runs for {:.1f} more seconds. Two nodes with one "
              "id would close each other. If {} is gone, wait until its lease ends; if this data folder is a copy, "
              "start {} on {} with an empty one.",
              candidate.id, member.name, member.host, static_cast<double>(member.lease_ms_left) / 1000, member.name,
              candidate.name, candidate.host)};
    }
    if (member.build == candidate.build && !member.digest.empty() && !candidate.digest.empty() &&
        member.digest != candidate.digest)
      return refuse(
          "digest_differs",
          fmt::format("{} runs another bundle that also calls itself {} (digest {}, this node's is {}). Nodes of one "
                      "version must be built from one source: install the same bundle on both.",
                      member.name, version::to_string(candidate.version), member.digest.substr(0, 12),
                      candidate.digest.substr(0, 12)));
  }
  return std::nullopt;
}

AdmissionDecision while_mode_off(const ClusterState& state, const Candidate& candidate) {
  // The ends of the window and not what lies between them: 1.0.5 lies between 1.0.0 and 1.1.0 and is neither.
  if (candidate.build == state.min_build || candidate.build == state.max_build)
    return accept(AdmissionOutcome::admit, "stable");
  const auto own = version::to_string(candidate.version);
  if (candidate.build > state.max_build)
    return refuse(
        "mode_off",
        fmt::format("This node is {}, but the site is on {} and upgrade mode is off, so a newer version must not touch "
                    "its data. Start the upgrade first (`afloat upgrade run --to {}`, or POST /rest/zdu/start), or "
                    "start this node with {}.",
                    own, state.cluster_version, own, state.cluster_version));
  return refuse("mode_off",
                fmt::format("This node is {}, but the site is finalized at {}, whose data older versions cannot read. "
                            "Start this node with {}.",
                            own, state.cluster_version, state.cluster_version));
}

AdmissionDecision while_mode_on(const Snapshot& snapshot, const Candidate& candidate) {
  const auto& state = *snapshot.state;
  const int original = state.original_build.value_or(state.cluster_build);
  const auto own = version::to_string(candidate.version);

  if (state.finalize_requested_ms) {
    if (state.target_build && candidate.build == *state.target_build) return accept(AdmissionOutcome::admit, "target");
    return refuse("finalizing",
                  fmt::format("This node is {}, but the site is being finalized at {} and accepts nothing else any "
                              "more. Start this node with {}.",
                              own, target_text(snapshot), target_text(snapshot)));
  }
  if (candidate.build == original) return accept(AdmissionOutcome::admit, "original");
  if (state.target_build) {
    if (candidate.build != *state.target_build)
      return refuse(
          "third_version",
          fmt::format(
              "This node is {}, but the upgrade under way goes from {}: only these two may run. Start this node "
              "with one of them. For another target take the nodes back and cancel first (`afloat upgrade "
              "cancel`), then start an upgrade to {}.",
              own, builds_text(original, *state.target_build), own));
    if (state.expand_done) return accept(AdmissionOutcome::admit, "target");
    return accept(AdmissionOutcome::await_expand, "expand_pending");
  }

  // No target yet: the first newer node sets it, if the hop may roll.
  const auto from = version::parse_version(state.cluster_version);
  if (!from)
    return refuse(
        "cluster_version_broken",
        fmt::format("The site's cluster version \"{}\" cannot be read ({}). Look at the row in cluster_state; nothing "
                    "was changed.",
                    state.cluster_version, from.error().message()));
  const auto advice = version::advise_hop(*from, candidate.version);
  switch (advice.verdict) {
    case version::HopVerdict::rolling:
      break;
    case version::HopVerdict::downtime:
    case version::HopVerdict::blocked:
      return refuse("needs_downtime", fmt::format("This node cannot join a running site: {}", advice.message));
    case version::HopVerdict::same:
    case version::HopVerdict::downgrade:
      return refuse("downgrade", fmt::format("This node cannot join: {} Start it with {} or newer.", advice.message,
                                             state.cluster_version));
  }
  auto decision =
      accept(state.expand_done ? AdmissionOutcome::admit_as_target : AdmissionOutcome::await_expand, "target_chosen");
  decision.record_target = true;
  return decision;
}

}  // namespace

std::string_view to_string(AdmissionOutcome outcome) {
  switch (outcome) {
    case AdmissionOutcome::bootstrap:
      return "bootstrap";
    case AdmissionOutcome::admit:
      return "admit";
    case AdmissionOutcome::admit_as_target:
      return "admit_as_target";
    case AdmissionOutcome::await_expand:
      return "await_expand";
    case AdmissionOutcome::refuse:
      return "refuse";
    case AdmissionOutcome::wait:
      return "wait";
  }
  return "refuse";
}

AdmissionDecision admit(const Snapshot& snapshot, const Candidate& candidate) {
  if (!snapshot.state) return accept(AdmissionOutcome::bootstrap, "first_node");
  const auto& state = *snapshot.state;
  // First of all: where the row has a newer format, nothing else in it can be trusted to mean what it says.
  if (state.format > known_format)
    return refuse(
        "format",
        fmt::format("The site's cluster state has format {}, and this node ({}) knows formats up to {}: a newer "
                    "release has been here. Start this node with {} or newer.",
                    state.format, version::to_string(candidate.version), known_format, state.cluster_version));
  if (auto against = check_identity(snapshot, candidate)) return *std::move(against);

  auto decision = state.mode == Mode::off ? while_mode_off(state, candidate) : while_mode_on(snapshot, candidate);
  if (decision.outcome == AdmissionOutcome::refuse) return decision;
  // Asked before expand: a node that will not be admitted must not change the schema for it.
  const auto other =
      std::ranges::find_if(snapshot.members, [&](const Member& member) { return member.id != candidate.id; });
  if (!candidate.clustering_allowed && other != snapshot.members.end())
    return refuse(
        "single_node_edition",
        fmt::format("This site's edition allows one node, and {} is a member already. Remove it first (`afloat nodes "
                    "remove {}`), or set edition = \"data-center\" in the configuration of every node.",
                    other->name, other->name));
  return decision;
}

}  // namespace afloat::cluster
