#include <gtest/gtest.h>

#include "cluster/task_ledger.h"
#include "store/finalize_steps.h"
#include "store/upgrade_task.h"
#include "support/protocol.h"

/// A table with an old and a new form of the same text, while nodes of both releases write it: every order of
/// their writes, of the backfill's batches, and of a cancelled upgrade that is begun again.
namespace afloat::store {
namespace {

using namespace std::chrono_literals;
using cluster::TaskKind;
using test::new_build;
using test::Node;
using test::old_build;
using test::Session;
using test::soon;

// The new form is the text in capitals. One batch takes every row, so that each order of whole steps is an order
// for each row; what happens inside a batch has a test of its own.
Task<std::int64_t> batch(Transaction& transaction) {
  auto rows = co_await transaction.run(
      {"with todo as (select id from doc where body_new is null order by id for update skip locked) "
       "update doc set body_new = upper(body) from todo where doc.id = todo.id",
       {}});
  if (!rows) co_return std::unexpected(rows.error());
  co_return rows->affected;
}

constexpr std::string_view trigger_sql =
    "create trigger doc_form_sync before update of body on doc for each row execute function doc_form_sync()";
constexpr std::string_view no_trigger_sql = "select 1";

std::vector<UpgradeTask> make_tasks(std::string_view trigger) {
  auto expand = UpgradeTask::make("1.1.0", "forms", TaskKind::expand, 1);
  expand.steps = {{"alter table doc add column body_new text"},
                  {"create or replace function doc_form_sync() returns trigger language plpgsql as $$ begin "
                   "if new.body is distinct from old.body and new.body_new is not distinct from old.body_new then "
                   "new.body_new := null; end if; return new; end $$"},
                  {trigger}};
  auto backfill = UpgradeTask::make("1.1.0", "forms", TaskKind::backfill, 2);
  backfill.batch = batch;
  backfill.remaining_sql = "select count(*) from doc where body_new is null";
  auto contract = UpgradeTask::make("1.1.0", "forms", TaskKind::contract, 3);
  contract.relax = {"alter table doc alter column body drop not null"};
  contract.steps = {{"drop trigger if exists doc_form_sync on doc"}, {"alter table doc drop column body"}};
  std::vector<UpgradeTask> tasks{std::move(expand), std::move(backfill), std::move(contract)};
  for (auto& task : tasks) task.seal();
  return tasks;
}

/// One order of steps: w (a write), b (a batch of the backfill), c (cancel; the next c begins a second run). Rows stand
/// for the ways to share the writes out between the releases: bit i of a row's number set: its write i is the new
/// release's. So one course through the steps is all orders of old and new writes with them. Between cancel and
/// the second run all writes are the old release's.
class TwoForms {
 public:
  explicit TwoForms(std::string_view trigger) : tasks_(make_tasks(trigger)) {}

  /// Mismatches found.
  int run(const std::string& steps) {
    found_ = 0;
    steps_ = steps;
    writes_ = static_cast<int>(std::ranges::count(steps, 'w'));
    begin();
    int write = 0;
    for (std::size_t at = 0; at < steps.size() && !testing::Test::HasFatalFailure(); ++at) {
      if (steps[at] == 'w') this->write(write++);
      if (steps[at] == 'b' && !cancelled_) backfill(TaskRunner::Pass::early);
      if (steps[at] == 'c') cancelled_ ? start() : cancel();
      compare("after step " + std::to_string(at + 1));
    }
    if (cancelled_) start();
    if (!testing::Test::HasFatalFailure()) finish();
    return found_;
  }
  std::string first_mismatch;

