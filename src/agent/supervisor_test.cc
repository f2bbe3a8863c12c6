#include "agent/supervisor.h"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>

#include "base/hash.h"
#include "base/text.h"

namespace afloat::agent {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

/// Real, short processes; every one is ended by TearDown.
class SupervisorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    init_crypto();
    root_ = fs::temp_directory_path() / ("afloat-super-" + random_hex(6));
    fs::create_directories(root_);
  }
  void TearDown() override {
    if (!supervisor_) begin("/bin/true");
    EXPECT_TRUE(supervisor_->stop("n1", milliseconds(300)));
    supervisor_.reset();
    fs::remove_all(root_);
  }
  void begin(const std::string& script) {
    supervisor_ = std::make_unique<Supervisor>(
        std::vector<NodeSpec>{{"n1", {"/bin/sh", "-c", script, (root_ / "n1").string()}, (root_ / "n1").string()}},
        [](std::string) {}, SupervisorTimes{milliseconds(20), milliseconds(80), milliseconds(10'000)});
    ASSERT_TRUE(supervisor_->begin());
  }
  NodeStatus status() const { return supervisor_->status("n1").value(); }
  static bool eventually(const std::function<bool()>& holds) {
    for (int i = 0; i < 1000; ++i) {
      if (holds()) return true;
      std::this_thread::sleep_for(milliseconds(5));
    }
    return false;
  }
  static void kill_node(const std::string& incarnation, int signal) {
    ::kill(static_cast<pid_t>(parse_int(split(incarnation, '-')[0]).value()), signal);
  }

  fs::path root_;
  std::unique_ptr<Supervisor> supervisor_;
};

constexpr auto serves = "trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done";

TEST_F(SupervisorTest, StopsCleanlyAndDoesNotStartAgain) {
  begin(serves);
  EXPECT_FALSE(status().running);
  ASSERT_TRUE(supervisor_->start("n1"));
  const auto first = status().incarnation;
  ASSERT_TRUE(supervisor_->start("n1"));
  EXPECT_EQ(status().incarnation, first) << "starting what runs changes nothing";
  EXPECT_TRUE(eventually([&] { return tail_of((root_ / "n1/log").string(), 100) == "up\n"; }));
  ASSERT_TRUE(supervisor_->stop("n1", milliseconds(5000)));
  EXPECT_FALSE(status().running);
  EXPECT_EQ(status().last_exit_code, 0);
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_FALSE(status().running);
  EXPECT_TRUE(supervisor_->stop("n1", milliseconds(10))) << "stopping what is stopped is no error";
  EXPECT_FALSE(supervisor_->start("n2"));
}

TEST_F(SupervisorTest, KillsWhatDoesNotEnd) {
  begin("trap '' TERM; echo deaf; while :; do sleep 0.01; done");
  ASSERT_TRUE(supervisor_->start("n1"));
  ASSERT_TRUE(eventually([&] { return tail_of((root_ / "n1/log").string(), 100) == "deaf\n"; }));
  ASSERT_TRUE(supervisor_->stop("n1", milliseconds(50)));
  EXPECT_FALSE(status().running);
  EXPECT_EQ(status().last_exit_code, 128 + SIGKILL);
}

TEST_F(SupervisorTest, StartsAWantedNodeAgainWhenItDies) {
  begin(serves);
  ASSERT_TRUE(supervisor_->start("n1"));
  const auto first = status().incarnation;
  kill_node(first, SIGKILL);
  EXPECT_TRUE(eventually([&] { return status().running && status().incarnation != first; }));
  EXPECT_EQ(status().restarts, 1);
  EXPECT_EQ(status().last_exit_code, 128 + SIGKILL);
}

TEST_F(SupervisorTest, KeepsTryingAndShowsTheLogOfWhatFails) {
  begin("echo broken; exit 3");
  ASSERT_TRUE(supervisor_->start("n1"));
  EXPECT_TRUE(eventually([&] { return status().restarts >= 3; }));
  EXPECT_EQ(status().last_exit_code, 3);
  EXPECT_NE(status().last_lines.find("broken"), std::string::npos);
  EXPECT_TRUE(status().wanted);
}

TEST_F(SupervisorTest, DoesNotStartAgainWhatTheClusterRefused) {
  begin("echo 'this release is refused'; exit 78");
  ASSERT_TRUE(supervisor_->start("n1"));
  EXPECT_TRUE(eventually([&] { return !status().running; }));
  std::this_thread::sleep_for(milliseconds(200));
  EXPECT_FALSE(status().running);
  EXPECT_EQ(status().restarts, 0);
  EXPECT_EQ(status().last_exit_code, exit_refused);
  EXPECT_FALSE(status().wanted);
  EXPECT_NE(status().last_lines.find("refused"), std::string::npos);
}

TEST_F(SupervisorTest, TheNextAgentAdoptsRunningNodes) {
  begin(serves);
  ASSERT_TRUE(supervisor_->start("n1"));
  const auto first = status().incarnation;
  supervisor_.reset();
  EXPECT_TRUE(identify(static_cast<pid_t>(parse_int(split(first, '-')[0]).value()))) << "nodes outlive the agent";
  begin(serves);
  EXPECT_TRUE(status().running);
  EXPECT_EQ(status().incarnation, first);
  EXPECT_TRUE(status().wanted);

  kill_node(first, SIGKILL);
  EXPECT_TRUE(eventually([&] { return status().running && status().incarnation != first; })) << "and looks after them";
}

TEST_F(SupervisorTest, FindsANodeWhosePidFileWasNotWritten) {
  begin(serves);
  ASSERT_TRUE(supervisor_->start("n1"));
  const auto first = status().incarnation;
  supervisor_.reset();
  fs::remove(root_ / "n1/pid");
  begin(serves);
  EXPECT_EQ(status().incarnation, first);
}

TEST_F(SupervisorTest, StartsWantedNodesAfterTheHostWasDown) {
  begin(serves);
  ASSERT_TRUE(supervisor_->start("n1"));
  ASSERT_TRUE(supervisor_->stop("n1", milliseconds(3000), /*keep_wanted=*/true));
  EXPECT_FALSE(status().running);
  supervisor_.reset();
  std::ofstream(root_ / "n1/pid") << "1 1\n";  // a pid that means another process now
  begin(serves);
  EXPECT_TRUE(status().running);
}

TEST(Process, RunsAProgramToItsEnd) {
  auto done = run_program({"/bin/sh", "-c", "echo out; echo err >&2; exit 5"}, milliseconds(5000));
  ASSERT_TRUE(done);
  EXPECT_EQ(done->exit_code, 5);
  EXPECT_EQ(done->output, "out\nerr\n");
  auto late = run_program({"/bin/sleep", "20"}, milliseconds(50));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind(), ErrorKind::deadline_exceeded);
  EXPECT_FALSE(run_program({"/no/such/program"}, milliseconds(50)));
}

}  // namespace
}  // namespace afloat::agent
