#include "rollout/preflight.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "rollout/test_facts.h"

namespace afloat::rollout {
namespace {

Check check_of(std::string_view id, const Observation& seen, const std::string& from = "1.1.0",
               const std::string& to = "1.2.0") {
  const auto checks = preflight(from, to, seen);
  const auto found = std::ranges::find(checks, id, &Check::id);
  if (found != checks.end()) return *found;
  ADD_FAILURE() << "no check " << id;
  return {};
}

struct NotesCase {
  std::string_view name;
  std::optional<NotesView> notes;
  CheckResult result;
  std::string_view found, action;
};

TEST(Preflight, NotesAreReadBeforeARun) {
  for (const auto& [name, notes, result, found, action] : {
           NotesCase{"no catalogue", std::nullopt, CheckResult::unknown, "not asked", "--acknowledge"},
           NotesCase{"none on the way", NotesView{}, CheckResult::pass, "no notes", ""},
           NotesCase{"all read", NotesView{{"1.2.0", "1.1.1"}, {}, "admin, bob", true}, CheckResult::pass,
                     "1.2.0, 1.1.1, by admin, bob", ""},
           NotesCase{"one of them not", NotesView{{"1.2.0"}, {"1.1.1"}, "admin", true}, CheckResult::fail,
                     "not acknowledged: 1.1.1", "afloat upgrade notes --to 1.2.0 --acknowledge"},
           NotesCase{"nodes that have no place for it", NotesView{{}, {"1.2.0"}, "", false}, CheckResult::warn,
                     "could not record it", "releases show"},
       }) {
    SCOPED_TRACE(name);
    Observation seen;
    seen.notes = notes;
    const auto check = check_of("notes_acknowledged", seen);
    EXPECT_EQ(check.result, result);
    EXPECT_NE(check.found.find(found), std::string::npos) << check.found;
    EXPECT_NE(check.action.find(action), std::string::npos) << check.action;
    EXPECT_FALSE(check.may_settle) << "waiting reads nothing";
  }
}

TEST(Preflight, OnlyNotesWhoseTextWasReadCountAsRead) {
  const std::vector<version::ReleaseNotes> notes{{"1.2.0", "new", "d2"}, {"1.1.1", "fix", "d1"}};
  const auto view = view_of(notes, {{"1.1.1", "d1", "bob", 5}, {"1.2.0", "before it was changed", "bob", 6}}, true);
  EXPECT_EQ(view.read, std::vector<std::string>{"1.1.1"});
  EXPECT_EQ(view.unread, std::vector<std::string>{"1.2.0"});
  EXPECT_EQ(view.readers, "bob");
}

struct OfflineCase {
  std::string_view name;
  std::string from, to;
  version::HopFacts facts;
  CheckResult rolling, offline;
};

TEST(Preflight, ADowntimeHelpsWhereTheHopOnlyDoesNotRoll) {
  const auto stop = version::parse_version("1.3.5").value();
  for (const auto& [name, from, to, facts, rolling, offline] : {
           OfflineCase{"the next feature release", "1.1.0", "1.2.0", {}, CheckResult::pass, CheckResult::pass},
           OfflineCase{"a manifest that asks for it",
                       "1.1.0",
                       "1.2.0",
                       {.rolling = false},
                       CheckResult::fail,
                       CheckResult::pass},
           OfflineCase{"a platform release", "1.4.0", "2.0.0", {}, CheckResult::fail, CheckResult::pass},
           OfflineCase{
               "more than one feature release, and no way", "1.1.0", "1.3.0", {}, CheckResult::fail, CheckResult::pass},
           OfflineCase{"a required stop between",
                       "1.1.0",
                       "1.4.0",
                       {.required_stops = {stop}},
                       CheckResult::fail,
                       CheckResult::fail},
           OfflineCase{"the same version", "1.1.0", "1.1.0", {}, CheckResult::fail, CheckResult::fail},
           OfflineCase{"a downgrade", "1.2.0", "1.1.0", {}, CheckResult::fail, CheckResult::fail},
       }) {
    SCOPED_TRACE(name);
    Observation seen;
    seen.target = facts;
    const auto check = check_of("hop_allowed", seen, from, to);
    EXPECT_EQ(check.result, rolling) << check.found;
    EXPECT_EQ(check.action.contains("afloat upgrade run --to " + to + " --offline"), rolling != offline)
        << "only where it helps: " << check.action;
    seen.offline = true;
    seen.way = {to};  // whatever leads there in rolling hops: this run goes straight
    EXPECT_EQ(check_of("hop_allowed", seen, from, to).result, offline);
  }
}

TEST(Preflight, AWayOfHopsIsAllowedAsAWhole) {
  Observation seen;
  seen.way = {"1.1.1", "1.2.0"};
  const auto check = check_of("hop_allowed", seen, "1.0.0", "1.2.0");
  EXPECT_EQ(check.result, CheckResult::pass);
  EXPECT_NE(check.found.find("2 hops roll: 1.0.0 to 1.1.1 to 1.2.0"), std::string::npos) << check.found;
}

TEST(Preflight, WhatTheManifestSaysOfTheHopDecides) {
  Observation seen;
  EXPECT_EQ(check_of("hop_allowed", seen).result, CheckResult::pass);
  seen.target.rolling = false;
  auto check = check_of("hop_allowed", seen);
  EXPECT_EQ(check.result, CheckResult::fail);
  EXPECT_NE(check.found.find("the manifest of 1.2.0 asks for downtime"), std::string::npos) << check.found;
  EXPECT_NE(check.action.find("afloat upgrade path"), std::string::npos);
  seen.target = {.rolling = true, .upgrade_from_min = {}, .required_stops = {}, .from_last_feature = true};
  EXPECT_EQ(check_of("hop_allowed", seen, "1.4.0", "2.0.0").result, CheckResult::pass);
  seen.target.upgrade_from_min = version::parse_version("1.1.5").value();
  check = check_of("hop_allowed", seen);
  EXPECT_EQ(check.result, CheckResult::fail);
  EXPECT_NE(check.found.find("1.1.5 or above first"), std::string::npos) << check.found;
}

TEST(Preflight, AReleaseThatIsNotThereIsNoReasonForADowntime) {
  Observation seen;
  seen.in_catalogue = false;
  seen.catalogue_has = {"1.2.0", "1.3.0"};
  const auto hop = check_of("hop_allowed", seen, "1.2.0", "9.0.0");
  EXPECT_EQ(hop.result, CheckResult::unknown) << hop.found;
  EXPECT_FALSE(hop.action.contains("--offline")) << hop.action;
  const auto present = check_of("release_present", seen, "1.2.0", "9.0.0");
  EXPECT_EQ(present.result, CheckResult::fail);
  EXPECT_TRUE(present.found.contains("9.0.0 is not in the catalogue, which has 1.2.0, 1.3.0")) << present.found;
  EXPECT_EQ(check_of("hop_allowed", seen, "1.2.0", "1.1.0").result, CheckResult::fail)
      << "an older one is no way at all";
}

struct PreflightCase {
  std::string_view id, name;
  std::function<void(Observation&)> change;
  CheckResult result;
  std::string_view found;
};

/// Everything that a run's conductor asks, and all of it well.
Observation well() {
  TestSite site;
  auto seen = site.observed();
  seen.edition = "data-center";
  seen.database_encoding = "UTF8";
  seen.replicas = Replicas{};
  seen.conductor_build = 10'090'009;
  seen.in_catalogue = true;
  seen.bundle = BundleView{.keys = true, .signed_by = "K1", .problem = {}};
  seen.notes = NotesView{};
  seen.hosts = {"host1"};
  seen.host_releases["host1"] = {"1.3.0"};
  for (auto& member : seen.cluster->members) {
    member.host = "host1";
    seen.nodes[member.name].process = ProcessView{};
  }
  return seen;
}

TEST(Preflight, EachCheckPassesWarnsFailsAndSaysThatItDoesNotKnow) {
  using enum CheckResult;
  for (const auto& check : preflight("1.2.0", "1.3.0", well()))
    EXPECT_EQ(check.result, pass) << check.id << check.found;
  for (const auto& [id, name, change, result, found] : {
           PreflightCase{"conductor_version", "older", [](Observation& s) { s.conductor_build = 10'020'009; }, warn,
                         "older than 1.3.0"},
           PreflightCase{"conductor_version", "none", [](Observation& s) { s.conductor_build = 0; }, unknown, ""},
           PreflightCase{"edition", "one node", [](Observation& s) { s.edition = "single-node"; }, fail, "single-node"},
           PreflightCase{"database_encoding", "ASCII", [](Observation& s) { s.database_encoding = "SQL_ASCII"; }, fail,
                         "SQL_ASCII"},
           PreflightCase{"database_encoding", "silent", [](Observation& s) { s.database_encoding.clear(); }, unknown,
                         ""},
           PreflightCase{"database_replicas", "behind", [](Observation& s) { s.replicas->connected = 1; }, warn,
                         "none synchronous"},
           PreflightCase{"database_replicas", "silent", [](Observation& s) { s.replicas.reset(); }, unknown, ""},
           PreflightCase{"release_present", "nowhere",
                         [](Observation& s) {
                           s.host_releases.clear();
                           s.in_catalogue = false;
                         },
                         fail, "not in the catalogue"},
           PreflightCase{"release_present", "nobody asked",
                         [](Observation& s) {
                           s.host_releases.clear();
                           s.in_catalogue.reset();
                         },
                         unknown, ""},
           PreflightCase{"bundle", "no keys", [](Observation& s) { s.bundle->keys = false; }, warn, "trusted_keys"},
           PreflightCase{"bundle", "forged", [](Observation& s) { s.bundle->problem = "wrong signature"; }, fail,
                         "wrong"},
           PreflightCase{"bundle", "none", [](Observation& s) { s.bundle.reset(); }, unknown, ""},
           PreflightCase{"enough_nodes", "one", [](Observation& s) { s.cluster->members.pop_back(); }, fail, "1 node"},
           PreflightCase{"members_active", "one lost", [](Observation& s) { s.cluster->members[0].lease_live = false; },
                         fail, "node1 is OFFLINE"},
           PreflightCase{"members_active", "two versions",
                         [](Observation& s) { s.cluster->members[0].version = "1.1.1"; }, fail,
                         "versions: 1.1.1, 1.2.0"},
           PreflightCase{"agents_answer", "silent", [](Observation& s) { s.host_releases.clear(); }, fail,
                         "no answer from host1"},
           PreflightCase{"agents_answer", "nobody asked", [](Observation& s) { s.hosts.clear(); }, unknown, ""},
           PreflightCase{"balancer", "down", [](Observation& s) { s.nodes["node1"].balancer->status = "DOWN"; }, fail,
                         "node1 is DOWN"},
           PreflightCase{"balancer", "nobody asked",
                         [](Observation& s) {
                           s.hosts.clear();
                           s.nodes.clear();
                         },
                         unknown, ""},
           PreflightCase{"tasks_finished", "one failed",
                         [](Observation& s) {
                           cluster::TaskRecord task;
                           task.id = "1.2.0/x/expand";
                           task.state = cluster::TaskState::failed;
                           s.cluster->tasks.push_back(task);
                         },
                         fail, "1.2.0/x/expand (failed)"},
       }) {
    SCOPED_TRACE(std::string(id) + ": " + std::string(name));
    auto seen = well();
    change(seen);
    const auto check = check_of(id, seen, "1.2.0", "1.3.0");
    EXPECT_EQ(check.result, result) << check.found;
    EXPECT_TRUE(check.found.contains(found)) << check.found;
    EXPECT_FALSE(check.action.empty());
    EXPECT_FALSE(check.why.empty());
  }
}

TEST(Preflight, OfASiteOfAnOlderReleaseThatTellsNothingNoCheckFailsForThat) {
  auto seen = well();
  seen.facts = std::make_shared<const Facts>(Facts{.reports_problem = "the schema is not yet that of 1.2.0",
                                                   .nodes = {},
                                                   .conductor = {},
                                                   .database = {},
                                                   .database_problem = "the database took too long to answer",
                                                   .search_index = {},
                                                   .search_index_problem = {},
                                                   .base_url = {}});
  for (auto& member : seen.cluster->members) {
    member.version = "1.1.1";
    member.build = 10'010'019;
    member.digest.clear();
  }
  seen.cluster->state->cluster_build = 10'010'019;
  seen.cluster->state->cluster_version = "1.1.1";
  for (auto& [name, node] : seen.nodes) node.balancer->check.clear();
  for (const auto& check : preflight("1.1.1", "1.2.0", seen)) {
    EXPECT_NE(check.result, CheckResult::fail) << check.id << ": " << check.found;
    EXPECT_FALSE(check.found.empty()) << check.id;
  }
}

}  // namespace
}  // namespace afloat::rollout
