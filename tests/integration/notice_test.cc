#include <fmt/format.h>

#include "base/text.h"
#include "support/lone_node.h"

// What everybody who reads is told before the site goes away for an upgrade with downtime.
namespace afloat::test {
namespace {

using std::chrono::seconds;

TEST(Notice, APlannedDowntimeIsOnEveryPageForADayBeforeAndNotLonger) {
  Database database;
  LoneNode node(database.connection());
  node.write_config();
  node.start();
  ASSERT_TRUE(node.wait_ready()) << node.log();
  const auto home = [&] { return *node.admin().get("/").body; };
  const auto eventually_shows = [&](const std::string& words) {
    return eventually(seconds(12), [&] { return home().contains(words); });
  };
  EXPECT_FALSE(home().contains("class=\"notice\""));

  const auto in_two_hours = std::chrono::duration_cast<std::chrono::milliseconds>(
                                (std::chrono::system_clock::now() + std::chrono::hours(2)).time_since_epoch())
                                .count();
  database.query(
      fmt::format("insert into upgrade_run (from_version, to_version, options) values "
                  "('1.2.0', '2.0.0', '{{\"offline\":true,\"not_before_ms\":{}}}') returning 1",
                  in_two_hours));
  ASSERT_TRUE(eventually_shows("Maintenance at " + iso_time(in_two_hours).substr(0, 10))) << home();
  EXPECT_TRUE(home().contains("Save what you write before then."));

  database.query(fmt::format("update upgrade_run set options = '{{\"offline\":true,\"not_before_ms\":{}}}' returning 1",
                             in_two_hours + 3 * 24 * 3'600'000LL));
  EXPECT_TRUE(eventually(seconds(12), [&] { return !home().contains("class=\"notice\""); })) << "in three days";

  database.query("update upgrade_run set options = '{\"offline\":true}' returning 1");
  ASSERT_TRUE(eventually_shows("Maintenance begins")) << home();
  database.query("update upgrade_run set options = '{\"offline\":false}' returning 1");
  EXPECT_TRUE(eventually(seconds(12), [&] { return !home().contains("class=\"notice\""); })) << "a rolling one";
}

}  // namespace
}  // namespace afloat::test
