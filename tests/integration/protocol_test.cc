#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <thread>

#include "adapters/asio/runtime.h"
#include "adapters/postgres/database.h"
#include "store/change_log.h"
#include "store/cluster_store.h"
#include "store/finalize_steps.h"
#include "store/schema.h"
#include "store/upgrade_task.h"
#include "support/support.h"

/// The cluster protocol against a real PostgreSQL, with interleavings that are held open on purpose.
namespace afloat::store {

namespace {

using namespace std::chrono_literals;
using cluster::AdmissionDecision;
using cluster::AdmissionOutcome;

constexpr int old_build = 10000009, new_build = 10010009;

Deadline soon() { return std::chrono::steady_clock::now() + 8s; }

/// One database session of which the test says when it does what. Every answer is a SQLSTATE, "" for success.
class Session {
 public:
  explicit Session(const test::Database& database) : Session(database.connection()) {}
  explicit Session(const std::string& connection) : connection_(PQconnectdb(connection.c_str())) {
    if (PQstatus(connection_) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(connection_));
  }
  ~Session() { PQfinish(connection_); }
  void send(const std::string& sql) { ASSERT_EQ(PQsendQuery(connection_, sql.c_str()), 1); }
  std::string finish() {
    std::string state;
    while (PGresult* result = PQgetResult(connection_)) {
      if (const char* code = PQresultErrorField(result, PG_DIAG_SQLSTATE); code != nullptr && state.empty())
        state = code;
      PQclear(result);
    }
    return state;
  }
  std::string run(const std::string& sql) {
    send(sql);
    return finish();
  }

 private:
  PGconn* connection_;
};

/// One node's way to the database, with a loop of its own. One thread at a time.
struct Node {
  boost::asio::io_context context{1};
  boost::asio::thread_pool blocking{1};
  SystemClock clock;
  AsioTimer timer{context.get_executor()};
  std::unique_ptr<Database> database;
  std::unique_ptr<ClusterStore> cluster;

