#include "cli/by_hand.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/json_fields.h"

namespace afloat::cli {
namespace {

namespace json = boost::json;

json::object cluster(const std::string& phase, const std::string& version1, const std::string& state1,
                     const std::string& version2) {
  return {{"state", phase},
          {"nodes", json::array{json::object{{"name", "node1"}, {"version", version1}, {"state", state1}},
                                json::object{{"name", "node2"}, {"version", version2}, {"state", "ACTIVE"}}}}};
}

TEST(WatchedUpgrade, TellsWhenModeWentOnAndWhenEachNodeWasAway) {
  WatchedUpgrade watched("1.0.0", "1.0.1");
  watched.see(1000, cluster("STABLE", "1.0.0", "ACTIVE", "1.0.0"));
  watched.see(2000, cluster("READY_TO_UPGRADE", "1.0.0", "ACTIVE", "1.0.0"));
  watched.see(3000, cluster("READY_TO_UPGRADE", "1.0.0", "DRAINING", "1.0.0"));
  watched.see(3100, {});  // nobody answered
  watched.see(3300, cluster("READY_TO_UPGRADE", "1.0.0", "OFFLINE", "1.0.0"));
  watched.see(3600, cluster("MIXED", "1.0.1", "STARTING", "1.0.0"));
  watched.see(4000, cluster("MIXED", "1.0.1", "ACTIVE", "1.0.0"));
  EXPECT_FALSE(watched.arrived());
  watched.see(5000, cluster("READY_TO_RUN_UPGRADE_TASKS", "1.0.1", "ACTIVE", "1.0.1"));
  watched.see(6000, cluster("STABLE", "1.0.1", "ACTIVE", "1.0.1"));
  ASSERT_TRUE(watched.arrived());
  const auto run = watched.run();
  EXPECT_EQ(int_or(run, "mode_on_at_ms"), 2000);
  EXPECT_EQ(int_or(run, "stable_at_ms"), 6000);
  std::vector<std::string> steps;
  for (const auto& value : *array_at(run, "steps")) {
    const auto& step = value.as_object();
    steps.push_back(string_or(step, "node") + " " + string_or(step, "name") + " " +
                    std::to_string(int_or(step, "started_at_ms")) + "-" + std::to_string(int_or(step, "ended_at_ms")));
  }
  EXPECT_EQ(steps, (std::vector<std::string>{"node1 drain 3000-3300", "node1 stop 3300-4000", "node1 switch 4000-4000",
                                             "node1 await_active 4000-4000", "node2 stop 5000-5000",
                                             "node2 switch 5000-5000", "node2 await_active 5000-5000"}));
}

TEST(WatchedUpgrade, WhoGoesBackHasNotArrived) {
  WatchedUpgrade watched("1.0.0", "1.0.1");
  watched.see(1000, cluster("READY_TO_UPGRADE", "1.0.0", "ACTIVE", "1.0.0"));
  watched.see(2000, cluster("MIXED", "1.0.1", "ACTIVE", "1.0.0"));
  watched.see(3000, cluster("READY_TO_UPGRADE", "1.0.0", "ACTIVE", "1.0.0"));
  watched.see(4000, cluster("STABLE", "1.0.0", "ACTIVE", "1.0.0"));
  EXPECT_FALSE(watched.arrived());
}

}  // namespace
}  // namespace afloat::cli
