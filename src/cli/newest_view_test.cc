#include "cli/newest_view.h"

#include <gtest/gtest.h>

namespace afloat::cli {
namespace {

namespace json = boost::json;

json::object of_new_node(int done) {
  return {{"id", 7},
          {"to", "1.2.0"},
          {"state", "running"},
          {"mode_on_at_ms", 1'000},
          {"steps_done", done},
          {"left_ms", 9'000},
          {"hops", json::array{"1.1.1", "1.2.0"}},
          {"node_build", 10'020'009}};
}
json::object of_old_node(const char* state) {
  return {{"id", 7}, {"to", "1.2.0"}, {"state", state}, {"mode_on_at_ms", 1'000}, {"steps_total", 30}};
}

TEST(NewestView, WhatAnOlderNodeLeavesOutStaysAsTheNewestToldIt) {
  NewestView view;
  view.filled(of_new_node(12));
  const auto shown = view.filled(of_old_node("paused"));
  EXPECT_EQ(shown.at("steps_done").as_int64(), 12);
  EXPECT_EQ(shown.at("hops").as_array().size(), 2U);
  EXPECT_EQ(shown.at("state").as_string(), "paused") << "what it does tell is what is so now";
  EXPECT_EQ(view.filled(of_new_node(13)).at("steps_done").as_int64(), 13);
}

TEST(NewestView, AnotherNodeIsAskedWhereANewerOneMayAnswer) {
  NewestView view;
  EXPECT_TRUE(view.ask_again(of_old_node("running"))) << "the first answer, in a mixed cluster";
  auto before = of_old_node("running");
  before["mode_on_at_ms"] = 0;
  EXPECT_FALSE(view.ask_again(before)) << "no node can be newer yet";
  EXPECT_FALSE(view.ask_again(of_new_node(1)));
  view.filled(of_new_node(1));
  EXPECT_TRUE(view.ask_again(of_old_node("running")));
}

TEST(NewestView, AnotherRunIsNotFilledUp) {
  NewestView view;
  view.filled(of_new_node(12));
  auto other = of_old_node("running");
  other["id"] = 8;
  EXPECT_FALSE(view.filled(other).contains("steps_done"));
}

}  // namespace
}  // namespace afloat::cli
