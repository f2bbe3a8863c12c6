#include <signal.h>
#include <sys/resource.h>

#include <filesystem>

#include "base/json_fields.h"
#include "base/text.h"
#include "faults/fault_site.h"

// What happens to nodes and their agents in the middle of a run.
namespace afloat::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

std::map<std::string, pid_t> pids_of(FaultSite& site) {
  std::map<std::string, pid_t> pids;
  for (const auto& node : site->nodes()) pids[node.name] = site->node_pid(node.name);
  return pids;
}

TEST(Faults, TheAgentIsKilledItsNodesLiveOnAndTheRunGoesOn) {
  FaultSite site;
  ASSERT_NO_FATAL_FAILURE(site.users_come());
  const auto before = site.deeds();
  site.start_conductor();
  ASSERT_NO_FATAL_FAILURE(site.begin_run());
  int kills = 0;
  for (const char* kind :
       {"distribute", "expand", "drain", "stop", "switch", "start", "await_active", "balance", "finalize"}) {
    SCOPED_TRACE(kind);
    // Steps of nodes: at the node whose turn it is then; "" is any.
    ASSERT_TRUE(site.await_step(kind));
    const auto before_kill = pids_of(site);
    site->stop_agents();
    ++kills;
    for (const auto& [node, pid] : before_kill)
      if (pid > 0 && !(site.newest_step().node == node)) EXPECT_FALSE(ended(pid)) << node << " died with its agent";
    auto started = site->start_agents();
    ASSERT_TRUE(started) << started.error().message();
    const auto after = pids_of(site);
    for (const auto& [node, pid] : before_kill)
      if (pid > 0 && !ended(pid)) EXPECT_EQ(after.at(node), pid) << node << " was not adopted";
  }
  EXPECT_EQ(site.await_end(), "done") << site.run_message();
  expect_settled(site.fixture(), bundles().to);
  auto after = site.deeds();
  for (const auto& [node, was] : before) {
    EXPECT_EQ(after[node].started - was.started, 1) << node;
    // An agent that was killed right after the switch could not log it; the next one finds it done.
    EXPECT_LE(after[node].switched - was.switched, 1) << node;
  }
  const auto figures = site.figures();
  EXPECT_EQ(figures.failed, 0U) << figures.text;
  FaultSite::print_row("agent killed in " + std::to_string(kills) + " steps of a run", figures,
                       "done; its nodes lived on and were adopted");
}

TEST(Faults, ANodeIsKilledWhileAnotherOneDrains) {
  FaultSite site;
  ASSERT_NO_FATAL_FAILURE(site.users_come());
  JournalGate gate(site);
  gate.only("drain");
  site.start_conductor();
  ASSERT_NO_FATAL_FAILURE(site.begin_run());
  ASSERT_TRUE(eventually(seconds(20), [&] { return gate.waits(); })) << site.run_message();
  const auto draining = site.newest_step();
  ASSERT_EQ(draining.kind, "drain");
  const std::string victim = draining.node == "node3" ? "node2" : "node3";
  const auto pid = site->node_pid(victim);
  ASSERT_EQ(kill(pid, SIGKILL), 0);
  // The balancer needs two checks to see it. Until then the answer would be the one from before.
  ASSERT_TRUE(eventually(seconds(5), [&] {
    auto table = site->haproxy().command("show servers state wiki");
    for (const auto& line : split(table.value_or(""), '\n')) {
      const auto fields = split(line, ' ');
      if (fields.size() > 5 && fields[3] == victim) return fields[5] == "0";  // srv_op_state: stopped
    }
    return false;
  }));
  gate.open();
  EXPECT_EQ(site.await_end(), "done") << site.run_message();
  expect_settled(site.fixture(), bundles().to);
  // Nobody was stopped while the other one was away.
  std::string answers;
  for (const auto& step : site.journal())
    if (step.node == draining.node) answers += step.kind + " " + step.state + ", ";
  EXPECT_NE(answers.find("ok_to_stop_again refused, undrain done, ok_to_stop done, drain done, ok_to_stop_again done"),
            std::string::npos)
      << answers;
  const auto figures = site.figures();
  // Requests that the dead one had begun to work on have no answer; the balancer sends nothing twice.
  EXPECT_LE(figures.failed, 5U) << figures.text;
  FaultSite::print_row("a node killed (-9) while another drains", figures,
                       "done; the drained one served again until the dead one was back");
}

TEST(Faults, AReleaseThatCannotServeIsFoundBeforeANodeIsStopped) {
  local::TempDir folder;
  const auto web = folder.path() + "/web";
  fs::copy(getenv("AFLOAT_WEB"), web, fs::copy_options::recursive);
  for (const auto& file : fs::recursive_directory_iterator(web))
    if (file.path().extension() == ".mustache") ASSERT_TRUE(local::write_file(file.path().string(), "{{#unended"));
  SiteSetup setup;
  setup.settings["catalogue"] = "\"" + catalogue_with(folder.path() + "/catalogue", bundles().program, web) + "\"";
  FaultSite site(setup);
  ASSERT_NO_FATAL_FAILURE(site.users_come());
  site.start_conductor();
  ASSERT_NO_FATAL_FAILURE(site.begin_run());
  ASSERT_EQ(site.await_end(), "paused") << site.run_message();
  const auto why = site.run_message();
  EXPECT_EQ(site.begun().size(), 0U);
  for (const std::string word : {"can't serve as", "is broken", "nothing was stopped", "afloat upgrade cancel"})
    EXPECT_NE(why.find(word), std::string::npos) << "no \"" << word << "\" in: " << why;
  std::printf("%s\n", why.c_str());
  EXPECT_TRUE(site.users().work(seconds(1)));
  site.ask("cancel");
  EXPECT_EQ(site.await_end(), "cancelled") << site.run_message();
  expect_settled(site.fixture(), bundles().from);
  const auto figures = site.figures();
  EXPECT_EQ(figures.failed, 0U) << figures.text;
  FaultSite::print_row("a release that can't serve", figures,
                       "paused before a node was stopped, with the reason; cancelled");
}

