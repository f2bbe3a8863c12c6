#include "cluster/model.h"

#include <gtest/gtest.h>

#include <array>

#include "cluster/gate.h"
#include "cluster/node_state.h"
#include "cluster/test_site.h"

namespace afloat::cluster {
namespace {

constexpr auto all_states = std::to_array({NodeState::STARTING, NodeState::ACTIVE, NodeState::DRAINING,
                                           NodeState::TERMINATING, NodeState::OFFLINE, NodeState::ERROR,
                                           NodeState::RUNNING_FINALIZE_UPGRADE_TASKS, NodeState::UPGRADE_TASKS_FAILED});

TEST(Model, NamesComeBack) {
  for (const auto state : all_states) EXPECT_EQ(node_state_from(to_string(state)), state);
  EXPECT_EQ(node_state_from("HIBERNATING"), NodeState::unknown) << "of a newer release: kept, not refused";
  for (const auto state :
       {TaskState::pending, TaskState::running, TaskState::done, TaskState::failed, TaskState::recheck})
    EXPECT_EQ(task_state_from(to_string(state)), state);
  EXPECT_EQ(task_state_from("paused"), TaskState::failed) << "finalize must stop at what it does not understand";
  for (const auto kind : {TaskKind::expand, TaskKind::backfill, TaskKind::contract})
    EXPECT_EQ(task_kind_from(to_string(kind)), kind);
  EXPECT_EQ(task_kind_from("compact"), std::nullopt);
  for (const auto mode : {Mode::off, Mode::on}) EXPECT_EQ(mode_from(to_string(mode)), mode);
}

TEST(Model, AMemberWithoutALeaseIsOfflineWhateverItWrote) {
  for (const auto state : all_states) {
    auto member = testing_site::member(1, testing_site::old_build, state);
    EXPECT_EQ(effective_state(member), state);
    member.lease_live = false;
    EXPECT_EQ(effective_state(member), NodeState::OFFLINE);
    member.lease_live = true;
    member.closed = true;
    EXPECT_EQ(effective_state(member), NodeState::OFFLINE);
  }
}

// Rows: from; columns: to. Letters: STARTING, ACTIVE, DRAINING, TERMINATING, OFFLINE, ERROR, Running tasks, tasks Failed.
TEST(NodeStates, EveryPair) {
  constexpr std::string_view table[] = {
      // SADTOERF
      ".+.+.+..",  // STARTING
      "..+..++.",  // ACTIVE
      ".+.+.+..",  // DRAINING
      "....++..",  // TERMINATING
      "+....+..",  // OFFLINE
      "....+...",  // ERROR
      ".++..+.+",  // RUNNING_FINALIZE_UPGRADE_TASKS
      ".++..++.",  // UPGRADE_TASKS_FAILED
  };
  for (std::size_t from = 0; from < all_states.size(); ++from)
    for (std::size_t to = 0; to < all_states.size(); ++to) {
      SCOPED_TRACE(std::string(to_string(all_states[from])) + " to " + std::string(to_string(all_states[to])));
      EXPECT_EQ(node_may_change(all_states[from], all_states[to]), table[from][to] == '+');
      EXPECT_EQ(check_node_change(all_states[from], all_states[to]).has_value(), table[from][to] == '+');
    }
  EXPECT_EQ(check_node_change(NodeState::DRAINING, NodeState::OFFLINE).error().message(),
            "A node that is DRAINING cannot become OFFLINE; from there it can go to ACTIVE, TERMINATING, ERROR.");
}

TEST(Gates, OpenFromTheirVersionOnPreReleasesIncluded) {
  constexpr Gate table[] = {{"example", 1, 1, 0, "writing the other form", "in 2.0.0"}};
  const auto* gate = find_gate(table, "example");
  ASSERT_NE(gate, nullptr);
  EXPECT_FALSE(gate->open_at(10000009));
  EXPECT_FALSE(gate->open_at(10009999));
  EXPECT_TRUE(gate->open_at(10010000));
  EXPECT_TRUE(gate->open_at(10010009));
  EXPECT_TRUE(gate->open_at(20000009));
  EXPECT_EQ(find_gate(table, "other"), nullptr);
  EXPECT_EQ(find_gate("example"), nullptr);
  for (const auto& known : gates()) EXPECT_EQ(find_gate(known.name), &known) << "a name is used once";
}

}  // namespace
}  // namespace afloat::cluster
