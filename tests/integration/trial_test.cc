#include <fmt/format.h>
#include <sqlite3.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "base/json_fields.h"
#include "base/text.h"
#include "local/process.h"
#include "local/workplace.h"
#include "support/support.h"

// `afloat serve --trial` as a person starts it.
namespace afloat::test {
namespace {

namespace json = boost::json;
using std::chrono::seconds;

constexpr const char* password = "trial-password";

void expect_words(const std::string& text, std::initializer_list<std::string> words) {
  for (const auto& word : words) EXPECT_NE(text.find(word), std::string::npos) << "no \"" << word << "\" in: " << text;
}

class Trial : public testing::Test {
 protected:
  Trial() : ports_(local::PortBlock::take().value()) {}
  void SetUp() override {
    if (bundles().program.empty()) GTEST_FAIL() << "set AFLOAT_PROGRAM, or run this with ./run test";
  }

  local::ProcessOptions options(std::vector<std::string> more, const std::string& log) const {
    local::ProcessOptions run;
    run.argv = {bundles().program, "serve", "--trial", "--data", data(), "--port", std::to_string(ports_.first())};
    run.argv.insert(run.argv.end(), more.begin(), more.end());
    run.env = {{"AFLOAT_ADMIN_PASSWORD", password}};
    run.log = log;
    return run;
  }
  void start() {
    auto process = local::Process::start(options({}, log_file()));
    ASSERT_TRUE(process) << process.error().message();
    process_ = std::move(*process);
    ASSERT_TRUE(await_ready()) << log();
  }
  bool await_ready() {
    http::Client client(1);
    http::ClientRequest request;
    request.method = "GET";
    request.url = url() + "/health/ready";
    return eventually(seconds(15),
                      [&] {
                        auto answer = client.send_blocking(request, seconds(2));
                        return (answer && answer->status == 200) || !process_.running();
                      }) &&
           process_.running();
  }
  /// A second start in the same folder: what it says, and its exit code.
  local::CommandOutput start_another(std::vector<std::string> more = {}) {
    auto done = local::run_command(options(std::move(more), ""), seconds(15));
    EXPECT_TRUE(done) << done.error().message();
    return done ? *done : local::CommandOutput{-1, ""};
  }
  local::CommandOutput afloat(std::vector<std::string> args) {
    local::ProcessOptions run;
    run.argv = std::move(args);
    run.argv.insert(run.argv.begin(), bundles().program);
    run.env = {{"AFLOAT_USER", "admin"}, {"AFLOAT_PASSWORD", password}, {"AFLOAT_SITE", url()}};
    auto done = local::run_command(run, seconds(30));
    EXPECT_TRUE(done) << done.error().message();
    return done ? *done : local::CommandOutput{-1, ""};
  }
  std::string data() const { return folder_.path() + "/trial"; }
  std::string log_file() const { return folder_.path() + "/log"; }
  std::string log() const { return local::read_file(log_file()).value_or(""); }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(ports_.first()); }
  HttpClient admin() const { return HttpClient(url(), "admin", password); }

  http::Response create(const std::string& title, const std::string& body) {
    return admin().post(
        "/rest/api/content",
        json::serialize(json::object{{"type", "page"},
                                     {"title", title},
                                     {"space", {{"key", "T"}}},
                                     {"body", {{"storage", {{"value", body}, {"representation", "storage"}}}}}}));
  }
  http::Response save(const std::string& id, int version, const std::string& title, const std::string& body,
                      const std::string& parent = {}) {
    json::object page{{"type", "page"},
                      {"title", title},
                      {"version", {{"number", version}}},
                      {"body", {{"storage", {{"value", body}, {"representation", "storage"}}}}}};
    if (!parent.empty()) page["ancestors"] = json::array{json::object{{"id", parent}}};
    return admin().put("/rest/api/content/" + id, json::serialize(page));
  }
  static std::string id_in(const http::Response& response) {
    const auto object = parse_json_object(*response.body, "page");
    return object ? string_or(*object, "id") : "";
  }
  std::int64_t found(const std::string& cql) {
    return int_or(admin().get_json("/rest/api/content/search?cql=" + url_encode(cql)), "size");
  }