 private:
  void begin() {
    ASSERT_EQ(
        session_.run("drop table if exists doc; truncate upgrade_task, cluster_state, member, member_lease, "
                     "member_load, cluster_event; create table doc (id int primary key, body text not null);"
                     "insert into doc select n, 'first' from generate_series(0, " +
                     std::to_string((1 << writes_) - 1) +
                     ") n; insert into cluster_state (cluster_version, min_build, max_build) values ('1.0.0', "
                     "10000009, 10000009);"
                     "insert into member (id, name, host, address, port, version, build, incarnation, state, "
                     "started_at) values ('id-n1', 'n1', 'host1', '127.0.0.1', 1, '1.0.0', 10000009, '1-1', "
                     "'ACTIVE', now()); insert into member_lease values ('id-n1', '1-1', now() + interval '1 h', 1)"),
        "");
    acknowledged_ = "first";
    start();
  }
  void start() {
    runner_ = std::make_unique<TaskRunner>(*new_.database, new_.clock, new_.timer, new_build, "n1", tasks_);
    apply(cluster::Command::start, new_build);
    auto expanded = new_.run(runner_->expand([](std::string) {}, soon()));
    ASSERT_TRUE(expanded) << expanded.error().message();
    roster(new_build);
    cancelled_ = false;
  }
  void cancel() {
    roster(old_build);
    apply(cluster::Command::cancel);
    cancelled_ = true;
  }
  void roster(int build) { ASSERT_EQ(session_.run("update member set build = " + std::to_string(build)), ""); }
  void apply(cluster::Command command, std::optional<int> target = std::nullopt) {
    auto done = new_.run(new_.cluster->apply(command, "test", target, std::nullopt, soon()));
    ASSERT_TRUE(done) << done.error().message();
  }

  void write(int number) {
    const auto text = "write " + std::to_string(number);
    const auto half = std::to_string(cancelled_ ? 0 : 1 << number);
    // An old node knows one form, a new one writes both until the gates have risen.
    saved(old_.run(old_.database->write(
        Gates{1, old_build}, {{"update doc set body = $1 where id & $2::int = 0", {text, half}}}, {}, soon())));
    auto by_new = new_.run(new_.database->write(
        Gates{1, old_build}, {{"update doc set body = $1, body_new = upper($1) where id & $2::int > 0", {text, half}}},
        {}, soon()));
    if (cancelled_) {
      ASSERT_FALSE(by_new);
      EXPECT_EQ(by_new.error().code(), "AF001");
    } else {
      saved(by_new);
    }
    acknowledged_ = text;
  }
  static void saved(const Result<std::vector<Rows>>& rows) { ASSERT_TRUE(rows) << rows.error().message(); }

  void backfill(TaskRunner::Pass pass) {
    auto done = new_.run(runner_->backfill_some(tasks_[1].declaration.id, Gates{1, old_build}, pass, soon()));
    ASSERT_TRUE(done) << done.error().message();
    finished_ = *done;
  }
  /// What each release reads now: old nodes the old form, new ones the new form where it is there.
  void compare(const std::string& when) {
    const auto body = session_.value("select count(*) from doc where body is distinct from '" + acknowledged_ + "'");
    const auto read = session_.value("select count(*) from doc where coalesce(body_new, upper(body)) <> upper('" +
                                     acknowledged_ + "')");
    if (body != "0" || read != "0") note(when, body + " rows differ in the old form, " + read + " in the new one");
  }
  void note(const std::string& when, const std::string& what) {
    if (found_++ == 0) first_mismatch = steps_ + ", " + when + ": " + what;
  }

  /// Finalize, with writes by nodes that have taken the new gates and by such that have not yet.
  void finish() {
    apply(cluster::Command::approve);
    finished_ = false;
    for (int i = 0; i < 10 && !finished_ && !testing::Test::HasFatalFailure(); ++i) backfill(TaskRunner::Pass::final);
    EXPECT_TRUE(finished_);
    compare("after the last pass");
    auto done = new_.run(runner_->relax(tasks_[2].declaration.id, soon()));
    ASSERT_TRUE(done) << done.error().message();
    done = new_.run(raise_cluster_version(*new_.database, "1.1.0", "n1", soon()));
    ASSERT_TRUE(done) << done.error().message();
    saved(new_.run(new_.database->write(Gates{2, new_build},
                                        {{"update doc set body_new = 'GATED' where id % 3 = 0", {}},
                                         {"insert into doc (id, body_new) values (-3, 'GATED')", {}}},
                                        {}, soon())));
    saved(new_.run(new_.database->write(
        Gates{1, old_build}, {{"update doc set body = 'both', body_new = 'BOTH' where id % 3 = 1", {}}}, {}, soon())));
    done = new_.run(second_fence(*new_.database, "n1", soon()));
    ASSERT_TRUE(done) << done.error().message();
    done = new_.run(runner_->contract(tasks_[2].declaration.id, soon()));
    ASSERT_TRUE(done) << done.error().message();
    done = new_.run(end_upgrade_mode(*new_.database, "n1", soon()));
    ASSERT_TRUE(done) << done.error().message();
    const auto lost = session_.value(
        "select count(*) from doc where body_new is distinct from case id % 3 when 0 then "
        "'GATED' when 1 then 'BOTH' else upper('" +
        acknowledged_ + "') end");
    if (lost != "0") note("after finalize", lost + " acknowledged writes are lost");
  }

