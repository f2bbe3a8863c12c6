#include "cli/plan_way.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "cli/upgrade_view.h"

namespace afloat::cli {
namespace {

/// What a node of 1.0.0 says of the way to 1.2.0.
boost::json::object plan_of_an_old_node() {
  return boost::json::parse(R"({"from":"1.0.0","to":"1.2.0","possible":false,"checks":[
    {"id":"hop_allowed","title":"The way","result":"fail","found":"1.0.0 to 1.2.0 skips 1.1","why":"w","action":"a"},
    {"id":"members_active","title":"Every member","result":"pass","found":"3 members"}],"steps":[
    {"name":"mode_on","title":"upgrade mode on","deadline_s":30}]})")
      .as_object();
}

std::vector<version::KnownRelease> catalogue(std::initializer_list<const char*> versions) {
  std::vector<version::KnownRelease> known;
  for (const auto* version : versions) known.emplace_back().release.version = *version::parse_version(version);
  return known;
}

TEST(PlanWay, TheHopsThatARunWouldTakeAreShownThoughTheNodeJudgesOnlyOne) {
  auto plan = plan_of_an_old_node();
  find_way(plan, catalogue({"1.0.0", "1.1.0", "1.1.1", "1.2.0"}));
  EXPECT_TRUE(plan.at("possible").as_bool());
  EXPECT_EQ(plan.at("verdict").as_string(), "rolling");
  const auto text = plan_text(plan);
  EXPECT_TRUE(text.contains("2 hops, rolling: 1.0.0 to 1.1.1 to 1.2.0")) << text;
  EXPECT_TRUE(text.contains("Possible. Start it")) << text;
}

TEST(PlanWay, WhatTheCatalogueLacksIsNamed) {
  auto plan = plan_of_an_old_node();
  find_way(plan, catalogue({"1.0.0", "1.2.0"}));
  EXPECT_FALSE(plan.at("possible").as_bool());
  EXPECT_TRUE(plan_text(plan).contains("1.1")) << plan_text(plan);
}

TEST(PlanWay, AnotherFailedCheckStillStandsInTheWay) {
  auto plan = plan_of_an_old_node();
  plan["checks"].as_array()[1].as_object()["result"] = "fail";
  find_way(plan, catalogue({"1.1.1", "1.2.0"}));
  EXPECT_FALSE(plan.at("possible").as_bool());
}

TEST(PlanWay, ANewerNodesAnswerIsLeftAsItIs) {
  auto plan = plan_of_an_old_node();
  plan["verdict"] = "downtime";
  const auto before = plan;
  find_way(plan, catalogue({"1.1.1", "1.2.0"}));
  EXPECT_EQ(plan, before);
}

}  // namespace
}  // namespace afloat::cli
