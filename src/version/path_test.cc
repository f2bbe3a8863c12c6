#include "version/path.h"

#include <gtest/gtest.h>

#include <array>
#include <boost/json.hpp>

#include "base/text.h"

namespace afloat::version {
namespace {

Version v(std::string_view text) { return parse_version(text).value(); }

/// "7.15.x 7.16.x* 7.17.4": the star marks a downtime window.
std::string way(const Path& path) {
  std::vector<std::string> names;
  for (const auto& hop : path.hops) names.push_back(shown_stop(hop.to, hop.any) + (hop.rolls ? "" : "*"));
  return join(names, " ");
}

struct OpenCase {
  std::string_view from, to;
  HopVerdict verdict;
  std::string_view way;
};
constexpr auto open_cases = std::to_array<OpenCase>({
    {"7.14.2", "7.17.4", HopVerdict::rolling, "7.15.x 7.16.x 7.17.4"},
    {"7.14.0", "7.15.3", HopVerdict::rolling, "7.15.3"},
    {"7.14.0", "7.14.2", HopVerdict::rolling, "7.14.2"},
    {"7.12.0", "7.12.2", HopVerdict::rolling, "7.12.2"},
    // One hop needs downtime anyway: then the straight way in that window is the best.
    {"7.12.2", "7.17.4", HopVerdict::downtime, "7.17.4*"},
    {"7.13.1", "7.14.0", HopVerdict::downtime, "7.14.0*"},
    {"7.7.1", "7.9.2", HopVerdict::downtime, "7.9.2*"},
    {"7.8.1", "7.8.3", HopVerdict::downtime, "7.8.3*"},
    {"7.14.2", "8.0.0", HopVerdict::downtime, "8.0.0*"},
    {"7.19.2", "9.2.1", HopVerdict::downtime, "9.2.1*"},
    {"8.5.0", "8.9.1", HopVerdict::rolling, "8.6.x 8.7.x 8.8.x 8.9.1"},
    {"7.14.2", "7.14.2", HopVerdict::same, ""},
    {"7.14.2", "7.13.0", HopVerdict::downgrade, ""},
});

TEST(UpgradePath, WithoutACatalogueAnyReleaseOfALineWillDo) {
  for (const auto& [from, to, verdict, expected] : open_cases) {
    SCOPED_TRACE(std::string(from) + " to " + std::string(to));
    const auto path = find_path(policy_of(Product::confluence), v(from), v(to), std::nullopt);
    EXPECT_EQ(to_string(path.verdict), to_string(verdict));
    EXPECT_EQ(way(path), expected);
    EXPECT_TRUE(path.missing.empty());
    EXPECT_FALSE(path.message.empty());
    EXPECT_EQ(path.windows, verdict == HopVerdict::downtime ? 1 : 0);
  }
}

struct CatalogueCase {
  std::string_view name, releases, from, to;
  HopVerdict verdict;
  std::string_view way, missing;
};
// A release: version, then ! (needs downtime), <V (upgrades from V or above), |V (required stop), ? (only offered).
constexpr auto catalogue_cases = std::to_array<CatalogueCase>({
    {"through what is there", "1.1.4 1.2.0 1.3.2", "1.1.4", "1.3.2", HopVerdict::rolling, "1.2.0 1.3.2", ""},
    {"the highest bugfix release of a stop", "1.2.0 1.2.3 1.2.1 1.3.0 1.3.2", "1.1.4", "1.3.2", HopVerdict::rolling,
     "1.2.3 1.3.2", ""},
    {"a pre-release is no stop", "1.2.0-rc.1 1.3.2", "1.1.4", "1.3.2", HopVerdict::downtime, "1.3.2*", "1.2.x"},
    {"the stop is missing", "1.3.2", "1.1.4", "1.3.2", HopVerdict::downtime, "1.3.2*", "1.2.x"},
    {"two of three stops are missing", "1.3.0 1.5.0", "1.1.4", "1.5.0", HopVerdict::downtime, "1.5.0*", "1.2.x 1.4.x"},
    {"the target is missing", "1.2.0", "1.1.4", "1.3.2", HopVerdict::rolling, "1.2.0 1.3.2", "1.3.2"},
    {"nothing is there", "", "1.1.4", "1.3.2", HopVerdict::rolling, "1.2.x 1.3.2", "1.2.x 1.3.2"},
    {"offered by the index, not fetched", "1.2.0? 1.3.2", "1.1.4", "1.3.2", HopVerdict::downtime, "1.3.2*", "1.2.0"},
    {"a stop that refuses rolling is no help", "1.2.0! 1.3.2", "1.1.4", "1.3.2", HopVerdict::downtime, "1.3.2*", ""},
    {"another bugfix release of it does roll", "1.2.0 1.2.1! 1.3.2", "1.1.4", "1.3.2", HopVerdict::rolling,
     "1.2.0 1.3.2", ""},
    {"a platform release from the last feature release", "1.2.0 1.3.2 2.0.0", "1.3.2", "2.0.0", HopVerdict::rolling,
     "2.0.0", ""},
    {"a chain that beats the straight hop to it", "1.2.0 1.3.2 2.0.0", "1.1.4", "2.0.0", HopVerdict::rolling,
     "1.2.0 1.3.2 2.0.0", ""},
    {"its manifest refuses: straight, in one window", "1.2.0 1.3.2 2.0.0!", "1.1.4", "2.0.0", HopVerdict::downtime,
     "2.0.0*", ""},
    {"it upgrades only from the last: one window, but not straight", "1.2.0 1.3.2 2.0.0!<1.3.0", "1.1.4", "2.0.0",
     HopVerdict::downtime, "1.2.0 1.3.2 2.0.0*", ""},
    {"the last feature release is offered, not fetched", "1.2.0 1.3.2? 2.0.0", "1.2.0", "2.0.0", HopVerdict::downtime,
     "2.0.0*", "1.3.2"},
    {"over two major versions", "1.3.2 2.0.0 3.0.0", "1.3.2", "3.0.0", HopVerdict::rolling, "2.0.0 3.0.0", ""},
    {"a required stop holds a downtime hop too", "1.2.0! 1.3.0! 1.5.0!|1.3.0", "1.1.4", "1.5.0", HopVerdict::downtime,
     "1.3.0* 1.5.0*", ""},
    {"a required stop that is missing is named", "1.5.0!|1.3.1", "1.1.4", "1.5.0", HopVerdict::downtime,
     "1.2.x 1.3.1 1.5.0*", "1.2.x 1.3.1"},
    {"a bugfix release above the required stop does as well", "1.2.4 1.3.0|1.2.1", "1.1.4", "1.3.0",
     HopVerdict::rolling, "1.2.4 1.3.0", ""},
    {"equal", "1.1.4", "1.1.4", "1.1.4", HopVerdict::same, "", ""},
    {"a downgrade", "1.1.4 1.0.0", "1.1.4", "1.0.0", HopVerdict::downgrade, "", ""},
});

std::vector<Release> releases_of(std::string_view text) {
  std::vector<Release> releases;
  for (const auto& word : split(text, ' ')) {
    if (word.empty()) continue;
    Release release;
    release.rolling = word.find('!') == word.npos;
    release.fetched = word.find('?') == word.npos;
    release.version = v(word.substr(0, word.find_first_of("!?<|")));
    if (const auto at = word.find('<'); at != word.npos) release.upgrade_from_min = v(word.substr(at + 1));
    if (const auto at = word.find('|'); at != word.npos) release.required_stops.push_back(v(word.substr(at + 1)));
    releases.push_back(std::move(release));
  }
  return releases;
}

TEST(UpgradePath, WithACatalogueOnlyWhatIsInItAndTheRestIsNamed) {
  for (const auto& [name, releases, from, to, verdict, expected, missing] : catalogue_cases) {
    SCOPED_TRACE(name);
    const auto path = find_path(policy_of(Product::afloat), v(from), v(to), releases_of(releases));
    EXPECT_EQ(to_string(path.verdict), to_string(verdict)) << path.message;
    EXPECT_EQ(way(path), expected) << path.message;
    EXPECT_EQ(join(path.missing, " "), missing) << path.message;
  }
}

TEST(UpgradePath, EachHopSaysWhyAndTheNoteOnA78IsShown) {
  const auto path = find_path(policy_of(Product::confluence), v("7.14.2"), v("7.17.4"), std::nullopt);
  ASSERT_EQ(path.hops.size(), 3U);
  EXPECT_NE(path.hops[0].why.find("7.14.2 to 7.15.x is the next feature release"), std::string::npos)
      << path.hops[0].why;
  EXPECT_NE(path.hops[1].why.find("7.15.x to 7.16.x"), std::string::npos) << path.hops[1].why;
  EXPECT_TRUE(path.notes.empty());
  for (const auto& [from, to] : {std::pair("7.8.1", "7.9.0"), std::pair("7.7.0", "7.8.0")})
    EXPECT_EQ(find_path(policy_of(Product::confluence), v(from), v(to), std::nullopt).notes.size(), 1U) << from;
}

TEST(UpgradePath, AWayOfAThousandFeatureReleasesIsFoundAtOnce) {
  const auto path = find_path(policy_of(Product::confluence), v("8.0.0"), v("8.999.0"), std::nullopt);
  EXPECT_EQ(path.hops.size(), 999U);
  EXPECT_EQ(path.windows, 0);
}

TEST(UpgradePath, TheFactsOfAHopComeFromTheCatalogue) {
  const auto catalogue = releases_of("1.2.0 1.3.2 2.0.0!<1.3.0");
  const auto facts = facts_of(v("1.2.0"), v("2.0.0"), catalogue);
  EXPECT_FALSE(facts.rolling);
  EXPECT_FALSE(facts.from_last_feature);
  EXPECT_EQ(facts.upgrade_from_min, v("1.3.0"));
  EXPECT_TRUE(facts_of(v("1.3.2"), v("2.0.0"), catalogue).from_last_feature);
  EXPECT_TRUE(facts_of(v("1.3.2"), v("2.0.1"), catalogue).rolling);
}

TEST(UpgradePath, AsJson) {
  const auto object = path_json(find_path(policy_of(Product::confluence), v("7.18.0"), v("7.20.1"), std::nullopt));
  EXPECT_EQ(object.at("verdict").as_string(), "rolling");
  const auto& hop = object.at("hops").as_array().at(0).as_object();
  EXPECT_EQ(hop.at("to").as_string(), "7.19.x");
  EXPECT_TRUE(hop.at("lts").as_bool());
  EXPECT_TRUE(hop.at("any").as_bool());
  const auto table = policy_json(policy_of(Product::confluence));
  EXPECT_EQ(table.at("rows").as_array().size(), 3U);
  EXPECT_EQ(table.at("rows").as_array().at(1).as_object().at("nextFeature").as_string(), "downtime");
}

}  // namespace
}  // namespace afloat::version
