#include "cli/moment.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <string>

namespace afloat::cli {
namespace {

TEST(Moment, IsReadAsPeopleWriteIt) {
  setenv("TZ", "UTC", 1);
  tzset();
  constexpr std::int64_t minute = 60'000, hour = 60 * minute, day = 24 * hour;
  constexpr std::int64_t noon = 1'795'608'000'000;  // 2026-11-25 12:00 UTC
  struct Case {
    std::string text;
    std::int64_t expected;
  };
  for (const auto& [text, expected] :
       {Case{"12:01", noon + minute}, Case{"12:00", noon + day}, Case{"05:00", noon + 17 * hour},
        Case{"+2h", noon + 2 * hour}, Case{"+90min", noon + 90 * minute}, Case{" 2026-11-26 03:00 ", noon + 15 * hour},
        Case{"2026-11-26T03:00", noon + 15 * hour}}) {
    const auto read = parse_moment(text, noon);
    ASSERT_TRUE(read) << text << ": " << read.error().message();
    EXPECT_EQ(*read, expected) << text;
  }
  for (const auto* text : {"", "soon", "25:00", "12:60", "+2", "+0h", "-1h", "2026-02-30 03:00", "2026-11-25 11:00",
                           "2026-11-26", "03:00 UTC", "+9999999999h"})
    EXPECT_FALSE(parse_moment(text, noon)) << text;
  EXPECT_EQ(shown_moment(noon), "Wed 2026-11-25 12:00");
}

}  // namespace
}  // namespace afloat::cli
