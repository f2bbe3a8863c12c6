#include <fmt/format.h>

#include "base/json_fields.h"
#include "base/text.h"
#include "local/process.h"
#include "upgrade/site_helpers.h"

// What people ask of a run while it goes, on a whole site whose nodes are of the release before those verbs at first.
namespace afloat::test {
namespace {

namespace json = boost::json;
using std::chrono::seconds;

local::CommandOutput say(SiteFixture& site, std::vector<std::string> words, seconds limit = seconds(90)) {
  auto ran = site->afloat(std::move(words), limit);
  EXPECT_TRUE(ran) << ran.error().message();
  return ran.value_or(local::CommandOutput{});
}

std::string open_step(const json::object& run) {
  const auto* steps = array_at(run, "steps");
  return steps && !steps->empty() ? string_or(steps->back().as_object(), "name") : "";
}

TEST(RunControlOfASite, SoaksHoldsTakesOneNodeBackAndGoesOnWhileNobodyNotices) {
  SiteFixture site;
  make_space(site);
  for (const char* title : {"Harbour lights", "Anchor chains", "Tidal tables"}) make_page(site.admin("node1"), title);
  // Its first step refuses it, and the command says so.
  auto ran = say(site, {"upgrade", "run", "--to", "99.0.0"});
  EXPECT_EQ(ran.exit_code, 4) << ran.output;
  EXPECT_TRUE(ran.output.contains("99.0.0 is not in the catalogue, which has ")) << ran.output;
  EXPECT_TRUE(ran.output.contains(bundles().to)) << ran.output;
  EXPECT_FALSE(ran.output.contains("--offline") || ran.output.contains("..")) << ran.output;
  Users users(site);
  ASSERT_TRUE(users.begin()) << users.words();
  ran = say(site, {"upgrade", "run", "--to", bundles().to, "--acknowledge-notes", "--soak", "3", "--max-load", "0",
                   "--wait"});
  EXPECT_EQ(ran.exit_code, 1) << "held: " << ran.output;
  EXPECT_NE(ran.output.find("hold before finalize"), std::string::npos) << ran.output;
  auto run = latest_run(site);
  ASSERT_EQ(open_step(run), "hold_before_finalize") << ran.output;
  EXPECT_EQ(ran.output.find("no verdict"), std::string::npos) << ran.output;
  int soaked = 0;
  for (const auto& step : *array_at(run, "steps"))
    if (string_or(step.as_object(), "name") == "soak" && string_or(step.as_object(), "state") == "done") ++soaked;
  EXPECT_EQ(soaked, 3) << json::serialize(run);
  EXPECT_GT(int_or(run, "left_ms"), 0);
  EXPECT_EQ(int_or(run, "steps_total") - int_or(run, "steps_done"), 5) << json::serialize(run);

  ran = say(site, {"nodes", "rollback", "node2"});
  EXPECT_EQ(ran.exit_code, 0) << ran.output;
  ASSERT_TRUE(eventually(seconds(30), [&] {
    return string_or(latest_run(site), "message").contains("node2 is back on");
  })) << json::serialize(latest_run(site));
  EXPECT_EQ(nodes_by(site.admin(), "version").at("node2"), bundles().from);
  EXPECT_EQ(nodes_by(site.admin(), "version").at("node1"), bundles().to);
  ran = say(site, {"upgrade", "resume", "--wait"});
  ASSERT_EQ(open_step(latest_run(site)), "hold_before_finalize") << ran.output;
  ran = say(site, {"upgrade", "finalize", "--wait"});
  EXPECT_EQ(ran.exit_code, 0) << ran.output;
  ASSERT_TRUE(eventually(seconds(20), [&] { return string_or(latest_run(site), "outcome") == "done"; }));
  (void)expect_nothing_failed_or_lost(site, users);
  expect_settled(site, bundles().to);

  const auto events = site.admin().get_json("/rest/afloat/1/events?limit=100");
  const auto told = json::serialize(events);
  for (const char* notice : {"\"started\"", "\"held\"", "\"finalized\""})
    EXPECT_NE(told.find(notice), std::string::npos) << notice << " is not in " << told;
}

TEST(RunControlOfASite, PausesBetweenTwoStepsAndCanBeCancelledThen) {
  SiteFixture site;
  make_space(site);
  Users users(site, 60);
  ASSERT_TRUE(users.begin()) << users.words();
  ASSERT_EQ(say(site, {"upgrade", "run", "--to", bundles().to, "--acknowledge-notes", "--max-load", "0"}).exit_code, 0);
  ASSERT_TRUE(eventually(seconds(30), [&] { return json::serialize(latest_run(site)).contains("\"await_active\""); }));
  auto ran = say(site, {"upgrade", "pause"});
  EXPECT_EQ(ran.exit_code, 0) << ran.output;
  ASSERT_TRUE(eventually(seconds(10), [&] { return string_or(latest_run(site), "state") == "paused"; }));
  EXPECT_NE(string_or(latest_run(site), "message").find("paused by"), std::string::npos);
  ran = say(site, {"upgrade", "cancel", "--wait"});
  EXPECT_EQ(ran.exit_code, 0) << ran.output;
  (void)expect_nothing_failed_or_lost(site, users, 100);
  expect_settled(site, bundles().from);
}

TEST(RunControlOfASite, WithDowntimeNothingIsLostAndItIsMeasured) {
  SiteFixture site;
  make_space(site);
  Users users(site, 60);
  ASSERT_TRUE(users.begin()) << users.words();
  ASSERT_TRUE(users.work(seconds(2))) << users.words();
  ASSERT_EQ(say(site, {"upgrade", "run", "--to", bundles().to, "--acknowledge-notes", "--offline"}).exit_code, 0);
  http::Response away;
  EXPECT_TRUE(eventually(seconds(20), [&] {
    away = site.admin().get("/login");
    return away.status == 503;
  }));
  EXPECT_NE(away.body->find("Back in a moment"), std::string::npos) << *away.body;
  EXPECT_EQ(away.headers.get("Retry-After"), "10");
  ASSERT_TRUE(eventually(seconds(60), [&] {
    return site.admin().get("/status").status == 200 && string_or(latest_run(site), "outcome") == "done";
  })) << json::serialize(latest_run(site));
  ASSERT_TRUE(users.work(seconds(1))) << users.words();
  EXPECT_GT(expect_nothing_lost(site, users, 200), 0) << "who asks while the site is down is told so";
  expect_settled(site, bundles().to);
  const auto report = say(site, {"upgrade", "report"});
  EXPECT_NE(report.output.find("Down for"), std::string::npos) << report.output;
  const auto down = int_or(latest_run(site), "downtime_ms");
  EXPECT_GT(down, 100);
  EXPECT_LT(down, 30'000);
  RecordProperty("downtime_ms", static_cast<int>(down));
}

/// As on a host of the site where nobody has signed in: the site's file is all there is.
local::CommandOutput with_the_file_alone(SiteFixture& site, const std::string& verb) {
  local::ProcessOptions run;
  run.argv = {bundles().program, "upgrade", verb, "--config", site->config()};
  run.without = {"AFLOAT_SITE", "AFLOAT_USER", "AFLOAT_PASSWORD", "AFLOAT_CONFIG"};
  auto said = local::run_command(std::move(run), seconds(60));
  EXPECT_TRUE(said) << said.error().message();
  return said ? *said : local::CommandOutput{};
}

TEST(RunControlOfASite, WhileItIsClosedItsFileAloneShowsTheRunAndCancelsIt) {
  SiteFixture site;
  make_space(site);
  Users users(site, 60);
  ASSERT_TRUE(users.begin()) << users.words();
  ASSERT_TRUE(users.work(seconds(1))) << users.words();
  ASSERT_EQ(say(site, {"upgrade", "run", "--to", bundles().to, "--acknowledge-notes", "--offline"}).exit_code, 0);
  ASSERT_TRUE(eventually(seconds(20), [&] { return site.admin().get("/login").status == 503; }));
  site->stop_agents();  // so that it stays closed

  const auto seen = with_the_file_alone(site, "status");
  EXPECT_EQ(seen.exit_code, 0) << seen.output;
  EXPECT_TRUE(seen.output.contains(fmt::format("Upgrade run 1: {} to {}", bundles().from, bundles().to)))
      << seen.output;
  const auto cancelled = with_the_file_alone(site, "cancel");
  EXPECT_EQ(cancelled.exit_code, 0) << cancelled.output;
  EXPECT_EQ(site.admin().get("/login").status, 503) << "it was closed all the while";

  ASSERT_TRUE(site->start_agents());
  ASSERT_TRUE(eventually(seconds(60), [&] {
    return site.admin().get("/status").status == 200 && string_or(latest_run(site), "outcome") == "cancelled";
  })) << json::serialize(latest_run(site));
  EXPECT_GT(expect_nothing_lost(site, users, 50), 0);
  expect_settled(site, bundles().from);
}

}  // namespace
}  // namespace afloat::test
