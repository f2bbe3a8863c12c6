#include <thread>

#include "store/finalize_steps.h"
#include "store/run_store.h"
#include "support/protocol.h"
#include "support/replica.h"

/// What a fail-over to a replica may take back, and what it may not, on a real pair of servers.
namespace afloat::store {
namespace {

using cluster::AdmissionOutcome;
using cluster::Command;
using test::Node;
using test::soon;
using namespace std::chrono_literals;

/// Runs `change` while the replica receives and does not show: it may not end before the replica shows it.
void expect_waits_for_replica(test::ReplicatedPostgres& servers, const std::string& name,
                              const std::function<Result<void>()>& change) {
  SCOPED_TRACE(name);
  const auto epoch = [](local::Postgres& server) {
    return server.query("site", "select epoch from cluster_state").value_or("no row");
  };
  ASSERT_TRUE(test::eventually(5s, [&] { return servers.caught_up(); }));
  servers.pause_replay();
  std::atomic<bool> over = false;
  Result<void> outcome;
  std::thread changer([&] {
    outcome = change();
    over = true;
  });
  EXPECT_TRUE(test::eventually(5s, [&] {
    return over || servers.primary()
                           .query("site", "select count(*) from pg_stat_activity where wait_event = 'SyncRep'")
                           .value_or("") == "1";
  }));
  EXPECT_FALSE(over) << "it was told before the replica shows it: "
                     << (outcome ? std::string("done") : outcome.error().message());
  servers.resume_replay();
  changer.join();
  EXPECT_TRUE(outcome) << outcome.error().message();
  EXPECT_EQ(epoch(servers.replica()), epoch(servers.primary()));
}

TEST(FailOver, EachChangeOfTheClustersStateWaitsForASynchronousReplica) {
  constexpr int next_build = 10020009;
  test::ReplicatedPostgres servers;
  ASSERT_TRUE(servers.primary().create_database("site"));
  servers.wait_for_replica();
  const auto site = servers.connection("site");
  Node old_node(site, test::old_build), node(site, test::new_build);
  const auto apply = [&](Command command, std::optional<int> target = std::nullopt) {
    return [&node, command, target] {
      return node.run(node.cluster->apply(command, "test", target, std::nullopt, soon()));
    };
  };
  const auto step = [&](const std::string& name, const std::function<Result<void>()>& change) {
    expect_waits_for_replica(servers, name, change);
  };
  const auto admit = [](Node& with, int build, const std::string& incarnation) -> Result<void> {
    auto decided = with.run(with.cluster->admit(test::candidate("n1", build, incarnation), soon()));
    if (!decided) return std::unexpected(decided.error());
    if (decided->outcome == AdmissionOutcome::admit || decided->outcome == AdmissionOutcome::bootstrap) return {};
    return fail(ErrorKind::internal, decided->message);
  };
  step("bootstrap", [&] { return admit(old_node, test::old_build, "1-1"); });
  step("start", apply(Command::start, test::new_build));
  TaskRunner runner(*node.database, node.clock, node.timer, test::new_build, "n1", {});
  step("expand", [&] { return node.run(runner.expand([](std::string) {}, soon())); });
  ASSERT_TRUE(admit(node, test::new_build, "1-2"));
  ASSERT_TRUE(node.run(node.cluster->set_state("id-n1", "1-2", cluster::NodeState::ACTIVE, false, soon())));
  step("approve", apply(Command::approve));
  step("raise", [&] { return node.run(raise_cluster_version(*node.database, "1.1.0", "n1", soon())); });
  step("second fence", [&] { return node.run(second_fence(*node.database, "n1", soon())); });
  step("upgrade mode off", [&] { return node.run(end_upgrade_mode(*node.database, "n1", soon())); });
  step("start again", apply(Command::start, next_build));
  step("cancel", apply(Command::cancel));
}

TEST(FailOver, WhatIsRemovedForGoodWaitsForEachReplicaToShowTheApproval) {
  test::ReplicatedPostgres servers;
  ASSERT_TRUE(servers.primary().create_database("site"));
  test::fill_cluster(servers.connection("site"));
  auto contract = UpgradeTask::make("1.1.0", "forms", cluster::TaskKind::contract, 1);
  contract.steps = {{"drop table doc"}};
  contract.seal();
  const std::vector<UpgradeTask> tasks{contract};
  const auto& id = contract.declaration.id;
  Node node(servers.connection("site"), test::new_build, tasks);
  TaskRunner runner(*node.database, node.clock, node.timer, test::new_build, "n1", tasks);
  ASSERT_TRUE(node.run(runner.register_tasks(soon())));
  const auto ask = [&](const std::string& sql) { return servers.primary().query("site", sql).value_or("no row"); };

  servers.pause_replay();
  ASSERT_TRUE(servers.primary().execute("site", "insert into doc values (2, 'an approval')"));
  for (int i = 0; i < 3; ++i) {
    const auto done = node.run(runner.contract(id, soon()));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind(), ErrorKind::unavailable) << done.error().message();
  }
  EXPECT_EQ(ask("select state from upgrade_task where id = '" + id + "'"), "pending");
  const auto said = ask("select error from upgrade_task where id = '" + id + "'");
  EXPECT_NE(said.find("replica is "), std::string::npos) << said;
  EXPECT_NE(said.find("bytes behind"), std::string::npos) << said;
  EXPECT_EQ(ask("select count(*) from pg_class where relname = 'doc'"), "1");

