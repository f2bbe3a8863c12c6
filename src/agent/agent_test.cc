#include "agent/agent.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "agent/catalogue.h"
#include "base/hash.h"

namespace afloat::agent {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

/// A host with one node, and bundles whose "binary" is a shell script.
class AgentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    init_crypto();
    root_ = fs::temp_directory_path() / ("afloat-agent-" + random_hex(6));
    fs::create_directories(root_ / "web");
    std::ofstream(root_ / "web/site.css") << "p{}";
    std::ofstream(root_ / "node")
        << "#!/bin/sh\n"
           "if [ \"$1\" = upgrade ]; then echo \"expanding: $*\"; exit $(cat \"$4.exit\"); fi\n"
           "if [ \"$1\" = --version ]; then cat \"${0%/releases/*}/broken\" 2>/dev/null && exit 127\n"
           "  p=${0%/bin/afloat}; echo \"${p##*/}\"; exit 0; fi\n"
           "if [ \"$1\" = selfcheck ]; then cat \"$3.unfit\" 2>/dev/null && exit 4; exit 0; fi\n"
           "trap 'exit 0' TERM; while :; do sleep 0.01; done\n";
    set_expand_exit(0);
    for (const char* version : {"1.0.0", "1.1.0"}) {
      auto packed = pack_bundle({version, path("node"), path("web"), "", path(std::string("catalogue/") + version)});
      ASSERT_TRUE(packed) << packed.error().message();
    }
    restart();
  }
  void TearDown() override {
    agent_->stop_nodes(milliseconds(2000));
    agent_.reset();
    fs::remove_all(root_);
  }
  std::string path(const std::string& name) const { return (root_ / name).string(); }
  void set_expand_exit(int code) { std::ofstream(path("site.toml.exit")) << code; }
  void restart() {
    agent_.reset();
    agent_ = std::make_unique<Agent>(
        AgentConfig{"h1", path("host"), path("site.toml"), path("catalogue"), "1.1.0", {"n1"}, [](std::string) {}});
    auto begun = agent_->begin();
    ASSERT_TRUE(begun) << begun.error().message();
  }
  AgentCommand command(std::string kind, std::string version = "", std::string node = "n1") {
    return {std::move(kind),
            std::move(node),
            std::move(version),
            {lead_, 1, "step" + std::to_string(++steps_), std::nullopt},
            5000};
  }
  Result<bool> run(const AgentCommand& command) { return agent_->execute(command); }
  HostNode node() const { return agent_->report().nodes.at(0); }
  void expect_done(const AgentCommand& command) {
    auto result = run(command);
    EXPECT_TRUE(result) << command.kind << ": " << result.error().message();
  }

  fs::path root_;
  std::unique_ptr<Agent> agent_;
  LeaderLease lead_{1, "conductor-a"};
  int steps_ = 0;
};

TEST_F(AgentTest, TakesANodeFromOneReleaseToTheNext) {
  EXPECT_FALSE(run(command("start"))) << "nothing to run yet";
  expect_done(command("distribute", "1.0.0", ""));
  expect_done(command("switch", "1.0.0"));
  expect_done(command("start"));
  EXPECT_TRUE(node().running);
  EXPECT_EQ(node().version, "1.0.0");
  const auto first = node().incarnation;

  EXPECT_FALSE(run(command("switch", "1.1.0"))) << "it is not unpacked";
  expect_done(command("distribute", "1.1.0", ""));
  EXPECT_EQ(agent_->report().releases, (std::vector<std::string>{"1.0.0", "1.1.0"}));
  expect_done(command("expand", "1.1.0"));
  auto running = run(command("switch", "1.1.0"));
  ASSERT_FALSE(running) << "it still runs";
  EXPECT_EQ(running.error().kind(), ErrorKind::failed_precondition);
  expect_done(command("stop"));
  expect_done(command("switch", "1.1.0"));
  expect_done(command("start"));
  EXPECT_EQ(node().version, "1.1.0");
  EXPECT_NE(node().incarnation, first);
}

