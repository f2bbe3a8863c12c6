#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cluster/phase.h"
#include "server/finalizer.h"
#include "server/log.h"
#include "store/upgrade_task.h"
#include "support/protocol.h"

/// Upgrade tasks whose runner is killed: a process of its own, and a real SIGKILL. Whoever comes next finishes, and
/// each piece of work is done once.
namespace afloat::store {
namespace {

using namespace std::chrono_literals;
using cluster::TaskKind;
using test::new_build;
using test::Node;
using test::old_build;
using test::Session;
using test::soon;

/// A Database that kills its process at one point: before a call, before a statement of a transaction, or before
/// its commit. Before a call is also right after the answer to the one before it.
class Mortal final : public Database {
 public:
  Mortal(Database& database, int dies_at) : database_(database), dies_at_(dies_at) {}
  struct Point {
    std::string what;
    bool tells;  ///< dying here leaves something else behind than dying at the point before
  };
  std::vector<Point> points;  ///< passed so far

  Task<Rows> read(Statement statement, Deadline deadline) override {
    pass(statement.sql);
    co_return co_await database_.read(std::move(statement), deadline);
  }
  Task<Rows> slow_read(Statement statement, Deadline deadline) override {
    pass(statement.sql);
    const bool reads = statement.sql.starts_with("select");
    auto rows = co_await database_.slow_read(std::move(statement), deadline);
    changed_ = changed_ || !reads;
    co_return rows;
  }
  Task<std::vector<Rows>> write(Gates gates, std::vector<Statement> statements, std::vector<Change> changes,
                                Deadline deadline) override {
    pass("write");
    auto rows = co_await database_.write(gates, std::move(statements), std::move(changes), deadline);
    changed_ = true;
    co_return rows;
  }
  Task<void> transaction(std::optional<Gates> gates, std::move_only_function<Task<void>(Transaction&)> work,
                         Deadline deadline) override {
    pass("begin");
    auto done = co_await database_.transaction(
        gates, [&](Transaction& transaction) { return inside(transaction, work); }, deadline);
    changed_ = true;
    co_return done;
  }

