#pragma once
#include <string>

#include "cluster/model.h"
#include "version/version.h"

/// Facts for the tests of this folder: a site of three nodes that goes from 1.0.0 to 1.1.0.
namespace afloat::cluster::testing_site {

inline constexpr int old_build = 10000009, target_build = 10010009, third_build = 10000019;

inline Member member(int number, int build, NodeState state = NodeState::ACTIVE) {
  Member m;
  m.id = "id" + std::to_string(number);
  m.name = "node" + std::to_string(number);
  m.host = "host" + std::to_string(number);
  m.build = build;
  m.version = version::describe_build(build);
  m.state = state;
  m.lease_live = true;
  m.lease_ms_left = 4000;
  m.gates_in_use = 1;
  return m;
}

/// One member for each build, upgrade mode off, on 1.0.0.
inline Snapshot stable(std::initializer_list<int> builds = {old_build, old_build, old_build}) {
  Snapshot s;
  s.state = ClusterState{
      .cluster_version = "1.0.0", .cluster_build = old_build, .min_build = old_build, .max_build = old_build};
  int number = 0;
  for (const int build : builds) s.members.push_back(member(++number, build));
  return s;
}

/// Upgrade mode on, target set, expand done.
inline Snapshot upgrading(std::initializer_list<int> builds) {
  auto s = stable(builds);
  s.state->mode = Mode::on;
  s.state->original_build = old_build;
  s.state->target_build = target_build;
  s.state->expand_done = true;
  s.state->max_build = target_build;
  return s;
}

/// Approved: the window is the target's.
inline Snapshot finalizing() {
  auto s = upgrading({target_build, target_build, target_build});
  s.state->min_build = target_build;
  s.state->finalize_requested_ms = 1;
  return s;
}

inline TaskRecord task(std::string id, TaskKind kind, TaskState state, int build = target_build) {
  TaskRecord t;
  t.id = std::move(id);
  t.kind = kind;
  t.state = state;
  t.build = build;
  t.checksum = "c";
  return t;
}

}  // namespace afloat::cluster::testing_site