TEST_F(AgentTest, CommandsForAnotherProcessMiss) {
  expect_done(command("distribute", "1.0.0", ""));
  expect_done(command("switch", "1.0.0"));
  expect_done(command("start"));
  auto stop = command("stop");
  stop.order.expected_incarnation = "1-1";
  auto missed = run(stop);
  ASSERT_FALSE(missed);
  EXPECT_EQ(missed.error().code(), "other_incarnation");
  EXPECT_TRUE(node().running);

  stop.order.expected_incarnation = node().incarnation;
  EXPECT_EQ(run(stop).value(), false);
  expect_done(command("start"));
  EXPECT_EQ(run(stop).value(), true) << "a late copy of the stop is answered as done";
  EXPECT_TRUE(node().running) << "and stops nothing";
}

TEST_F(AgentTest, ReplacedLeadersAreRefusedAlsoAfterARestart) {
  expect_done(command("distribute", "1.0.0", ""));
  auto report = agent_->announce({2, "conductor-b"}, milliseconds(1000));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->highest_epoch, 2);
  restart();
  auto refused = run(command("switch", "1.0.0"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), "stale_epoch");
  EXPECT_FALSE(agent_->announce({2, "conductor-c"}, milliseconds(1000)));
  lead_ = {2, "conductor-b"};
  expect_done(command("switch", "1.0.0"));
}

TEST_F(AgentTest, ExpandTellsWhyItFailed) {
  expect_done(command("distribute", "1.1.0", ""));
  set_expand_exit(1);
  auto expand = command("expand", "1.1.0");
  auto failed = run(expand);
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message().find("--node n1"), std::string::npos) << failed.error().message();
  set_expand_exit(0);
  EXPECT_EQ(run(expand).value(), false) << "a failed step may be repeated";
  EXPECT_EQ(run(expand).value(), true);
}

TEST_F(AgentTest, AReleaseThatCannotServeHereIsRefusedWithHostAndReasonWhileEveryNodeGoesOn) {
  expect_done(command("distribute", "1.0.0", ""));
  expect_done(command("switch", "1.0.0"));
  expect_done(command("start"));
  const auto incarnation = node().incarnation;
  const auto expect_refused = [&](const std::string& words) {
    auto refused = run(command("distribute", "1.1.0", ""));
    ASSERT_FALSE(refused);
    const auto& message = refused.error().message();
    EXPECT_NE(message.find("Host h1: "), std::string::npos) << message;
    EXPECT_NE(message.find(words), std::string::npos) << message;
    EXPECT_NE(message.find("nothing was stopped"), std::string::npos) << message;
    EXPECT_EQ(node().incarnation, incarnation);
  };
  std::ofstream(path("site.toml.unfit")) << "site.toml line 3: 'port' must be a whole number";
  expect_refused("can't serve as n1 here: site.toml line 3: 'port'");
  fs::remove(path("site.toml.unfit"));
  std::ofstream(path("host/broken")) << "error while loading shared libraries: libpq.so.5: cannot open shared object file";
  expect_refused("does not run here: error while loading shared libraries: libpq.so.5");
  fs::remove(path("host/broken"));
  expect_done(command("distribute", "1.1.0", ""));
}

TEST_F(AgentTest, AnotherReleaseUnderThisNameIsRefused) {
  std::ofstream(root_ / "node") << "#!/bin/sh\necho 1.0.0\n";
  auto packed = pack_bundle({"1.2.0", path("node"), path("web"), "", path("catalogue/1.2.0")});
  ASSERT_TRUE(packed) << packed.error().message();
  auto refused = run(command("distribute", "1.2.0", ""));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("program of release 1.2.0 says that it is 1.0.0"), std::string::npos)
      << refused.error().message();
}

TEST_F(AgentTest, OneAgentPerDataFolder) {
  Agent second({"h1", path("host"), path("site.toml"), path("catalogue"), "1.1.0", {"n1"}, [](std::string) {}});
  auto begun = second.begin();
  ASSERT_FALSE(begun);
  EXPECT_EQ(begun.error().kind(), ErrorKind::failed_precondition);
}

}  // namespace
}  // namespace afloat::agent
