#include <signal.h>

#include <filesystem>
#include <future>

#include "base/json_fields.h"
#include "faults/fault_site.h"

// The two decisions of an upgrade under bad conditions: finalize, which must be refused while a member can't be
// asked, and cancel, which must lead back from anywhere.
namespace afloat::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// Runs a node without an agent, with a way to the database that can be cut for it alone.
class NodeOfItsOwn {
 public:
  NodeOfItsOwn(FaultSite& site, const std::string& node) : name_(node), way_(site->dir() + "/way") {
    // libpq finds the server's socket in a folder; this one leads there.
    const auto& real = site->database();
    const auto begin = real.find("host=") + 5;
    const auto folder = real.substr(begin, real.find(' ', begin) - begin);
    fs::create_directory_symlink(folder, way_);
    auto config = local::read_file(site->config());
    EXPECT_TRUE(config && config->find(folder) != std::string::npos);
    if (!config) return;
    config->replace(config->find(folder), folder.size(), way_);
    EXPECT_TRUE(local::write_file(site->dir() + "/alone.toml", *config, 0600));
    local::ProcessOptions run;
    run.argv = {site->program_of(bundles().to), "serve", "--config", site->dir() + "/alone.toml", "--node", node};
    run.env = {{"AFLOAT_ADMIN_PASSWORD", site->admin_password()}};
    run.without = {"AFLOAT_WEB"};
    run.log = site->dir() + "/logs/alone.log";
    auto started = local::Process::start(run);
    if (started)
      process_ = std::move(*started);
    else
      ADD_FAILURE() << started.error().message();
  }
  /// From now on it reaches no database, and goes on running.
  void cut(FaultSite& site) {
    fs::remove(way_);
    EXPECT_NE(site.sql("select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like "
                       "'afloat/" +
                       name_ + "/%'"),
              "0");
  }
  local::Process& process() { return process_; }

 private:
  std::string name_, way_;
  local::Process process_;
};

TEST(Faults, FinalizeIsRefusedWhileAMemberIsOldFrozenOrOutOfReach) {
  FaultSite site;
  ASSERT_NO_FATAL_FAILURE(site.users_come());
  auto admin = site.fixture().admin("node1");
  ASSERT_TRUE(site->distribute(bundles().to));
  ASSERT_EQ(admin.post("/rest/zdu/start").status, 200);
  for (const char* node : {"node1", "node2"}) {
    ASSERT_NO_FATAL_FAILURE(replace(site.fixture(), node, bundles().to));
    ASSERT_TRUE(site->haproxy().wait_up(3, seconds(10)));
  }
  const auto expect_refused = [&](const std::string& what, const std::vector<std::string>& words) {
    SCOPED_TRACE(what);
    const auto refused = admin.post("/rest/zdu/approve");
    EXPECT_EQ(refused.status, 409) << *refused.body;
    for (const auto& word : words)
      EXPECT_NE(message_of(refused).find(word), std::string::npos) << "no \"" << word << "\": " << message_of(refused);
    std::printf("%s: %s\n", what.c_str(), message_of(refused).c_str());
    EXPECT_TRUE(site.users().work(milliseconds(300)));
  };
  expect_refused("old", {"node3", "runs " + bundles().from, "start it with " + bundles().to});

  // Out of the balancer first: what is in a frozen process can't be answered by anybody.
  ASSERT_NO_FATAL_FAILURE(replace(site.fixture(), "node3", bundles().to));
  ASSERT_TRUE(site->haproxy().wait_up(3, seconds(10)));
  ASSERT_TRUE(eventually(seconds(5), [&] { return site.fixture().phase() == "READY_TO_RUN_UPGRADE_TASKS"; }));
  ASSERT_TRUE(site->haproxy().command("set server wiki/node3 state maint"));
  ASSERT_TRUE(site.users().work(milliseconds(300)));
  const auto frozen = site->node_pid("node3");
  ASSERT_EQ(kill(frozen, SIGSTOP), 0);
  ASSERT_TRUE(eventually(seconds(15), [&] { return site.fixture().phase() == "MIXED"; })) << site.fixture().phase();
  expect_refused("frozen", {"node3", "has not renewed its lease", "afloat nodes remove node3"});
  ASSERT_EQ(kill(frozen, SIGCONT), 0);
  ASSERT_TRUE(eventually(seconds(15), [&] { return site.fixture().phase() == "READY_TO_RUN_UPGRADE_TASKS"; }))
      << site.fixture().phase();

  ASSERT_TRUE(site->stop_node("node3"));
  {
    NodeOfItsOwn alone(site, "node3");
    auto ready = site->wait_ready("node3", seconds(15));
    ASSERT_TRUE(ready) << alone.process().last_lines();
    ASSERT_TRUE(eventually(seconds(10), [&] { return site.fixture().phase() == "READY_TO_RUN_UPGRADE_TASKS"; }));
    alone.cut(site);
    // Until its lease is over it counts as there, and finalize would wait for it.
    ASSERT_TRUE(eventually(seconds(15), [&] { return site.fixture().phase() == "MIXED"; })) << site.fixture().phase();
    expect_refused("out of reach", {"node3", "has not renewed its lease", "afloat nodes remove node3"});
    EXPECT_TRUE(alone.process().running()) << alone.process().last_lines();
  }

  ASSERT_NO_FATAL_FAILURE(replace(site.fixture(), "node3", bundles().to));
  ASSERT_TRUE(site->haproxy().command("set server wiki/node3 state ready"));
  http::Response approved;
  EXPECT_TRUE(eventually(seconds(10), [&] {
    approved = admin.post("/rest/zdu/approve");
    return approved.status == 200;
  })) << *approved.body;
  ASSERT_TRUE(eventually(seconds(10), [&] { return site.fixture().phase() == "STABLE"; })) << site.fixture().phase();
  expect_settled(site.fixture(), bundles().to);
  const auto figures = site.figures();
  EXPECT_EQ(figures.failed, 0U) << figures.text;
  FaultSite::print_row("finalize asked for with a member old, frozen, out of reach", figures,
                       "refused each time with node, reason and action; approved when mended");
}

