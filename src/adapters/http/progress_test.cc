#include "adapters/http/progress.h"

#include <gtest/gtest.h>

namespace afloat::http {
namespace {

using std::chrono::seconds;

constexpr BodyPace pace{seconds(30), 1000};
const SteadyTime start{};

TEST(TransferProgress, OneThatGetsAheadMayTakeAnHour) {
  TransferProgress progress(pace, start);
  for (int s = 1; s <= 3600; ++s) EXPECT_FALSE(progress.judge(s * 1100, start + seconds(s))) << s;
}

TEST(TransferProgress, NothingForThePatienceIsTheEndHoweverMuchCameBefore) {
  TransferProgress progress(pace, start);
  EXPECT_FALSE(progress.judge(50'000'000, start + seconds(7)));
  for (int s = 8; s < 37; ++s) EXPECT_FALSE(progress.judge(50'000'000, start + seconds(s))) << s;
  const auto why = progress.judge(50'000'000, start + seconds(37));
  ASSERT_TRUE(why);
  EXPECT_EQ(*why, "nothing moved for 30 s");
}

TEST(TransferProgress, AByteNowAndThenIsTooSlow) {
  TransferProgress progress(pace, start);
  std::optional<std::string> why;
  int s = 0;
  while (!why && s < 100) {
    ++s;
    why = progress.judge(1'000'000 + s, start + seconds(s));  // a good beginning, then one byte each second
  }
  EXPECT_EQ(s, 60) << "the first window had the good beginning, the second has not";
  ASSERT_TRUE(why);
  EXPECT_EQ(*why, "1 bytes/s over 30 s, at least 1000 are asked for");
}

TEST(TransferProgress, IsLookedAtSeveralTimesWithinThePatience) {
  TransferProgress progress(pace, start);
  EXPECT_LE(progress.next_look(start), start + seconds(10));
  EXPECT_GT(TransferProgress({std::chrono::milliseconds(1), 1}, start).next_look(start), start);
}

}  // namespace
}  // namespace afloat::http
