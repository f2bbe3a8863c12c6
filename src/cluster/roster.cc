#include "cluster/roster.h"

#include <fmt/format.h>

#include "cluster/task_ledger.h"
#include "version/version.h"

namespace afloat::cluster {

std::string target_text(const Snapshot& snapshot) {
  if (!snapshot.state || !snapshot.state->target_build) return "the target version";
  for (const auto& member : snapshot.members)
    if (member.build == *snapshot.state->target_build) return member.version;
  return version::describe_build(*snapshot.state->target_build);
}

std::string original_text(const Snapshot& snapshot) {
  if (!snapshot.state) return "the original version";
  const auto& state = *snapshot.state;
  if (!state.original_build || *state.original_build == state.cluster_build) return state.cluster_version;
  return version::describe_build(*state.original_build);
}

std::vector<std::string> approve_obstacles(const Snapshot& snapshot) {
  if (!snapshot.state) return {"no node has ever joined"};
  const auto& state = *snapshot.state;
  // "All of nobody" is true and means nothing: whoever polls for it would finalize a site without nodes.
  if (snapshot.members.empty()) return {"the roster is empty: start a node"};
  std::vector<std::string> obstacles;
  if (!state.target_build) obstacles.push_back("no target version is set: start a node of the newer release");
  const auto target = target_text(snapshot);
  for (const auto& member : snapshot.members) {
    const auto now = effective_state(member);
    if (!state.target_build || member.build != *state.target_build) {
      obstacles.push_back(
          now == NodeState::OFFLINE
              ? fmt::format(
                    "{} is OFFLINE and was last on {}: start it with {}, or remove it with `afloat nodes remove {}`",
                    member.name, member.version, target, member.name)
              : fmt::format("{} runs {}: stop it and start it with {}", member.name, member.version, target));
    } else if (now == NodeState::OFFLINE) {
      obstacles.push_back(
          member.closed
              ? fmt::format("{} is OFFLINE: start it, or remove it with `afloat nodes remove {}`", member.name,
                            member.name)
              : fmt::format("{} has not renewed its lease: see whether it still runs; start it, or remove it with "
                            "`afloat nodes remove {}`",
                            member.name, member.name));
    } else if (now == NodeState::DRAINING) {
      obstacles.push_back(
          fmt::format("{} is DRAINING: let it return with `afloat nodes return {}`, or wait for its restart",
                      member.name, member.name));
    } else if (now == NodeState::ERROR) {
      obstacles.push_back(fmt::format("{} is in ERROR: read its log, mend it and start it again", member.name));
    } else if (now != NodeState::ACTIVE) {
      obstacles.push_back(fmt::format("{} is {}: wait until it is ACTIVE", member.name, shown_state(member)));
    }
  }
  if (state.target_build && !state.expand_done)
    obstacles.push_back(
        "the expand tasks are not done: run `afloat upgrade expand` of the target release, or start a node of it");
  for (const auto& task : failed_tasks(snapshot))
    obstacles.push_back(
        fmt::format("upgrade task {}; mend the cause, then `afloat upgrade retry`", failure_text(task)));
  return obstacles;
}

std::vector<std::string> cancel_obstacles(const Snapshot& snapshot) {
  if (!snapshot.state) return {"no node has ever joined"};
  const auto original = original_text(snapshot);
  if (snapshot.members.empty()) return {fmt::format("the roster is empty: start a node of {}", original)};
  const int original_build = snapshot.state->original_build.value_or(snapshot.state->cluster_build);
  std::vector<std::string> obstacles;
  for (const auto& member : snapshot.members) {
    if (member.build == original_build) continue;
    obstacles.push_back(
        effective_state(member) == NodeState::OFFLINE
            ? fmt::format(
                  "{} is OFFLINE and was last on {}: start it with {}, or remove it with `afloat nodes remove {}`",
                  member.name, member.version, original, member.name)
            : fmt::format("{} runs {}: stop it and start it with {}", member.name, member.version, original));
  }
  return obstacles;
}

}  // namespace afloat::cluster
