#include <signal.h>

#include "base/json_fields.h"
#include "support/support.h"

// A real three-node site: PostgreSQL, HAProxy, agent, conductor; from one bundle to the next.
namespace afloat::test {
namespace {

using std::chrono::seconds;

std::string page_json(const std::string& title, const std::string& body, int version) {
  boost::json::object page{{"type", "page"}, {"title", title}, {"space", {{"key", "T"}}},
                           {"body", {{"storage", {{"value", "<p>" + body + "</p>"}, {"representation", "storage"}}}}}};
  if (version > 0) page["version"] = {{"number", version}};
  return boost::json::serialize(page);
}

std::string new_page(HttpClient client, const std::string& title) {
  auto answer = client.post("/rest/api/content", page_json(title, "first", 0));
  EXPECT_EQ(answer.status, 200) << *answer.body;
  auto page = parse_json_object(*answer.body, "page");
  return page ? string_or(*page, "id") : "";
}

void make_space(SiteFixture& site) {
  EXPECT_EQ(site.admin("node1").post("/rest/api/space", R"({"key":"T","name":"Test"})").status, 200);
}

std::string message(const http::Response& response) {
  auto body = parse_json_object(*response.body, "answer");
  return body ? string_or(*body, "message") : *response.body;
}

TEST(Rolling, AWriteOnOneNodeIsSeenAtOnceOnEveryOther) {
  SiteFixture site;
  make_space(site);
  const auto id = new_page(site.admin("node1"), "Seen at once");
  const std::string path = "/rest/api/content/" + id;
  for (int i = 2; i <= 301; ++i) {
    const auto marker = "marker " + std::to_string(i);
    auto saved = site.admin("node" + std::to_string(i % 3 + 1)).put(path, page_json("Seen at once", marker, i));
    ASSERT_EQ(saved.status, 200) << *saved.body;
    for (const char* node : {"node1", "node2", "node3"}) {
      ASSERT_NE(site.admin(node).get(path + "?expand=body.storage,version").body->find(marker), std::string::npos) << node;
      ASSERT_NE(site.admin(node).get("/pages/" + id).body->find(marker), std::string::npos) << node;
    }
  }
}

TEST(Rolling, ByTheConductor) {
  SiteFixture site;
  make_space(site);
  const auto id = new_page(site.admin("node1"), "Kept");
  auto run = site->afloat({"upgrade", "run", "--to", bundles().to, "--wait", "--max-load", "0"}, seconds(40));
  ASSERT_TRUE(run) << run.error().message();
  EXPECT_EQ(run->exit_code, 0) << run->output;
  EXPECT_EQ(site.phase(), "STABLE");
  for (const char* node : {"node1", "node2", "node3"})
    EXPECT_EQ(site.admin(node).get("/rest/api/content/" + id).status, 200) << node;
}

TEST(Rolling, ByTheApiAndTheAgentWithoutAConductor) {
  SiteSetup setup;
  setup.conductor = false;
  SiteFixture site(setup);
  make_space(site);
  auto admin = site.admin("node1");
  EXPECT_EQ(admin.post("/rest/zdu/approve").status, 409);
  ASSERT_EQ(admin.post("/rest/zdu/start").status, 200);
  EXPECT_EQ(site.phase(), "READY_TO_UPGRADE");
  ASSERT_TRUE(site->distribute(bundles().to));
  for (const auto& node : site->nodes()) {
    ASSERT_TRUE(site->stop_node(node.name));
    ASSERT_TRUE(site->start_node(node.name, bundles().to));
    ASSERT_TRUE(site->wait_ready(node.name, seconds(20)));
    if (node.name == "node1") {
      auto refused = admin.post("/rest/zdu/approve");
      EXPECT_EQ(refused.status, 409);
      EXPECT_NE(message(refused).find("node2"), std::string::npos) << message(refused);
      EXPECT_EQ(admin.post("/rest/zdu/cancel").status, 409);
      EXPECT_EQ(site.phase(), "MIXED");
    }
  }
  ASSERT_TRUE(eventually(seconds(5), [&] { return site.phase() == "READY_TO_RUN_UPGRADE_TASKS"; })) << site.phase();
  ASSERT_EQ(admin.post("/rest/zdu/approve").status, 200);
  EXPECT_TRUE(eventually(seconds(10), [&] { return site.phase() == "STABLE"; })) << site.phase();
}

TEST(Rolling, AnOldNodeFrozenThroughFinalizeWakesUpAndWritesNothing) {
  SiteSetup setup;
  setup.conductor = false;
  SiteFixture site(setup);
  make_space(site);
  const auto id = new_page(site.admin("node1"), "Zombie");
  ASSERT_EQ(site.admin("node1").post("/rest/zdu/start").status, 200);
  ASSERT_TRUE(site->distribute(bundles().to));
  for (const char* node : {"node1", "node2"}) {
    ASSERT_TRUE(site->stop_node(node));
    ASSERT_TRUE(site->start_node(node, bundles().to));
    ASSERT_TRUE(site->wait_ready(node, seconds(20)));
  }
  const pid_t zombie = site->node_pid("node3");
  ASSERT_GT(zombie, 0);
  ASSERT_EQ(kill(zombie, SIGSTOP), 0);
  auto admin = site.admin("node1");
  auto refused = admin.post("/rest/zdu/approve");
  EXPECT_EQ(refused.status, 409);
  EXPECT_NE(message(refused).find("node3"), std::string::npos) << message(refused);
  ASSERT_TRUE(eventually(seconds(15), [&] { return admin.del("/rest/afloat/1/nodes/node3").status == 204; }));
  ASSERT_EQ(admin.post("/rest/zdu/approve").status, 200);
  ASSERT_TRUE(eventually(seconds(10), [&] { return site.phase() == "STABLE"; })) << site.phase();
  ASSERT_EQ(kill(zombie, SIGCONT), 0);
  // It may be gone before the request arrives; what matters is that nothing it was told is kept.
  http::Client client(1);
  http::ClientRequest late;
  late.method = "PUT";
  late.url = site->node("node3").url() + "/rest/api/content/" + id;
  late.user = "admin";
  late.password = site->admin_password();
  late.headers.set("Content-Type", "application/json");
  late.body = page_json("Zombie", "from the dead", 2);
  auto answer = client.send_blocking(late, seconds(5));
  EXPECT_TRUE(!answer || answer->status != 200);
  EXPECT_TRUE(eventually(seconds(10), [&] { return site->node_pid("node3") != zombie; }));
  EXPECT_EQ(admin.get("/rest/api/content/" + id + "?expand=body.storage").body->find("from the dead"), std::string::npos);
}

}  // namespace
}  // namespace afloat::test
