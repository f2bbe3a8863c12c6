#include <boost/json.hpp>

#include "base/json_fields.h"
#include "support/lone_node.h"

// What a node answers while an upgrade is under way, as the console asks for it, and the commands of an upgrade by
// hand.
namespace afloat::test {
namespace {

namespace json = boost::json;
using std::chrono::seconds;

struct Seen {
  std::size_t moments = 0;
  double requests = 0, errors = 0;  ///< sums over the lines of the node
  bool timed = false;
};
Seen series_of(HttpClient client, const std::string& name) {
  Seen seen;
  const auto answer = client.get_json("/rest/afloat/1/series?since=0");
  const auto sum = [](const json::object& line, const char* field) {
    double total = 0;
    if (const auto* values = array_at(line, field))
      for (const auto& value : *values) total += value.is_null() ? 0 : value.to_number<double>();
    return total;
  };
  const auto* nodes = array_at(answer, "nodes");
  if (!nodes) return seen;
  for (const auto& node : *nodes) {
    const auto& line = node.as_object();
    if (string_or(line, "name") != name) continue;
    seen.moments = array_at(line, "requests_per_s")->size();
    EXPECT_EQ(seen.moments, array_at(answer, "at_ms")->size());
    seen.requests = sum(line, "requests_per_s");
    seen.errors = sum(line, "errors_per_s");
    seen.timed = sum(line, "p99_ms") > 0;
  }
  return seen;
}

TEST(Series, ANodeTellsWhatItAnswersWhileUpgradeModeIsOnAndForAMinuteBefore) {
  Database database;
  LoneNode node(database.connection());
  node.write_config();
  ASSERT_NO_FATAL_FAILURE(node.start());
  ASSERT_TRUE(node.wait_ready()) << node.log();
  auto admin = node.admin();
  EXPECT_EQ(HttpClient(node.url()).get("/rest/afloat/1/series").status, 401);
  EXPECT_EQ(admin.get("/rest/afloat/1/series?since=yesterday").status, 400);

  // Before: nothing is written.
  for (int i = 0; i < 50; ++i) EXPECT_EQ(admin.get("/rest/api/space").status, 200);
  EXPECT_EQ(database.query("select count(*) from node_series"), "0");

  ASSERT_EQ(admin.post("/rest/zdu/start", "").status, 200);
  Seen seen;
  ASSERT_TRUE(eventually(seconds(10),
                         [&] {
                           seen = series_of(admin, "lone");
                           return seen.moments > 0 && seen.requests >= 20;
                         }))
      << seen.moments << " moments, " << seen.requests << " requests/s in all: the fifty of before are among them\n"
      << node.log();
  EXPECT_EQ(seen.errors, 0);
  EXPECT_TRUE(seen.timed);
  EXPECT_EQ(database.query("select relpersistence from pg_class where relname = 'node_series'"), "u");

  // What asks how the node is does not count as somebody's request.
  HttpClient probe(node.url());
  const auto told_since = [&](const std::string& moment) {
    return " from node_series where at > timestamptz '" + moment + "'";
  };
  // The next point still has the calls above.
  const auto asked = database.query("select now()");
  ASSERT_TRUE(eventually(seconds(10), [&] { return database.query("select count(*) > 0" + told_since(asked)) == "t"; }));
  const auto began = database.query("select now()");
  for (int i = 0; i < 300; ++i) ASSERT_EQ(probe.get("/health/live").status, 200);
  const auto since = told_since(began);
  ASSERT_TRUE(eventually(seconds(10), [&] { return database.query("select count(*) > 1" + since) == "t"; }));
  EXPECT_EQ(database.query("select sum((figures->>'requests')::int) < 100" + since), "t");

  // Old points go, also those of a node that is gone.
  database.query(
      "insert into node_series (at, node, build, figures) values (now() - interval '16 minutes', 'gone', 1, '{}') "
      "returning 1");
  EXPECT_TRUE(eventually(
      seconds(10), [&] { return database.query("select count(*) from node_series where node = 'gone'") == "0"; }));
}

TEST(Series, WhereTheSchemaIsOlderItSaysSoAndNothingElseSuffers) {
  Database database;
  LoneNode node(database.connection());
  node.write_config();
  ASSERT_NO_FATAL_FAILURE(node.start());
  ASSERT_TRUE(node.wait_ready()) << node.log();
  auto admin = node.admin();
  database.query("drop table node_series");
  ASSERT_EQ(admin.post("/rest/zdu/start", "").status, 200);
  const auto answer = admin.get_json("/rest/afloat/1/series");
  EXPECT_TRUE(string_or(answer, "message").contains("An upgrade to it brings that")) << json::serialize(answer);
  EXPECT_TRUE(array_at(answer, "nodes")->empty());
  EXPECT_EQ(admin.get_json("/rest/afloat/1/health").at("healthy"), true);
}

TEST(ByHand, WhatTheCommandsNeedAndASiteDoesNotNameIsSaid) {
  Database database;
  LoneNode node(database.connection());
  node.write_config();
  ASSERT_NO_FATAL_FAILURE(node.start());
  ASSERT_TRUE(node.wait_ready()) << node.log();
  auto admin = node.admin();
  EXPECT_EQ(HttpClient(node.url()).get("/rest/afloat/1/by-hand").status, 401);
  const auto nowhere = admin.get_json("/rest/afloat/1/by-hand");
  EXPECT_TRUE(string_or(nowhere, "obstacle").contains("The catalogue has no release")) << json::serialize(nowhere);
  EXPECT_EQ(string_or(nowhere, "to"), "");
  EXPECT_EQ(string_or(nowhere, "script"), "");
  const auto refused = admin.get("/rest/afloat/1/by-hand?to=9.9.9");
  EXPECT_EQ(refused.status, 400);
  EXPECT_TRUE(refused.body->contains("No upgrade by hand leads from")) << *refused.body;
}

}  // namespace
}  // namespace afloat::test