  test::Database site_{"protocol", test::fill_cluster};
  const std::vector<UpgradeTask> tasks_;
  Session session_{site_};
  Node old_{site_, old_build, tasks_}, new_{site_, new_build, tasks_};
  std::unique_ptr<TaskRunner> runner_;
  std::string steps_, acknowledged_;
  int writes_ = 0, found_ = 0;
  bool finished_ = false, cancelled_ = false;
};

/// All words of these letters, up to this length.
std::vector<std::string> all_orders(std::string_view letters, std::size_t length) {
  std::vector<std::string> all{""};
  for (std::size_t from = 0; all[from].size() < length; ++from)
    for (char letter : letters) all.push_back(all[from] + letter);
  return all;
}

TEST(TwoFormsOfATable, AgreeInEveryOrderAndLoseNothing) {
  TwoForms forms(trigger_sql);
  auto orders = all_orders("wbc", 4);
  ASSERT_EQ(orders.size(), 1U + 3 + 9 + 27 + 81);
  // And whatever may come before and after a cancelled upgrade with a write in between.
  for (const auto& before : all_orders("wb", 2))
    for (const auto& after : all_orders("wb", 2)) orders.push_back(before + "cwc" + after);
  for (const auto& order : orders) {
    EXPECT_EQ(forms.run(order), 0) << forms.first_mismatch;
    if (testing::Test::HasFailure()) break;
  }
}

TEST(TwoFormsOfATable, WouldNotWithoutTheTrigger) {
  TwoForms forms(no_trigger_sql);
  EXPECT_EQ(forms.run("wb"), 0);
  EXPECT_GT(forms.run("bw"), 0) << "an old node's write after the backfill has passed";
  EXPECT_GT(forms.run("bcwc"), 0);
}

TEST(TwoFormsOfATable, ASaveDuringABatchIsNotOverwrittenByIt) {
  test::Database site("protocol", test::fill_cluster);
  Session session(site), backfill(site), writer(site);
  ASSERT_EQ(session.run("alter table doc add column body_new text"), "");
  const auto tasks = make_tasks(trigger_sql);
  for (const auto& step : tasks[0].steps)
    if (!step.sql.starts_with("alter")) ASSERT_EQ(session.run(std::string(step.sql)), "");
  const auto forms = [&] { return site.query("select concat_ws(' ', body, coalesce(body_new, 'none')) from doc"); };
  // The batch reads under the row's lock, so the save waits for it and then makes its work stale.
  ASSERT_EQ(backfill.run("begin; select body from doc where body_new is null for update skip locked"), "");
  writer.send("update doc set body = 'saved'");
  ASSERT_TRUE(test::eventually(5s, [&] { return test::waiting_sessions(site) == 1; }));
  ASSERT_EQ(backfill.run("update doc set body_new = 'FIRST'; commit"), "");
  ASSERT_EQ(writer.finish(), "");
  EXPECT_EQ(forms(), "saved none");
  // And a row that somebody else holds is skipped, to be met again.
  ASSERT_EQ(writer.run("begin; update doc set body = 'again'"), "");
  ASSERT_EQ(backfill.run("with todo as (select id from doc where body_new is null for update skip locked) update doc "
                         "set body_new = upper(body) from todo where doc.id = todo.id"),
            "");
  ASSERT_EQ(writer.run("commit"), "");
  EXPECT_EQ(forms(), "again none");
}

}  // namespace
}  // namespace afloat::store
