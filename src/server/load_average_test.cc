#include "server/load_average.h"

#include <gtest/gtest.h>

namespace afloat::server {
namespace {

using namespace std::chrono_literals;

TEST(LoadAverage, IsTheBusyShareOfTheLastMinute) {
  LoadAverage load;
  LoadAverage::Time at{};
  std::chrono::nanoseconds busy{0};
  EXPECT_EQ(load.share(), 0);
  load.add(at, busy, 2);
  EXPECT_EQ(load.share(), 0);
  const auto pass = [&](int seconds, double share) {
    for (int i = 0; i < seconds; i += 2) {
      at += 2s;
      busy += std::chrono::nanoseconds(static_cast<std::int64_t>(2 * 2e9 * share));
      load.add(at, busy, 2);
    }
  };
  pass(10, 0.8);
  EXPECT_NEAR(load.share(), 0.8, 1e-9) << "a node that has just started tells what it knows";
  pass(60, 0.2);
  EXPECT_NEAR(load.share(), 0.2, 1e-9) << "older than a minute does not count";
  pass(6, 0.9);
  EXPECT_NEAR(load.share(), (54 * 0.2 + 6 * 0.9) / 60, 1e-9) << "a peak of seconds is no load";
}

}  // namespace
}  // namespace afloat::server