TEST(Faults, TheDiskIsFullWhileAHostUnpacks) {
  // The agent's files may not grow: it gets an error in the middle of a file, as on a full disk. Without this the
  // kernel would kill it instead; it inherits that from us.
  signal(SIGXFSZ, SIG_IGN);
  FaultSite site;
  signal(SIGXFSZ, SIG_DFL);
  ASSERT_NO_FATAL_FAILURE(site.users_come());
  const auto agent = site.agent_pid();
  ASSERT_GT(agent, 0);
  const rlimit narrow{1'000'000, RLIM_INFINITY}, wide{RLIM_INFINITY, RLIM_INFINITY};
  ASSERT_EQ(prlimit(agent, RLIMIT_FSIZE, &narrow, nullptr), 0);
  site.start_conductor();
  ASSERT_NO_FATAL_FAILURE(site.begin_run());
  ASSERT_EQ(site.await_end(), "paused") << site.run_message();
  const auto why = site.run_message();
  EXPECT_EQ(site.newest_step().kind, "distribute");
  for (const std::string& word : {std::string("host1"), std::string("afloat upgrade resume")})
    EXPECT_NE(why.find(word), std::string::npos) << "no \"" << word << "\" in: " << why;
  std::printf("%s\n", why.c_str());
  for (const auto& entry : fs::directory_iterator(site->dir() + "/hosts/host1/releases"))
    EXPECT_EQ(entry.path().filename().string(), bundles().from) << "something half unpacked was left behind";
  expect_settled(site.fixture(), bundles().from);

  ASSERT_EQ(prlimit(agent, RLIMIT_FSIZE, &wide, nullptr), 0);
  site.ask("resume");
  EXPECT_EQ(site.await_end(), "done") << site.run_message();
  expect_settled(site.fixture(), bundles().to);
  const auto figures = site.figures();
  EXPECT_EQ(figures.failed, 0U) << figures.text;
  FaultSite::print_row("a host's disk full while it unpacks", figures,
                       "paused before anything was changed; resumed, done");
}

TEST(Faults, AnUpgradedNodeIsRestartedAndKilledThreeTimesInTheMixedState) {
  FaultSite site;
  ASSERT_NO_FATAL_FAILURE(site.users_come());
  auto admin = site.fixture().admin("node1");
  ASSERT_TRUE(site->distribute(bundles().to));
  ASSERT_EQ(admin.post("/rest/zdu/start").status, 200);
  ASSERT_NO_FATAL_FAILURE(replace(site.fixture(), "node2", bundles().to));
  ASSERT_TRUE(site->haproxy().wait_up(3, seconds(10)));
  std::set<pid_t> lives{site->node_pid("node2")};
  for (int round = 0; round < 6; ++round) {
    SCOPED_TRACE(round < 3 ? "restarted" : "killed");
    if (round < 3) {
      ASSERT_NO_FATAL_FAILURE(replace(site.fixture(), "node2", bundles().to));
    } else {
      ASSERT_EQ(kill(site->node_pid("node2"), SIGKILL), 0);
      const auto before = lives.size();
      ASSERT_TRUE(eventually(seconds(10), [&] {
        if (const auto pid = site->node_pid("node2")) lives.insert(pid);
        return lives.size() > before;
      }));
      ASSERT_TRUE(site->wait_ready("node2", seconds(20)));
    }
    lives.insert(site->node_pid("node2"));
    EXPECT_EQ(lives.size(), static_cast<std::size_t>(round) + 2);
    ASSERT_TRUE(site->haproxy().wait_up(3, seconds(10)));
    EXPECT_EQ(site.fixture().phase(), "MIXED");
    auto client = site.fixture().admin("node1");
    EXPECT_EQ(nodes_by(client, "version")["node2"], bundles().to);
    EXPECT_EQ(nodes_by(client, "state")["node2"], "ACTIVE");
  }
  ASSERT_NO_FATAL_FAILURE(replace(site.fixture(), "node2", bundles().from));
  const auto cancelled = admin.post("/rest/zdu/cancel");
  EXPECT_EQ(cancelled.status, 200) << *cancelled.body;
  expect_settled(site.fixture(), bundles().from);
  const auto figures = site.figures();
  EXPECT_LE(figures.failed, 10U) << "only what the killed ones had begun: " << figures.text;
  FaultSite::print_row("an upgraded node restarted 3 times and killed (-9) 3 times in MIXED", figures,
                       "it joined each time; back on the old release");
}

}  // namespace
}  // namespace afloat::test