  servers.resume_replay();
  Result<void> done;
  EXPECT_TRUE(test::eventually(15s, [&] { return (done = node.run(runner.contract(id, soon()))).has_value(); }))
      << done.error().message();
  EXPECT_EQ(ask("select state || error from upgrade_task where id = '" + id + "'"), "done");
  EXPECT_EQ(ask("select count(*) from pg_class where relname = 'doc'"), "0");
}

TEST(FailOver, AWriteWhoseWaitForTheReplicaWasCancelledIsNotToldAsDone) {
  test::ReplicatedPostgres servers;
  ASSERT_TRUE(servers.primary().create_database("site"));
  test::fill_cluster(servers.connection("site"));
  servers.wait_for_replica();
  Node node(servers.connection("site"));
  servers.cut_off();
  std::jthread canceller([&] {
    EXPECT_TRUE(test::eventually(5s, [&] {
      return servers.primary()
                 .query("site", "select count(pg_cancel_backend(pid)) from pg_stat_activity where wait_event = 'SyncRep'")
                 .value_or("0") != "0";
    }));
  });
  std::vector<Statement> statements{{"update doc set body = body || '+' where id = 1", {}}};
  const auto done = node.run(node.database->write(Gates{1, test::old_build}, std::move(statements), {}, soon()));
  canceller.join();
  ASSERT_FALSE(done) << "a fail-over may take it back";
  EXPECT_EQ(done.error().code(), "LOST") << done.error().message();
  EXPECT_EQ(servers.primary().query("site", "select body from doc where id = 1").value_or(""), "first+");
}

TEST(FailOver, ReplicasAreCountedForTheChecksBeforeAnUpgrade) {
  test::ReplicatedPostgres servers;
  ASSERT_TRUE(servers.primary().create_database("site"));
  test::Loop loop(servers.connection("site"), "conductor");
  const auto runs = make_run_store(*loop.database);
  auto seen = loop.run(runs->database_replicas(soon()));
  ASSERT_TRUE(seen) << seen.error().message();
  EXPECT_EQ(seen->connected, 1);
  EXPECT_EQ(seen->synchronous, "");
  servers.wait_for_replica();
  test::Loop later(servers.connection("site"), "conductor");
  seen = later.run(make_run_store(*later.database)->database_replicas(soon()));
  ASSERT_TRUE(seen) << seen.error().message();
  EXPECT_EQ(seen->synchronous, "*");
  servers.cut_off();
  EXPECT_TRUE(test::eventually(5s, [&] {
    auto now = later.run(make_run_store(*later.database)->database_replicas(soon()));
    return now && now->connected == 0;
  }));
}

TEST(FailOver, AWriteWithGatesThatTheDatabaseNoLongerHasIsRefused) {
  test::Database site("protocol", test::fill_cluster);
  Node node(site);
  const auto write = [&](int gates) {
    std::vector<Statement> statements{{"update doc set body = body || '+' where id = 1", {}}};
    auto done = node.run(node.database->write(Gates{gates, test::old_build}, std::move(statements), {}, soon()));
    return done ? std::string() : done.error().code();
  };
  ASSERT_EQ(site.query("select gates from cluster_state"), "1");
  EXPECT_EQ(write(2), "AF003") << "a form that this database does not read yet";
  EXPECT_EQ(write(1), "");
  EXPECT_EQ(site.query("select body from doc"), "first+");
}

}  // namespace
}  // namespace afloat::store