/// A run that stands before its next node when so many were upgraded, and the request to cancel it.
class Cancelling {
 public:
  explicit Cancelling(FaultSite& site) : site_(site), gate_(site) { gate_.only("ok_to_stop"); }

  void run_until_upgraded(std::size_t nodes) {
    ASSERT_NO_FATAL_FAILURE(site_.begin_run());
    for (;;) {
      ASSERT_TRUE(eventually(seconds(30), [&] { return gate_.waits(); })) << site_.run_message();
      if (site_.begun().size() == nodes) return;
      gate_.let_through(site_.newest_step());
      gate_.end_the_one_that_waits();  // it tries again, and may pass
    }
  }
  void cancel() {
    // It waits behind the journal's transaction, which ends with nothing written.
    const auto path = "/rest/afloat/1/runs/" + site_.sql("select max(id) from upgrade_run") + "/cancel";
    auto asked =
        std::async(std::launch::async, [admin = site_.fixture().admin(), path]() mutable { return admin.post(path); });
    EXPECT_TRUE(eventually(seconds(5), [&] {
      return site_.sql("select 1 from pg_locks where locktype in ('transactionid', 'tuple') and not granted limit 1") ==
             "1";
    }));
    gate_.end_the_one_that_waits();
    const auto answer = asked.get();
    EXPECT_EQ(answer.status, 202) << *answer.body;
    gate_.open();
  }

 private:
  FaultSite& site_;
  JournalGate gate_;
};

void expect_cancelled(FaultSite& site, std::size_t nodes, const std::string& row) {
  EXPECT_EQ(site.await_end(), "cancelled") << site.run_message();
  expect_settled(site.fixture(), bundles().from);
  EXPECT_EQ(site.begun().size(), nodes);
  const auto figures = site.figures();
  if (row.find("dead") == std::string::npos) EXPECT_EQ(figures.failed, 0U) << figures.text;
  FaultSite::print_row(row, figures, "cancelled: all on the old release, mode off");
}

TEST(Faults, CancelLeadsBackAfterAnyNumberOfNodes) {
  FaultSite site;
  site.start_conductor();
  for (std::size_t nodes = 0; nodes < 3; ++nodes) {
    SCOPED_TRACE(nodes);
    ASSERT_NO_FATAL_FAILURE(site.users_come());
    {
      Cancelling cancelling(site);
      ASSERT_NO_FATAL_FAILURE(cancelling.run_until_upgraded(nodes));
      ASSERT_NO_FATAL_FAILURE(cancelling.cancel());
    }
    expect_cancelled(site, nodes, "cancelled after " + std::to_string(nodes) + " of 3 nodes");
  }
  ASSERT_NO_FATAL_FAILURE(site.users_come());
  ASSERT_NO_FATAL_FAILURE(site.begin_run(R"({"hold_before_finalize":true})"));
  ASSERT_EQ(site.await_end(), "paused") << site.run_message();
  EXPECT_EQ(site.newest_step().kind, "hold_before_finalize");
  site.ask("cancel");
  expect_cancelled(site, 3, "cancelled after 3 of 3 nodes");
}

TEST(Faults, CancelLeadsBackWithTheNewNodeDead) {
  FaultSite site;
  site.start_conductor();
  ASSERT_NO_FATAL_FAILURE(site.users_come());
  Cancelling cancelling(site);
  ASSERT_NO_FATAL_FAILURE(cancelling.run_until_upgraded(1));
  // Its program is gone, so that the agent can't start it again.
  const auto dead = site.begun().front();
  const auto program = site->program_of(bundles().to);
  ASSERT_EQ(rename(program.c_str(), (program + ".away").c_str()), 0);
  ASSERT_EQ(kill(site->node_pid(dead), SIGKILL), 0);
  ASSERT_TRUE(eventually(seconds(5), [&] { return site->node_pid(dead) == 0; }));
  ASSERT_NO_FATAL_FAILURE(cancelling.cancel());
  expect_cancelled(site, 1, "cancelled with the new node dead (-9) and its program gone");
  ASSERT_EQ(rename((program + ".away").c_str(), program.c_str()), 0);
}

TEST(Faults, CancelLeadsBackWhenItsConductorIsKilledHalfWay) {
  FaultSite site;
  site.start_conductor();
  ASSERT_NO_FATAL_FAILURE(site.users_come());
  Cancelling cancelling(site);
  ASSERT_NO_FATAL_FAILURE(cancelling.run_until_upgraded(2));
  ASSERT_NO_FATAL_FAILURE(cancelling.cancel());
  ASSERT_TRUE(site.await_step("stop", "", true));
  site.kill_conductor();
  // Another one waits until the dead one's lease is over, and is not helped here.
  const auto killed = std::chrono::steady_clock::now();
  site.start_conductor();
  ASSERT_TRUE(site.await_step("balance", "", true));
  const auto taken = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - killed);
  EXPECT_LT(taken, seconds(12));
  expect_cancelled(site, 2, "cancelled, and the conductor killed (-9) at the first node back");
  std::printf("the next conductor went on within %lld ms\n", static_cast<long long>(taken.count()));
}

}  // namespace
}  // namespace afloat::test
