#include "agent/leadership.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/hash.h"

namespace afloat::agent {
namespace {

struct TemporaryFile {
  std::string path = (std::filesystem::temp_directory_path() / ("afloat-lead-" + random_hex(6))).string();
  ~TemporaryFile() { std::filesystem::remove(path); }
};

TEST(EpochGuard, KeepsReplacedLeadersOutAcrossRestarts) {
  init_crypto();
  const TemporaryFile file;
  {
    EpochGuard guard(file.path);
    ASSERT_TRUE(guard.load());
    EXPECT_TRUE(guard.accept({3, "a"}));
    EXPECT_TRUE(guard.accept({3, "a"})) << "the same leader goes on";
    EXPECT_TRUE(guard.accept({5, "b"}));
  }
  EpochGuard guard(file.path);
  ASSERT_TRUE(guard.load());
  EXPECT_EQ(guard.known().epoch, 5);
  EXPECT_EQ(guard.known().holder, "b");
  for (const LeaderLease& lead : {LeaderLease{4, "a"}, LeaderLease{5, "a"}, LeaderLease{4, "b"}}) {
    auto refused = guard.accept(lead);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::conflict);
    EXPECT_EQ(refused.error().code(), "stale_epoch");
    EXPECT_NE(refused.error().message().find("epoch 5"), std::string::npos);
  }
  EXPECT_TRUE(guard.accept({5, "b"}));
  EXPECT_FALSE(guard.accept({0, "b"}));
  EXPECT_FALSE(guard.accept({6, ""}));
}

TEST(EpochGuard, DoesNotActOnADamagedFile) {
  const TemporaryFile file;
  std::ofstream(file.path) << "{\"epoch\":";
  EpochGuard guard(file.path);
  auto loaded = guard.load();
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().kind(), ErrorKind::data_corrupted);
}

TEST(CommandJournal, AnswersARepeatedStepAsDone) {
  const TemporaryFile file;
  AgentCommand stop{"stop", "node1", "", {{3, "a"}, 7, "hop1/node1/stop", "10-20"}};
  {
    CommandJournal journal(file.path);
    ASSERT_TRUE(journal.load());
    EXPECT_TRUE(journal.record(stop, "begun"));
    EXPECT_FALSE(journal.is_done(stop));
    EXPECT_TRUE(journal.record(stop, "done"));
    EXPECT_TRUE(journal.is_done(stop));
  }
  std::ofstream(file.path, std::ios::app) << "{\"outcome\":\"do";  // the host lost power here
  CommandJournal journal(file.path);
  ASSERT_TRUE(journal.load());
  EXPECT_TRUE(journal.is_done(stop));
  stop.order.lead = {4, "b"};
  EXPECT_TRUE(journal.is_done(stop)) << "whoever leads now";
  stop.order.expected_incarnation = "11-30";
  EXPECT_FALSE(journal.is_done(stop)) << "another process of that node";
  stop.order.expected_incarnation = "10-20";
  stop.order.run = 8;
  EXPECT_FALSE(journal.is_done(stop)) << "another run";
  EXPECT_TRUE(journal.record(stop, "done"));
  CommandJournal again(file.path);
  ASSERT_TRUE(again.load());
  EXPECT_TRUE(again.is_done(stop)) << "a torn line spoils no later one";
}

}  // namespace
}  // namespace afloat::agent
