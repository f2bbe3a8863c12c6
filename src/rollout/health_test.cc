#include "rollout/health.h"

#include <gtest/gtest.h>

#include <set>

#include "rollout/test_facts.h"

namespace afloat::rollout {
namespace {

using enum CheckResult;

constexpr std::int64_t day_ms = 24 * 3'600'000;

void nothing(TestSite&) {}
void no_database(TestSite& site) {
  site.facts.database.reset();
  site.facts.database_problem = "the database took too long to answer";
}

TEST(Health, OfASiteThatIsWellEveryCheckPasses) {
  TestSite site;
  std::set<std::string> ids;
  for (const auto& check : health(site.observed())) {
    EXPECT_EQ(check.result, pass) << check.id << ": " << check.found;
    EXPECT_TRUE(ids.insert(check.id).second) << check.id << " is there twice";
  }
  EXPECT_EQ(ids.size(), 14U);
}

TEST(Health, WithoutFactsEveryCheckThatNeedsThemIsUnknownAndNonePasses) {
  TestSite site;
  for (const auto& check : health(site.seen)) {
    if (check.id == "members_well") continue;  // the roster tells
    EXPECT_EQ(check.result, unknown) << check.id;
    EXPECT_FALSE(check.found.empty()) << check.id << " does not say why";
  }
  for (const auto& check : health(Observation())) EXPECT_EQ(check.result, unknown) << check.id;
}

TEST(Health, ASilentNodeIsUnknownWithTheReasonAndHidesNoFailureOfAnother) {
  expect(open_files,
         {
             {"never told", [](TestSite& s) { s.facts.nodes.erase("node2"); }, unknown, "node2: has told nothing yet"},
             {"told long ago", [](TestSite& s) { s.node("node2").at_ms -= 60'000; }, unknown,
              "node2: last told 1 min 2 s ago"},
             {"stopped",
              [](TestSite& s) {
                s.node("node2").at_ms -= 60'000;
                s.member(1).closed = true;
              },
              unknown, "node2: it is OFFLINE and last told"},
             {"of an older release",
              [](TestSite& s) {
                s.member(1).build = 10'010'019;
                s.member(1).version = "1.1.1";
              },
              unknown, "node2: it runs 1.1.1, which does not tell"},
             {"no table yet", [](TestSite& s) { s.facts.reports_problem = "the schema is not yet that of 1.2.0"; },
              unknown, "node1, node2: the schema is not yet"},
             {"the other one fails",
              [](TestSite& s) {
                s.facts.nodes.erase("node2");
                s.node("node1").open_files = 999;
              },
              fail, "node1: 999 of 1000 open (99 %); node2: has told nothing"},
             {"the other one warns",
              [](TestSite& s) {
                s.facts.nodes.erase("node2");
                s.node("node1").open_files = 750;
              },
              warn, "node1: 750 of 1000"},
         });
}

TEST(Health, Members) {
  expect(members_well,
         {
             {"all there", nothing, pass, "2 ACTIVE"},
             {"one is lost", [](TestSite& s) { s.member(0).lease_live = false; }, fail, "node1 is OFFLINE"},
             {"one drains", [](TestSite& s) { s.member(1).state = cluster::NodeState::DRAINING; }, fail,
              "node2 is DRAINING"},
             {"no roster", [](TestSite& s) { s.seen.cluster.reset(); }, unknown, "could not be read"},
         });
}

TEST(Health, Agents) {
  expect(
      agents_well,
      {
          {"it answers", nothing, pass, "1 host(s)"},
          {"one is dead or frozen",
           [](TestSite& s) { s.facts.conductor->hosts["host2"].problem = "no answer within 1 s"; }, fail,
           "host2: no answer within 1 s"},
          {"no conductor tells", [](TestSite& s) { s.facts.conductor.reset(); }, unknown, "no conductor leads"},
          {"it told long ago", [](TestSite& s) { s.facts.conductor->at_ms -= 60'000; }, unknown, "no conductor leads"},
      });
}

TEST(Health, OpenFiles) {
  expect(open_files,
         {
             {"few", [](TestSite& s) { s.node("node1").open_files = 699; }, pass, "below 70 %"},
             {"70 %", [](TestSite& s) { s.node("node1").open_files = 700; }, warn, "node1: 700 of 1000 open (70 %)"},
             {"90 %", [](TestSite& s) { s.node("node1").open_files = 900; }, fail, "90 %"},
             {"not told", [](TestSite& s) { s.node("node1").open_files = -1; }, unknown, "does not tell"},
         });
}

TEST(Health, ProcessLimit) {
  expect(process_limit,
         {
             {"none", nothing, pass, "every node"},
             {"enough", [](TestSite& s) { s.node("node1").process_limit = 4096; }, pass, ""},
             {"few", [](TestSite& s) { s.node("node1").process_limit = 4095; }, warn, "node1: 4095"},
             {"not told", [](TestSite& s) { s.node("node1").process_limit = -1; }, unknown, "does not tell"},
         });
}

TEST(Health, DiskSpace) {
  const auto free = [](std::int64_t bytes, std::int64_t total) {
    return [=](TestSite& s) { s.node("node1").data = {.free_bytes = bytes, .total_bytes = total, .problem = {}}; };
  };
  expect(disk_space,
         {
             {"half of it", nothing, pass, "room"},
             {"little of a large one", free(30'000'000'000, 1'000'000'000'000), pass, ""},
             {"under a tenth", free(9'000'000'000, 100'000'000'000), warn, "its data folder has 9.0 GB of 100.0 GB"},
             {"under 1 GB", free(900'000'000, 2'000'000'000), warn, "900.0 MB"},
             {"nothing", free(1'000, 100'000'000), fail, "node1: its data folder"},
             {"the shared home", [](TestSite& s) { s.node("node2").shared_home.free_bytes = 0; }, fail,
              "node2: the shared home"},
             {"read-only", [](TestSite& s) { s.node("node1").data.problem = "it is mounted read-only"; }, fail,
              "read-only"},
             {"not told", [](TestSite& s) { s.node("node1").data = {}; }, unknown, "does not tell"},
         });
}

TEST(Health, SharedHome) {
  expect(shared_home,
         {
             {"one for all", nothing, pass, "each node reads"},
             {"can't be written", [](TestSite& s) { s.node("node1").shared_home.problem = "No space left on device"; },
              fail, "node1: it can't write: No space left"},
             {"another one", [](TestSite& s) { s.node("node1").markers.erase("node2"); }, fail,
              "node1: it does not see the file of node2"},
             {"a copy of it", [](TestSite& s) { s.node("node1").markers["node2"] = "999000000"; }, fail,
              "it sees an old file of node2"},
             {"not a number", [](TestSite& s) { s.node("node1").markers["node2"] = "x"; }, fail, "old file"},
             {"the other has just started",
              [](TestSite& s) {
                s.node("node1").markers.erase("node2");
                s.member(1).active_at_ms = s.seen.now_ms - 5'000;
              },
              unknown, "node2 is new"},
             {"not told", [](TestSite& s) { s.node("node1").marker.clear(); }, unknown, "node1: it does not tell"},
             {"the other one is silent", [](TestSite& s) { s.facts.nodes.erase("node2"); }, unknown,
              "node2: has told nothing"},
         });
}

TEST(Health, Clocks) {
  const auto off = [](std::optional<std::int64_t> ms) {
    return [=](TestSite& s) { s.node("node1").clock_off_ms = ms; };
  };
  expect(clocks, {
                     {"together", off(499), pass, "half a second"},
                     {"behind", off(-500), warn, "node1: 500 ms behind the database"},
                     {"ahead", off(1'000), fail, "node1: 1000 ms ahead of the database"},
                     {"not compared", off(std::nullopt), unknown, "could not compare"},
                 });
}

TEST(Health, LongTransactions) {
  const auto open = [](std::int64_t pid, std::int64_t age_ms) {
    return [=](TestSite& s) {
      s.facts.database->long_transactions = {
          {.pid = pid, .application = "pg_dump", .user = "backup", .state = "active", .age_ms = age_ms}};
    };
  };
  expect(long_transactions,
         {
             {"none", nothing, pass, "none"},
             {"a while", open(77, 12'000), warn, "pid 77 (pg_dump, user backup, active) since 12 s"},
             {"long", open(77, 60'000), fail, "since 1 min"},
             {"prepared and forgotten", open(0, 3'600'000), fail, "prepared transaction pg_dump of backup since 1 h"},
             {"many",
              [&](TestSite& s) {
                open(77, 12'000)(s);
                s.facts.database->long_transactions.resize(7, s.facts.database->long_transactions.front());
              },
              warn, "since 12 s, and 2 more"},
             {"hidden ones", [](TestSite& s) { s.facts.database->hidden_sessions = 2; }, unknown,
              "grant pg_read_all_stats to afloat"},
             {"no answer", no_database, unknown, "too long to answer"},
         });
}

TEST(Health, DatabaseConnections) {
  const auto used = [](int count) { return [=](TestSite& s) { s.facts.database->connections = count; }; };
  expect(database_connections,
         {
             {"few", used(79), pass, "79 of 100"},
             {"many", used(80), warn, "80 of 100"},
             {"nearly all", used(95), fail, "95 of 100"},
             {"no limit told", [](TestSite& s) { s.facts.database->connections_limit = 0; }, unknown, "limit"},
             {"no answer", no_database, unknown, "too long"},
         });
}

TEST(Health, SearchIndex) {
  expect(search_index, {
                           {"in step", nothing, pass, "10 pages"},
                           {"pages are missing", [](TestSite& s) { s.facts.search_index->missing = 3; }, fail,
                            "3 of 10 pages are not in it"},
                           {"the old form", [](TestSite& s) { s.facts.search_index->old_form = 3; }, warn,
                            "3 of 10 pages are there in the old form"},
                           {"the old form while an upgrade is under way",
                            [](TestSite& s) {
                              s.facts.search_index->old_form = 3;
                              s.facts.search_index->finalized = false;
                            },
                            pass, "10 pages"},
                           {"no answer",
                            [](TestSite& s) {
                              s.facts.search_index.reset();
                              s.facts.search_index_problem = "the database took too long to answer";
                            },
                            unknown, "too long"},
                       });
}

TEST(Health, LongTasks) {
  const auto silent = [](const char* node, std::int64_t ms) {
    return [=](TestSite& s) { s.facts.database->silent_tasks = {{.title = "Import", .node = node, .silent_ms = ms}}; };
  };
  expect(long_tasks,
         {
             {"none", nothing, pass, "none"},
             {"a slow one", silent("node1", 60'000), pass, "none"},
             {"a stuck one", silent("node1", 300'000), warn, "\"Import\" on node1 has not moved for 5 min"},
             {"of a node that is gone", silent("node9", 30'000), fail, "\"Import\" on node9 has no node any more"},
             {"no answer", no_database, unknown, "too long"},
         });
}

TEST(Health, Certificates) {
  const auto ends = [](std::int64_t ms) {
    return [=](TestSite& s) { s.node("node1").certificate_end_ms = s.seen.now_ms + ms; };
  };
  expect(certificates, {
                           {"far off", nothing, pass, "none ends"},
                           {"no TLS", [](TestSite& s) { s.node("node1").tls = false; }, pass, "plain HTTP"},
                           {"in two weeks", ends(14 * day_ms - 1), warn, "node1: ends in 13 days"},
                           {"today", ends(3'600'000), fail, "ends in 1 h"},
                           {"over", ends(-3'600'000), fail, "ended 1 h ago"},
                           {"not told", [](TestSite& s) { s.node("node1").certificate_end_ms.reset(); }, unknown,
                            "could not be read"},
                       });
}

TEST(Health, BaseUrl) {
  expect(base_url,
         {
             {"answers", nothing, pass, "with X-Forwarded-For"},
             {"without the header", [](TestSite& s) { s.facts.base_url->forwarded = false; }, warn,
              "without X-Forwarded-For"},
             {"not configured", [](TestSite& s) { s.facts.base_url->url.clear(); }, warn, "no base_url"},
             {"somebody else", [](TestSite& s) { s.facts.base_url->is_node = false; }, fail, "is no node of this site"},
             {"an older node answers", [](TestSite& s) { s.facts.base_url->forwarded.reset(); }, unknown,
              "too old to tell"},
             {"nobody answers", [](TestSite& s) { s.facts.base_url->problem = "connection refused"; }, unknown,
              "http://wiki: connection refused"},
         });
}

TEST(Health, FindingsOfNodes) {
  expect(node_findings,
         {
             {"none", nothing, pass, "none"},
             {"one",
              [](TestSite& s) {
                s.node("node2").findings = {
                    {.check = "files", .message = "attachment x is damaged", .count = 4, .last_ms = 0},
                    {.check = "handles", .message = "none left", .count = 1, .last_ms = 0}};
              },
              fail, "node2: attachment x is damaged (4 times), and 1 more"},
             {"silent", [](TestSite& s) { s.facts.nodes.clear(); }, unknown, "node1, node2: has told nothing"},
         });
}

TEST(Facts, ReadBackAsTheyWereToldAndWhatIsNotToldStaysUnknown) {
  TestSite site;
  auto& told = site.node("node1");
  told.findings = {{.check = "files", .message = "\"x\"", .count = 2, .last_ms = 5}};
  told.release.changed = {"share/a"};
  told.data.problem = "gone";
  EXPECT_EQ(to_json(node_facts_from(to_json(told))), to_json(told));
  auto& conductor = *site.facts.conductor;
  conductor.hosts["host1"].nodes["node1"] = {.version = "1.2.0", .running = true};
  conductor.balancer["node1"] = {.problem = "", .status = "UP", .check = "L7OK 200", .weight = 1, .full_weight = 2};
  EXPECT_EQ(to_json(conductor_facts_from(to_json(conductor))), to_json(conductor));

  const auto later = node_facts_from(R"({"open_files": "many", "of_later": [1], "markers": [], "release": 3})");
  EXPECT_EQ(later.open_files, -1);
  EXPECT_FALSE(later.clock_off_ms);
  EXPECT_FALSE(later.release.problem.empty());
  EXPECT_EQ(node_facts_from("broken").open_files_limit, -1);
  EXPECT_TRUE(conductor_facts_from("[]").hosts.empty());
}

}  // namespace
}  // namespace afloat::rollout