  local::TempDir folder_;
  local::PortBlock ports_;
  local::Process process_;
};

TEST_F(Trial, ServesPagesWithSearchVersionsLabelsAttachmentsImportAndSignIn) {
  ASSERT_NO_FATAL_FAILURE(start());
  expect_words(log(), {"serves a trial at " + url(), "Sign in as admin"});
  ASSERT_EQ(admin().post("/rest/api/space", R"({"key":"T","name":"Trial"})").status, 200);
  const auto made = create("Überblick", "<p>the quick vacuum</p>");
  ASSERT_EQ(made.status, 200) << *made.body;
  const auto id = id_in(made), page = "/rest/api/content/" + id;
  const auto taken = create("überblick", "<p>x</p>");
  EXPECT_EQ(taken.status, 400);
  expect_words(*taken.body, {"title already exists"});

  EXPECT_EQ(save(id, 2, "Überblick", "<p>the slow vacuum</p>").status, 200);
  const auto stale = save(id, 2, "Überblick", "<p>another</p>");
  EXPECT_EQ(stale.status, 409) << *stale.body;
  expect_words(string_or(admin().get_json(page + "?expand=body.storage").at("body").at("storage").as_object(), "value"),
               {"slow vacuum"});
  const auto below = id_in(create("Below", "<p>b</p>"));
  const auto moved = save(below, 2, "Below", "<p>b</p>", id);
  EXPECT_EQ(moved.status, 200) << *moved.body;
  EXPECT_EQ(int_or(admin().get_json(page + "/child/page"), "size"), 1);
  EXPECT_EQ(found("text ~ \"slow\""), 1);
  EXPECT_EQ(found("text ~ \"quick\""), 0);

  EXPECT_EQ(admin().post(page + "/label", R"([{"prefix":"global","name":"ops"}])").status, 200);
  EXPECT_EQ(found("label = \"ops\""), 1);
  const auto uploaded =
      admin().send("PUT", page + "/child/attachment",
                   "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: "
                   "text/plain\r\n\r\nbytes\r\n--b--\r\n",
                   {{"Content-Type", "multipart/form-data; boundary=b"}, {"X-Atlassian-Token", "no-check"}});
  EXPECT_EQ(uploaded.status, 200) << *uploaded.body;
  EXPECT_EQ(*admin().get("/download/attachments/" + id + "/a.txt").body, "bytes");

  const auto html = folder_.path() + "/html";
  ASSERT_TRUE(local::make_folders(html));
  ASSERT_TRUE(local::write_file(html + "/index.html",
                                "<html><head><title>Handbook</title></head><body><p>imported zebra</p></body></html>"));
  const auto imported = afloat({"import", "html", html, "--space", "DOC"});
  EXPECT_EQ(imported.exit_code, 0) << imported.output;
  EXPECT_EQ(found("text ~ \"zebra\""), 1);

  HttpClient browser(url());
  const auto refused = browser.send("POST", "/login", "user=admin&password=wrong&next=/",
                                    {{"Content-Type", "application/x-www-form-urlencoded"}});
  EXPECT_EQ(refused.status, 401);
  const auto signed_in = browser.send("POST", "/login", std::string("next=/&user=admin&password=") + password,
                                      {{"Content-Type", "application/x-www-form-urlencoded"}});
  ASSERT_EQ(signed_in.status / 100, 3) << *signed_in.body;
  const std::string cookie(signed_in.headers.get("Set-Cookie"));
  const auto seen = browser.send("GET", "/pages/" + id, "", {{"Cookie", cookie.substr(0, cookie.find(';'))}});
  EXPECT_EQ(seen.status, 200);
  expect_words(*seen.body, {"slow vacuum"});
}

TEST_F(Trial, RefusesEverythingOfAClusterAndSaysWhatToDo) {
  ASSERT_NO_FATAL_FAILURE(start());
  for (const auto* path :
       {"/rest/zdu/cluster", "/rest/zdu/state", "/rest/zdu/nodes/x", "/rest/zdu/cluster/zdu/state",
        "/rest/afloat/1/cluster", "/rest/afloat/1/runs", "/rest/afloat/1/nodes", "/rest/afloat/1/checks",
        "/rest/afloat/1/support", "/rest/troubleshooting/1.0/pre-upgrade/info", "/rest/supportHealthCheck/1.0/check"}) {
    const auto answer = admin().get(path);
    EXPECT_EQ(answer.status, 403) << path;
    expect_words(*answer.body, {"clustered installation", "a trial", "afloat demo"});
  }
  EXPECT_EQ(admin().post("/rest/zdu/start").status, 403);
  EXPECT_EQ(HttpClient(url()).get("/rest/zdu/cluster").status, 401);
  for (const auto& command : std::vector<std::vector<std::string>>{{"upgrade", "plan", "--to", "9.0.0"},
                                                                   {"upgrade", "run", "--to", "9.0.0"},
                                                                   {"upgrade", "status"},
                                                                   {"upgrade", "start"},
                                                                   {"check"},
                                                                   {"support", "zip"},
                                                                   {"status"}}) {
    const auto said = afloat(command);
    EXPECT_NE(said.exit_code, 0) << join(command, " ");
    expect_words(said.output, {"clustered installation"});
  }
}

TEST_F(Trial, IsServedByOneProcessAndNeverTogetherWithASite) {
  ASSERT_NO_FATAL_FAILURE(start());
  const auto second = start_another();
  EXPECT_EQ(second.exit_code, 1);
  expect_words(second.output, {"Another process already serves the trial in " + data()});
  const auto with_site = start_another({"--config", "site.toml"});
  EXPECT_EQ(with_site.exit_code, 1);
  expect_words(with_site.output, {"--trial", "reads no site.toml"});
  EXPECT_EQ(process_.stop(), 0) << log();
}

TEST_F(Trial, LosesNothingThatItHasAcknowledgedWhenItIsKilledInTheMiddleOfWrites) {
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_EQ(admin().post("/rest/api/space", R"({"key":"T","name":"Trial"})").status, 200);
  std::atomic<int> acknowledged = 0;
  std::vector<std::string> ids;
  std::thread writer([&] {
    http::Client client(1);
    for (int i = 0;; ++i) {
      http::ClientRequest request;
      request.method = "POST";
      request.url = url() + "/rest/api/content";
      request.user = "admin";
      request.password = password;
      request.headers.set("Content-Type", "application/json");
      request.body = fmt::format(
          R"({{"type":"page","title":"Page {}","space":{{"key":"T"}},"body":{{"storage":{{"value":"<p>number{}</p>","representation":"storage"}}}}}})",
          i, i);
      auto answer = client.send_blocking(request, seconds(5));
      if (!answer || answer->status != 200) return;
      ids.push_back(id_in(*answer));
      ++acknowledged;
    }
  });
  EXPECT_TRUE(eventually(seconds(20), [&] { return acknowledged >= 20; }));
  process_.signal(9);
  writer.join();
  ASSERT_TRUE(process_.wait(seconds(5)));
  ASSERT_NO_FATAL_FAILURE(start());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto page = admin().get_json("/rest/api/content/" + ids[i] + "?expand=body.storage");
    EXPECT_EQ(string_or(page, "title"), fmt::format("Page {}", i));
  }
  EXPECT_EQ(found(fmt::format("text ~ \"number{}\"", ids.size() - 1)), 1);
  expect_words(log(), {"Sign in as before", "AFLOAT_ADMIN_PASSWORD makes the first administrator only"});
}

