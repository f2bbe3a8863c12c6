#include <signal.h>

#include <set>

#include "base/json_fields.h"
#include "support/protocol.h"
#include "upgrade/site_helpers.h"

// What an upgrade promises, on a whole site: PostgreSQL, HAProxy, agent, three nodes, real bundles.
namespace afloat::test {
namespace {

namespace json = boost::json;
using std::chrono::seconds;

TEST(UpgradeOfASite, FailsNoRequestAndLosesNoWriteUnderLoad) {
  SiteFixture site;
  make_space(site);
  for (const char* title : {"Harbour lights", "Anchor chains", "Tidal tables", "Signal flags"})
    make_page(site.admin("node1"), title, std::string("About ") + title);
  Users users(site);
  ASSERT_TRUE(users.begin()) << users.words();
  ASSERT_TRUE(users.work(seconds(2))) << users.words();
  auto ran = site->afloat(
      {"upgrade", "run", "--to", bundles().to, "--acknowledge-notes", "--wait", "--no-hold", "--max-load", "0"},
      seconds(60));
  ASSERT_TRUE(ran) << ran.error().message();
  EXPECT_EQ(ran->exit_code, 0) << ran->output;
  EXPECT_TRUE(users.work(seconds(2))) << users.words();
  const auto answered = expect_nothing_failed_or_lost(site, users);
  for (const char* node : node_names) EXPECT_TRUE(answered.contains(node)) << node << " answered nobody";
  expect_settled(site, bundles().to);
}

TEST(UpgradeOfASite, ANodeThatComesBeforeUpgradeModeIsRefused) {
  SiteFixture site(without_conductor());
  ASSERT_TRUE(site->distribute(bundles().to));
  const auto folder = site->dir() + "/newcomer";
  auto nodes = site->nodes();
  nodes.push_back({.name = "newcomer", .host = "host1", .port = site->spare_port(), .data = folder});
  ASSERT_TRUE(local::make_folders(folder + "/data"));
  ASSERT_TRUE(local::write_file(folder + "/site.toml", site->site_toml(nodes), 0600));
  auto tried = site->afloat_of(site->program_of(bundles().to),
                               {"serve", "--config", folder + "/site.toml", "--node", "newcomer"}, seconds(20));
  ASSERT_TRUE(tried) << tried.error().message();
  EXPECT_EQ(tried->exit_code, 78) << tried->output;
  for (const auto& word : {bundles().from, bundles().to, std::string("upgrade mode")})
    EXPECT_NE(tried->output.find(word), std::string::npos) << "no \"" << word << "\" in: " << tried->output;
  expect_settled(site, bundles().from);
}

TEST(UpgradeOfASite, NeedsOnlyItsRestInterfaceAndTheAgent) {
  SiteFixture site(without_conductor());
  make_space(site);
  const auto id = make_page(site.admin("node1"), "Kept");
  ASSERT_TRUE(site->distribute(bundles().to));
  const auto started = site.admin("node1").post("/rest/zdu/start");
  ASSERT_EQ(started.status, 200) << *started.body;
  EXPECT_EQ(site.phase(), "READY_TO_UPGRADE");
  for (const std::string node : node_names) {
    ASSERT_NO_FATAL_FAILURE(replace(site, node, bundles().to));
    if (node == "node3") break;
    EXPECT_EQ(site.phase(), "MIXED");
    for (const char* any : {"node1", "node3"}) {  // one of the new, one of the old
      const auto refused = site.admin(any).post("/rest/zdu/approve");
      EXPECT_EQ(refused.status, 409) << *refused.body;
      for (const std::string old : {"node2", "node3"})
        EXPECT_EQ(message_of(refused).find(old) != std::string::npos, old > node) << old << ": " << message_of(refused);
    }
    const auto cancelled = site.admin("node3").post("/rest/zdu/cancel");
    EXPECT_EQ(cancelled.status, 409) << *cancelled.body;
    const auto way = node + " runs " + bundles().to + ": stop it and start it with " + bundles().from;
    EXPECT_NE(message_of(cancelled).find(way), std::string::npos) << message_of(cancelled);
  }
  ASSERT_TRUE(eventually(seconds(5), [&] { return site.phase() == "READY_TO_RUN_UPGRADE_TASKS"; })) << site.phase();
  const auto approved = site.admin("node2").post("/rest/zdu/approve");
  ASSERT_EQ(approved.status, 200) << *approved.body;
  ASSERT_TRUE(eventually(seconds(10), [&] { return site.phase() == "STABLE"; })) << site.phase();
  expect_settled(site, bundles().to);
  for (const char* node : node_names) EXPECT_EQ(site.admin(node).get("/rest/api/content/" + id).status, 200) << node;
}

TEST(UpgradeOfASite, AnOldNodeThatSleptThroughFinalizeExitsAndAcknowledgesNothing) {
  SiteFixture site(without_conductor());
  make_space(site);
  const auto id = make_page(site.admin("node3"), "Asleep");
  ASSERT_EQ(site.admin("node1").post("/rest/zdu/start").status, 200);
  ASSERT_TRUE(site->distribute(bundles().to));
  for (const char* node : {"node1", "node2"}) ASSERT_NO_FATAL_FAILURE(replace(site, node, bundles().to));
  auto admin = site.admin("node1");
  const auto member = nodes_by(admin, "id")["node3"];
  ASSERT_FALSE(member.empty());
  const pid_t sleeper = site->node_pid("node3");
  ASSERT_GT(sleeper, 0);
  ASSERT_EQ(kill(sleeper, SIGSTOP), 0);
  const auto refused = admin.del("/rest/afloat/1/nodes/" + member);
  EXPECT_EQ(refused.status, 409) << "removed although its lease runs: " << *refused.body;
  ASSERT_TRUE(eventually(seconds(15), [&] { return admin.del("/rest/afloat/1/nodes/" + member).status == 204; }));
  const auto approved = admin.post("/rest/zdu/approve");
  ASSERT_EQ(approved.status, 200) << *approved.body;
  ASSERT_TRUE(eventually(seconds(10), [&] { return site.phase() == "STABLE"; })) << site.phase();

  ASSERT_NO_FATAL_FAILURE(wake_with_late_writes(site, "node3", sleeper, "Asleep", id, 2));
  EXPECT_EQ(nodes_by(admin, "version"),
            (std::map<std::string, std::string>{{"node1", bundles().to}, {"node2", bundles().to}}));
  for (const char* node : {"node1", "node2"}) {
    expect_no_late_write(site.admin(node), id);
  }
}

// The dual writing of both releases, the backfill and what finalize does, while users work.
TEST(UpgradeOfASite, GoesRoundTheFenceWithNoWrite) {
  SiteFixture site;
  make_space(site);
  ASSERT_NO_FATAL_FAILURE(install_fence_check(site->database()));
  Users users(site, 40);
  ASSERT_TRUE(users.begin()) << users.words();
  auto ran = site->afloat(
      {"upgrade", "run", "--to", bundles().to, "--acknowledge-notes", "--wait", "--no-hold", "--max-load", "0"},
      seconds(60));
  ASSERT_TRUE(ran) << ran.error().message();
  EXPECT_EQ(ran->exit_code, 0) << ran->output;
  const auto code = users.go_home();
  ASSERT_TRUE(code) << users.words();
  EXPECT_EQ(*code, 0) << users.words();
  for (const char* node : node_names)
    EXPECT_EQ(site->node_log(node, 2000).find("without afloat_write"), std::string::npos) << site->node_log(node, 100);
  expect_settled(site, bundles().to);
}

TEST(UpgradeOfASite, CancelledHalfWayIsOnTheOldReleaseAgain) {
  SiteFixture site;
  make_space(site);
  const auto id = make_page(site.admin("node1"), "Kept");
  auto ran = site->afloat(
      {"upgrade", "run", "--to", bundles().to, "--acknowledge-notes", "--no-hold", "--max-load", "0"}, seconds(20));
  ASSERT_TRUE(ran) << ran.error().message();
  ASSERT_EQ(ran->exit_code, 0) << ran->output;
  // The nodes whose draining, and so their replacement, has begun.
  const auto begun = [&](const json::object& run) {
    std::set<std::string> nodes;
    if (const auto* steps = array_at(run, "steps"))
      for (const auto& step : *steps)
        if (string_or(step.as_object(), "name") == "drain") nodes.insert(string_or(step.as_object(), "node"));
    return nodes.size();
  };
  ASSERT_TRUE(eventually(seconds(30), [&] { return begun(latest_run(site)) >= 2; })) << json::serialize(latest_run(site));
  auto cancelled = site->afloat({"upgrade", "cancel", "--wait"}, seconds(60));
  ASSERT_TRUE(cancelled) << cancelled.error().message();
  EXPECT_EQ(cancelled->exit_code, 0) << cancelled->output;

  const auto run = latest_run(site);
  EXPECT_EQ(string_or(run, "outcome"), "cancelled") << cancelled->output;
  EXPECT_EQ(begun(run), 2U) << "the third node was touched\n" << cancelled->output;
  expect_settled(site, bundles().from);
  for (const char* node : node_names) EXPECT_EQ(site.admin(node).get("/rest/api/content/" + id).status, 200) << node;
}

}  // namespace
}  // namespace afloat::test
