#include <signal.h>

#include <future>

#include "base/json_fields.h"
#include "upgrade/site_helpers.h"

// Nodes that sleep through a decision of the others (a paused virtual machine, a machine that swaps) and wake up
// with requests in their sockets: whatever they were before, they must not write or acknowledge anything now.
namespace afloat::test {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;
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

  // These lie in its socket before it wakes up, so they are the first thing that it sees.
  constexpr int writes = 6;
  http::Client client(writes);
  std::vector<std::future<Result<http::Response>>> answers;
  for (int i = 0; i < writes; ++i) {
    auto late = i == 0 ? request_to(site, "node3", "PUT", "/rest/api/content/" + id, page_json("Asleep", "too late", 3))
                       : request_to(site, "node3", "POST", "/rest/api/content",
                                    page_json("Too late " + std::to_string(i), "too late"));
    answers.push_back(std::async(std::launch::async,
                                 [&client, late = std::move(late)] { return client.send_blocking(late, seconds(8)); }));
  }
  for (auto& answer : answers) EXPECT_EQ(answer.wait_for(milliseconds(50)), std::future_status::timeout);
  ASSERT_EQ(kill(sleeper, SIGCONT), 0);
  for (auto& answer : answers) {
    const auto said = answer.get();
    EXPECT_TRUE(!said || said->status >= 400) << said->status << " " << *said->body;
  }

  // It ends; the agent may start it again, and that one must not get in either: a removed id never comes back.
  json::object told;
  EXPECT_TRUE(eventually(seconds(15), [&] {
    told = agent_node(site, "node3");
    return !told.empty() && !bool_or(told, "running", true);
  })) << json::serialize(told);
  const auto code = int_or(told, "last_exit_code");
  EXPECT_TRUE(code == 78 || code == 1) << json::serialize(told);
  expect_settled(site, bundles().from, {"node1", "node2"});
  for (const char* node : {"node1", "node2"}) {
    const auto page = site.admin(node).get("/rest/api/content/" + id + "?expand=body.storage,version");
    EXPECT_NE(page.body->find("awake"), std::string::npos) << *page.body;
    EXPECT_EQ(page.body->find("too late"), std::string::npos) << *page.body;
    for (int i = 1; i < writes; ++i) {
      const auto list =
          site.admin(node).get_json("/rest/api/content?spaceKey=T&title=Too%20late%20" + std::to_string(i));
      const auto* results = array_at(list, "results");
      EXPECT_TRUE(results && results->empty()) << json::serialize(list);
    }
  }
}

}  // namespace
}  // namespace afloat::test
