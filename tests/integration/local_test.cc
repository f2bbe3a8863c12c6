#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "local/haproxy.h"
#include "local/postgres.h"
#include "local/workplace.h"
#include "support/support.h"

namespace afloat::local {
namespace {

using namespace std::chrono_literals;

TEST(LocalProcess, TellsExitCodeAndWords) {
  auto output = run_command({.argv = {"sh", "-c", "echo heard; echo so >&2; exit 3"}});
  ASSERT_TRUE(output) << output.error().message();
  EXPECT_EQ(output->exit_code, 3);
  EXPECT_EQ(output->output, "heard\nso\n");
}

TEST(LocalProcess, IsKilledAtTheLimitWithItsChildren) {
  auto output = run_command({.argv = {"sh", "-c", "sleep 60 & sleep 60"}}, 100ms);
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().kind(), ErrorKind::deadline_exceeded);
}

TEST(LocalProcess, AMissingProgramIsNamed) {
  auto output = run_command({.argv = {"no-such-program"}});
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().kind(), ErrorKind::not_found);
  EXPECT_NE(output.error().message().find("no-such-program"), std::string::npos);
}

TEST(LocalProcess, OneThatIgnoresSigtermIsKilled) {
  TempDir folder;
  const auto log = folder.path() + "/log";
  auto process =
      Process::start({.argv = {"sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done"}, .log = log});
  ASSERT_TRUE(process) << process.error().message();
  ASSERT_TRUE(test::eventually(10s, [&] { return process->last_lines(1) == "deaf\n"; }));
  EXPECT_EQ(process->stop(100ms), 128 + 9);
  EXPECT_FALSE(process->running());
}

TEST(LocalWorkplace, TwoPortBlocksDiffer) {
  auto one = PortBlock::take();
  auto other = PortBlock::take();
  ASSERT_TRUE(one && other);
  EXPECT_NE(one->first(), other->first());
}

TEST(LocalWorkplace, AFolderGoesWithItsObject) {
  std::string path;
  {
    TempDir folder;
    path = folder.path();
    EXPECT_TRUE(std::filesystem::exists(path));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(LocalPostgres, KeepsWhatWasCommittedAcrossAKill) {
  TempDir folder;
  auto server = Postgres::start({.folder = folder.path() + "/pg", .log = "", .fsync = true});
  ASSERT_TRUE(server) << server.error().message();
  ASSERT_TRUE(server->create_database("site"));
  EXPECT_EQ(server->create_database("site").error().kind(), ErrorKind::conflict);
  ASSERT_TRUE(server->execute("site", "create table kept (n int); insert into kept values (7)"));
  server->stop(true);
  EXPECT_FALSE(server->running());
  ASSERT_TRUE(server->start_again());
  EXPECT_EQ(server->query("site", "select n from kept").value_or(""), "7");
}

TEST(LocalPostgres, AFolderThatItCannotReachIsNamed) {
  if (geteuid() != 0) return;  // only root has another user's server
  TempDir folder;
  ASSERT_TRUE(make_folders(folder.path() + "/closed/inner"));
  std::filesystem::permissions(folder.path() + "/closed", std::filesystem::perms::owner_all);
  auto server = Postgres::start({.folder = folder.path() + "/closed/inner/pg", .log = ""});
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().kind(), ErrorKind::failed_precondition);
  EXPECT_NE(server.error().message().find("/closed"), std::string::npos);
}

TEST(LocalHaproxy, TellsWhyItDoesNotStart) {
  TempDir folder;
  auto ports = PortBlock::take();
  ASSERT_TRUE(ports);
  auto first = Haproxy::start({.folder = folder.path() + "/one", .port = ports->first()});
  ASSERT_TRUE(first) << first.error().message();
  auto second = Haproxy::start({.folder = folder.path() + "/two", .port = ports->first()});
  ASSERT_FALSE(second) << "two listen on one port";
  EXPECT_NE(second.error().message().find(std::to_string(ports->first())), std::string::npos);
  auto nobody = first->wait_up(1, 200ms);
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().kind(), ErrorKind::deadline_exceeded);
}

TEST(TestDatabase, IsACopyOfItsTemplate) {
  int filled = 0;
  auto fill = [&](const std::string&) {
    ++filled;
    ASSERT_TRUE(test::postgres().execute("template_copy", "create table t (n int); insert into t values (1)"));
  };
  test::Database one("copy", fill), other("copy", fill);
  EXPECT_EQ(filled, 1);
  one.query("update t set n = 2");
  EXPECT_EQ(one.query("select n from t"), "2");
  EXPECT_EQ(other.query("select n from t"), "1");
}

}  // namespace
}  // namespace afloat::local
