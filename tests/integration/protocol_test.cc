#include "support/protocol.h"

#include <gtest/gtest.h>

#include <thread>

#include "store/change_log.h"
#include "store/cluster_store.h"
#include "store/finalize_steps.h"
#include "store/upgrade_task.h"

/// The cluster protocol against a real PostgreSQL, with interleavings that are held open on purpose.
namespace afloat::store {

namespace {

using namespace std::chrono_literals;
using cluster::AdmissionDecision;
using cluster::AdmissionOutcome;
using test::candidate;
using test::make_ready;
using test::new_build;
using test::Node;
using test::old_build;
using test::Session;
using test::soon;

const std::string our_locks =
    "locktype = 'advisory' and classid = 4117 and database = (select oid from pg_database where datname = "
    "current_database())";
const std::string waiting_sql = "select count(*) from pg_locks where not granted and " + our_locks;

TEST(Protocol, StaleGatesAreRefusedAfterTheSecondFence) {
  test::Database site("protocol", test::fill_cluster);
  Node node(site);
  const auto save = [&](int gates) {
    return node.run(node.database->write(Gates{gates, old_build},
                                         {{"update doc set body = $1::text", {std::to_string(gates)}}}, {{"page", "1"}},
                                         soon()));
  };
  ASSERT_TRUE(save(1));
  ASSERT_EQ(
      site.query("update cluster_state set gates = 2, mode = 'on', original_build = 10000009, target_build = 10000009, "
                 "finalize_requested = clock_timestamp() returning 1"),
      "1");
  ASSERT_TRUE(save(1)) << "between raise and second fence the old form is still right";
  auto fenced = node.run(second_fence(*node.database, "test", soon()));
  ASSERT_TRUE(fenced) << fenced.error().message();
  auto stale = save(1);
  ASSERT_FALSE(stale);
  EXPECT_EQ(stale.error().kind(), ErrorKind::conflict);
  EXPECT_EQ(stale.error().code(), "AF003");
  EXPECT_EQ(site.query("select body from doc"), "1");
  EXPECT_TRUE(save(2));
  EXPECT_EQ(site.query("select body from doc"), "2");
}

TEST(Protocol, TwoFirstNodesOfDifferentBuilds) {
  test::Database site;
  Session gate(site);
  ASSERT_EQ(gate.run("begin; select pg_advisory_xact_lock(4117, 2)"), "");
  std::optional<Result<AdmissionDecision>> decided[2];
  const auto start = [&](int which) {
    return std::thread([&, which] {
      const int build = which == 0 ? old_build : new_build;
      Node node(site, build);
      decided[which] = node.run(node.cluster->admit(candidate(which == 0 ? "n1" : "n2", build), soon()));
    });
  };
  auto first = start(0), second = start(1);
  EXPECT_TRUE(test::eventually(5s, [&] { return site.query(waiting_sql) == "2"; })) << "both must be at the door";
  EXPECT_EQ(gate.run("commit"), "");
  first.join();
  second.join();
  for (auto& decision : decided) ASSERT_TRUE(*decision) << decision->error().message();
  const auto one = (*decided[0])->outcome, two = (*decided[1])->outcome;
  EXPECT_EQ(std::min(one, two), AdmissionOutcome::bootstrap);
  EXPECT_EQ(std::max(one, two), AdmissionOutcome::refuse);
  EXPECT_EQ(site.query(
                "select count(*) from cluster_state s, member m where m.build = s.min_build and m.build = s.max_build"),
            "1");
  EXPECT_EQ(site.query("select count(*) from member"), "1");
}

// The first newer node chooses the target, and two may try at once: expand pins one of them, once.
TEST(Protocol, TwoTargetsJoinAtOnce) {
  for (int round = 0; round < 4; ++round) {
    test::Database site;
    Node old(site);
    ASSERT_TRUE(old.run(old.cluster->admit(candidate("n1", old_build), soon())));
    ASSERT_TRUE(old.run(old.cluster->apply(cluster::Command::start, "test", std::nullopt, std::nullopt, soon())));
    Session gate(site);
    ASSERT_EQ(gate.run("begin; select 1 from cluster_state for update"), "");
    constexpr int builds[2] = {test::bugfix_build, new_build};
    std::optional<AdmissionDecision> joined[2];
    std::string refusal[2];
    // As a node does that starts: it asks, prepares the schema where it is told to, and asks again.
    const auto start = [&](int which) {
      return std::thread([&, which] {
        Node node(site, builds[which]);
        TaskRunner runner(*node.database, node.clock, node.timer, builds[which], "node", {});
        const auto asks = candidate(which == 0 ? "n2" : "n3", builds[which]);
        auto decided = node.run(node.cluster->admit(asks, soon()));
        if (decided && decided->outcome == AdmissionOutcome::await_expand) {
          if (auto expanded = node.run(runner.expand([](std::string) {}, soon())); !expanded)
            refusal[which] = expanded.error().message();
          decided = node.run(node.cluster->admit(asks, soon()));
        }
        if (decided) joined[which] = *decided;
      });
    };
    auto first = start(0), second = start(1);
    EXPECT_TRUE(test::eventually(5s, [&] { return test::waiting_sessions(site) == 2; })) << "both must be at the door";
    EXPECT_EQ(gate.run("commit"), "");
    first.join();
    second.join();
    ASSERT_TRUE(joined[0] && joined[1]);
    const int in = joined[0]->outcome == AdmissionOutcome::admit ? 0 : 1, out = 1 - in;
    EXPECT_EQ(joined[in]->outcome, AdmissionOutcome::admit) << joined[in]->message << refusal[in];
    EXPECT_EQ(joined[out]->outcome, AdmissionOutcome::refuse);
    EXPECT_EQ(joined[out]->reason, "third_version");
    EXPECT_NE(joined[out]->message.find("cancel"), std::string::npos) << joined[out]->message;
    EXPECT_EQ(site.query("select concat_ws(' ', min_build, max_build, target_build) from cluster_state"),
              "10000009 " + std::to_string(builds[in]) + " " + std::to_string(builds[in]));
    EXPECT_EQ(site.query("select string_agg(build::text, ' ' order by name) from member"),
              "10000009 " + std::to_string(builds[in]));
  }
}

TEST(Protocol, ApproveAndAdmissionAtOnce) {
  for (int round = 0; round < 5; ++round) {
    test::Database site;
    Node node(site, new_build);
    ASSERT_NO_FATAL_FAILURE(make_ready(node, site));
    // Both behind the row or about to take it, then let go together.
    Session gate(site);
    ASSERT_EQ(gate.run("begin; select 1 from cluster_state for update"), "");
    std::optional<Result<AdmissionDecision>> joined;
    Result<void> approved;
    std::thread old_node([&] {
      Node other(site, old_build);
      joined = other.run(other.cluster->admit(candidate("n2", old_build), soon()));
    });
    std::thread approve([&] {
      approved = node.run(node.cluster->apply(cluster::Command::approve, "test", std::nullopt, std::nullopt, soon()));
    });
    // Fence lock: approve's; bootstrap lock: admission's.
    const bool met = test::eventually(1500ms, [&] {
      return site.query(
                 "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = "
                 "'Lock' "
                 "and query like '%cluster_state for update%'") == "2";
    });
    EXPECT_EQ(
        site.query("select string_agg(objid::text, ',' order by objid) from pg_locks where granted and " + our_locks),
        "1,2");
    EXPECT_EQ(gate.run("commit"), "");
    old_node.join();
    approve.join();
    EXPECT_TRUE(met);
    ASSERT_TRUE(*joined) << (*joined).error().message();
    if (approved) {
      EXPECT_EQ((*joined)->outcome, AdmissionOutcome::refuse) << "an old node was let in after the point of no return";
    } else {
      EXPECT_EQ(approved.error().kind(), ErrorKind::failed_precondition) << approved.error().message();
      EXPECT_EQ((*joined)->outcome, AdmissionOutcome::admit);
    }
  }
}

TEST(Protocol, ApproveWaitsForTheFenceWithoutTheRow) {
  test::Database site;
  Node node(site, new_build);
  ASSERT_NO_FATAL_FAILURE(make_ready(node, site));
  Session writer(site);
  ASSERT_EQ(writer.run("begin; select pg_advisory_xact_lock_shared(4117, 1)"), "");
  Result<void> approved;
  std::thread approve([&] {
    approved = node.run(node.cluster->apply(cluster::Command::approve, "test", std::nullopt, std::nullopt, soon()));
  });
  std::string locks;  // on cluster_state, of the session that waits for the fence
  EXPECT_TRUE(test::eventually(5s, [&] {
    (void)writer.run("select 1");  // else it counts as frozen, and its session is ended
    locks = site.query("select count(r.pid) from (select pid from pg_locks where objid = 1 and not granted and " +
                       our_locks +
                       ") a left join pg_locks r on r.pid = a.pid and r.relation = 'cluster_state'::regclass group by "
                       "a.pid union all select '-1' limit 1");
    return locks != "-1";
  }));
  EXPECT_EQ(locks, "0");
  Node other(site, old_build);
  auto joined = other.run(other.cluster->admit(candidate("n2", old_build), soon()));
  EXPECT_TRUE(joined && joined->outcome == AdmissionOutcome::admit)
      << "admission must not stand behind a waiting approve";
  EXPECT_EQ(writer.run("commit"), "");
  approve.join();
  ASSERT_FALSE(approved);
  EXPECT_NE(approved.error().message().find("n2"), std::string::npos) << approved.error().message();
}

TEST(Protocol, RemovedIdNeverComesBack) {
  test::Database site;
  Node node(site);
  for (const char* name : {"n1", "n2"}) ASSERT_TRUE(node.run(node.cluster->admit(candidate(name, old_build), soon())));
  auto early = node.run(node.cluster->remove("n2", "test", soon()));
  ASSERT_FALSE(early) << "its lease lives";
  EXPECT_EQ(early.error().kind(), ErrorKind::failed_precondition);
  ASSERT_EQ(site.query("update member_lease set lease_until = clock_timestamp() where id = 'id-n2' returning 1"), "1");
  auto removed = node.run(node.cluster->remove("n2", "test", soon()));
  ASSERT_TRUE(removed) << removed.error().message();
  Heartbeat beat;
  beat.id = "id-n2";
  beat.incarnation = "1-1";
  auto lease = node.run(node.cluster->renew(beat, soon()));
  EXPECT_TRUE(lease && !lease->held) << "it was only frozen, and must not renew";
  auto back = node.run(node.cluster->admit(candidate("n2", old_build, "1-2"), soon()));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->outcome, AdmissionOutcome::refuse);
  EXPECT_EQ(back->reason, "removed");
}

TEST(Protocol, ChangeLogLosesNoEntryOfAWriterHeldOpen) {
  test::Database site("protocol", test::fill_cluster);
  Node node(site);
  ChangeLog log(*node.database);
  std::vector<std::string> told;
  log.subscribe([&](std::string_view, std::string_view key) { told.emplace_back(key); });
  ASSERT_TRUE(node.run(log.fresh(soon())));
  Session slow(site), quick(site);
  ASSERT_EQ(slow.run("begin; insert into change_log (kind, key) values ('page', 'slow')"), "");
  ASSERT_EQ(quick.run("insert into change_log (kind, key) values ('page', 'quick')"), "");
  for (int poll = 0; poll < 2; ++poll) ASSERT_TRUE(node.run(log.fresh(soon())));
  EXPECT_EQ(told, std::vector<std::string>{"quick"});
  ASSERT_EQ(slow.run("commit"), "");
  for (int poll = 0; poll < 2; ++poll) ASSERT_TRUE(node.run(log.fresh(soon())));
  EXPECT_EQ(told, (std::vector<std::string>{"quick", "slow"})) << "its number is lower than one seen before";
}

Task<std::int64_t> one_row(Transaction& transaction) {
  auto rows = co_await transaction.run(
      {"update doc set body = body || '+' where id = (select min(id) from doc where body not like '%+')", {}});
  if (!rows) co_return std::unexpected(rows.error());
  co_return rows->affected;
}

TEST(Protocol, FrozenTaskRunnerCommitsNothing) {
  test::Database site("protocol", test::fill_cluster);
  auto task = UpgradeTask::make("1.1.0", "plus", cluster::TaskKind::backfill, 1);
  task.batch = one_row;
  task.remaining_sql = "select count(*) from doc where body not like '%+'";
  task.seal();
  const auto id = task.declaration.id;
  const std::vector<UpgradeTask> tasks{std::move(task)};
  ASSERT_EQ(site.query("insert into doc (id, body) select n, 'x' from generate_series(2, 9) n returning 1"), "1");
  Node node(site);
  TaskRunner frozen(*node.database, node.clock, node.timer, old_build, "one", tasks),
      other(*node.database, node.clock, node.timer, old_build, "two", tasks);
  const auto batch = [&](TaskRunner& runner) {
    return node.run(runner.backfill_some(id, Gates{1, old_build}, TaskRunner::Pass::early, soon()));
  };
  ASSERT_TRUE(node.run(frozen.register_tasks(soon())));
  ASSERT_TRUE(batch(frozen));
  auto busy = batch(other);
  ASSERT_FALSE(busy) << "two runners of one task";
  EXPECT_EQ(busy.error().code(), "taken_over");
  ASSERT_EQ(site.query("update upgrade_task set lease_until = clock_timestamp() returning 1"), "1");
  ASSERT_TRUE(batch(other));
  auto woken = batch(frozen);
  ASSERT_FALSE(woken);
  EXPECT_EQ(woken.error().code(), "taken_over");
  EXPECT_EQ(site.query("select count(*) from doc where body like '%+'"), "2") << "its batch must be rolled back";
  EXPECT_EQ(site.query("select concat_ws(' ', token, runner, state, done) from upgrade_task"), "2 two running 2");
}

}  // namespace
}  // namespace afloat::store
