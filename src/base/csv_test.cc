#include "base/csv.h"

#include <gtest/gtest.h>

namespace afloat {
namespace {

TEST(Csv, QuotesWhatNeedsItAndDisarmsFormulas) {
  EXPECT_EQ(csv_line({"7", "admin", "start"}), "7,admin,start\r\n");
  EXPECT_EQ(csv_line({"", "", "x"}), ",,x\r\n");
  EXPECT_EQ(csv_line({"a \"b\", c", "two\nlines"}), "\"a \"\"b\"\", c\",\"two\nlines\"\r\n");
  EXPECT_EQ(csv_line({"=1+1", "@a", "-2", "+3", "a=1"}), "'=1+1,'@a,'-2,'+3,a=1\r\n");
}

}  // namespace
}  // namespace afloat