  explicit Node(const test::Database& site, int build = old_build) {
    postgres::Options options;
    options.connection = site.connection();
    options.application_name = "node";
    options.build = build;
    database = postgres::make_database(context, blocking, options);
    cluster = make_cluster_store(*database, clock, timer);
  }
  template <class T>
  Result<T> run(Task<T> task) {
    std::optional<Result<T>> outcome;
    boost::asio::co_spawn(context, std::move(task), [&](std::exception_ptr failure, Result<T> result) {
      if (failure) std::rethrow_exception(failure);
      outcome.emplace(std::move(result));
    });
    context.restart();
    while (!outcome)
      if (context.run_one_for(15s) == 0) throw std::runtime_error("the call never ended");
    return std::move(*outcome);
  }
};

cluster::Candidate candidate(const std::string& name, int build, const std::string& incarnation = "1-1") {
  cluster::Candidate c;
  c.id = "id-" + name;
  c.name = name;
  c.host = "host1";
  c.address = "127.0.0.1";
  c.port = 1;
  c.version = {1, build == new_build ? 1 : 0, 0, {}};
  c.build = build;
  c.incarnation = incarnation;
  c.started_at_ms = 1;
  return c;
}

void fill(const std::string& connection) {
  std::string all;
  for (auto statement : cluster_schema()) all += std::string(statement) + ";";
  all +=
      "insert into cluster_state (cluster_version, min_build, max_build) values ('1.0.0', 10000009, 10000009);"
      "create table doc (id int primary key, body text); insert into doc (id, body) values (1, 'first')";
  if (const auto state = Session(connection).run(all); !state.empty()) throw std::runtime_error(state);
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  if (at == std::string::npos) throw std::runtime_error("not in afloat_write: " + from);
  return text.replace(at, from.size(), to);
}

const std::string our_locks =
    "locktype = 'advisory' and classid = 4117 and database = (select oid from pg_database where datname = "
    "current_database())";
const std::string waiting_sql = "select count(*) from pg_locks where not granted and " + our_locks;

struct Form {
  const char *name, *sql;  ///< the old writer, build 10000009
  const char* state;       ///< its SQLSTATE; "" = it commits
  bool waits = true;       ///< for the fence
};
void PrintTo(const Form& form, std::ostream* out) { *out << form.name; }

#define AFLOAT_APART                                                               \
  "select pg_advisory_xact_lock_shared(4117, 1);"                                  \
  "select 1 / (10000009 between min_build and max_build)::int from cluster_state;" \
  "update doc set body = 'old'; commit"
#define AFLOAT_BY(function) "select " function "(10000009, 1); update doc set body = 'old'; commit"

// Those that commit are proof that the interleaving is the dangerous one, and reasons for each line of afloat_write.
const Form forms[] = {
    {"ApartReadCommitted", "begin isolation level read committed;" AFLOAT_APART, "22012"},
    {"ApartRepeatableRead", "begin isolation level repeatable read;" AFLOAT_APART, ""},
    {"Function", "begin isolation level read committed;" AFLOAT_BY("afloat_write"), "AF001"},
    {"FunctionImplicit", "select afloat_write(10000009, 1); update doc set body = 'old'", "AF001"},
    {"FunctionRepeatableRead", "begin isolation level repeatable read;" AFLOAT_BY("afloat_write"), "AF002", false},
    {"UncheckedRepeatableRead", "begin isolation level repeatable read;" AFLOAT_BY("write_unchecked"), ""},
    {"StableFunction", "begin isolation level read committed;" AFLOAT_BY("write_stable"), ""},
    {"OneStatement",
     "with l as materialized (select pg_advisory_xact_lock_shared(4117, 1)::text as held) update doc set body = 'old' "
     "from l, cluster_state s where l.held = '' and 10000009 between s.min_build and s.max_build",
     ""},
};

class Fence : public testing::TestWithParam<Form> {};

TEST_P(Fence, OldWriterThatWaitedForIt) {
  test::Database site("protocol", fill);
  std::string function;
  for (auto statement : cluster_schema())
    if (statement.starts_with("create function afloat_write(")) function = statement;
  Session fence(site), writer(site);
  const auto stable = replaced(replaced(function, "volatile", "stable"), "afloat_write(", "write_stable(");
  const auto unchecked =
      replaced(replaced(function, "<> 'read committed'", "= 'none'"), "afloat_write(", "write_unchecked(");
  ASSERT_EQ(fence.run(stable), "");
  ASSERT_EQ(fence.run(unchecked), "");
  ASSERT_EQ(fence.run("begin; select pg_advisory_xact_lock(4117, 1);"
                      "update cluster_state set min_build = 10010009, max_build = 10010009"),
            "");
  writer.send(GetParam().sql);
  if (GetParam().waits)
    ASSERT_TRUE(test::eventually(5s, [&] { return site.query(waiting_sql) == "1"; })) << "it must meet the fence";
  ASSERT_EQ(fence.run("commit"), "");
  EXPECT_EQ(writer.finish(), GetParam().state);
  EXPECT_EQ(site.query("select body from doc"), *GetParam().state == '\0' ? "old" : "first");
}
INSTANTIATE_TEST_SUITE_P(Forms, Fence, testing::ValuesIn(forms), [](const auto& info) { return info.param.name; });

TEST(Protocol, StaleGatesAreRefusedAfterTheSecondFence) {
  test::Database site("protocol", fill);
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

/// A site ready for approve: n1 ACTIVE on the target, and the original may still join.
void make_ready(Node& node, const test::Database& site) {
  auto admitted = node.run(node.cluster->admit(candidate("n1", old_build), soon()));
  ASSERT_TRUE(admitted) << admitted.error().message();
  auto started = node.run(node.cluster->apply(cluster::Command::start, "test", new_build, std::nullopt, soon()));
  ASSERT_TRUE(started) << started.error().message();
  ASSERT_EQ(site.query("update cluster_state set expand_done = true, max_build = target_build returning 1"), "1");
  admitted = node.run(node.cluster->admit(candidate("n1", new_build, "1-2"), soon()));
  ASSERT_TRUE(admitted && admitted->outcome == AdmissionOutcome::admit);
  ASSERT_TRUE(node.run(node.cluster->set_state("id-n1", "1-2", cluster::NodeState::ACTIVE, false, soon())));
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
  test::Database site("protocol", fill);
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
  test::Database site("protocol", fill);
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
