#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <string>

#include "rollout/health.h"
#include "rollout/preflight.h"

/// docs/checks.md has each check, since `afloat check` sends people there, and no other.
namespace afloat::rollout {
namespace {

TEST(ChecksPage, HasEveryCheckAndNoOther) {
  Observation seen;
  seen.cluster.emplace();
  seen.surge_missing = true;
  std::set<std::string> ids, explained;
  auto checks = health(seen);
  for (auto& check : preflight("1.0.0", "1.1.0", seen)) checks.push_back(std::move(check));
  for (const auto& check : checks) {
    ids.insert(check.id);
    EXPECT_EQ(link_of(check), "docs/checks.md#" + check.id);
  }
  std::ifstream page(AFLOAT_SOURCE_DIR "/docs/checks.md");
  bool empty = true;
  std::string last;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("#") && !last.empty()) EXPECT_FALSE(empty) << last << " is not explained";
    if (line.starts_with("#")) last.clear();
    if (line.starts_with("### ")) {
      last = line.substr(4);
      EXPECT_TRUE(explained.insert(last).second) << last << " is there twice";
      empty = true;
    } else if (!line.empty()) {
      empty = false;
    }
  }
  EXPECT_GT(ids.size(), 30U);
  EXPECT_EQ(explained, ids);
}

}  // namespace
}  // namespace afloat::rollout
