#include <signal.h>

#include "base/json_fields.h"
#include "base/text.h"
#include "upgrade/site_helpers.h"

// The commands of an administrator on a whole site: what they do without any upgrade, and what they say when
// they can't.
namespace afloat::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Said {
  int exit_code;
  std::string output;
};
Said say(SiteFixture& site, std::vector<std::string> args) {
  auto done = site->afloat(std::move(args), seconds(60));
  if (done) return {done->exit_code, done->output};
  ADD_FAILURE() << done.error().message();
  return {-1, ""};
}
void expect_said(const Said& said, int exit_code, std::initializer_list<std::string> words) {
  EXPECT_EQ(said.exit_code, exit_code) << said.output;
  for (const auto& word : words) EXPECT_NE(said.output.find(word), std::string::npos) << "no \"" << word << "\" in: " << said.output;
}

TEST(Verbs, NodesAreListedDrainedReturnedAndRemovedForGoodWithoutAnyUpgrade) {
  auto setup = without_conductor();
  setup.nodes = 2;
  setup.version = bundles().to;
  SiteFixture site(setup);
  expect_said(say(site, {"nodes", "list"}), 0, {"node1", "node2", bundles().to, "ACTIVE", "host1"});
  EXPECT_EQ(array_at(site.admin("node1").get_json("/rest/afloat/1/nodes"), "results")->size(), 2U);

  const auto state_of_2 = [&] { return nodes_by(site.admin("node1"), "state")["node2"]; };
  expect_said(say(site, {"nodes", "drain", "node2"}), 0, {"node2: DRAINING"});
  EXPECT_TRUE(eventually(seconds(3), [&] { return state_of_2() == "DRAINING"; })) << state_of_2();
  EXPECT_EQ(site.admin("node2").get("/status").status, 503);
  expect_said(say(site, {"nodes", "return", "node2"}), 0, {"node2: ACTIVE"});
  EXPECT_TRUE(eventually(seconds(3), [&] { return site.admin("node2").get("/status").status == 200; }));

  expect_said(say(site, {"nodes", "remove", "node2"}), 1, {"node2 is alive", "Stop it first", "(HTTP 409)"});
  ASSERT_TRUE(site->stop_node("node2"));
  expect_said(say(site, {"nodes", "list"}), 0, {"node2", "OFFLINE"});
  expect_said(say(site, {"nodes", "remove", "node2"}), 0, {"node2 is removed"});
  EXPECT_EQ(say(site, {"nodes", "list"}).output.find("node2"), std::string::npos);
  expect_said(say(site, {"nodes", "remove", "node2"}), 1, {"No member of the cluster is called node2", "afloat nodes list"});
  // Its id is in its data folder, so it can't come back by being started again ...
  auto tried = site->afloat_of(site->program_of(bundles().to), {"serve", "--config", site->config(), "--node", "node2"}, seconds(20));
  ASSERT_TRUE(tried) << tried.error().message();
  expect_said({tried->exit_code, tried->output}, 78, {"was removed from this cluster", "empty data folder"});
  // ... but its host can be added anew.
  ASSERT_TRUE(local::write_file(site->node("node2").data + "/data/node-id", ""));
  auto added = site->start_node("node2", bundles().to);
  ASSERT_TRUE(added) << added.error().message();
  EXPECT_TRUE(eventually(seconds(10), [&] { return state_of_2() == "ACTIVE"; })) << state_of_2();
}

