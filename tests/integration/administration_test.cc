#include <fmt/format.h>

#include "base/json_fields.h"
#include "base/text.h"
#include "support/lone_node.h"

// The calls behind the console's pages, on real nodes: who may make them, and what they answer.
namespace afloat::test {
namespace {

namespace json = boost::json;

constexpr const char* word = "longer-than-8";

std::string user_json(const std::string& name) {
  return fmt::format(R"({{"userName":"{0}","fullName":"{0} Z.","email":"{0}@localhost","password":"{1}"}})", name,
                     word);
}

class Administration : public testing::Test {
 protected:
  void SetUp() override {
    node.start();
    ASSERT_TRUE(node.wait_ready()) << node.log();
  }
  void add_user(const std::string& name) {
    const auto made = node.admin().post("/rest/api/admin/user", user_json(name));
    ASSERT_EQ(made.status, 200) << *made.body;
  }
  json::object get(const std::string& path) { return node.admin().get_json(path); }
  std::string kinds(const std::string& query) {
    std::vector<std::string> all;
    const auto answer = get("/rest/afloat/1/events?" + query);
    for (const auto& event : *array_at(answer, "results")) all.push_back(string_or(event.as_object(), "kind"));
    return join(all, " ");
  }
  Database database;
  LoneNode node{database.connection()};
};

TEST_F(Administration, EveryCallIsForSystemAdministratorsAlone) {
  add_user("vera");
  HttpClient vera(node.url(), "vera", word), nobody(node.url());
  for (const auto& [method, path] :
       std::vector<std::pair<std::string, std::string>>{{"GET", "/rest/afloat/1/users"},
                                                        {"PUT", "/rest/afloat/1/users/vera"},
                                                        {"POST", "/rest/afloat/1/users/admin/password"},
                                                        {"GET", "/rest/afloat/1/events"},
                                                        {"GET", "/rest/afloat/1/events/export"},
                                                        {"GET", "/rest/afloat/1/hosts"},
                                                        {"GET", "/rest/afloat/1/settings"},
                                                        {"POST", "/rest/afloat/1/nodes/lone/drain"},
                                                        {"POST", "/rest/afloat/1/nodes/other/return"},
                                                        {"DELETE", "/rest/afloat/1/nodes/lone"}}) {
    const std::string body = R"({"administrator":true,"password":"mine-from-now-on"})";
    EXPECT_EQ(vera.send(method, path, body).status, 403) << method << " " << path;
    EXPECT_EQ(nobody.send(method, path, body).status, 401) << method << " " << path;
  }
  EXPECT_EQ(node.admin().get("/rest/afloat/1/cluster").status, 200) << "the password is the old one";
}

TEST_F(Administration, UsersAreFoundChangedAndTheLastAdministratorStays) {
  for (const auto* name : {"vera", "olga", "o_ga"}) add_user(name);
  auto found = get("/rest/afloat/1/users?text=OLGA@");
  EXPECT_EQ(int_or(found, "total"), 1);
  EXPECT_EQ(int_or(get("/rest/afloat/1/users?text=o_g"), "total"), 1) << "no wildcard";
  found = get("/rest/afloat/1/users?limit=2&start=1");
  EXPECT_EQ(int_or(found, "total"), 4);
  ASSERT_EQ(array_at(found, "results")->size(), 2U);
  EXPECT_EQ(string_or(array_at(found, "results")->at(0).as_object(), "userName"), "o_ga");
  EXPECT_FALSE(json::serialize(found).contains("argon2"));

  auto admin = node.admin();
  const auto last = admin.put("/rest/afloat/1/users/admin", R"({"administrator":false})");
  EXPECT_EQ(last.status, 409);
  EXPECT_TRUE(last.body->contains("the only system administrator")) << *last.body;
  EXPECT_EQ(admin.put("/rest/afloat/1/users/nobody", R"({"administrator":true})").status, 404);
  EXPECT_EQ(admin.put("/rest/afloat/1/users/olga", R"({"administrator":"yes"})").status, 400);

  const auto changed = admin.put("/rest/afloat/1/users/OLGA", R"({"administrator":true,"email":"o@example.org"})");
  ASSERT_EQ(changed.status, 200) << *changed.body;
  EXPECT_TRUE(changed.body->contains("olga Z.")) << *changed.body;
  HttpClient olga(node.url(), "olga", word);
  EXPECT_EQ(olga.get("/rest/afloat/1/users?administrators=true").status, 200);
  EXPECT_EQ(int_or(get("/rest/afloat/1/users?administrators=true"), "total"), 2);
  ASSERT_EQ(admin.put("/rest/afloat/1/users/olga", R"({"administrator":false})").status, 200);
  EXPECT_EQ(olga.get("/rest/afloat/1/users").status, 403) << "at once, though her password is remembered";
  EXPECT_EQ(kinds("limit=5&text=olga"), "administrator_revoked administrator_made user_created");
}

TEST_F(Administration, ANewPasswordEndsSessionsAndTheOldOne) {
  add_user("vera");
  HttpClient nobody(node.url()), before(node.url(), "vera", word);
  const auto signed_in = nobody.send("POST", "/login", fmt::format("user=vera&password={}", word),
                                     {{"Content-Type", "application/x-www-form-urlencoded"}});
  const auto cookie = std::string(signed_in.headers.get("Set-Cookie"));
  ASSERT_TRUE(cookie.starts_with("afloat_session=")) << signed_in.status << *signed_in.body;
  const auto session = cookie.substr(0, cookie.find(';'));
  const auto status = [&] { return nobody.send("GET", "/rest/api/user/current", "", {{"Cookie", session}}).status; };
  ASSERT_EQ(status(), 200);
  ASSERT_EQ(before.get("/rest/api/user/current").status, 200);

  EXPECT_EQ(node.admin().post("/rest/afloat/1/users/vera/password", R"({"password":"abc"})").status, 400);
  const auto reset = node.admin().post("/rest/afloat/1/users/vera/password", R"({"password":"another-one"})");
  ASSERT_EQ(reset.status, 204) << *reset.body;
  EXPECT_EQ(status(), 401);
  EXPECT_EQ(before.get("/rest/api/user/current").status, 401);
  EXPECT_EQ(HttpClient(node.url(), "vera", "another-one").get("/rest/api/user/current").status, 200);
  EXPECT_EQ(kinds("kind=password_reset"), "password_reset");
}

TEST_F(Administration, GroupsAreTheTwoThatThereAre) {
  add_user("vera");
  HttpClient vera(node.url(), "vera", word);
  EXPECT_EQ(int_or(vera.get_json("/rest/api/group"), "size"), 2);
  EXPECT_EQ(int_or(vera.get_json("/rest/api/group?limit=1"), "size"), 1);
  EXPECT_EQ(int_or(vera.get_json("/rest/api/group/users/member"), "size"), 2);
  const auto admins = vera.get_json("/rest/api/group/administrators/member");
  ASSERT_EQ(array_at(admins, "results")->size(), 1U);
  EXPECT_EQ(string_or(array_at(admins, "results")->at(0).as_object(), "username"), "admin");
  EXPECT_FALSE(json::serialize(admins).contains("@")) << "no addresses";
  EXPECT_EQ(vera.get("/rest/api/group/nobody").status, 404);
}

TEST_F(Administration, TheAuditLogHasPagesFiltersAndFiles) {
  for (int i = 0; i < 7; ++i)
    database.query(
        fmt::format("insert into cluster_event (at, actor, kind, detail) values "
                    "('2026-11-0{} 12:00+00', '=cmd()', 'test', '{{\"n\":{}}}') returning 1",
                    i + 1, i));
  auto page = get("/rest/afloat/1/events?kind=test&limit=3");
  ASSERT_EQ(array_at(page, "results")->size(), 3U);
  std::string seen;
  for (int pages = 0; pages < 5; ++pages) {
    for (const auto& event : *array_at(page, "results"))
      seen += std::to_string(int_or(*object_at(event.as_object(), "detail"), "n"));
    if (int_or(page, "next") == 0) break;
    page = get(fmt::format("/rest/afloat/1/events?kind=test&limit=3&before={}", int_or(page, "next")));
  }
  EXPECT_EQ(seen, "6543210");
  EXPECT_EQ(kinds("kind=test&since=2026-11-03&until=2026-11-04"), "test test") << "both days whole";
  EXPECT_EQ(kinds("text=CMD&limit=2"), "test test");
  EXPECT_EQ(kinds("text=%25%25"), "");
  for (const auto* bad : {"since=yesterday", "until=2026-13-01", "since=2026-02-30", "since=-5"})
    EXPECT_EQ(node.admin().get(std::string("/rest/afloat/1/events?") + bad).status, 400) << bad;

  const auto csv = node.admin().get("/rest/afloat/1/events/export?kind=test&until=2026-11-02");
  EXPECT_EQ(csv.headers.get("Content-Type"), "text/csv; charset=utf-8");
  const auto lines = split(*csv.body, '\n');
  ASSERT_EQ(lines.size(), 4U) << *csv.body;
  EXPECT_EQ(lines[0], "seq,at,actor,kind,detail\r");
  EXPECT_TRUE(lines[1].ends_with(",2026-11-02T12:00:00.000Z,'=cmd(),test,\"{\"\"n\"\": 1}\"\r")) << lines[1];
  const auto file = node.admin().get("/rest/afloat/1/events/export?format=json&kind=test");
  EXPECT_EQ(json::parse(*file.body).as_array().size(), 7U);
  EXPECT_EQ(node.admin().get("/rest/afloat/1/events/export?format=xls").status, 400);
}

TEST_F(Administration, SettingsAndHostsAreToldWithoutSecrets) {
  const auto settings = get("/rest/afloat/1/settings");
  EXPECT_EQ(string_or(settings, "node"), "lone");
  EXPECT_EQ(string_or(settings, "file"), node.config());
  EXPECT_GT(array_at(settings, "settings")->size(), 15U);
  ASSERT_EQ(array_at(settings, "nodes")->size(), 1U);
  EXPECT_TRUE(bool_or(array_at(settings, "nodes")->at(0).as_object(), "sameFile"));
  const auto hosts = get("/rest/afloat/1/hosts");
  EXPECT_EQ(string_or(hosts, "conductor", "?"), "");
  EXPECT_TRUE(array_at(hosts, "hosts")->empty());
}

TEST_F(Administration, WhoBeginsAndSteersARunIsInTheAuditLog) {
  auto admin = node.admin();
  const auto made = admin.post("/rest/afloat/1/runs", R"({"to":"9.9.9","reason":"CHG-7"})");
  ASSERT_EQ(made.status, 201) << *made.body;
  const auto id = int_or(json::parse(*made.body).as_object(), "id");
  EXPECT_EQ(admin.post(fmt::format("/rest/afloat/1/runs/{}/resume", id)).status, 409) << "it has not paused";
  EXPECT_EQ(admin.post(fmt::format("/rest/afloat/1/runs/{}/pause", id)).status, 202);
  EXPECT_EQ(admin.post(fmt::format("/rest/afloat/1/runs/{}/cancel", id)).status, 202);
  EXPECT_EQ(kinds("text=%22run%22"), "run_cancel run_pause run_create");
  EXPECT_TRUE(node.afloat({"upgrade", "history"}).output.contains("CHG-7"));
}

TEST_F(Administration, AnyNodePassesADrainOnToTheOneThatIsMeant) {
  LoneNode other(database.connection());
  other.name = "other";
  other.shared_home = node.home();
  other.write_config("log_level = \"debug\"");
  other.start();
  ASSERT_TRUE(other.wait_ready()) << other.log();
  auto admin = node.admin();
  const auto drained = admin.post("/rest/afloat/1/nodes/other/drain");
  ASSERT_EQ(drained.status, 200) << *drained.body;
  EXPECT_TRUE(drained.body->contains("DRAINING")) << *drained.body;
  EXPECT_EQ(other.admin().get("/status").status, 503);
  EXPECT_EQ(node.admin().get("/status").status, 200);
  EXPECT_TRUE(admin.get("/rest/afloat/1/nodes/other/drain").body->contains("DRAINING"));
  // It is the draining node's turn to pass on.
  EXPECT_EQ(other.admin().post("/rest/afloat/1/nodes/lone/return").status, 200);
  const auto back = admin.post("/rest/afloat/1/nodes/other/return");
  ASSERT_EQ(back.status, 200) << *back.body;
  EXPECT_EQ(other.admin().get("/status").status, 200);
  EXPECT_EQ(kinds("text=%22other%22&kind=drain"), "drain");
  EXPECT_EQ(kinds("kind=return"), "return") << "lone did not drain";

  EXPECT_EQ(admin.post("/rest/afloat/1/nodes/nobody/drain").status, 404);
  const auto twice = admin.send("POST", "/rest/afloat/1/nodes/other/drain", "", {{"X-Afloat-Passed-On-By", "third"}});
  EXPECT_EQ(twice.status, 409);
  EXPECT_TRUE(twice.body->contains("the roster has a wrong address")) << *twice.body;
  const auto alive = admin.del("/rest/afloat/1/nodes/other");
  EXPECT_EQ(alive.status, 409) << *alive.body;

  // Its settings differ from here on; the file's hash tells at once, the values once both have told of them.
  EXPECT_TRUE(eventually(std::chrono::seconds(12), [&] {
    const auto settings = get("/rest/afloat/1/settings");
    return json::serialize(settings).contains(R"("differs":["log_level"])");
  })) << json::serialize(get("/rest/afloat/1/settings"));

  other.process().signal(SIGTERM);
  ASSERT_EQ(other.wait_end(), 0) << other.log();
  const auto stopped = admin.post("/rest/afloat/1/nodes/other/drain");
  EXPECT_EQ(stopped.status, 409);
  EXPECT_TRUE(stopped.body->contains("does not run")) << *stopped.body;
  EXPECT_EQ(admin.del("/rest/afloat/1/nodes/other").status, 204);
}

TEST_F(Administration, TheCommandLineDoesTheSame) {
  const auto run = [&](std::vector<std::string> args) {
    const auto done = node.afloat(std::move(args));
    EXPECT_EQ(done.exit_code, 0) << done.output;
    return done.output;
  };
  EXPECT_TRUE(run({"users", "add", "olga", "--full-name", "Olga", "--email", "o@localhost"}).contains("Password: "));
  EXPECT_TRUE(run({"users", "make-administrator", "olga"}).contains("olga is a system administrator."));
  EXPECT_TRUE(run({"users", "list", "--administrators"}).contains("olga"));
  EXPECT_TRUE(run({"users", "revoke-administrator", "olga"}).contains("no longer"));
  EXPECT_TRUE(run({"users", "reset-password", "olga"}).contains("signed out everywhere"));
  EXPECT_TRUE(node.afloat({"users", "revoke-administrator", "admin"}).output.contains("the only system administrator"));
  EXPECT_TRUE(run({"settings"}).contains("shared_home"));
  EXPECT_TRUE(run({"hosts"}).contains("Conductor: none is at work"));
  EXPECT_TRUE(run({"upgrade", "history"}).contains("No upgrade run has been made yet."));
  EXPECT_TRUE(run({"events", "--kind", "user_created", "--csv"}).contains(",admin,user_created,"));
}

}  // namespace
}  // namespace afloat::test
