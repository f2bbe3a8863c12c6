#include <signal.h>

#include <algorithm>

#include "base/json_fields.h"
#include "upgrade/site_helpers.h"

// The power fails in the middle of an upgrade, and somebody starts whatever is installed: what may come up is
// decided by the cluster state alone, never by who is alive, and the upgrade can be brought to an end.
namespace afloat::test {
namespace {

using std::chrono::seconds;

enum class Start { admitted, refused };
struct Version {
  std::string name, program;
};
struct Versions {
  Version from, to, third;
};

class DarkSite {
 public:
  DarkSite() : site_(without_conductor()) {
    auto distributed = site_->distribute(bundles().to);
    EXPECT_TRUE(distributed) << distributed.error().message();
    versions_ = {{bundles().from, site_->program_of(bundles().from)},
                 {bundles().to, site_->program_of(bundles().to)},
                 {"1.1.2-other", AFLOAT_THIRD_VERSION}};
  }
  SiteFixture& site() { return site_; }
  const Versions& versions() const { return versions_; }

  /// Agents first, so that nobody starts again what dies.
  void lights_out() {
    std::vector<pid_t> nodes;
    for (const auto& node : site_->nodes())
      if (const auto pid = site_->node_pid(node.name)) nodes.push_back(pid);
    ASSERT_EQ(nodes.size(), site_->nodes().size()) << "not every node was running";
    site_->stop_agents();
    for (const auto pid : nodes) ASSERT_EQ(kill(pid, SIGKILL), 0);
    ASSERT_TRUE(eventually(seconds(10), [&] { return std::ranges::all_of(nodes, ended); }));
  }

  /// One start of `version` as node1, everybody else being dead. The node is dead again afterwards, unless it
  /// was admitted and `alive` says what to look at.
  void try_start(const Version& version, Start expected, const std::function<void()>& alive = {}) {
    SCOPED_TRACE(version.name + (expected == Start::admitted ? " may start" : " may not start"));
    local::ProcessOptions run;
    run.argv = {version.program, "serve", "--config", site_->config(), "--node", "node1"};
    run.env = {{"AFLOAT_ADMIN_PASSWORD", site_->admin_password()}};
    run.log = site_->dir() + "/logs/try-" + std::to_string(++tries_) + ".log";
    ASSERT_TRUE(local::write_file(run.log, ""));
    auto process = local::Process::start(run);
    ASSERT_TRUE(process) << process.error().message();
    bool ready = false;
    ASSERT_TRUE(eventually(seconds(20), [&] {
      auto answer = site_->client().send_blocking({.url = site_->node("node1").url() + "/health/ready",
                                                   .unix_socket = "",
                                                   .headers = {},
                                                   .body = "",
                                                   .user = "",
                                                   .password = ""},
                                                  seconds(2));
      ready = answer && answer->status == 200;
      return ready || !process->running();
    })) << process->last_lines();
    if (ready && alive) alive();
    const auto exit_code = process->exit_code();
    process->stop(seconds(5), SIGKILL);
    if (expected == Start::admitted) {
      EXPECT_TRUE(ready) << "exit code " << exit_code.value_or(-1) << "\n" << process->last_lines();
      return;
    }
    EXPECT_FALSE(ready);
    EXPECT_EQ(exit_code, 78) << process->last_lines();
    EXPECT_NE(process->last_lines().find("This node is " + version.name), std::string::npos) << process->last_lines();
  }

  /// The host comes up again: its agent starts every node with the version it was switched to.
  void lights_on(const std::string& phase) {
    auto started = site_->start_agents();
    ASSERT_TRUE(started) << started.error().message();
    for (const auto& node : site_->nodes()) {
      auto ready = site_->wait_ready(node.name, seconds(20));
      ASSERT_TRUE(ready) << ready.error().message();
    }
    EXPECT_TRUE(eventually(seconds(10), [&] { return site_.phase() == phase; })) << site_.phase();
  }

