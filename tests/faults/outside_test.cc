#include <signal.h>

#include "base/json_fields.h"
#include "faults/fault_site.h"

// What nodes and conductor stand on goes away in the middle of a run: the database, the load balancer.
namespace afloat::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// In the order of a run.
constexpr const char* steps_with_an_act[] = {"distribute",   "mode_on", "expand",   "drain",
                                             "maint",        "stop",    "switch",   "start",
                                             "await_active", "balance", "finalize", "await_stable"};

enum class Outage { restart, kill };

void take_postgres_away(FaultSite& site, Outage outage) {
  auto& server = site->postgres();
  if (outage == Outage::restart) {
    server.stop();
  } else {
    server.process().stop(seconds(5), SIGKILL);
  }
  // After a kill the processes of its connections are still ending, and a new server waits for nobody: it refuses.
  Result<void> started;
  EXPECT_TRUE(eventually(seconds(20), [&] {
    started = server.start_again();
    return started.has_value();
  })) << started.error().message();
}

void run_without_postgres(Outage outage, const std::string& row) {
  SiteSetup setup;
  setup.own_postgres = true;
  FaultSite site(setup, 60);
  ASSERT_NO_FATAL_FAILURE(site.users_come());
  const auto before = site.deeds();
  site.start_conductor();
  ASSERT_NO_FATAL_FAILURE(site.begin_run());
  int outages = 0, resumed = 0;
  const auto mend = [&] {
    if (site.run_state() != "paused") return;
    std::printf("paused: %s\n", site.run_message().c_str());
    ++resumed;
    site.ask("resume");
  };
  for (const char* step : steps_with_an_act) {
    SCOPED_TRACE(step);
    // Where this is the last step of its kind, it may be over before anybody looks.
    if (!eventually(seconds(60), [&] { return site.has_begun(step) || site.run_state() == "paused"; })) {
      ADD_FAILURE() << site.newest_step().title() << ": " << site.run_message();
      break;
    }
    mend();
    take_postgres_away(site, outage);
    ++outages;
  }
  auto ended = site.await_end();
  for (int tries = 0; ended == "paused" && tries < 3; ++tries) {
    mend();
    ended = site.await_end();
  }
  EXPECT_EQ(ended, "done") << site.run_message();
  EXPECT_EQ(resumed, 0) << "somebody had to help";
  expect_settled(site.fixture(), bundles().to);
  auto after = site.deeds();
  for (const auto& [node, was] : before) EXPECT_EQ(after[node].switched - was.switched, 1) << node;
  const auto figures = site.figures();
  for (const auto& [failure, count] : figures.failures)
    EXPECT_TRUE(failure.find("503") != std::string::npos || failure.find("reset") != std::string::npos ||
                failure.find("timeout") != std::string::npos)
        << count << " times " << failure << "\n"
        << figures.text;
  FaultSite::print_row(row + " in " + std::to_string(outages) + " steps of a run", figures,
                       "done; 503 while the database was away");
}

TEST(Faults, PostgresIsRestartedInTheStepsOfARun) { run_without_postgres(Outage::restart, "PostgreSQL restarted"); }

TEST(Faults, PostgresIsKilledInTheStepsOfARun) { run_without_postgres(Outage::kill, "PostgreSQL killed (-9)"); }

TEST(Faults, TheBalancerIsReloadedInTheStepsOfARun) {
  FaultSite site;
  ASSERT_NO_FATAL_FAILURE(site.users_come());
  site.start_conductor();
  ASSERT_NO_FATAL_FAILURE(site.begin_run());
  int reloads = 0;
  // It forgets drain and maint, and knows every server as UP until it has looked.
  for (const char* step : {"drain", "maint", "stop", "start", "balance", "finalize"}) {
    SCOPED_TRACE(step);
    ASSERT_TRUE(site.await_step(step));
    auto reloaded = site->haproxy().reload();
    ASSERT_TRUE(reloaded) << reloaded.error().message();
    ++reloads;
  }
  EXPECT_EQ(site.await_end(), "done") << site.run_message();
  expect_settled(site.fixture(), bundles().to);
  const auto figures = site.figures();
  EXPECT_EQ(figures.failed, 0U) << figures.text;
  FaultSite::print_row("HAProxy reloaded in " + std::to_string(reloads) + " steps of a run", figures, "done");
}

TEST(Faults, TheBalancerIsRestartedInTheStepsOfARun) {
  FaultSite site;
  ASSERT_NO_FATAL_FAILURE(site.users_come());
  site.start_conductor();
  ASSERT_NO_FATAL_FAILURE(site.begin_run());
  int restarts = 0;
  for (const char* step : {"drain", "stop", "balance", "finalize"}) {
    SCOPED_TRACE(step);
    ASSERT_TRUE(site.await_step(step));
    auto restarted = site->haproxy().restart();
    ASSERT_TRUE(restarted) << restarted.error().message();
    ++restarts;
  }
  EXPECT_EQ(site.await_end(), "done") << site.run_message();
  expect_settled(site.fixture(), bundles().to);
  const auto figures = site.figures();
  for (const auto& [failure, count] : figures.failures)
    EXPECT_EQ(failure.find("status"), std::string::npos) << count << " times " << failure << "\n" << figures.text;
  FaultSite::print_row("HAProxy restarted in " + std::to_string(restarts) + " steps of a run", figures,
                       "done; connections refused or cut while nobody listened");
}

TEST(Faults, TheBalancersSocketIsGone) {
  FaultSite site;
  ASSERT_NO_FATAL_FAILURE(site.users_come());
  site.start_conductor();
  JournalGate gate(site);
  gate.only("ok_to_stop");
  ASSERT_NO_FATAL_FAILURE(site.begin_run(R"({"drain_deadline_ms":2000})"));
  ASSERT_TRUE(eventually(seconds(20), [&] { return gate.waits(); })) << site.run_message();
  const auto socket = site->haproxy().socket();
  ASSERT_EQ(rename(socket.c_str(), (socket + ".away").c_str()), 0);
  gate.open();
  EXPECT_EQ(site.await_end(), "paused");
  const auto why = site.run_message();
  const auto node = site.newest_step().node;
  for (const auto& word : {node, socket, std::string("afloat upgrade resume")})
    EXPECT_NE(why.find(word), std::string::npos) << "no \"" << word << "\" in: " << why;
  std::printf("%s\n", why.c_str());
  ASSERT_EQ(rename((socket + ".away").c_str(), socket.c_str()), 0);
  site.ask("resume");
  EXPECT_EQ(site.await_end(), "done") << site.run_message();
  expect_settled(site.fixture(), bundles().to);
  const auto figures = site.figures();
  EXPECT_EQ(figures.failed, 0U) << figures.text;
  FaultSite::print_row("HAProxy's runtime socket gone when a node is to drain", figures,
                       "paused with its path before the node was touched; resumed, done");
}

}  // namespace
}  // namespace afloat::test
