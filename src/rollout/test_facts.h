#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "rollout/facts.h"
#include "rollout/preflight.h"

/// A site of two nodes that is well in every way, for tests that make one thing wrong.
namespace afloat::rollout {

struct TestSite {
  Observation seen;
  Facts facts;

  TestSite() {
    seen.now_ms = 1'000'000'000;
    auto& cluster = seen.cluster.emplace();
    cluster.state.emplace();
    cluster.state->cluster_version = "1.2.0";
    cluster.state->cluster_build = first_build_with_facts + 9;
    for (const auto* name : {"node1", "node2"}) {
      cluster::Member member;
      member.name = name;
      member.version = "1.2.0";
      member.build = first_build_with_facts + 9;
      member.digest = "d1";
      member.state = cluster::NodeState::ACTIVE;
      member.lease_live = true;
      member.load = 0.2;
      member.active_at_ms = seen.now_ms - 3'600'000;
      cluster.members.push_back(member);
      auto& node = facts.nodes[name];
      node.at_ms = seen.now_ms - 2'000;
      node.open_files = 30;
      node.open_files_limit = 1'000;
      node.process_limit = 0;
      node.data = node.shared_home = {.free_bytes = 50'000'000'000, .total_bytes = 100'000'000'000, .problem = {}};
      node.marker = "999998000";
      node.markers = {{"node1", "999998000"}, {"node2", "999997000"}};
      node.clock_off_ms = 0;
      node.release = {.in_bundle = true, .changed = {}, .problem = {}};
      node.settings = {{"base_url", "a"}, {"edition", "b"}};
      node.status_asked_ago_ms = 900;
      node.tls = true;
      node.certificate_end_ms = seen.now_ms + 90LL * 24 * 3'600'000;
      seen.nodes[name].balancer =
          BalancerView{.status = "UP", .sessions = 0, .weight = 100, .full_weight = 100, .check = "L7OK 200"};
    }
    facts.database = DatabaseFacts{.version_number = 150'008,
                                   .version = "15.8",
                                   .name = "wiki",
                                   .user = "afloat",
                                   .may_create = true,
                                   .not_owned = {},
                                   .settings_arrive = true,
                                   .embedded = false,
                                   .connections = 20,
                                   .connections_limit = 100,
                                   .hidden_sessions = 0,
                                   .long_transactions = {},
                                   .silent_tasks = {}};
    facts.search_index = SearchIndexFacts{.pages = 10, .missing = 0, .old_form = 0, .finalized = true};
    facts.base_url = BaseUrlFacts{.url = "http://wiki", .problem = {}, .is_node = true, .forwarded = true};
    facts.conductor =
        ConductorFacts{.at_ms = seen.now_ms - 1'000, .build = first_build_with_facts, .hosts = {}, .balancer = {}};
    facts.conductor->hosts["host1"] = {
        .problem = {}, .agent_version = "1.2.0", .releases = {{"1.3.0", "d2"}}, .nodes = {}};
  }
  NodeFacts& node(const std::string& name) { return facts.nodes.at(name); }
  cluster::Member& member(std::size_t index) { return seen.cluster->members.at(index); }
  Observation observed() {
    seen.facts = std::make_shared<const Facts>(facts);
    return seen;
  }
};

/// One thing that is wrong, or not, and what a check makes of it.
struct CheckCase {
  std::string_view name;
  std::function<void(TestSite&)> change;
  CheckResult result;
  std::string_view found;  ///< part of what it says
};
inline void expect(const std::function<Check(const Observation&)>& check, std::initializer_list<CheckCase> cases) {
  for (const auto& [name, change, result, found] : cases) {
    SCOPED_TRACE(name);
    TestSite site;
    change(site);
    const auto answer = check(site.observed());
    EXPECT_EQ(answer.result, result) << answer.found;
    EXPECT_TRUE(answer.found.contains(found)) << answer.found;
    EXPECT_EQ(answer.action.empty(), result == CheckResult::pass)
        << "what to do is said exactly where there is something to do";
    EXPECT_FALSE(answer.why.empty());
  }
}

}  // namespace afloat::rollout
