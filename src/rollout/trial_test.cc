#include "rollout/trial.h"

#include <gtest/gtest.h>

namespace afloat::rollout {
namespace {

/// Reads of one turn; of each twenty on the new node, `failed` fail and `slow` take `slow_ms`.
TrialReads turn(int failed = 0, int slow = 0, double slow_ms = 2, int other_failed = 0, double usual_ms = 2) {
  TrialReads reads;
  for (int i = 0; i < 20; ++i) {
    reads.ms.push_back(i < slow ? slow_ms : usual_ms);
    reads.other_ms.push_back(usual_ms);
  }
  reads.failed = failed;
  reads.other_failed = other_failed;
  if (failed > 0) reads.example = "/login answered 500";
  reads.known.asked = 7;
  return reads;
}

struct Case {
  std::string_view name;
  TrialReads reads;
  Verdict expected;
  std::string_view says;
};

TEST(Trial, ANodeIsReadFromBeforeAnybodyMeetsIt) {
  const Case cases[] = {
      {"as good as the others", turn(), Verdict::good, "300 reads"},
      {"one read in twenty fails", turn(1), Verdict::bad, "/login answered 500"},
      {"one read in twenty takes 150 ms longer", turn(0, 1, 152), Verdict::bad, "p99 is 152 ms, 2 ms"},
      {"one read in twenty is slower by less than 50 ms", turn(0, 1, 40), Verdict::good, "p99 40 ms"},
      {"as many fail on the others: the database is at fault", turn(1, 0, 2, 1), Verdict::good, "15 failed"},
      {"all of the site is slow", turn(0, 1, 190, 0, 110), Verdict::good, "p99 190 ms"},
  };
  for (const auto& [name, reads, expected, says] : cases) {
    SCOPED_TRACE(name);
    Trial trial(0);
    CanaryView view;
    std::int64_t now = 0;
    while (view.verdict == Verdict::waiting && now < 2 * Trial::limit_ms) {
      trial.add(reads);
      view = trial.view(now += 100);
    }
    EXPECT_EQ(view.verdict, expected) << view.reason;
    EXPECT_NE(view.reason.find(says), std::string::npos) << view.reason;
  }
}

TEST(Trial, AReleaseThatReadsWellAndWritesBadlyIsFound) {
  const auto verdict_of = [](int writes, int failed, int other_failed) {
    Trial trial(0);
    for (int i = 0; i < 15; ++i) {
      auto one = turn(0, 0, 2, i == 0 ? other_failed : 0);
      one.writes = writes;
      one.writes_failed = i % 3 == 0 ? failed : 0;
      if (one.writes_failed > 0) one.write_example = "a draft was answered with 500";
      trial.add(one);
    }
    return trial.view(1'500);
  };
  const auto bad = verdict_of(7, 1, 0);
  EXPECT_EQ(bad.verdict, Verdict::bad);
  EXPECT_EQ(bad.reason, "5 of 105 writes failed: a draft was answered with 500");
  EXPECT_EQ(verdict_of(7, 0, 0).verdict, Verdict::good);
  EXPECT_TRUE(verdict_of(7, 0, 0).reason.contains("105 writes: 0 failed")) << verdict_of(7, 0, 0).reason;
  EXPECT_EQ(verdict_of(0, 0, 0).verdict, Verdict::good) << "a release that can't be tried so";
  EXPECT_EQ(verdict_of(7, 1, 2).verdict, Verdict::good) << "the database was away for all";
}

TEST(Trial, OneFailedReadAndOneSlowHalfAreChance) {
  Trial trial(0);
  for (int i = 0; i < 15; ++i) trial.add(turn(i == 3 ? 1 : 0, i < 7 ? 1 : 0, 400));
  EXPECT_EQ(trial.view(1'500).verdict, Verdict::good) << trial.view(1'500).reason;
}

TEST(Trial, WhatIsPlainIsNotWaitedFor) {
  Trial wrong(0);
  auto reads = turn();
  reads.known.wrong = 1;
  reads.known.example = "page 7 differs";
  wrong.add(reads);
  EXPECT_EQ(wrong.view(100).verdict, Verdict::bad);
  EXPECT_NE(wrong.view(100).reason.find("page 7 differs"), std::string::npos);

  Trial dead(0);
  dead.add(turn(20));
  EXPECT_EQ(dead.view(100).verdict, Verdict::bad);
}

TEST(Trial, MemoryThatRunsAwayIsSeenWithTheFirstReads) {
  Trial trial(0);
  for (const std::int64_t megabytes : {40, 160, 239}) {
    trial.note_memory(megabytes * 1'000'000);
    trial.add(turn());
  }
  EXPECT_EQ(trial.view(300).verdict, Verdict::waiting) << "caches are filled";
  trial.note_memory(260'000'000);
  EXPECT_EQ(trial.view(400).verdict, Verdict::bad);
  EXPECT_EQ(trial.view(400).reason, "its memory grew from 40 to 260 MB in 60 reads");
  EXPECT_EQ(trial.fresh_bytes(), 40'000'000);
}

TEST(Trial, SilenceIsNeverGood) {
  Trial trial(0);
  trial.note_obstacle("no other node is ACTIVE");
  EXPECT_EQ(trial.view(Trial::limit_ms - 1).verdict, Verdict::waiting);
  EXPECT_EQ(trial.view(Trial::limit_ms).verdict, Verdict::inconclusive);
  EXPECT_NE(trial.view(Trial::limit_ms).reason.find("no other node is ACTIVE"), std::string::npos);
  trial.add(turn());
  EXPECT_EQ(trial.view(Trial::limit_ms).verdict, Verdict::inconclusive) << "20 reads are too few";
  for (int i = 0; i < 3; ++i) trial.add(turn());
  EXPECT_EQ(trial.view(Trial::limit_ms).verdict, Verdict::good) << "60 are enough where reading is slow";
}

}  // namespace
}  // namespace afloat::rollout
