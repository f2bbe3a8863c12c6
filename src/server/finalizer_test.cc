#include "server/finalizer.h"

#include <gtest/gtest.h>

namespace afloat::server {
namespace {

using namespace std::chrono_literals;

TEST(Finalizer, ABackfillLeavesTheTimeToPeopleThatTheyNeed) {
  EXPECT_EQ(rest_after_batch(40ms, false, 0), 120ms) << "before approve: a quarter of the time";
  EXPECT_EQ(rest_after_batch(1ms, false, 0), 10ms);
  EXPECT_EQ(rest_after_batch(40ms, true, 0.1), 2ms) << "approved, and nobody is in need of the node";
  EXPECT_EQ(rest_after_batch(40ms, true, 0.6), 40ms);
  EXPECT_EQ(rest_after_batch(40ms, true, 0.9), 120ms);
}

}  // namespace
}  // namespace afloat::server