TEST_F(Trial, RefusesTheDatabaseOfAnotherProgramAndLeavesItAsItIs) {
  const auto path = data() + "/trial.db";
  ASSERT_TRUE(local::make_folders(data()));
  sqlite3* file = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &file), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(file, "create table theirs (a)", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(file);
  const auto before = local::read_file(path);
  const auto refused = start_another();
  EXPECT_EQ(refused.exit_code, 1) << refused.output;
  expect_words(refused.output, {"is the database of another program"});
  EXPECT_EQ(*local::read_file(path), *before);
}

TEST_F(Trial, KeepsItsDataFromOtherUsersOfTheMachine) {
  ASSERT_NO_FATAL_FAILURE(start());
  constexpr auto others = std::filesystem::perms::group_all | std::filesystem::perms::others_all;
  for (const auto& path : {data(), data() + "/trial.db", data() + "/home"})
    EXPECT_EQ(std::filesystem::status(path).permissions() & others, std::filesystem::perms::none) << path;
}

TEST_F(Trial, RefusesAFolderThatALaterReleaseHasWritten) {
  ASSERT_NO_FATAL_FAILURE(start());
  EXPECT_EQ(process_.stop(), 0);
  sqlite3* file = nullptr;
  ASSERT_EQ(sqlite3_open((data() + "/trial.db").c_str(), &file), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(file, "pragma user_version = 99", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(file);
  const auto refused = start_another();
  EXPECT_EQ(refused.exit_code, 78) << refused.output;
  expect_words(refused.output, {"schema version 99", "a later release has written it"});
}

}  // namespace
}  // namespace afloat::test
