#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "rollout/step.h"
#include "version/version.h"

namespace afloat::rollout {
using cluster::Mode;
using cluster::NodeState;

inline int build_of(const std::string& text) { return version::build_number(*version::parse_version(text)); }

/// A site in memory. Acts take effect at once; step() is driven by it as by the conductor.
struct World {
  struct Node {
    std::string name, link, member_version;
    bool running = true, wanted = true, broken_release = false;
    NodeState state = NodeState::ACTIVE;
    std::string traffic = "UP";
    int tasks = 0, users = 0, exit_code = 0, restarts = 0;
    double load = 0;
    bool surge = false;                      ///< stands by
    bool member = true, at_balancer = true;  ///< both false while it stands by
  };
  std::vector<Node> nodes;
  cluster::ClusterState state;
  std::vector<std::string> releases{"1.0.0"};
  Run run;
  ActState act;
  std::int64_t now = 1'000'000, next_seq = 1;
  int decisions = 0;
  int killed_at = -1;  ///< the decision at which the conductor dies
  enum class Kill { before_record, after_record, after_act } kill = Kill::before_record;
  std::string broken_version;  ///< does not start
  std::string broken_node;     ///< does not start on any release
  std::vector<std::string> way;
  std::optional<CanaryView> canary;         ///< what every soak says
  CanaryView trial{Verdict::good, "fine"};  ///< what every trial says
  std::vector<cluster::TaskRecord> tasks;
  int retries = 0;             ///< of failed tasks
  std::string config = "one";  ///< SHA-256 of host1's site.toml, in a manner of speaking
  bool taken_out_twice = false;
  std::size_t fewest_serving = 1'000;  ///< nodes that serve at full weight, at the worst moment
  bool may_be_down = false;            ///< the run is one with downtime
  std::function<void(World&)> before_each;

  explicit World(int count = 3) {
    for (int i = 1; i <= count; ++i) {
      Node node;
      node.name = "node" + std::to_string(i);
      node.link = node.member_version = "1.0.0";
      nodes.push_back(node);
    }
    state.cluster_version = "1.0.0";
    state.cluster_build = state.min_build = state.max_build = build_of("1.0.0");
    run.id = 7;
    run.from = "1.0.0";
    run.to = "1.1.0";
    run.from_build = build_of(run.from);
    run.to_build = build_of(run.to);
    run.options.hold_before_finalize = false;
    run.options.soak_ms = 0;
  }

  /// A node that stands by, as the conductor's --surge-node.
  void stand_by(const std::string& name) {
    Node node;
    node.name = name;
    node.running = node.wanted = node.member = node.at_balancer = false;
    node.surge = true;
    nodes.push_back(node);
  }

  Node& node(const std::string& name) {
    return *std::ranges::find_if(nodes, [&](const Node& n) { return n.name == name; });
  }

  Observation observe(const Needs& needs) {
    Observation seen;
    seen.now_ms = now;
    seen.act = act;
    seen.hosts = {"host1"};
    seen.database_reached_ms = 60'000;
    seen.edition = "data-center";
    seen.database_encoding = "UTF8";
    seen.conductor_build = build_of("1.1.0");
    seen.in_catalogue = true;
    seen.way = way;
    seen.offline = run.options.offline;
    for (const auto& n : nodes)
      if (n.surge) seen.surge = SurgeNode{n.name, "host1"};
    seen.canary = needs.trial.empty() ? canary : trial;
    if (needs.cluster) {
      auto& snapshot = seen.cluster.emplace();
      snapshot.state = state;
      snapshot.tasks = tasks;
      for (const auto& n : nodes) {
        if (!n.member) continue;
        cluster::Member member;
        member.ephemeral = n.surge;
        member.load = n.load;
        member.name = n.name;
        member.host = "host1";
        member.version = n.member_version;
        member.build = build_of(n.member_version);
        member.state = n.state;
        member.lease_live = n.running;
        member.closed = !n.running;
        member.tasks_running = n.tasks;
        member.active_users = n.users;
        member.started_at_ms = now - 100;
        member.active_at_ms = now;
        snapshot.members.push_back(member);
      }
    }
    if (needs.all_hosts) seen.host_releases["host1"] = releases;
    if (needs.all_hosts || !needs.process.empty()) seen.host_config["host1"] = config;
    for (const auto& n : nodes) {
      if (needs.all_hosts || needs.process == n.name || needs.surge == n.name)
        seen.nodes[n.name].process =
            ProcessView{n.link, n.running, n.wanted, "pid", n.exit_code, n.restarts, "log line"};
      if (((needs.all_balancers && n.member) || needs.balancer == n.name || needs.surge == n.name) && n.at_balancer)
        seen.nodes[n.name].balancer = BalancerView{n.traffic, 0, 100, 100};
      if ((needs.drain == n.name || needs.surge == n.name) && n.running)
        seen.nodes[n.name].drain = DrainView{n.state == NodeState::DRAINING, 0, 0, 0, {}};
      if (needs.ready == n.name) seen.nodes[n.name].ready = n.running && n.state == NodeState::ACTIVE;
    }
    return seen;
  }

