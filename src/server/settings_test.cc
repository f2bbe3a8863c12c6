#include "server/settings.h"

#include <gtest/gtest.h>

namespace afloat::server {
namespace {

TEST(Settings, TellWhatIsInForceAndNoSecret) {
  SiteConfig site;
  site.site_name = "Wiki";
  site.database = "host=db dbname=wiki user=afloat password=hunter2-and-more";
  std::string all;
  for (const auto& each : settings_of(site)) {
    EXPECT_FALSE(each.key.empty() || each.about.empty() || each.group.empty());
    all += std::string(each.key) + "=" + each.value + "\n";
  }
  for (const auto* part : {"site_name=Wiki", "edition=data-center", "idle_timeout_ms=75000 ms", "host='db'"})
    EXPECT_TRUE(all.contains(part)) << part << " is not in\n" << all;
  EXPECT_FALSE(all.contains("hunter2")) << all;
}

}  // namespace
}  // namespace afloat::server
