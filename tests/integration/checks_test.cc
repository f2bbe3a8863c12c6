#include <fmt/format.h>
#include <glob.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <boost/json.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <regex>

#include "adapters/files/zip.h"
#include "base/json_fields.h"
#include "base/text.h"
#include "support/certificates.h"
#include "support/lone_node.h"
#include "version/version.h"

// Each check on what it is made for: a full disk, a clock that is wrong, a transaction that nobody ends. What a check
// makes of every number is src/rollout/health_test.cc.
namespace afloat::test {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using std::chrono::seconds;

struct Answer {
  std::string result, found;
};
std::map<std::string, Answer> answers(HttpClient client, const std::string& query = {}) {
  std::map<std::string, Answer> all;
  const auto body = client.get_json("/rest/afloat/1/checks" + query);
  if (const auto* checks = array_at(body, "checks"))
    for (const auto& check : *checks)
      all[string_or(check.as_object(), "id")] = {string_or(check.as_object(), "result"),
                                                 string_or(check.as_object(), "found")};
  return all;
}

struct Expected {
  std::string id, result, found;
};
/// Nodes tell every five seconds, so a finding may take that long to show.
void expect_found(LoneNode& node, const std::vector<Expected>& expected, const std::string& query = {}) {
  std::map<std::string, Answer> seen;
  const auto wrong = [&](const Expected& one) {
    return seen[one.id].result != one.result || !seen[one.id].found.contains(one.found);
  };
  eventually(seconds(15), [&] {
    seen = answers(node.admin(), query);
    return std::ranges::none_of(expected, wrong);
  });
  for (const auto& one : expected) {
    EXPECT_EQ(seen[one.id].result, one.result) << one.id << ": " << seen[one.id].found;
    EXPECT_TRUE(seen[one.id].found.contains(one.found)) << one.id << ": " << seen[one.id].found;
  }
}

std::string next_feature(int ahead) {
  const auto here = version::this_version();
  return fmt::format("{}.{}.0", here.major, here.minor + ahead);
}

/// A session of PostgreSQL's own client that keeps what it has begun open.
local::Process session(const std::string& connection, const std::string& sql) {
  local::ProcessOptions run;
  run.argv = {"psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", connection, "-c", sql};
  auto process = local::Process::start(std::move(run));
  EXPECT_TRUE(process) << process.error().message();
  return process ? std::move(*process) : local::Process();
}

std::string fake_time_library() {
  glob_t found{};
  std::string path;
  if (glob("/usr/lib/*/faketime/libfaketime.so.1", 0, nullptr, &found) == 0) path = found.gl_pathv[0];
  globfree(&found);
  return path;
}

// AddressSanitizer and libfaketime both stand in for clock_gettime and break each other: there the clock is right.
#if __has_feature(address_sanitizer)
constexpr bool clock_is_off = false;
#else
constexpr bool clock_is_off = true;
#endif

TEST(Checks, ANodeInBadSurroundingsIsToldOfByEachCheckThatIsMadeForIt) {
  Database database;
  Authority authority;
  const auto ending = authority.issue("node", 5);
  LoneNode node(database.connection());
  const auto disk = node.folder() + "/disk";
  ASSERT_TRUE(local::make_folders(disk));
  ASSERT_EQ(::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=2m"), 0)
      << "this test mounts a small tmpfs, for which it needs root: " << std::strerror(errno);
  struct Unmount {
    std::string path;
    ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
  } unmount{disk};
  const auto faketime = fake_time_library();
  ASSERT_FALSE(faketime.empty()) << "libfaketime is missing; ./run setup installs it";
  node.shared_home = disk;
  node.write_config();
  std::vector<std::string> before{"env",     "LD_PRELOAD=" + faketime, "FAKETIME=-3s", "DONT_FAKE_MONOTONIC=1",
                                  "prlimit", "--nproc=1000:1000"};
  if (!clock_is_off) before.erase(before.begin(), before.begin() + 4);
  ASSERT_NO_FATAL_FAILURE(node.start(before));
  ASSERT_TRUE(node.wait_ready()) << node.log();

  // Another one joins, which has a shared home of its own, other settings, and a certificate that ends soon.
  LoneNode other(database.connection());
  other.name = "other";
  other.write_config("site_name = \"Another\"\nbase_url = \"http://127.0.0.1:" + std::to_string(node.port()) + "\"\n",
                     fmt::format("tls_certificate = \"{}\"\ntls_key = \"{}\"\n", ending.certificate, ending.key));
  ASSERT_NO_FATAL_FAILURE(other.start());
  ASSERT_TRUE(eventually(seconds(15), [&] {
    return database.query("select count(*) from member where state = 'ACTIVE'") == "2";
  })) << other.log();
  // Few handles are left once the node has what it needs, connections for who asks included; those that are open stay.
  for (int i = 0; i < 3; ++i) (void)answers(node.admin());
  std::int64_t open = 0;
  for (const auto& file : fs::directory_iterator(fmt::format("/proc/{}/fd", node.process().pid())))
    open += file.exists();
  const rlimit few{static_cast<rlim_t>(open + 3), static_cast<rlim_t>(open + 3)};
  ASSERT_EQ(prlimit(node.process().pid(), RLIMIT_NOFILE, &few, nullptr), 0);

  expect_found(node, {
                         {"members_well", "pass", "2 ACTIVE"},
                         {"clocks", clock_is_off ? "fail" : "pass", clock_is_off ? "ms behind the database" : ""},
                         {"open_files", "fail", fmt::format("of {} open", few.rlim_cur)},
                         {"process_limit", "warn", "1000 processes"},
                         {"disk_space", "fail", "the shared home has"},
                         {"certificates", "warn", "other: ends in"},
                         {"base_url", "warn", "has no base_url"},
                         {"search_index", "pass", ""},
                         {"long_tasks", "pass", "none"},
                         {"long_transactions", "pass", "none"},
                     });
  EXPECT_FALSE(answers(node.admin())["clocks"].found.contains("other")) << "the other one's is right";
  const auto about = answers(node.admin(), "?group=upgrade&to=" + next_feature(1));
  EXPECT_EQ(about.at("configuration").result, "warn");
  EXPECT_TRUE(about.at("configuration").found.contains("site_name")) << about.at("configuration").found;
  EXPECT_EQ(about.at("agents_answer").result, "unknown") << "no conductor has told";
  EXPECT_EQ(about.at("release_files").result, "unknown") << "not from a bundle";

  // Half a minute has to pass before a file that is not seen counts: a network file system may show it late.
  database.query("update member set active_at = active_at - interval '1 minute' returning 1");
  expect_found(node, {{"shared_home", "fail", "it has another shared home"}});

  database.query(
      "insert into long_task (id, kind, node, title, state, updated_at) values "
      "(gen_random_uuid(), 'import', 'gone', 'Import of A', 'running', clock_timestamp() - interval '1 minute') "
      "returning 1");
  expect_found(node, {
                         {"long_tasks", "fail", "\"Import of A\" on gone has no node any more"},
                     });
}

TEST(Checks, OfTheDatabaseEachConditionIsFoundAndWhatItHidesIsUnknown) {
  struct Role {
    std::string name = "checks_" + std::to_string(getpid());
    Role() { EXPECT_TRUE(postgres().execute("postgres", "create role " + name + " login")); }
    ~Role() { EXPECT_TRUE(postgres().execute("postgres", "drop role " + name)); }
  };
  const Role owner;  // goes after its database
  const auto& role = owner.name;
  Database database;
  EXPECT_TRUE(postgres().execute("postgres", fmt::format("alter database {} owner to {}", database.name(), role)));
  database.query("alter schema public owner to " + role);
  const auto as_role = std::regex_replace(database.connection(), std::regex("user=afloat"), "user=" + role);
  // Before the node starts, so that it is old enough by the time that the rest has been looked at.
  auto open = session(as_role, "set statement_timeout = 0; begin; select 1; select pg_sleep(60)");
  LoneNode node(as_role);
  node.start();
  ASSERT_TRUE(node.wait_ready()) << node.log();
  const auto to = "?to=" + next_feature(1);
  expect_found(node,
               {
                   {"database_encoding", "pass", "UTF8"},
                   {"database_version", "pass", "15."},
                   {"database_privileges", "pass", role},
                   {"database_embedded", "warn", "afloat up"},
                   {"backfill_finished", "pass", ""},
                   {"enough_nodes", "fail", "1 node"},
                   {"capacity", "fail", "no other node"},
                   {"long_transactions", "warn", "user " + role},
                   {"release_present", "unknown", "not asked"},
               },
               to);

  // Somebody else's transaction can't be seen without the right to.
  // The end of psql is not that of its transaction.
  database.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(60)' and pid <> "
      "pg_backend_pid()");
  open.stop();
  auto hidden = session(database.connection(), "set statement_timeout = 0; begin; select 1; select pg_sleep(60)");
  expect_found(node, {{"long_transactions", "unknown", "grant pg_read_all_stats to " + role}}, to);
  database.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(60)' and pid <> "
      "pg_backend_pid()");
  hidden.stop();