  void perform(const Act& a) {
    if (a.retry_tasks) {
      ++retries;
      for (auto& task : tasks) task.state = cluster::TaskState::pending;
    }
    switch (a.kind) {
      case StepKind::distribute:
        releases.insert(releases.end(), a.releases.begin(), a.releases.end());
        break;
      case StepKind::mode_on:
        state.mode = Mode::on;
        state.original_build = state.cluster_build;
        state.target_build = run.hop_to().build;
        state.expand_done = false;
        state.finalize_requested_ms.reset();
        state.run_id = run.id;
        break;
      case StepKind::expand:
        state.expand_done = true;
        break;
      case StepKind::finalize:
        state.finalize_requested_ms = now;
        break;
      case StepKind::mode_off:
        state.mode = Mode::off;
        state.run_id.reset();
        break;
      case StepKind::drain:
        node(a.node).traffic = "DRAIN";
        node(a.node).state = NodeState::DRAINING;
        break;
      case StepKind::maint:
        node(a.node).traffic = "MAINT";
        break;
      case StepKind::stop: {
        auto& n = node(a.node);
        const auto away = std::ranges::count_if(nodes, [&](const Node& o) {
          return o.name != n.name && o.traffic != "UP" && !o.broken_release && !o.surge;
        });
        fewest_serving =
            std::min(fewest_serving, static_cast<std::size_t>(std::ranges::count_if(nodes, [&](const Node& o) {
                       return o.name != n.name && o.running && o.at_balancer && o.traffic == "UP";
                     })));
        taken_out_twice = taken_out_twice || (away > 0 && !may_be_down);
        EXPECT_NE(n.traffic, "UP") << "stopped under traffic";
        n.running = n.wanted = false;
        n.exit_code = n.restarts = 0;
        break;
      }
      case StepKind::switch_release:
        EXPECT_FALSE(node(a.node).running) << "switched while it runs";
        node(a.node).link = a.release.version;
        break;
      case StepKind::start:
      case StepKind::await_active: {
        auto& n = node(a.node);
        n.wanted = true;
        n.broken_release = n.link == broken_version || n.name == broken_node;
        n.running = !n.broken_release;
        n.exit_code = n.running ? 0 : 134;
        n.restarts = n.running ? 0 : 5;
        if (n.running) {
          n.member_version = n.link;
          n.state = NodeState::ACTIVE;
        }
        break;
      }
      case StepKind::undrain:
      case StepKind::balance:
        node(a.node).traffic = "UP";
        node(a.node).state = NodeState::ACTIVE;
        break;
      case StepKind::add_surge:
      case StepKind::remove_surge:
        perform_surge(a);
        break;
      default:
        break;
    }
    // Nodes finish by themselves.
    if (state.finalize_requested_ms) {
      state.cluster_version = run.hop_to().version;
      state.cluster_build = run.hop_to().build;
      state.mode = Mode::off;
    }
  }

  void perform_surge(const Act& a) {
    auto& n = node(a.node);
    EXPECT_TRUE(n.surge);
    switch (a.surge) {
      case SurgeMove::none:
        break;
      case SurgeMove::stop:
        EXPECT_TRUE(!n.at_balancer || n.traffic == "MAINT") << "stopped under traffic";
        n.running = n.wanted = n.member = false;
        break;
      case SurgeMove::switch_release:
        EXPECT_FALSE(n.running) << "switched while it runs";
        n.link = a.release.version;
        break;
      case SurgeMove::start:
        n.wanted = true;
        n.broken_release = n.link == broken_version;
        n.running = n.member = !n.broken_release;
        n.restarts = n.broken_release ? 5 : 0;
        n.state = NodeState::ACTIVE;
        n.member_version = n.link;
        break;
      case SurgeMove::add_server:
        n.at_balancer = true;
        n.traffic = "MAINT";
        break;
      case SurgeMove::drain:
        n.traffic = "DRAIN";
        n.state = NodeState::DRAINING;
        break;
      case SurgeMove::maint:
        n.traffic = "MAINT";
        break;
      case SurgeMove::remove_member:
        EXPECT_FALSE(n.running);
        n.member = false;
        break;
      case SurgeMove::remove_server:
        EXPECT_EQ(n.traffic, "MAINT");
        n.at_balancer = false;
        break;
    }
  }

  void record(Run recorded) {
    for (auto& step : recorded.steps) {
      if (!step.changed) continue;
      if (step.seq == 0) {
        step.seq = next_seq++;
        step.started_at_ms = step.attempt_at_ms = now;
      }
      step.changed = false;
    }
    recorded.taken = {};
    recorded.hops_chosen = false;
    const auto* old_step = run.open_step();
    const auto* new_step = recorded.open_step();
    if (!old_step || !new_step || old_step->seq != new_step->seq || old_step->attempt != new_step->attempt) act = {};
    run = std::move(recorded);
  }

  /// One turn of a conductor's loop. A kill loses what was only in its memory.
  void turn() {
    if (before_each) before_each(*this);
    now += 20;
    auto decision = step(run, observe(needs(run)));
    const bool dies = decisions++ == killed_at;
    if (dies && kill == Kill::before_record) return void(act = {});
    if (decision.record) {
      record(std::move(decision.run));
      if (dies) act = {};
      return;
    }
    if (decision.act) {
      if (dies && kill == Kill::after_record) return void(act = {});
      act = {.tried = true, .error = std::nullopt, .tried_at_ms = now};
      perform(*decision.act);
      if (dies) act = {};
    } else {
      now += 200;  // nothing to do but to wait
    }
  }

  void go(int limit = 2'000) {
    while (!run.ended() && run.state != RunState::paused && limit-- > 0) turn();
  }

  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& step : run.steps)
      out.push_back(std::string(to_string(step.kind)) + (step.node.empty() ? "" : " " + step.node));
    return out;
  }

  void expect_whole_on(const std::string& version) {
    for (const auto& n : nodes) {
      if (n.surge) {
        EXPECT_FALSE(n.running || n.wanted || n.member || n.at_balancer) << n.name << " has stayed";
        continue;
      }
      EXPECT_EQ(n.member_version, version) << n.name;
      EXPECT_EQ(n.link, version) << n.name;
      EXPECT_TRUE(n.running) << n.name;
      EXPECT_EQ(n.traffic, "UP") << n.name;
    }
    EXPECT_EQ(state.mode, Mode::off);
  }
};

}  // namespace afloat::rollout