 private:
  struct Inside final : Transaction {
    Inside(Mortal& owner, Transaction& transaction) : owner(owner), transaction(transaction) {}
    Task<Rows> run(Statement statement) override {
      owner.pass(statement.sql);
      co_return co_await transaction.run(std::move(statement));
    }
    Mortal& owner;
    Transaction& transaction;
  };
  Task<void> inside(Transaction& transaction, std::move_only_function<Task<void>(Transaction&)>& work) {
    Inside watched(*this, transaction);
    auto done = co_await work(watched);
    changed_ = true;  // what is rolled back
    pass("commit");
    co_return done;
  }
  void pass(std::string_view what) {
    points.push_back({std::string(what.substr(0, 70)), changed_});
    if (static_cast<int>(points.size()) == dies_at_) kill(getpid(), SIGKILL);
    changed_ = false;
  }
  Database& database_;
  int dies_at_;
  bool changed_ = true;
};

// No statement can be done twice without an error or a second row in `work`.
#define AFLOAT_WORK(what, ddl) "do $$ begin " ddl "; insert into work values ('" what "'); end $$"

Task<std::int64_t> three_rows(Transaction& transaction) {
  auto rows = co_await transaction.run(
      {"select id from doc where body_new is null order by id limit 3 for update skip locked", {}});
  if (!rows) co_return std::unexpected(rows.error());
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto done = co_await transaction.run(
        {"update doc set body_new = upper(body), computed = computed + 1 where id = $1::int", {rows->number(i, 0)}});
    if (!done) co_return std::unexpected(done.error());
  }
  co_return static_cast<std::int64_t>(rows->size());
}

Task<std::int64_t> deadly(Transaction& transaction) {
  auto rows = co_await transaction.run({"update doc set computed = computed + 1 where id = 1", {}});
  if (rows) kill(getpid(), SIGKILL);
  co_return std::unexpected(rows.error());
}

std::vector<UpgradeTask> make_tasks(std::function<Task<std::int64_t>(Transaction&)> batch = three_rows) {
  auto expand = UpgradeTask::make("1.1.0", "forms", TaskKind::expand, 1);
  expand.steps = {
      {AFLOAT_WORK("expand 1", "alter table doc add column body_new text, add column computed int not null default 0")},
      {AFLOAT_WORK("expand 2", "create table extra (id int)")},
      {"create index concurrently doc_todo on doc (id) where body_new is null", "doc_todo"},
      {AFLOAT_WORK("expand 4", "alter table extra add column more int")},
  };
  auto backfill = UpgradeTask::make("1.1.0", "forms", TaskKind::backfill, 2);
  backfill.batch = std::move(batch);
  backfill.remaining_sql = "select count(*) from doc where body_new is null";
  auto contract = UpgradeTask::make("1.1.0", "forms", TaskKind::contract, 3);
  contract.relax = {AFLOAT_WORK("relax 1", "alter table doc alter column body drop not null"),
                    AFLOAT_WORK("relax 2", "alter table doc drop constraint doc_short")};
  contract.steps = {{AFLOAT_WORK("contract 1", "alter table doc drop column body")},
                    {AFLOAT_WORK("contract 2", "drop table extra")}};
  std::vector<UpgradeTask> tasks{std::move(expand), std::move(backfill), std::move(contract)};
  for (auto& task : tasks) task.seal();
  return tasks;
}

/// 1.0.0 in upgrade mode, its one node on 1.1.0 already.
constexpr const char* begin_sql = R"(
set client_min_messages = warning;
drop table if exists doc, extra, work;
truncate member, member_lease, member_load, cluster_event, upgrade_task, cluster_state;
create table work (what text);
create table doc (id int primary key, body text not null constraint doc_short check (length(body) < 99));
insert into doc select n, 'text ' || n from generate_series(1, 5) n;
insert into cluster_state (cluster_version, min_build, max_build, mode, original_build, target_build)
  values ('1.0.0', 10000009, 10000009, 'on', 10000009, 10010009);
insert into member (id, name, host, address, port, version, build, incarnation, state, started_at)
  values ('id-n1', 'n1', 'host1', '127.0.0.1', 1, '1.1.0', 10010009, '1-1', 'ACTIVE', now());
insert into member_lease values ('id-n1', '1-1', now() + interval '1 h', 1);)";

/// One runner: whatever it finds, from expand to the end of upgrade mode. True when it got there; with an error
/// of the task it stops.
bool carry_on(Node& node, Database& database, const std::string& runner_name, const std::vector<UpgradeTask>& tasks) {
  TaskRunner runner(database, node.clock, node.timer, new_build, runner_name, tasks);
  auto cluster = make_cluster_store(*node.database, node.clock, node.timer, tasks);
  server::Finalizer finalizer(database, *cluster, node.clock, node.timer, new_build, "1.1.0", runner_name, tasks);
  for (int turn = 0; turn < 200; ++turn) {
    auto snapshot = node.run(cluster->observe(soon()));
    if (!snapshot) throw std::runtime_error(snapshot.error().message());
    const auto& state = *snapshot->state;
    if (state.mode == cluster::Mode::off) return true;
    if (cluster::derive_phase(*snapshot).phase == cluster::Phase::UPGRADE_TASKS_FAILED) return false;
    if (!state.expand_done) {
      if (!node.run(runner.expand([](std::string) {}, soon()))) return false;
      continue;
    }
    Heartbeat beat;
    beat.id = "id-n1";
    beat.incarnation = "1-1";
    beat.gates_in_use = state.gates;
    if (!node.run(cluster->renew(beat, soon()))) return false;
    const bool caught_up = std::ranges::any_of(snapshot->tasks, [](const auto& task) {
      return task.kind == TaskKind::backfill && task.state == cluster::TaskState::recheck && task.total > 0;
    });
    if (!state.finalize_requested_ms && caught_up) {
      auto approved = node.run(cluster->apply(cluster::Command::approve, "test", std::nullopt, std::nullopt, soon()));
      if (!approved) throw std::runtime_error(approved.error().message());
      continue;
    }
    (void)node.run(finalizer.step(state, soon()));
  }
  throw std::runtime_error("the upgrade gets nowhere");
}