  database.query("alter table label owner to afloat; drop table health_report");
  EXPECT_EQ(node.admin().post("/rest/api/space", R"({"key":"T","name":"T"})").status, 200);
  database.query("delete from page_search returning 1");
  expect_found(node,
               {
                   {"database_privileges", "fail", "the table label does not belong to " + role},
                   {"search_index", "fail", "pages are not in it"},
                   {"open_files", "unknown", "the schema is not yet that of 1.2.0"},
                   {"clocks", "unknown", "the schema is not yet that of 1.2.0"},
               },
               to);

  // Encodings are chosen when a database is made, and no node starts on another than UTF8: for its next sessions this
  // one is of another.
  database.query(
      fmt::format("update pg_database set encoding = pg_char_to_encoding('SQL_ASCII') where datname = '{}' "
                  "returning 1",
                  database.name()));
  database.query(
      fmt::format("select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = '{}' and "
                  "pid <> pg_backend_pid()",
                  database.name()));
  expect_found(node, {{"database_encoding", "fail", "SQL_ASCII"}}, to);
}

TEST(Checks, TheCommandSaysTheSameInATableAsJsonAndByItsExitCode) {
  Database database;
  LoneNode node(database.connection());
  node.start();
  ASSERT_TRUE(node.wait_ready()) << node.log();
  expect_found(node, {{"open_files", "pass", ""}});

  const auto health = node.afloat({"check"});
  EXPECT_EQ(health.exit_code, 0) << health.output;
  EXPECT_TRUE(health.output.contains("pass     clocks                 Clocks agree with the database's"))
      << health.output;
  EXPECT_TRUE(health.output.contains("warn     base_url")) << health.output;
  EXPECT_TRUE(health.output.contains("do:    Correct `base_url`")) << health.output;
  EXPECT_TRUE(health.output.contains("docs/checks.md#base_url")) << health.output;

  const auto next = node.afloat({"check", "--to", next_feature(1)});
  EXPECT_EQ(next.exit_code, 4) << next.output;
  EXPECT_TRUE(next.output.contains("fail     enough_nodes")) << next.output;
  EXPECT_EQ(node.afloat({"check", "--health", "--to", next_feature(1)}).exit_code, 0);
  const auto further = node.afloat({"check", "--to", next_feature(2)});
  EXPECT_EQ(further.exit_code, 3) << "what is to be dealt with first: " << further.output;
  EXPECT_TRUE(further.output.contains("needs downtime")) << further.output;
  EXPECT_EQ(node.afloat({"check", "--to", "seven"}).exit_code, 2);
  EXPECT_EQ(node.afloat({"check", "--site", "http://127.0.0.1:1"}).exit_code, 1);

  const auto text = node.afloat({"check", "--to", next_feature(1), "--json"});
  EXPECT_EQ(text.exit_code, 4);
  const auto answer = parse_json_object(text.output, "the answer").value();
  EXPECT_EQ(string_or(answer, "verdict"), "rolling");
  EXPECT_LT(int_or(answer, "took_ms", 9'999), 2'000);
  std::int64_t passed = 0;
  for (const auto& value : *array_at(answer, "checks")) {
    const auto& check = value.as_object();
    for (const auto* field : {"id", "title", "result", "found", "why", "link", "group"})
      EXPECT_FALSE(string_or(check, field).empty()) << field << " of " << json::serialize(check);
    const bool pass = string_or(check, "result") == "pass";
    EXPECT_EQ(string_or(check, "action").empty(), pass) << json::serialize(check);
    passed += pass ? 1 : 0;
  }
  EXPECT_EQ(int_or(*object_at(answer, "counts"), "pass"), passed);

  // In the vendor's shapes, for administrators only.
  const auto vendor = node.admin().get_json("/rest/troubleshooting/1.0/check");
  const auto* statuses = array_at(vendor, "statuses");
  ASSERT_TRUE(statuses && statuses->size() == 14) << json::serialize(vendor);
  for (const auto& value : *statuses) {
    const auto& status = value.as_object();
    EXPECT_EQ(bool_or(status, "isHealthy"), string_or(status, "severity") == "undefined");
    EXPECT_EQ(bool_or(status, "isHealthy"), string_or(status, "failureReason").empty());
  }
  EXPECT_EQ(node.admin().get("/rest/supportHealthCheck/1.0/check").status, 200);
  const auto info = node.admin().get_json("/rest/troubleshooting/1.0/pre-upgrade/info");
  EXPECT_EQ(string_or(*object_at(info, "instanceData"), "productDisplayName"), "Afloat");
  for (const auto* path : {"/rest/afloat/1/checks", "/rest/afloat/1/support", "/rest/troubleshooting/1.0/check",
                           "/rest/troubleshooting/1.0/pre-upgrade/info"})
    EXPECT_EQ(HttpClient(node.url()).get(path).status, 401) << path;
}

TEST(Checks, ASupportZipHoldsWhatHelpsListsItAndHasNoSecret) {
  Database database;
  constexpr auto secret = "hunter2-and-more";
  LoneNode node(database.connection() + " password=" + secret);
  node.start();
  ASSERT_TRUE(node.wait_ready()) << node.log();
  expect_found(node, {{"open_files", "pass", ""}});
  const auto out = node.folder() + "/support.zip";
  const auto made = node.afloat({"support", "zip", "--out", out, "--to", next_feature(1)});
  ASSERT_EQ(made.exit_code, 0) << made.output;
  EXPECT_EQ(fs::status(out).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  const auto files = files::files_of_zip(local::read_file(out).value()).value();
  std::map<std::string, std::string> content;
  for (const auto& file : files) {
    content[file.path] = file.content;
    EXPECT_FALSE(file.content.contains(secret)) << file.path;
    EXPECT_FALSE(file.content.contains(LoneNode::password)) << file.path;
    if (file.path != "contents.txt") EXPECT_TRUE(files.front().content.contains(file.path)) << file.path;
    if (file.path != "contents.txt") EXPECT_TRUE(made.output.contains(file.path)) << made.output;
  }
  EXPECT_TRUE(content["site.toml"].contains("password='***'")) << content["site.toml"];
  EXPECT_TRUE(content["checks.json"].contains("enough_nodes"));
  EXPECT_TRUE(content["cluster.json"].contains("\"phase\":\"STABLE\"")) << content["cluster.json"];
  EXPECT_TRUE(content["nodes/lone/log"].contains("\"event\":\"active\"")) << content["nodes/lone/log"];
  EXPECT_TRUE(content["nodes/lone/facts.json"].contains("open_files_limit"));
  EXPECT_EQ(content["runs.json"], "[]\n");
  EXPECT_TRUE(content.contains("events.json"));

  // Where nobody answers there is what the host itself has.
  node.process().stop();
  const auto down = node.afloat({"support", "zip", "--out", out, "--config", node.config()});
  EXPECT_EQ(down.exit_code, 0) << down.output;
  const auto rest = files::files_of_zip(local::read_file(out).value()).value();
  EXPECT_TRUE(rest.front().content.contains("The site did not answer: No connection to")) << rest.front().content;
  EXPECT_TRUE(rest.at(1).content.contains("password='***'")) << rest.at(1).content;
}

}  // namespace
}  // namespace afloat::test
