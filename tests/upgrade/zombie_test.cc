#include <signal.h>

#include "upgrade/site_helpers.h"

// Nodes that sleep through a decision of the others (a paused virtual machine, a machine that swaps) and wake up
// with requests in their sockets: whatever they were before, they must not write or acknowledge anything now.
namespace afloat::test {
namespace {

using std::chrono::seconds;

TEST(UpgradeOfASite, ANewNodeThatSleptThroughCancelExitsAndAcknowledgesNothing) {
  SiteFixture site(without_conductor());
  make_space(site);
  const auto id = make_page(site.admin("node1"), "Asleep");
  ASSERT_TRUE(site->distribute(bundles().to));
  ASSERT_EQ(site.admin("node1").post("/rest/zdu/start").status, 200);
  for (const char* node : {"node2", "node3"}) ASSERT_NO_FATAL_FAILURE(replace(site, node, bundles().to));
  EXPECT_EQ(site.phase(), "MIXED");
  // It has served as a member of the site: it knows the page, and its connections to the database are open.
  const auto before = site.admin("node3").put("/rest/api/content/" + id, page_json("Asleep", "awake", 2));
  ASSERT_EQ(before.status, 200) << *before.body;

  auto admin = site.admin("node1");
  const auto member = nodes_by(admin, "id")["node3"];
  ASSERT_FALSE(member.empty());
  const pid_t sleeper = site->node_pid("node3");
  ASSERT_GT(sleeper, 0);
  ASSERT_EQ(kill(sleeper, SIGSTOP), 0);
  ASSERT_NO_FATAL_FAILURE(replace(site, "node2", bundles().from));
  const auto too_early = admin.post("/rest/zdu/cancel");
  EXPECT_EQ(too_early.status, 409) << *too_early.body;
  EXPECT_NE(message_of(too_early).find("node3"), std::string::npos) << message_of(too_early);
  ASSERT_TRUE(eventually(seconds(15), [&] { return admin.del("/rest/afloat/1/nodes/" + member).status == 204; }));
  const auto cancelled = admin.post("/rest/zdu/cancel");
  ASSERT_EQ(cancelled.status, 200) << *cancelled.body;
  EXPECT_EQ(site.phase(), "STABLE");

  ASSERT_NO_FATAL_FAILURE(wake_with_late_writes(site, "node3", sleeper, "Asleep", id, 3));
  expect_settled(site, bundles().from, {"node1", "node2"});
  for (const char* node : {"node1", "node2"}) {
    const auto page = site.admin(node).get("/rest/api/content/" + id + "?expand=body.storage,version");
    EXPECT_NE(page.body->find("awake"), std::string::npos) << *page.body;
    expect_no_late_write(site.admin(node), id);
  }
}

}  // namespace
}  // namespace afloat::test
