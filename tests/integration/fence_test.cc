#include <gtest/gtest.h>

#include <thread>

#include "store/schema.h"
#include "support/protocol.h"

/// The fence: which ways of writing it stops, and which of the obvious ones it does not. Those that commit prove
/// that the interleaving is the dangerous one; each is the reason for a line of afloat_write, or of the rule that
/// it comes first in its transaction.
namespace afloat::store {
namespace {

using namespace std::chrono_literals;
using test::new_build;
using test::Node;
using test::old_build;
using test::Session;
using test::soon;

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  if (at == std::string::npos) throw std::runtime_error("not in afloat_write: " + from);
  return text.replace(at, from.size(), to);
}

#define AFLOAT_NARROW "update cluster_state set min_build = 10010009, max_build = 10010009"
constexpr const char* fence_lock = "begin; select pg_advisory_xact_lock(4117, 1);" AFLOAT_NARROW;
constexpr const char* table_lock = "begin; lock table cluster_state in exclusive mode;" AFLOAT_NARROW;
constexpr const char* row_only = "begin;" AFLOAT_NARROW;
/// Whether the writer stands still until the fence is committed.
enum class Meets { waits, passes };

struct Form {
  const char *name, *sql;  ///< the old writer, build 10000009
  const char* state;       ///< its SQLSTATE; "" = it commits
  Meets meets = Meets::waits;
  const char* fence = fence_lock;
};
void PrintTo(const Form& form, std::ostream* out) { *out << form.name; }

#define AFLOAT_CHECK "select 1 / (10000009 between min_build and max_build)::int from cluster_state"
#define AFLOAT_WRITE ";update doc set body = 'old'; commit"
#define AFLOAT_APART "select pg_advisory_xact_lock_shared(4117, 1);" AFLOAT_CHECK AFLOAT_WRITE
#define AFLOAT_BY(function) "select " function "(10000009, 1)" AFLOAT_WRITE
#define AFLOAT_BEGIN(level) "begin isolation level " level ";"
#define AFLOAT_TABLE "lock table cluster_state in row share mode;" AFLOAT_CHECK AFLOAT_WRITE

const Form forms[] = {
    {"ApartReadCommitted", AFLOAT_BEGIN("read committed") AFLOAT_APART, "22012"},
    {"ApartRepeatableRead", AFLOAT_BEGIN("repeatable read") AFLOAT_APART, ""},
    {"ApartSerializable", AFLOAT_BEGIN("serializable") AFLOAT_APART, ""},  // legal: in serial order it came first
    {"Function", AFLOAT_BEGIN("read committed") AFLOAT_BY("afloat_write"), "AF001"},
    {"FunctionImplicit", "select afloat_write(10000009, 1); update doc set body = 'old'", "AF001"},
    {"FunctionRepeatableRead", AFLOAT_BEGIN("repeatable read") AFLOAT_BY("afloat_write"), "AF002", Meets::passes},
    {"FunctionSerializable", AFLOAT_BEGIN("serializable") AFLOAT_BY("afloat_write"), "AF002", Meets::passes},
    {"UncheckedRepeatableRead", AFLOAT_BEGIN("repeatable read") AFLOAT_BY("write_unchecked"), ""},
    {"StableFunction", AFLOAT_BEGIN("read committed") AFLOAT_BY("write_stable"), ""},
    {"OneStatement",
     "with l as materialized (select pg_advisory_xact_lock_shared(4117, 1)::text as held) update doc set body = 'old' "
     "from l, cluster_state s where l.held = '' and 10000009 between s.min_build and s.max_build",
     ""},
    {"AnswersNoRow",  // too late in a pipeline: what follows is on the wire already
     AFLOAT_BEGIN(
         "read committed") "select pg_advisory_xact_lock_shared(4117, 1);"
                           "select 1 from cluster_state where 10000009 between min_build and max_build" AFLOAT_WRITE,
     ""},
    {"Autocommit", "update doc set body = 'old'", "", Meets::passes},
    {"CheckInWhere",
     "update doc set body = 'old' where 10000009 between (select min_build from cluster_state) and (select max_build "
     "from cluster_state)",
     "", Meets::passes},
    {"SavepointAfterTheCheck",
     "begin; select afloat_write(10000009, 1); savepoint s; update doc set body = 'x'; rollback to s" AFLOAT_WRITE,
     "AF001"},
    {"RowShareReadCommitted", AFLOAT_BEGIN("read committed") AFLOAT_TABLE, "22012", Meets::waits, table_lock},
    {"RowShareRepeatableRead", AFLOAT_BEGIN("repeatable read") AFLOAT_TABLE, "22012", Meets::waits, table_lock},
    {"RowShareSerializable", AFLOAT_BEGIN("serializable") AFLOAT_TABLE, "22012", Meets::waits, table_lock},
    {"ForShareReadCommitted", AFLOAT_BEGIN("read committed") AFLOAT_CHECK " for share" AFLOAT_WRITE, "22012",
     Meets::waits, row_only},
    {"ForShareRepeatableRead", AFLOAT_BEGIN("repeatable read") AFLOAT_CHECK " for share" AFLOAT_WRITE, "40001",
     Meets::waits, row_only},
};

class Fence : public testing::TestWithParam<Form> {};

TEST_P(Fence, OldWriterThatWaitedForIt) {
  test::Database site("protocol", test::fill_cluster);
  std::string function;
  for (auto statement : cluster_schema())
    if (statement.starts_with("create function afloat_write(")) function = statement;
  Session fence(site), writer(site);
  const auto stable = replaced(replaced(function, "volatile", "stable"), "afloat_write(", "write_stable(");
  const auto unchecked =
      replaced(replaced(function, "<> 'read committed'", "= 'none'"), "afloat_write(", "write_unchecked(");
  for (const auto& made : {stable, unchecked}) ASSERT_EQ(fence.run(made), "");
  ASSERT_EQ(fence.run(GetParam().fence), "");
  writer.send(GetParam().sql);
  if (GetParam().meets == Meets::waits) {
    ASSERT_TRUE(test::eventually(5s, [&] { return test::waiting_sessions(site) == 1; })) << "it must meet the fence";
    ASSERT_EQ(fence.run("commit"), "");
    EXPECT_EQ(writer.finish(), GetParam().state);
  } else {
    EXPECT_EQ(writer.finish(), GetParam().state);
    ASSERT_EQ(fence.run("commit"), "");
  }
  EXPECT_EQ(site.query("select body from doc"), *GetParam().state == '\0' ? "old" : "first");
}
INSTANTIATE_TEST_SUITE_P(Forms, Fence, testing::ValuesIn(forms), [](const auto& info) { return info.param.name; });

const std::string fence_locks =
    "select count(*) from pg_locks where locktype = 'advisory' and classid = 4117 and objid = 1 and granted and "
    "database "
    "= (select oid from pg_database where datname = current_database())";
/// The fence as approve takes it, once: 55P03 while a fenced transaction is open.
constexpr const char* try_fence =
    "begin; set local lock_timeout = '50ms'; select pg_advisory_xact_lock(4117, 1);" AFLOAT_NARROW "; commit";

TEST(FenceAndCopy, CopyAfterTheChecksAnswerIsFenced) {
  test::Database site("protocol", test::fill_cluster);
  Session fence(site), writer(site);
  // Before the fence: it holds the fence off until it has committed.
  ASSERT_EQ(writer.run("begin; select afloat_write(10000009, 1)"), "");
  ASSERT_EQ(writer.run("copy doc from stdin"), "");
  EXPECT_EQ(fence.run(try_fence), "55P03") << "the fence must not pass an open write";
  ASSERT_EQ(fence.run("rollback"), "");
  ASSERT_EQ(writer.copy("2\tin time\n"), "");
  ASSERT_EQ(writer.run("commit"), "");
  // Behind it: refused, and no COPY is begun.
  ASSERT_EQ(fence.run(fence_lock), "");
  writer.send("begin; select afloat_write(10000009, 1); copy doc from stdin");
  ASSERT_TRUE(test::eventually(5s, [&] { return test::waiting_sessions(site) == 1; })) << "it must meet the fence";
  ASSERT_EQ(fence.run("commit"), "");
  EXPECT_EQ(writer.finish(), "AF001");
  EXPECT_EQ(writer.copy("3\ttoo late\n"), "no COPY is under way");
  EXPECT_EQ(writer.run("commit"), "");
  EXPECT_EQ(site.query("select string_agg(body, ',' order by id) from doc"), "first,in time");
}

TEST(FenceAndCopy, CopyWithoutTheCallCommits) {
  test::Database site("protocol", test::fill_cluster);
  Session fence(site), writer(site);
  ASSERT_EQ(writer.run("copy doc from stdin"), "");
  ASSERT_EQ(fence.run(try_fence), "") << "nothing holds it off";
  EXPECT_EQ(writer.copy("2\ttoo late\n"), "");
  EXPECT_EQ(site.query("select count(*) from doc"), "2");
}

TEST(FenceAndSavepoints, TheLockGoesWithTheSavepointThatItWasTakenIn) {
  test::Database site("protocol", test::fill_cluster);
  Session fence(site), writer(site);
  ASSERT_EQ(writer.run("begin; savepoint s; select afloat_write(10000009, 1)"), "");
  ASSERT_EQ(site.query(fence_locks), "1");
  ASSERT_EQ(writer.run("rollback to savepoint s"), "");
  EXPECT_EQ(site.query(fence_locks), "0");
  ASSERT_EQ(fence.run(try_fence), "");
  EXPECT_EQ(writer.run("update doc set body = 'unfenced'; commit"), "");
  EXPECT_EQ(site.query("select body from doc"), "unfenced") << "the reason for: before any savepoint";
}

TEST(FenceAndSavepoints, TakenFirstItStaysToTheEndOfTheTransaction) {
  test::Database site("protocol", test::fill_cluster);
  Session fence(site), writer(site);
  ASSERT_EQ(writer.run("begin; select afloat_write(10000009, 1); savepoint s; update doc set body = 'x';"
                       "rollback to savepoint s"),
            "");
  EXPECT_EQ(site.query(fence_locks), "1");
  EXPECT_EQ(fence.run(try_fence), "55P03");
  ASSERT_EQ(fence.run("rollback"), "");
  ASSERT_EQ(writer.run("update doc set body = 'fenced'; commit"), "");
  ASSERT_EQ(fence.run(try_fence), "");
  EXPECT_EQ(writer.run("begin; select afloat_write(10000009, 1)"), "AF001");
  EXPECT_EQ(site.query("select body from doc"), "fenced");
}

/// What a node that is frozen in the middle of a write leaves behind.
enum class Frozen { in_transaction, in_batch };
class FenceAndFrozenNode : public testing::TestWithParam<Frozen> {};

TEST_P(FenceAndFrozenNode, ApproveGetsThroughAndNoHealthyWriteWaits) {
  test::Database site;
  Node node(site, new_build);
  ASSERT_NO_FATAL_FAILURE(test::make_ready(node, site));
  Session frozen(site);
  ASSERT_EQ(
      frozen.run("create table doc (id int primary key, body text); insert into doc values (1, 'first'), (2, '')"), "");
  // Nothing ends a batch half sent: it shows as active, waiting for its client, and no timeout applies.
  ASSERT_EQ(frozen.run("set idle_in_transaction_session_timeout = 0"), "");
  const std::string check = "select afloat_write(10000009, 1)", update = "update doc set body = 'old' where id = 1";
  const bool batch = GetParam() == Frozen::in_batch;
  ASSERT_EQ(batch ? frozen.begin_batch(check) : frozen.run("begin;" + check), "");
  EXPECT_EQ(site.query("select state from pg_stat_activity where pid in (select pid from pg_locks where locktype = "
                       "'advisory' and classid = 4117 and objid = 1)"),
            batch ? "active" : "idle in transaction");

  std::atomic<bool> ended = false;
  std::chrono::steady_clock::duration worst{};
  int writes = 0;
  std::thread healthy([&] {
    Node other(site, new_build);
    while (!ended) {
      const auto begun = std::chrono::steady_clock::now();
      auto written = other.run(other.database->write(
          Gates{1, old_build}, {{"update doc set body = body || '+' where id = 2", {}}}, {{"page", "2"}}, soon()));
      if (!written) ADD_FAILURE() << written.error().message();
      if (++writes > 1) worst = std::max(worst, std::chrono::steady_clock::now() - begun);  // the first one connects
    }
  });
  EXPECT_TRUE(test::eventually(5s, [&] { return site.query("select length(body) > 9 from doc where id = 2") == "t"; }));
  const auto begun = std::chrono::steady_clock::now();
  auto approved = node.run(node.cluster->apply(cluster::Command::approve, "test", std::nullopt, std::nullopt, soon()));
  const auto took = std::chrono::steady_clock::now() - begun;
  ended = true;
  healthy.join();
  EXPECT_TRUE(approved) << approved.error().message();
  EXPECT_LT(took, 2s);
  RecordProperty("worst_write_ms", static_cast<int>(worst / 1ms));
  RecordProperty("approve_ms", static_cast<int>(took / 1ms));
  EXPECT_LT(worst, 100ms) << "of " << writes << ": they must not queue behind the fence for longer than one try, 50 ms";
  // It wakes up and goes on.
  EXPECT_NE(batch ? frozen.end_batch(update) : frozen.run(update + "; commit"), "");
  EXPECT_EQ(site.query("select body from doc where id = 1"), "first");
}
INSTANTIATE_TEST_SUITE_P(At, FenceAndFrozenNode, testing::Values(Frozen::in_transaction, Frozen::in_batch),
                         [](const auto& info) {
                           return info.param == Frozen::in_batch ? "BatchHalfSent" : "OpenTransaction";
                         });

TEST(FenceCheck, FindsWritesThatGoRoundTheFence) {
  test::Database site;
  Node node(site);
  auto admitted = node.run(node.cluster->admit(test::candidate("n1", old_build), soon()));
  ASSERT_TRUE(admitted) << admitted.error().message();
  ASSERT_NO_FATAL_FAILURE(test::install_fence_check(site.connection()));
  Session writer(site);
  const std::string check = "select afloat_write(10000009, 1);";
  const std::string insert = "insert into space (key, name) values ('T', 'Test')";
  EXPECT_EQ(writer.run(insert), "AF004");
  EXPECT_EQ(writer.run("begin;" + check + insert + "; commit"), "");
  EXPECT_EQ(writer.run("update space set name = 'x'"), "AF004") << "even where the session has called it before";
  EXPECT_EQ(writer.run("delete from space where false"), "AF004") << "even where there is no row";
  EXPECT_EQ(writer.run("begin; savepoint s;" + check + "rollback to s; update space set name = 'x'"), "AF004");
  EXPECT_EQ(writer.run("rollback"), "");
  ASSERT_EQ(writer.run("copy space (key, name) from stdin"), "");
  EXPECT_EQ(writer.copy("U\tU\n"), "AF004");
  EXPECT_EQ(site.query("select string_agg(name, ',') from space"), "Test");
  // And lets the product's own ways through.
  EXPECT_TRUE(node.run(node.database->write(Gates{1, old_build}, {{"update space set name = 'y'", {}}}, {}, soon())));
}

}  // namespace
}  // namespace afloat::store
