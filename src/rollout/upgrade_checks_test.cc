#include "rollout/upgrade_checks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "rollout/test_facts.h"

namespace afloat::rollout {
namespace {

using enum CheckResult;

void nothing(TestSite&) {}
void no_facts(TestSite& site) { site.facts = {}; }

TEST(UpgradeChecks, OfASiteThatIsWellEachPassesAndWithoutFactsNoneOfThoseThatNeedThem) {
  TestSite site;
  for (const auto& check : upgrade_checks("1.3.0", site.observed()))
    EXPECT_EQ(check.result, pass) << check.id << ": " << check.found;
  std::set<std::string> from_roster{"capacity", "backfill_finished", "same_release"};
  site.seen.facts.reset();
  for (const auto& check : upgrade_checks("1.3.0", site.seen)) {
    if (!from_roster.contains(check.id)) EXPECT_EQ(check.result, unknown) << check.id;
    EXPECT_FALSE(check.found.empty()) << check.id;
  }
  for (const auto& check : upgrade_checks("1.3.0", Observation())) EXPECT_EQ(check.result, unknown) << check.id;
}

TEST(UpgradeChecks, AreAmongThoseOfPreflight) {
  TestSite site;
  const auto all = preflight("1.2.0", "1.3.0", site.observed());
  std::set<std::string> ids;
  for (const auto& check : all) EXPECT_TRUE(ids.insert(check.id).second) << check.id << " is there twice";
  for (const auto* id : {"capacity", "balancer_check", "release_files", "long_transactions", "database_privileges"})
    EXPECT_TRUE(ids.contains(id)) << id;
}

TEST(UpgradeChecks, DatabaseVersion) {
  const auto version = [](int number) { return [=](TestSite& s) { s.facts.database->version_number = number; }; };
  expect(database_version, {
                               {"the one that is tested", nothing, pass, "15.8"},
                               {"newer", version(180'001), warn, ""},
                               {"older", version(130'000), warn, ""},
                               {"too old", version(120'022), fail, ""},
                               {"not told", version(0), unknown, "does not tell"},
                               {"nobody asked", no_facts, unknown, ""},
                           });
}

TEST(UpgradeChecks, DatabasePrivileges) {
  expect(database_privileges,
         {
             {"owner", nothing, pass, "afloat owns"},
             {"no right to create", [](TestSite& s) { s.facts.database->may_create = false; }, fail,
              "afloat may not create tables in wiki"},
             {"somebody else's table", [](TestSite& s) { s.facts.database->not_owned = "page"; }, fail,
              "table page does not belong to afloat"},
             {"a pooler", [](TestSite& s) { s.facts.database->settings_arrive = false; }, warn, "pooler"},
             {"nobody asked", no_facts, unknown, ""},
         });
}

TEST(UpgradeChecks, DatabaseEmbedded) {
  expect(database_embedded,
         {
             {"a server", nothing, pass, "it is"},
             {"of afloat up", [](TestSite& s) { s.facts.database->embedded = true; }, warn, "afloat up"},
             {"nobody asked", no_facts, unknown, ""},
         });
}

TEST(UpgradeChecks, Capacity) {
  expect(capacity, {
                       {"room", nothing, pass, "the other 1 would be 40 % busy"},
                       {"too busy", [](TestSite& s) { s.member(0).load = 0.6; }, warn, "80 % busy, the limit is 70 %"},
                       {"no other", [](TestSite& s) { s.seen.cluster->members.pop_back(); }, fail, "no other node"},
                       {"with downtime",
                        [](TestSite& s) {
                          s.seen.cluster->members.pop_back();
                          s.seen.offline = true;
                        },
                        pass, "all nodes go down together"},
                       {"no roster", [](TestSite& s) { s.seen.cluster.reset(); }, unknown, "roster"},
                   });
}

TEST(UpgradeChecks, Backfill) {
  const auto task = [](cluster::TaskState state, int build) {
    return [=](TestSite& s) {
      cluster::TaskRecord record;
      record.id = "1.2.0/x/backfill";
      record.kind = cluster::TaskKind::backfill;
      record.state = state;
      record.state_text = std::string(to_string(state));
      record.build = build;
      record.done = 1;
      record.total = 5;
      s.seen.cluster->tasks.push_back(record);
    };
  };
  expect(backfill_finished,
         {
             {"done", task(cluster::TaskState::done, first_build_with_facts), pass, "it is"},
             {"not done", task(cluster::TaskState::recheck, first_build_with_facts), fail,
              "1.2.0/x/backfill is recheck (1 of 5)"},
             {"of a cancelled upgrade", task(cluster::TaskState::recheck, 10'030'009), pass, "it is"},
             {"no roster", [](TestSite& s) { s.seen.cluster.reset(); }, unknown, "ledger"},
         });
}

TEST(UpgradeChecks, BalancerCheck) {
  const auto view = [](std::string status, std::string check) {
    return [=](TestSite& s) {
      s.seen.nodes["node2"].balancer->status = status;
      s.seen.nodes["node2"].balancer->check = check;
    };
  };
  expect(balancer_check,
         {
             {"over HTTP", nothing, pass, "asked for /status"},
             {"another page", [](TestSite& s) { s.node("node2").status_asked_ago_ms = 61'000; }, fail,
              "node2: its check is of another page: nobody has asked for /status for 1 min 1 s"},
             {"not told", [](TestSite& s) { s.node("node2").status_asked_ago_ms.reset(); }, unknown,
              "node2: it does not tell"},
             {"an older release",
              [](TestSite& s) {
                s.member(1).build = 10'010'019;
                s.member(1).version = "1.1.1";
              },
              unknown, "node2: it runs 1.1.1"},
             {"not at all", view("no check", ""), fail, "node2: not checked at all"},
             {"the port only", view("UP", "L4OK"), fail, "node2: only its port"},
             {"TLS only", view("UP", "L6OK"), fail, "only its port"},
             {"says no", view("DOWN", "L7STS 503"), warn, "L7STS 503"},
             {"can't be reached", view("DOWN", "L4CON"), warn, "the last check said L4CON"},
             {"not told", view("UP", ""), unknown, "does not tell how"},
             {"not asked", [](TestSite& s) { s.seen.nodes.clear(); }, unknown, "node1: the balancer was not asked"},
         });
}

TEST(UpgradeChecks, SameRelease) {
  expect([](const Observation& seen) { return same_release("1.3.0", seen); },
         {
             {"one build", nothing, pass, "same digest"},
             {"two builds of what runs", [](TestSite& s) { s.member(1).digest = "d9"; }, fail,
              "1.2.0 has the manifest d1 on node1; d9 on node2"},
             {"two versions",
              [](TestSite& s) {
                s.member(1).digest = "d9";
                s.member(1).version = "1.1.1";
              },
              pass, "same digest"},
             {"two builds of the target",
              [](TestSite& s) { s.facts.conductor->hosts["host2"].releases = {{"1.3.0", "d3"}}; }, fail,
              "1.3.0 has the manifest d2 on host host1; d3 on host host2"},
             {"an agent that tells no digest",
              [](TestSite& s) { s.facts.conductor->hosts["host2"].releases = {{"1.3.0", ""}}; }, unknown, "host host2"},
             {"outside of a bundle", [](TestSite& s) { s.member(1).digest.clear(); }, unknown,
              "1.2.0 on node2 was not unpacked"},
             {"no roster", [](TestSite& s) { s.seen.cluster.reset(); }, unknown, "roster"},
         });
}

TEST(UpgradeChecks, ReleaseFiles) {
  expect(release_files, {
                            {"as packed", nothing, pass, "manifest"},
                            {"changed", [](TestSite& s) { s.node("node1").release.changed = {"bin/afloat", "x"}; },
                             fail, "node1: changed: bin/afloat, x"},
                            {"not of a bundle", [](TestSite& s) { s.node("node1").release.in_bundle = false; }, unknown,
                             "not unpacked from a bundle"},
                            {"not looked yet", [](TestSite& s) { s.node("node1").release.problem = "not looked yet"; },
                             unknown, "not looked yet"},
                        });
}

TEST(UpgradeChecks, Configuration) {
  expect(configuration,
         {
             {"alike", nothing, pass, "2 keys alike"},
             {"different", [](TestSite& s) { s.node("node2").settings["edition"] = "other"; }, warn,
              "they differ in edition"},
             {"not told", [](TestSite& s) { s.node("node2").settings.clear(); }, unknown, "node2: it does not tell"},
             {"silent", [](TestSite& s) { s.facts.nodes.erase("node2"); }, unknown, "node2: has told nothing"},
         });
}

}  // namespace
}  // namespace afloat::rollout
