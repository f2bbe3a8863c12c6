#include <filesystem>

#include "base/json_fields.h"
#include "base/text.h"
#include "local/process.h"
#include "local/workplace.h"
#include "support/browser.h"
#include "support/protocol.h"

// Whole nodes whose database raises an error on each write that goes round the fence, and nodes that meet what a
// later release has left in it.
namespace afloat::test {
namespace {

namespace json = boost::json;
using std::chrono::seconds;

SiteSetup one_node() {
  SiteSetup setup;
  setup.nodes = 1;
  setup.conductor = false;
  setup.version = bundles().to;
  return setup;
}

std::string page_json(const std::string& title, const std::string& text, int version = 0) {
  json::object page{{"type", "page"},
                    {"title", title},
                    {"space", {{"key", "T"}}},
                    {"madeUpByALaterRelease", {{"deep", json::array{1, 2}}}},
                    {"body", {{"storage", {{"value", "<p>" + text + "</p>"}, {"representation", "storage"}}}}}};
  if (version > 0) page["version"] = {{"number", version}, {"mood", "calm"}};
  return json::serialize(page);
}

/// "id" of an answer that must be a success.
std::string id_of(const http::Response& answer) {
  EXPECT_TRUE(answer.status == 200 || answer.status == 202) << answer.status << " " << *answer.body;
  auto object = parse_json_object(*answer.body, "the answer");
  return object ? string_or(*object, "id") : std::string();
}

http::Response upload(HttpClient client, const std::string& path, const std::string& text) {
  return client.send("POST", path,
                     "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n"
                     "Content-Type: text/plain\r\n\r\n" +
                         text + "\r\n--cut--\r\n",
                     {{"Content-Type", "multipart/form-data; boundary=cut"}, {"X-Atlassian-Token", "no-check"}});
}

TEST(FenceCheck, NoWriteOfTheProductGoesRoundTheFence) {
  SiteFixture site(one_node());
  ASSERT_NO_FATAL_FAILURE(install_fence_check(site->database()));
  // Starting is part of the day.
  ASSERT_TRUE(site->stop_node("node1"));
  ASSERT_TRUE(site->start_node("node1", bundles().to));
  ASSERT_TRUE(site->wait_ready("node1", seconds(20)));
  auto admin = site.admin("node1");
  const auto ok = [](const http::Response& answer, int status = 200) {
    EXPECT_EQ(answer.status, status) << *answer.body;
  };

  ok(admin.post("/rest/api/space", R"({"key":"T","name":"Test","laterField":true})"));
  ok(admin.put("/rest/api/space/T", R"({"name":"Tests"})"));
  const auto id = id_of(admin.post("/rest/api/content", page_json("First", "harbour")));
  ASSERT_FALSE(id.empty());
  const auto path = "/rest/api/content/" + id;
  ok(admin.put(path, page_json("First", "anchor", 2)));
  const auto other = id_of(admin.post("/rest/api/content", page_json("Second", "tide")));
  ok(admin.put(path + "/move/append/" + other, "{}"));
  ok(admin.post(path + "/label", R"([{"prefix":"global","name":"sea"},{"prefix":"global","name":"salt"}])"));
  ok(admin.del(path + "/label/salt"), 204);
  ok(admin.post("/rest/api/admin/user", R"({"userName":"ann","fullName":"Ann","password":"a long password"})"));

  const auto files = path + "/child/attachment";
  ok(upload(admin, files, "one"));
  const auto listed = admin.get_json(files);
  const auto* attachments = array_at(listed, "results");
  ASSERT_TRUE(attachments && attachments->size() == 1) << json::serialize(listed);
  const auto attachment = string_or(attachments->front().as_object(), "id");
  ok(upload(admin, files + "/" + attachment + "/data", "two"));
  ok(admin.get("/download/attachments/" + id + "/a.txt"));
  ok(admin.del("/rest/api/content/" + attachment), 204);

  Browser ann(site->node("node1").url(), "ann", "a long password");
  const auto edit = "/pages/" + id + "/edit";
  auto form = "title=First&body=%3Cp%3Emooring%3C%2Fp%3E&version=" + ann.field(edit, "version") +
              "&csrf=" + ann.field(edit, "csrf");
  ok(ann.post(edit, form), 303);
  ok(ann.post("/spaces/T/new", "title=Third&body=%3Cp%3Ebuoy%3C%2Fp%3E&csrf=" + ann.field("/spaces/T/new", "csrf")),
     303);
  const auto draft = "/drafts/pages/" + id;
  const std::map<std::string, std::string> signed_in{{"X-Csrf-Token", ann.field(edit, "csrf")}};
  ok(ann.send("PUT", draft, R"({"title":"First","body":"<p>moor","version":2})", signed_in));
  ok(ann.send("DELETE", draft, "", signed_in), 204);
  ok(ann.get("/pages/" + id));
  // A minute later it is written down that the session was used.
  ASSERT_EQ(Session(site->database())
                .run("begin; select afloat_write(min_build, gates) from cluster_state; update session "
                     "set last_seen = now() - interval '1 h'; commit"),
            "");
  ok(ann.get("/"));
  const auto touched = [&] {
    Session session(site->database());
    return session.run("select 1 / count(*) from session where last_seen > now() - interval '1 min'").empty();
  };
  EXPECT_TRUE(eventually(seconds(5), touched));

  local::TempDir folder;
  ASSERT_TRUE(local::write_file(folder.path() + "/index.html",
                                "<html><head><title>Imported</title></head><body><p>capstan</p>"
                                "<a href=\"two.html\">two</a></body></html>"));
  ASSERT_TRUE(local::write_file(folder.path() + "/two.html",
                                "<html><head><title>Also</title></head><body><p>windlass</p></body></html>"));
  auto imported = site->afloat(
      {"import", "html", folder.path(), "--space", "I", "--name", "Imported", "--site", site->node("node1").url()},
      seconds(30));
  ASSERT_TRUE(imported) << imported.error().message();
  EXPECT_EQ(imported->exit_code, 0) << imported->output;
  for (const char* word : {"mooring", "capstan", "buoy"}) {
    const auto found = admin.get_json("/rest/api/content/search?cql=text~" + std::string(word));
    const auto* results = array_at(found, "results");
    EXPECT_TRUE(results && results->size() == 1) << word << ": " << json::serialize(found);
  }
  ok(ann.post("/logout", "csrf=" + ann.field(edit, "csrf")), 303);
  ok(admin.del("/rest/api/content/" + other), 204);
  ASSERT_TRUE(site->stop_node("node1"));
  EXPECT_EQ(site->node_log("node1", 2000).find("without afloat_write"), std::string::npos)
      << site->node_log("node1", 100);

  // It would have been noticed.
  EXPECT_EQ(Session(site->database()).run("update page set title = title"), "AF004");
}

TEST(LaterRelease, ANodeShowsWhatItDoesNotKnowAndRefusesAHigherFormat) {
  SiteFixture site(one_node());
  Session later(site->database());
  ASSERT_EQ(
      later.run(
          "insert into member (id, name, host, address, port, version, build, incarnation, state, started_at) "
          "select 'later', 'moon', host, address, 1, version, build, '1-1', 'HIBERNATING', now() from member;"
          "insert into member_lease values ('later', '1-1', now() + interval '1 h', 1);"
          "insert into cluster_event (actor, kind, detail) values ('moon', 'eclipse', '{\"deep\": [1]}');"
          "insert into upgrade_task (id, version, build, kind, ordinal, checksum, state) values ('9.0.0/x/polish', "
          "'9.0.0', 90000009, 'polish', 1, 'c', 'pondering')"),
      "");
  auto admin = site.admin("node1");
  for (const char* path : {"/rest/afloat/1/cluster", "/rest/zdu/cluster", "/rest/api/cluster/nodes"}) {
    const auto answer = admin.get(path);
    EXPECT_EQ(answer.status, 200) << path << ": " << *answer.body;
    EXPECT_NE(answer.body->find("HIBERNATING"), std::string::npos) << path << ": " << *answer.body;
  }
  const auto cluster = admin.get("/rest/afloat/1/cluster");
  EXPECT_NE(cluster.body->find("polish"), std::string::npos) << *cluster.body;
  EXPECT_NE(cluster.body->find("pondering"), std::string::npos) << *cluster.body;
  const auto events = admin.get("/rest/afloat/1/events");
  EXPECT_NE(events.body->find("eclipse"), std::string::npos) << *events.body;

  ASSERT_TRUE(site->stop_node("node1"));
  ASSERT_EQ(later.run("update cluster_state set format = 2"), "");
  const auto folder = site->dir() + "/again";
  auto nodes = site->nodes();
  nodes[0].data = folder + "/data";
  ASSERT_TRUE(local::make_folders(nodes[0].data));
  ASSERT_TRUE(local::write_file(folder + "/site.toml", site->site_toml(nodes), 0600));
  auto tried = site->afloat_of(site->program_of(bundles().to),
                               {"serve", "--config", folder + "/site.toml", "--node", "node1"}, seconds(20));
  ASSERT_TRUE(tried) << tried.error().message();
  EXPECT_EQ(tried->exit_code, 78) << tried->output;
  EXPECT_NE(tried->output.find("format 2"), std::string::npos) << tried->output;
}

}  // namespace
}  // namespace afloat::test