/// A runner in a process of its own; the signal that ended it, or 0.
int in_a_process(const std::string& connection, const std::string& name, int dies_at,
                 const std::vector<UpgradeTask>& tasks) {
  const pid_t child = fork();
  if (child == 0) {
    // Never back into the test program, whose servers and sockets are the parent's.
    try {
      Node node(connection, new_build, tasks);
      Mortal database(*node.database, dies_at);
      _exit(carry_on(node, database, name, tasks) ? 0 : 1);
    } catch (const std::exception& error) {
      fprintf(stderr, "runner %s: %s\n", name.c_str(), error.what());
      _exit(2);
    }
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) < 2) << name;
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/// Its lease would run out five seconds later.
void age_lease(Session& session) {
  ASSERT_EQ(session.run("update upgrade_task set lease_until = clock_timestamp() where lease_until is not null"), "");
}

void expect_done_once(Session& site) {
  EXPECT_EQ(site.value("select string_agg(what, ', ' order by what) from work"),
            "contract 1, contract 2, expand 1, expand 2, expand 4, relax 1, relax 2");
  EXPECT_EQ(site.value("select string_agg(body_new || ' ' || computed, ', ' order by id) from doc"),
            "TEXT 1 1, TEXT 2 1, TEXT 3 1, TEXT 4 1, TEXT 5 1");
  EXPECT_EQ(site.value("select indisvalid from pg_index where indexrelid = 'doc_todo'::regclass"), "t");
  EXPECT_EQ(site.value("select string_agg(concat_ws(' ', kind, state, done), ', ' order by ordinal) from upgrade_task"),
            "expand done 0, backfill done 5, contract done 0");
  EXPECT_EQ(site.value("select concat_ws(' ', cluster_version, min_build, max_build, gates, min_gates, mode) from "
                       "cluster_state"),
            "1.1.0 10010009 10010009 2 2 off");
  EXPECT_EQ(site.value("select string_agg(kind, ' ' order by seq) from cluster_event"),
            "expand_done approve cluster_version_raised gates_fenced task_done stable");
}

class KilledTaskRunner : public testing::Test {
 protected:
  // Each of the upgrades here would be told in a line.
  void SetUp() override { server::set_log_level("warning"); }
  void TearDown() override { server::set_log_level("info"); }
};

TEST_F(KilledTaskRunner, IsFollowedByOneThatFinishesWhereverItDied) {
  test::Database site("protocol", test::fill_cluster);
  Session session(site);
  const auto tasks = make_tasks();
  std::vector<Mortal::Point> points;
  {
    ASSERT_EQ(session.run(begin_sql), "");
    Node node(site, new_build, tasks);
    Mortal database(*node.database, 0);
    ASSERT_TRUE(carry_on(node, database, "only", tasks));
    points = database.points;
    ASSERT_NO_FATAL_FAILURE(expect_done_once(session));
  }
  // The first, the last statement of each transaction, and after each change.
  const auto telling = std::ranges::count_if(points, &Mortal::Point::tells);
  ASSERT_GT(telling, 40);
  RecordProperty("points", static_cast<int>(telling));
  Node next(site, new_build, tasks);
  for (std::size_t i = 0; i < points.size() && !testing::Test::HasFailure(); ++i) {
    if (!points[i].tells) continue;
    SCOPED_TRACE("killed before point " + std::to_string(i + 1) + ": " + points[i].what);
    ASSERT_EQ(session.run(begin_sql), "");
    ASSERT_EQ(in_a_process(site.connection(), "killed", static_cast<int>(i) + 1, tasks), SIGKILL);
    ASSERT_NO_FATAL_FAILURE(age_lease(session));
    ASSERT_TRUE(carry_on(next, *next.database, "next", tasks))
        << site.query("select error from upgrade_task where error <> ''");
    expect_done_once(session);
  }
}