 private:
  SiteFixture site_;
  Versions versions_;
  int tries_ = 0;
};

TEST(ColdStart, BeforeFinalizeTheOriginalAndTheTargetMayComeUpAndInStableTheClusterVersionAlone) {
  DarkSite dark;
  auto& site = dark.site();
  const auto& [from, to, third] = dark.versions();
  make_space(site);
  const auto id = make_page(site.admin("node1"), "Kept");

  ASSERT_NO_FATAL_FAILURE(dark.lights_out());
  dark.try_start(to, Start::refused);
  dark.try_start(third, Start::refused);
  dark.try_start(from, Start::admitted);
  ASSERT_NO_FATAL_FAILURE(dark.lights_on("STABLE"));

  ASSERT_EQ(site.admin("node1").post("/rest/zdu/start").status, 200);
  EXPECT_EQ(site.phase(), "READY_TO_UPGRADE");
  ASSERT_NO_FATAL_FAILURE(dark.lights_out());
  dark.try_start(from, Start::admitted);
  // Nobody has named a target yet. The first newer node that may come is it, and nothing else from then on.
  dark.try_start(to, Start::admitted);
  dark.try_start(third, Start::refused);
  dark.try_start(from, Start::admitted);
  ASSERT_NO_FATAL_FAILURE(dark.lights_on("READY_TO_UPGRADE"));

  ASSERT_NO_FATAL_FAILURE(replace(site, "node2", to.name));
  EXPECT_EQ(site.phase(), "MIXED");
  ASSERT_NO_FATAL_FAILURE(dark.lights_out());
  dark.try_start(third, Start::refused);
  dark.try_start(to, Start::admitted);
  dark.try_start(from, Start::admitted);
  ASSERT_NO_FATAL_FAILURE(dark.lights_on("MIXED"));

  for (const char* node : {"node1", "node3"}) ASSERT_NO_FATAL_FAILURE(replace(site, node, to.name));
  ASSERT_TRUE(eventually(seconds(5), [&] { return site.phase() == "READY_TO_RUN_UPGRADE_TASKS"; })) << site.phase();
  ASSERT_NO_FATAL_FAILURE(dark.lights_out());
  dark.try_start(third, Start::refused);
  dark.try_start(from, Start::admitted);
  dark.try_start(to, Start::admitted);
  ASSERT_NO_FATAL_FAILURE(dark.lights_on("READY_TO_RUN_UPGRADE_TASKS"));

  // There is still a way back, all of it.
  for (const char* node : node_names) ASSERT_NO_FATAL_FAILURE(replace(site, node, from.name));
  const auto cancelled = site.admin("node1").post("/rest/zdu/cancel");
  ASSERT_EQ(cancelled.status, 200) << *cancelled.body;
  expect_settled(site, from.name);
  for (const char* node : node_names) EXPECT_EQ(site.admin(node).get("/rest/api/content/" + id).status, 200) << node;
}

TEST(ColdStart, OnceFinalizeWasAskedForTheTargetAloneMayComeUp) {
  DarkSite dark;
  auto& site = dark.site();
  const auto& [from, to, third] = dark.versions();
  make_space(site);
  const auto id = make_page(site.admin("node1"), "Kept");
  ASSERT_EQ(site.admin("node1").post("/rest/zdu/start").status, 200);
  for (const char* node : node_names) ASSERT_NO_FATAL_FAILURE(replace(site, node, to.name));
  ASSERT_TRUE(eventually(seconds(5), [&] { return site.phase() == "READY_TO_RUN_UPGRADE_TASKS"; })) << site.phase();

  // A member that has a lease when approve looks, and then never reports that it took the new cluster version
  // over: finalize waits for it at the barrier.
  auto admin = site.admin("node1");
  const auto state = [&] { return string_or(admin.get_json("/rest/zdu/state"), "state"); };
  ASSERT_EQ(kill(site->node_pid("node3"), SIGSTOP), 0);
  const auto approved = admin.post("/rest/zdu/approve");
  ASSERT_EQ(approved.status, 200) << *approved.body;
  ASSERT_TRUE(eventually(
      seconds(5), [&] { return string_or(admin.get_json("/rest/afloat/1/cluster"), "clusterVersion") == to.name; }));
  EXPECT_EQ(state(), "RUNNING_UPGRADE_TASKS");
  ASSERT_NO_FATAL_FAILURE(dark.lights_out());
  dark.try_start(from, Start::refused);
  dark.try_start(third, Start::refused);
  dark.try_start(to, Start::admitted, [&] { EXPECT_EQ(state(), "RUNNING_UPGRADE_TASKS"); });

  // These releases bring no task that could fail, so one is written into the ledger.
  auto& database = postgres();
  const auto name = site->database().substr(site->database().find("dbname=") + 7);
  auto planted = database.execute(
      name,
      "insert into upgrade_task (id, version, build, kind, ordinal, checksum, state, error, attempts) select "
      "'planted', cluster_version, target_build, 'contract', 1, '', 'failed', 'planted', 3 from cluster_state");
  ASSERT_TRUE(planted) << planted.error().message();
  dark.try_start(from, Start::refused);
  dark.try_start(third, Start::refused);
  dark.try_start(to, Start::admitted, [&] { EXPECT_EQ(state(), "UPGRADE_TASKS_FAILED"); });
  auto removed = database.execute(name, "delete from upgrade_task where id = 'planted'");
  ASSERT_TRUE(removed) << removed.error().message();

  // Nobody has to do anything else: the nodes that come back finish what was approved.
  ASSERT_NO_FATAL_FAILURE(dark.lights_on("STABLE"));
  expect_settled(site, to.name);
  for (const char* node : node_names) EXPECT_EQ(site.admin(node).get("/rest/api/content/" + id).status, 200) << node;
}

}  // namespace
}  // namespace afloat::test
