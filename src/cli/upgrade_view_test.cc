#include "cli/upgrade_view.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/text.h"

namespace afloat::cli {
namespace {

boost::json::object run() {
  return boost::json::parse(R"({
    "id":7,"from":"1.0.0","to":"1.2.0","state":"running","hops":["1.1.1","1.2.0"],"steps_done":24,"steps_total":48,
    "left_ms":125000,"ended_at_ms":0,"current":"node2: drain","nodes":[{"name":"node1","start_to_active_ms":86}],
    "message":"3 in flight, 1 stream(s), 0 task(s), 12 session(s) at the balancer; overdue: PUT /rest/api/content/7, 4.2 s",
    "steps":[{"name":"mode_on","title":"upgrade mode on","node":"","hop":1,"state":"done"},
             {"name":"soak","title":"node1: compare with the other nodes","node":"node1","hop":1,"state":"done"},
             {"name":"drain","title":"node2: drain","node":"node2","hop":1,"state":"running"},
             {"name":"stop","title":"node3: stop","node":"node3","hop":1,"state":"paused","back":true}]})")
      .as_object();
}

TEST(UpgradeView, AnUpgradeFitsInto80Columns) {
  EXPECT_EQ(watch_text(run()),
            "Upgrade run 7: 1.0.0 to 1.2.0                                            running\n"
            "[###############---------------] 24 of 48 steps, hop 1 of 2 about 2 min 5 s left\n"
            "  node1          done                               start to ACTIVE 86 ms\n"
            "  node2          drain                             \n"
            "  node3          back: stop                         paused\n"
            "now: node2: drain\n"
            "  3 in flight, 1 stream(s), 0 task(s), 12 session(s) at the balancer; overdue:\n"
            "  PUT /rest/api/content/7, 4.2 s\n");
  for (const auto& line : split(watch_text(run()), '\n')) EXPECT_LE(line.size(), 80U) << line;
}

TEST(UpgradeView, ARunOfAnOlderNodeIsShownToo) {
  auto old = run();
  for (const auto* field : {"steps_done", "left_ms", "hops"}) old.erase(field);
  const auto text = watch_text(old);
  EXPECT_NE(text.find("2 steps so far"), std::string::npos) << text;
  EXPECT_EQ(text.find("left"), std::string::npos) << text;
  EXPECT_NE(watch_text(boost::json::object()).find("Upgrade run 0"), std::string::npos);
}

TEST(UpgradeView, GoingBackIsToldAsGoingBack) {
  auto back = run();
  back["state"] = "rolling_back";
  back["back"] = true;
  back["steps_done"] = 5;
  back["steps_total"] = 20;
  EXPECT_TRUE(watch_text(back).contains("[#######-----------------------] 5 of 20 back to 1.0.0")) << watch_text(back);
  back["steps"].as_array()[2].as_object()["hop"] = 2;
  EXPECT_TRUE(watch_text(back).contains(" back to 1.1.1")) << watch_text(back);
  for (const auto& line : split(watch_text(back), '\n')) EXPECT_LE(line.size(), 80U) << line;
  back.erase("steps_done");
  EXPECT_TRUE(watch_text(back).contains("2 steps so far, on the way back")) << watch_text(back);
}

TEST(UpgradeView, WhileNoConductorWorksNoTimeIsLeftButItIsSaidSinceWhen) {
  auto idle = run();
  idle["conductor"] = "";
  idle["conductor_silent_since_ms"] = 1'764'126'720'000;
  for (const auto& text : {watch_text(idle), status_text(idle)}) {
    EXPECT_TRUE(text.contains("no conductor is at work since ")) << text;
    EXPECT_TRUE(text.contains(" 2025-11-26 ")) << text;
    EXPECT_FALSE(text.contains(" left")) << text;
  }
  idle["conductor"] = "host1:17";
  EXPECT_TRUE(watch_text(idle).contains("about 2 min 5 s left"));
}

/// Of a run with downtime, as a node of 1.1.1 shows it: without any field that says how long the site was closed.
boost::json::object cancelled_offline() {
  return boost::json::parse(R"({
    "id":8,"from":"1.1.1","to":"1.2.0","state":"cancelled","outcome":"cancelled","ended_at_ms":9000,"steps":[
     {"name":"drain","node":"node1","state":"done","started_at_ms":1000,"ended_at_ms":1500},
     {"name":"drain","node":"node2","state":"done","started_at_ms":1500,"ended_at_ms":2000},
     {"name":"stop","node":"node1","state":"done","started_at_ms":2000,"ended_at_ms":2500},
     {"name":"start","node":"node1","state":"done","back":true,"started_at_ms":3000,"ended_at_ms":3500},
     {"name":"balance","node":"node1","state":"done","back":true,"started_at_ms":6000,"ended_at_ms":6750},
     {"name":"balance","node":"node2","state":"done","back":true,"started_at_ms":6750,"ended_at_ms":8000}]})")
      .as_object();
}

TEST(UpgradeView, ACancelledRunWithDowntimeSaysForHowLongTheSiteWasClosedWhoeverAnswers) {
  auto run = cancelled_offline();
  EXPECT_TRUE(report_text(run).contains("Down for: 5.25 s")) << report_text(run);
  run["steps"].as_array().insert(run["steps"].as_array().begin(),
                                 boost::json::object{{"name", "ok_to_stop"}, {"node", "node1"}, {"state", "done"}});
  EXPECT_FALSE(report_text(run).contains("Down for")) << "a run that rolls is never down";
}

TEST(UpgradeView, AnOfflinePlanSaysForHowLongTheSiteIsClosedAndThatTheBackupIsPartOfIt) {
  boost::json::object plan{
      {"from", "1.1.1"},
      {"to", "2.0.0"},
      {"offline", true},
      {"possible", true},
      {"expected_ms", 90'000},
      {"downtime_ms", 61'000},
      {"steps", boost::json::array{boost::json::object{
                    {"name", "backup"}, {"title", "back up"}, {"expected_ms", 40'000}, {"deadline_s", 0}}}}};
  const auto text = plan_text(plan);
  EXPECT_TRUE(text.contains("closed for about 1 min 1 s")) << text;
  EXPECT_TRUE(text.contains("with your backup command")) << text;
  EXPECT_TRUE(text.contains("run --to 2.0.0 --offline")) << text;
  EXPECT_FALSE(text.contains("waits for you")) << text;
}

}  // namespace
}  // namespace afloat::cli