TEST_F(KilledTaskRunner, LeavesAnInvalidIndexThatIsBuiltAgain) {
  test::Database site("protocol", test::fill_cluster);
  Session session(site), reader(site);
  const auto tasks = make_tasks();
  ASSERT_EQ(session.run(begin_sql), "");
  // Whoever builds an index concurrently waits for snapshots that are older.
  ASSERT_EQ(reader.run("begin isolation level repeatable read; select 1 from member"), "");
  const pid_t child = fork();
  if (child == 0) {
    Node node(site.connection(), new_build, tasks);
    carry_on(node, *node.database, "killed", tasks);
    _exit(0);
  }
  const std::string builds =
      "pg_stat_activity where datname = current_database() and query like 'create index concurrently%' "
      "and wait_event_type = 'Lock'";
  EXPECT_TRUE(test::eventually(5s, [&] { return site.query("select count(*) from " + builds) == "1"; }));
  ASSERT_EQ(kill(child, SIGKILL), 0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  // The server learns of it when its keep-alives are not answered; here at once.
  EXPECT_EQ(site.query("select count(pg_terminate_backend(pid, 2000)) from " + builds), "1");
  ASSERT_EQ(site.query("select indisvalid from pg_index where indexrelid = 'doc_todo'::regclass"), "f");
  ASSERT_EQ(reader.run("commit"), "");
  ASSERT_NO_FATAL_FAILURE(age_lease(session));
  Node next(site, new_build, tasks);
  EXPECT_TRUE(carry_on(next, *next.database, "next", tasks));
  expect_done_once(session);
}

TEST_F(KilledTaskRunner, ATaskThatKillsThreeIsFailedUntilRetry) {
  test::Database site("protocol", test::fill_cluster);
  Session session(site);
  ASSERT_EQ(session.run(begin_sql), "");
  const auto good = make_tasks(), killers = make_tasks(deadly);
  Node node(site, new_build, good);
  {
    TaskRunner runner(*node.database, node.clock, node.timer, new_build, "n0", good);
    ASSERT_TRUE(node.run(runner.expand([](std::string) {}, soon())));
  }
  ASSERT_TRUE(node.run(node.cluster->apply(cluster::Command::approve, "test", std::nullopt, std::nullopt, soon())));
  for (const char* name : {"n1", "n2", "n3"}) {
    EXPECT_EQ(in_a_process(site.connection(), name, 0, killers), SIGKILL);
    EXPECT_EQ(site.query("select concat_ws(' ', state, runner) from upgrade_task where kind = 'backfill'"),
              std::string("running ") + name);
    ASSERT_NO_FATAL_FAILURE(age_lease(session));
  }
  EXPECT_EQ(in_a_process(site.connection(), "n4", 0, killers), 0) << "the fourth node must not be taken down";
  EXPECT_EQ(site.query("select sum(computed) from doc"), "0") << "none of their batches counts";
  auto snapshot = node.run(node.cluster->observe(soon()));
  ASSERT_TRUE(snapshot);
  const auto phase = cluster::derive_phase(*snapshot);
  EXPECT_EQ(phase.phase, cluster::Phase::UPGRADE_TASKS_FAILED);
  for (const char* word : {"1.1.0/forms/backfill", "n3", "three runners were lost"})
    EXPECT_NE(phase.reason.find(word), std::string::npos) << word << " is not in: " << phase.reason;
  EXPECT_EQ(site.query("select concat_ws(' ', state, attempts) from upgrade_task where kind = 'backfill'"), "failed 3");

  auto retried = node.run(node.cluster->apply(cluster::Command::retry, "admin", std::nullopt, std::nullopt, soon()));
  ASSERT_TRUE(retried) << retried.error().message();
  EXPECT_EQ(site.query("select concat_ws(' ', state, attempts, error) from upgrade_task where kind = 'backfill'"),
            "pending 0 ");
  EXPECT_TRUE(carry_on(node, *node.database, "n4", good));
  EXPECT_EQ(site.query("select sum(computed) from doc"), "5");
  EXPECT_EQ(site.query("select mode from cluster_state"), "off");
}

}  // namespace
}  // namespace afloat::store