TEST(Verbs, WhatIsWrongWithACommandIsSaidWithItsExitCode) {
  auto setup = without_conductor();
  setup.nodes = 1;
  setup.version = bundles().to;
  SiteFixture site(setup);
  expect_said(say(site, {}), 2, {"subcommand is required", "--help"});
  expect_said(say(site, {"frobnicate"}), 2, {"no command 'frobnicate'", "It has: serve"});
  expect_said(say(site, {"nodes", "drian", "node1"}), 2, {"afloat nodes has no command 'drian'", "did you mean 'drain'?"});
  expect_said(say(site, {"nodes"}), 2, {"subcommand is required"});
  expect_said(say(site, {"nodes", "drain"}), 2, {"name is required"});
  expect_said(say(site, {"status", "--frob"}), 2, {"--frob"});
  expect_said(say(site, {"upgrade", "run"}), 2, {"--to is required"});
  expect_said(say(site, {"nodes", "drain", "node9"}), 1, {"No member of the cluster is called node9", "afloat nodes list"});
  expect_said(say(site, {"status", "--site", "http://127.0.0.1:1"}), 1, {"No connection to http://127.0.0.1:1", "--site or AFLOAT_SITE"});
  expect_said(say(site, {"status", "--user", "nobody"}), 1, {"The user name or the password is wrong", "AFLOAT_PASSWORD", "(HTTP 401)"});
  expect_said(say(site, {"status", "--password-file", "/nonexistent"}), 1, {"/nonexistent", "cannot be read"});
  const auto made = site.admin("node1").send(
      "POST", "/rest/api/admin/user", R"({"userName":"bob","fullName":"Bob","email":"bob@example.org","password":"bobs-secret"})",
      {{"X-Atlassian-Token", "no-check"}});
  ASSERT_EQ(made.status, 200) << *made.body;
  const auto secret = site->dir() + "/bob";
  ASSERT_TRUE(local::write_file(secret, "bobs-secret\n", 0600));
  for (const std::vector<std::string>& verb :
       {std::vector<std::string>{"status"}, {"nodes", "list"}, {"nodes", "drain", "node1"}, {"nodes", "remove", "node1"},
        {"upgrade", "run", "--to", bundles().to}, {"upgrade", "finalize"}, {"upgrade", "cancel"}}) {
    auto words = verb;
    for (const auto& word : {std::string("--user"), std::string("bob"), std::string("--password-file"), secret}) words.push_back(word);
    SCOPED_TRACE(join(words, " "));
    expect_said(say(site, words), 1, {"not a system administrator", "(HTTP 403)"});
  }
  expect_said(say(site, {"upgrade", "cancel"}), 1, {"no upgrade run yet"});
  expect_said(say(site, {"events", "--limit", "5"}), 0, {"admitted", "node node1", "state ACTIVE"});
  const auto refused = site.admin("node1").post("/rest/zdu/cancel");
  EXPECT_EQ(refused.status, 409);
  EXPECT_NE(message_of(refused).find("cancel is refused: the site is STABLE"), std::string::npos) << message_of(refused);
}

TEST(Verbs, AReleaseThatCannotServeOnAHostIsRefusedBeforeTheFirstNodeStops) {
  SiteSetup setup;
  setup.nodes = 2;
  SiteFixture site(setup);
  const auto pids = std::pair(site->node_pid("node1"), site->node_pid("node2"));
  const auto file = *local::read_file(site->config());
  // The old release takes no notice of a slip in its configuration; the new one would not start with it.
  ASSERT_TRUE(local::write_file(site->config(), "log_levle = \"info\"\n" + file, 0600));
  const auto refused = say(
      site, {"upgrade", "run", "--to", bundles().to, "--acknowledge-notes", "--wait", "--no-hold", "--max-load", "0"});
  expect_said(refused, 1, {"Host host1", "'log_levle'", "did you mean 'log_level'?", "nothing was stopped"});
  EXPECT_EQ(std::pair(site->node_pid("node1"), site->node_pid("node2")), pids);
  EXPECT_EQ(site.phase(), "STABLE");
  const auto events = site.admin().get("/rest/afloat/1/events");
  EXPECT_EQ(events.body->find("DRAINING"), std::string::npos) << *events.body;

  ASSERT_TRUE(local::write_file(site->config(), file, 0600));
  expect_said(say(site, {"upgrade", "resume", "--wait"}), 0, {});
  expect_settled(site, bundles().to, {"node1", "node2"});
  expect_said(say(site, {"upgrade", "cancel"}), 1, {"(HTTP 409)"});
}

}  // namespace
}  // namespace afloat::test
