#include <thread>

#include "rollout/run_json.h"
#include "store/run_store.h"
#include "store/user_store.h"
#include "support/protocol.h"
#include "version/version.h"

/// The operations that the simulated database has as one serializable act each (src/sim/database.h): what their SQL,
/// which runs under READ COMMITTED, makes of two of them at once. docs/simulation.md says which test walks which.
namespace afloat::store {
namespace {

using cluster::AdmissionOutcome;
using cluster::Command;
using test::candidate;
using test::new_build;
using test::Node;
using test::old_build;
using test::Session;
using test::soon;
using namespace std::chrono_literals;

constexpr const char* cluster_row = "select 1 from cluster_state for update";

/// Holds `row`, starts `first` and then `second` when the one before waits, and lets them go in that order.
void at_once(const test::Database& site, const std::string& row, const std::function<void()>& first,
             const std::function<void()>& second) {
  Session gate(site);
  ASSERT_EQ(gate.run("set idle_in_transaction_session_timeout = 0"), "");
  ASSERT_EQ(gate.run("begin;" + row), "");
  std::thread one(first);
  EXPECT_TRUE(test::eventually(7s, [&] { return test::waiting_sessions(site) == 1; }))
      << "the first must meet the gate";
  std::thread two(second);
  EXPECT_TRUE(test::eventually(7s, [&] { return test::waiting_sessions(site) == 2; })) << "the second must wait too";
  EXPECT_EQ(gate.run("commit"), "");
  one.join();
  two.join();
}

/// In both orders, each on a site of its own that `prepare` made.
void in_both_orders(const std::string& row, const std::function<void(const test::Database&)>& prepare,
                    const std::function<void(const test::Database&)>& one,
                    const std::function<void(const test::Database&)>& other,
                    const std::function<void(const test::Database&)>& check) {
  for (const bool swapped : {false, true}) {
    SCOPED_TRACE(swapped ? "the other one first" : "in this order");
    test::Database site;
    ASSERT_NO_FATAL_FAILURE(prepare(site));
    const auto run = [&](bool it) { (it ? one : other)(site); };
    ASSERT_NO_FATAL_FAILURE(at_once(site, row, [&] { run(!swapped); }, [&] { run(swapped); }));
    check(site);
  }
}

Result<void> apply(const test::Database& site, Command command, int build = new_build) {
  Node node(site, build);
  std::optional<int> target;
  if (command == Command::start) target = build;
  return node.run(node.cluster->apply(command, "test", target, std::nullopt, soon()));
}
Result<void> admit(const test::Database& site, const std::string& name, int build, const std::string& incarnation) {
  Node node(site, build);
  auto decided = node.run(node.cluster->admit(candidate(name, build, incarnation), soon()));
  if (!decided) return std::unexpected(decided.error());
  if (decided->outcome == AdmissionOutcome::admit || decided->outcome == AdmissionOutcome::bootstrap) return {};
  return fail(ErrorKind::failed_precondition, decided->reason);
}
void bootstrap(const test::Database& site) { ASSERT_TRUE(admit(site, "n1", old_build, "1-1")); }
/// Upgrade mode is on and the window open; nobody has come with the target yet.
void with_open_window(const test::Database& site) {
  ASSERT_NO_FATAL_FAILURE(bootstrap(site));
  ASSERT_TRUE(apply(site, Command::start));
  ASSERT_EQ(site.query("update cluster_state set expand_done = true, max_build = target_build returning 1"), "1");
}
std::string word(const Result<void>& outcome) {
  return outcome ? "done" : std::string(to_string(outcome.error().kind()));
}

TEST(Operations, OfApproveAndCancelAtOnceOneIsRefused) {
  Result<void> approved, cancelled;
  in_both_orders(
      cluster_row,
      [](const test::Database& site) {
        Node node(site, new_build);
        ASSERT_NO_FATAL_FAILURE(test::make_ready(node, site));
      },
      [&](const test::Database& site) { approved = apply(site, Command::approve); },
      [&](const test::Database& site) { cancelled = apply(site, Command::cancel); },
      [&](const test::Database& site) {
        EXPECT_TRUE(approved) << approved.error().message();
        EXPECT_EQ(word(cancelled), "failed_precondition") << "a node runs the target";
        EXPECT_EQ(site.query("select concat_ws(' ', mode, min_build, max_build) from cluster_state"),
                  "on 10010009 10010009");
      });
}

// Each sees the other as an administrator when it begins.
TEST(Operations, OfTwoAdministratorsWhoTakeTheRightFromEachOtherOneKeepsIt) {
  const auto demote = [](const test::Database& site, std::int64_t id, Result<void>* outcome) {
    Node node(site, old_build);
    User before{.id = id, .name = "admin" + std::to_string(id), .administrator = true}, after = before;
    after.administrator = false;
    *outcome = node.run(change_user(*node.database, {1, old_build}, before, after, "test", soon()));
  };
  Result<void> one, other;
  in_both_orders(
      "select 1 from app_user order by id for update",
      [](const test::Database& site) {
        ASSERT_NO_FATAL_FAILURE(bootstrap(site));
        site.query(
            "insert into app_user (id, name, password_hash, administrator) values (1, 'admin1', '', true), "
            "(2, 'admin2', '', true) returning 1");
      },
      [&](const test::Database& site) { demote(site, 1, &one); },
      [&](const test::Database& site) { demote(site, 2, &other); },
      [&](const test::Database& site) {
        EXPECT_NE(one.has_value(), other.has_value());
        EXPECT_EQ(word(one ? other : one), "failed_precondition");
        EXPECT_EQ(site.query("select count(*) from app_user where administrator"), "1");
        EXPECT_EQ(site.query("select string_agg(kind, ' ') from cluster_event where kind like 'administrator%'"),
                  "administrator_revoked");
      });
}

TEST(Operations, OfTwoStartsAtOnceOneIsRefused) {
  Result<void> one, other;
  in_both_orders(
      cluster_row, bootstrap, [&](const test::Database& site) { one = apply(site, Command::start, 10000019); },
      [&](const test::Database& site) { other = apply(site, Command::start, new_build); },
      [&](const test::Database& site) {
        EXPECT_NE(one.has_value(), other.has_value());
        EXPECT_EQ(site.query("select target_build from cluster_state"), one ? "10000019" : "10010009");
        EXPECT_EQ(word(one ? other : one), "failed_precondition");
      });
}

TEST(Operations, OfCancelAndANewNodesAdmissionAtOnceNoNewNodeIsInAStableCluster) {
  Result<void> cancelled, joined;
  in_both_orders(
      cluster_row, with_open_window, [&](const test::Database& site) { cancelled = apply(site, Command::cancel); },
      [&](const test::Database& site) { joined = admit(site, "n2", new_build, "1-1"); },
      [&](const test::Database& site) {
        EXPECT_NE(cancelled.has_value(), joined.has_value());
        EXPECT_EQ(site.query("select concat_ws(' ', mode, max_build) from cluster_state"),
                  cancelled ? "off 10000009" : "on 10010009");
        EXPECT_EQ(site.query("select count(*) from member where build = 10010009"), cancelled ? "0" : "1");
      });
}

TEST(Operations, OfExpandsEndAndCancelAtOnceTheWindowIsNotLeftOpen) {
  Result<void> cancelled, expanded;
  in_both_orders(
      cluster_row,
      [](const test::Database& site) {
        ASSERT_NO_FATAL_FAILURE(bootstrap(site));
        ASSERT_TRUE(apply(site, Command::start));
      },
      [&](const test::Database& site) { cancelled = apply(site, Command::cancel); },
      [&](const test::Database& site) {
        Node node(site, new_build);
        TaskRunner runner(*node.database, node.clock, node.timer, new_build, "n2", {});
        expanded = node.run(runner.expand([](std::string) {}, soon()));
      },
      [&](const test::Database& site) {
        EXPECT_TRUE(cancelled) << cancelled.error().message();
        EXPECT_EQ(site.query("select concat_ws(' ', mode, max_build, expand_done) from cluster_state"),
                  "off 10000009 f")
            << "expand: " << word(expanded);
      });
}

TEST(Operations, AStateThatIsSetByTheEarlierStartOfANodeChangesNothing) {
  test::Database site;
  ASSERT_NO_FATAL_FAILURE(bootstrap(site));
  ASSERT_EQ(site.query("update member_lease set lease_until = clock_timestamp() returning 1"), "1");
  Result<void> again, late;
  at_once(
      site, "select 1 from member for update", [&] { again = admit(site, "n1", old_build, "1-2"); },
      [&] {
        Node earlier(site);
        late = earlier.run(earlier.cluster->set_state("id-n1", "1-1", cluster::NodeState::DRAINING, true, soon()));
      });
  EXPECT_TRUE(again) << again.error().message();
  EXPECT_EQ(word(late), "failed_precondition");
  EXPECT_EQ(site.query("select concat_ws(' ', incarnation, state, closed_at is null) from member"), "1-2 STARTING t");
}

TEST(Operations, ANodeThatRenewsWhileItIsRemovedIsToldSoOrStays) {
  for (const bool renews_first : {false, true}) {
    SCOPED_TRACE(renews_first ? "renew first" : "remove first");
    test::Database site;
    ASSERT_NO_FATAL_FAILURE(bootstrap(site));
    ASSERT_TRUE(admit(site, "n2", old_build, "1-1"));
    ASSERT_EQ(site.query("update member_lease set lease_until = clock_timestamp() where id = 'id-n2' returning 1"),
              "1");
    Result<Lease> lease = fail(ErrorKind::internal, "");
    Result<void> removed;
    const auto renew = [&] {
      Node node(site);
      Heartbeat beat;
      beat.id = "id-n2";
      beat.incarnation = "1-1";
      lease = node.run(node.cluster->renew(beat, soon()));
    };
    const auto remove = [&] {
      Node node(site);
      removed = node.run(node.cluster->remove("n2", "test", soon()));
    };
    // The one that is removed first is held at its member row, when it has looked at the lease already.
    if (renews_first)
      at_once(site, "select 1 from member_lease where id = 'id-n2' for update", renew, remove);
    else
      at_once(site, "select 1 from member where id = 'id-n2' for update", remove, renew);
    ASSERT_TRUE(lease) << lease.error().message();
    EXPECT_NE(lease->held, removed.has_value()) << "it believes in its lease and is removed";
    EXPECT_EQ(lease->held, renews_first);
  }
}

TEST(Operations, OfTwoRunnersThatClaimATaskAtOnceOneGetsIt) {
  const auto row = [](Transaction& transaction) -> Task<std::int64_t> {
    auto rows = co_await transaction.run({"update doc set body = body || '+' where body not like '%+'", {}});
    if (!rows) co_return std::unexpected(rows.error());
    co_return rows->affected;
  };
  auto task = UpgradeTask::make("1.1.0", "plus", cluster::TaskKind::backfill, 1);
  task.batch = row;
  task.remaining_sql = "select count(*) from doc where body not like '%+'";
  task.seal();
  const auto id = task.declaration.id;
  const std::vector<UpgradeTask> tasks{std::move(task)};
  test::Database site("protocol", test::fill_cluster);
  {
    Node node(site);
    TaskRunner runner(*node.database, node.clock, node.timer, old_build, "first", tasks);
    ASSERT_TRUE(node.run(runner.register_tasks(soon())));
  }
  const auto claim = [&](const std::string& who) {
    Node node(site);
    TaskRunner runner(*node.database, node.clock, node.timer, old_build, who, tasks);
    auto done = node.run(runner.backfill_some(id, Gates{1, old_build}, TaskRunner::Pass::early, soon()));
    return done ? std::string("done") : done.error().code();
  };
  // A claim that has not committed yet is not waited for.
  Session claimed(site);
  ASSERT_EQ(claimed.run("begin; select 1 from upgrade_task for update"), "");
  EXPECT_EQ(claim("too late"), "taken_over");
  ASSERT_EQ(claimed.run("rollback"), "");
  EXPECT_EQ(claim("one"), "done");
  EXPECT_EQ(claim("two"), "taken_over") << "the lease of the first runs";
  EXPECT_EQ(site.query("select concat_ws(' ', token, runner) from upgrade_task"), "1 one");
}

// ---- runs

/// One conductor's way to the journal.
struct Journal : test::Loop {
  std::unique_ptr<RunStore> runs;
  explicit Journal(const test::Database& site) : Loop(site.connection(), "conductor") {
    runs = make_run_store(*database);
  }
};

Result<std::int64_t> ask(const test::Database& site) {
  Journal journal(site);
  NewRun run;
  run.to = "1.1.0";
  return journal.run(journal.runs->create(run, soon()));
}
Result<std::optional<LeaderLease>> take_lead(const test::Database& site, const std::string& holder) {
  Journal journal(site);
  return journal.run(journal.runs->take_lead(holder, 0, new_build, soon()));
}
constexpr const char* end_lease = "update conductor_lease set lease_until = clock_timestamp() returning 1";

TEST(Operations, OfTwoRunsAskedForAtOnceOneIsRefused) {
  test::Database site;
  ASSERT_NO_FATAL_FAILURE(bootstrap(site));
  Result<std::int64_t> one = 0, other = 0;
  // An insert meets nothing that it could wait for but the other's row.
  at_once(site, "lock table upgrade_run in share mode", [&] { one = ask(site); }, [&] { other = ask(site); });
  EXPECT_NE(one.has_value(), other.has_value());
  const auto& refused = one ? other : one;
  EXPECT_EQ(refused.error().kind(), ErrorKind::conflict) << refused.error().message();
  EXPECT_EQ(site.query("select count(*) from upgrade_run"), "1");
}

TEST(Operations, OfTwoConductorsThatTakeTheLeadAtOnceOneLeads) {
  test::Database site;
  ASSERT_NO_FATAL_FAILURE(bootstrap(site));
  ASSERT_TRUE(take_lead(site, "zero"));
  ASSERT_EQ(site.query(end_lease), "1");
  Result<std::optional<LeaderLease>> one, other;
  at_once(
      site, "select 1 from conductor_lease for update", [&] { one = take_lead(site, "one"); },
      [&] { other = take_lead(site, "other"); });
  ASSERT_TRUE(one && other);
  EXPECT_TRUE(one->has_value());
  EXPECT_FALSE(other->has_value());
  EXPECT_EQ(site.query("select concat_ws(' ', epoch, holder) from conductor_lease"), "2 one");
}

TEST(Operations, OfARecordAndAnotherConductorsLeadAtOnceNothingIsWrittenByTheReplacedOne) {
  test::Database site;
  ASSERT_NO_FATAL_FAILURE(bootstrap(site));
  auto id = ask(site);
  ASSERT_TRUE(id) << id.error().message();
  auto lead = take_lead(site, "one");
  ASSERT_TRUE(lead && *lead);
  ASSERT_EQ(site.query(end_lease), "1");
  Result<rollout::Run> recorded = fail(ErrorKind::internal, "");
  Result<std::optional<LeaderLease>> taken;
  at_once(
      site, "select 1 from conductor_lease for update", [&] { taken = take_lead(site, "other"); },
      [&] {
        Journal journal(site);
        auto run = journal.run(journal.runs->load(*id, soon()));
        if (!run) return;
        run->message = "of the replaced one";
        recorded = journal.run(journal.runs->record(*run, **lead, new_build, soon()));
      });
  EXPECT_TRUE(taken && *taken);
  ASSERT_FALSE(recorded);
  EXPECT_EQ(recorded.error().code(), lead_lost) << recorded.error().message();
  EXPECT_NE(site.query("select message from upgrade_run"), "of the replaced one");
}

TEST(Operations, OfCancelAndTheBeginOfFinalizeAtOnceOneIsRefused) {
  for (const bool cancel_first : {true, false}) {
    SCOPED_TRACE(cancel_first ? "cancel first" : "finalize first");
    test::Database site;
    ASSERT_NO_FATAL_FAILURE(bootstrap(site));
    auto id = ask(site);
    ASSERT_TRUE(id) << id.error().message();
    auto lead = take_lead(site, "one");
    ASSERT_TRUE(lead && *lead);
    Result<void> cancelled;
    Result<rollout::Run> recorded = fail(ErrorKind::internal, "");
    const auto cancel = [&] {
      Journal journal(site);
      cancelled = journal.run(journal.runs->request_cancel(*id, "admin", soon()));
    };
    const auto finalize = [&] {
      Journal journal(site);
      auto run = journal.run(journal.runs->load(*id, soon()));
      if (!run) return;
      run->finalize_begun = true;
      recorded = journal.run(journal.runs->record(*run, **lead, new_build, soon()));
    };
    at_once(site, "select 1 from upgrade_run for update", cancel_first ? std::function<void()>(cancel) : finalize,
            cancel_first ? std::function<void()>(finalize) : cancel);
    EXPECT_EQ(cancelled.has_value(), cancel_first) << word(cancelled);
    EXPECT_EQ(recorded.has_value(), !cancel_first);
    EXPECT_EQ(site.query("select concat_ws(' ', cancel_requested, finalize_begun) from upgrade_run"),
              cancel_first ? "t f" : "f t");
  }
}

TEST(Operations, AResumeThatComesInWhileThePauseIsWrittenIsKept) {
  test::Database site;
  ASSERT_NO_FATAL_FAILURE(bootstrap(site));
  auto id = ask(site);
  ASSERT_TRUE(id) << id.error().message();
  auto lead = take_lead(site, "one");
  ASSERT_TRUE(lead && *lead);
  const auto pause = [&](const std::string& why) {
    return [&, why] {
      Journal journal(site);
      auto run = journal.run(journal.runs->load(*id, soon()));
      if (!run) return;
      run->state = rollout::RunState::paused;
      run->message = why;
      auto done = journal.run(journal.runs->record(*run, **lead, new_build, soon()));
      EXPECT_TRUE(done) << done.error().message();
    };
  };
  pause("first")();
  Result<void> resumed;
  at_once(
      site, "select 1 from upgrade_run for update",
      [&] {
        Journal journal(site);
        resumed = journal.run(journal.runs->request_resume(*id, "admin", soon()));
      },
      pause("again"));
  EXPECT_TRUE(resumed) << resumed.error().message();
  EXPECT_EQ(site.query("select concat_ws(' ', state, resume_requested, message) from upgrade_run"), "paused t again");
}

}  // namespace
}  // namespace afloat::store
