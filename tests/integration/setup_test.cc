#include <fmt/format.h>

#include <filesystem>
#include <thread>

#include "base/text.h"
#include "support/lone_node.h"

// The first run of a site: nobody has an account, and whoever runs the nodes makes the first one in the browser.
namespace afloat::test {
namespace {

class Setup : public testing::Test {
 protected:
  void SetUp() override {
    node.set_up = false;
    node.write_config("site_name = \"Harbour\"\nbase_url = \"https://wiki.example.org\"\n");
    node.start();
    ASSERT_TRUE(node.wait_ready()) << node.log();
  }
  std::string code() const { return std::string(trim(local::read_file(code_file()).value_or(""))); }
  std::string code_file() const { return node.home() + "/setup-code"; }
  http::Response send(const std::string& code, const std::string& user, const std::string& password,
                      const std::string& again, bool sample = true) {
    return browser.send("POST", "/setup",
                        fmt::format("code={}&user={}&full_name=Ada+L.&email=&password={}&again={}{}", code, user,
                                    password, again, sample ? "&sample=yes" : ""),
                        {{"Content-Type", "application/x-www-form-urlencoded"}});
  }
  static std::string_view location(const http::Response& response) { return response.headers.get("Location"); }

  Database database;
  LoneNode node{database.connection()};
  HttpClient browser{node.url()};
};

TEST_F(Setup, PagesLeadThereUntilThereIsAnAccountAndNeverAfterwards) {
  EXPECT_EQ(*browser.get("/status").body, R"({"state":"FIRST_RUN"})");
  EXPECT_EQ(browser.get("/status").status, 200);
  const auto home = browser.get("/");
  EXPECT_EQ(home.status, 303);
  EXPECT_EQ(location(home), "/setup");
  EXPECT_TRUE(browser.get("/login").body->contains("/setup"));

  const auto page = browser.get("/setup");
  ASSERT_EQ(page.status, 200) << *page.body;
  for (const auto* words : {"Set up Harbour", "PostgreSQL 1", "encoding UTF8", "https://wiki.example.org",
                            "correct `base_url`", "With a second one"})
    EXPECT_TRUE(page.body->contains(words)) << words << " is not in: " << *page.body;
  EXPECT_TRUE(page.body->contains(code_file())) << *page.body;
  ASSERT_EQ(code().size(), 16U);
  EXPECT_FALSE(page.body->contains(code())) << "who finds the address must not read it there";
  EXPECT_EQ(std::filesystem::status(code_file()).permissions() & std::filesystem::perms::all,
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);

  const auto done = send(code(), "ada", "a-long-password", "a-long-password");
  EXPECT_EQ(done.status, 303) << *done.body;
  EXPECT_EQ(location(done), "/spaces/WELCOME");
  EXPECT_TRUE(std::string(done.headers.get("Set-Cookie")).contains("afloat_session="));
  EXPECT_FALSE(std::filesystem::exists(code_file()));
  EXPECT_EQ(*browser.get("/status").body, R"({"state":"RUNNING"})");
  EXPECT_EQ(location(browser.get("/")), "/login?next=%2F");
  EXPECT_EQ(location(browser.get("/setup")), "/");
  EXPECT_FALSE(std::filesystem::exists(code_file())) << "of no use any more";

  HttpClient ada(node.url(), "ada", "a-long-password");
  EXPECT_EQ(ada.get("/rest/afloat/1/nodes").status, 200) << "a system administrator";
  EXPECT_EQ(database.query("select count(*) from page p join space s on s.id = p.space_id where s.key = 'WELCOME'"),
            "5");
  const auto ids = split(database.query("select string_agg(id::text, ',') from page"), ',');
  for (const auto& id : ids) {
    const auto shown = ada.get("/pages/" + std::string(id));
    EXPECT_EQ(shown.status, 200) << *shown.body;
    EXPECT_FALSE(shown.body->contains("class=\"missing\"")) << "a link that leads nowhere: " << *shown.body;
    EXPECT_FALSE(shown.body->contains("macro-unknown")) << *shown.body;
  }
}

TEST_F(Setup, RefusesWhatIsNotRightAndKeepsWhatWasTyped) {
  (void)browser.get("/setup");
  const auto stranger = send("0000000000000000", "ada", "a-long-password", "a-long-password");
  EXPECT_EQ(stranger.status, 403) << *stranger.body;
  EXPECT_TRUE(stranger.body->contains("This is not the setup code"));
  EXPECT_TRUE(stranger.body->contains("value=\"ada\""));
  EXPECT_TRUE(stranger.body->contains("value=\"Ada L.\""));
  EXPECT_FALSE(stranger.body->contains("a-long-password")) << "a password is typed anew";
  const auto brief = send(code(), "ada", "short", "short");
  EXPECT_EQ(brief.status, 400);
  EXPECT_TRUE(brief.body->contains("shorter than 8")) << *brief.body;
  const auto unlike = send(code(), "ada", "a-long-password", "another-password");
  EXPECT_TRUE(unlike.body->contains("The two passwords differ")) << *unlike.body;
  const auto nameless = send(code(), "a%20b", "a-long-password", "a-long-password");
  EXPECT_EQ(nameless.status, 400);
  EXPECT_TRUE(nameless.body->contains("choose another")) << *nameless.body;
  EXPECT_EQ(database.query("select count(*) from app_user"), "0");
  EXPECT_EQ(*browser.get("/status").body, R"({"state":"FIRST_RUN"})");
}

TEST_F(Setup, OfTwoAtOnceOneBecomesTheAdministrator) {
  (void)browser.get("/setup");
  const auto key = code();
  http::Response first, second;
  std::thread other([&] { first = send(key, "ada", "a-long-password", "a-long-password", false); });
  second = send(key, "ben", "b-long-password", "b-long-password", false);
  other.join();
  EXPECT_EQ(first.status, 303) << *first.body;
  EXPECT_EQ(second.status, 303) << *second.body;
  EXPECT_EQ(database.query("select count(*) from app_user"), "1");
  EXPECT_EQ(database.query("select count(*) from space"), "0") << "nobody asked for the sample";
}

}  // namespace
}  // namespace afloat::test
