#include "version/policy.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <iterator>

namespace afloat::version {
namespace {

struct HopCase {
  std::string_view from, to;
  HopVerdict verdict;
  std::string_view says;
};
constexpr auto hop_cases = std::to_array<HopCase>({
    {"1.0.0", "1.0.1", HopVerdict::rolling, "bugfix"},
    {"1.0.0", "1.0.7", HopVerdict::rolling, "bugfix"},
    {"1.0.0", "1.1.0", HopVerdict::rolling, "next feature"},
    {"1.0.5", "1.1.3", HopVerdict::rolling, "next feature"},
    {"1.0.0", "1.1.0-dev", HopVerdict::rolling, "next feature"},
    {"1.0.3", "1.2.1", HopVerdict::downtime, "1.0.3 -> 1.1.x -> 1.2.1"},
    {"1.0.3", "1.4.0", HopVerdict::downtime, "1.0.3 -> 1.1.x -> 1.2.x -> 1.3.x -> 1.4.0"},
    {"1.4.0", "2.0.0", HopVerdict::downtime, "platform"},
    {"1.0.0", "1.0.0", HopVerdict::same, "already"},
    {"1.1.0-dev", "1.1.0", HopVerdict::rolling, "within one version"},
    {"1.1.0-dev", "1.1.0-rc.1", HopVerdict::rolling, "within one version"},
    {"1.1.0", "1.1.0-rc.1", HopVerdict::downgrade, "older"},
    {"1.1.0-rc.1", "1.1.0-rc.2", HopVerdict::same, "share the build number 10010007"},
    {"1.1.0", "1.0.9", HopVerdict::downgrade, "older"},
    {"2.0.0", "1.9.0", HopVerdict::downgrade, "restore a backup"},
});

TEST(Policy, AdviseHop) {
  for (const auto& [from, to, verdict, says] : hop_cases) {
    SCOPED_TRACE(std::string(from) + " to " + std::string(to));
    const auto advice = advise_hop(parse_version(from).value(), parse_version(to).value());
    EXPECT_EQ(advice.verdict, verdict);
    EXPECT_NE(advice.message.find(says), std::string::npos) << advice.message;
  }
}

// The table as the vendor publishes it, cell by cell; both ends of each row.
constexpr auto confluence_cases = std::to_array<HopCase>({
    {"6.15.2", "6.15.4", HopVerdict::downtime, "7.8 and earlier"},
    {"7.7.1", "7.7.4", HopVerdict::downtime, "7.8 and earlier"},
    {"7.7.4", "7.8.0", HopVerdict::downtime, "7.8 and earlier"},
    {"7.7.4", "7.9.0", HopVerdict::downtime, "skips 1 feature release"},
    {"7.8.0", "7.8.3", HopVerdict::downtime, "bugfix release, and from 7.8 and earlier"},
    {"7.8.3", "7.9.0", HopVerdict::downtime, "7.8 and earlier"},
    {"7.9.0", "7.9.2", HopVerdict::rolling, "bugfix"},
    {"7.9.2", "7.10.0", HopVerdict::downtime, "7.9 to 7.13"},
    {"7.12.0", "7.12.2", HopVerdict::rolling, "bugfix"},
    {"7.12.0", "7.13.0", HopVerdict::downtime, "7.9 to 7.13"},
    {"7.13.0", "7.13.20", HopVerdict::rolling, "bugfix"},
    {"7.13.7", "7.14.0", HopVerdict::downtime, "7.9 to 7.13"},
    {"7.14.0", "7.14.2", HopVerdict::rolling, "bugfix"},
    {"7.14.2", "7.15.1", HopVerdict::rolling, "next feature"},
    {"7.14.2", "7.16.0", HopVerdict::downtime, "7.14.2 -> 7.15.x -> 7.16.0"},
    {"7.14.2", "7.17.4", HopVerdict::downtime, "7.14.2 -> 7.15.x -> 7.16.x -> 7.17.4"},
    {"7.12.2", "7.17.4", HopVerdict::downtime, "skips 4 feature releases"},
    {"7.20.3", "8.0.0", HopVerdict::downtime, "platform"},
    {"7.9.3", "8.0.0", HopVerdict::downtime, "platform"},
    {"8.5.1", "8.6.0", HopVerdict::rolling, "next feature"},
    {"8.5.1", "9.2.0", HopVerdict::downtime, "platform"},
    {"7.14.2", "7.14.2", HopVerdict::same, "already"},
    {"7.14.2", "7.14.1", HopVerdict::downgrade, "older"},
    {"8.0.0", "7.20.0", HopVerdict::downgrade, "older"},
    {"8.0.0-rc.1", "8.0.0-rc.2", HopVerdict::rolling, "within one version"},
    {"8.0.0-rc.10", "8.0.0-rc.9", HopVerdict::downgrade, "older"},
});

TEST(Policy, ConfluenceTable) {
  for (const auto& [from, to, verdict, says] : confluence_cases) {
    SCOPED_TRACE(std::string(from) + " to " + std::string(to));
    const auto advice =
        advise_hop(policy_of(Product::confluence), parse_version(from).value(), parse_version(to).value());
    EXPECT_EQ(to_string(advice.verdict), to_string(verdict));
    EXPECT_NE(advice.message.find(says), std::string::npos) << advice.message;
  }
}

TEST(Policy, TheRowsOfEachProductHoldEveryVersionOnce) {
  for (const auto product : {Product::afloat, Product::confluence}) {
    const auto& policy = policy_of(product);
    ASSERT_FALSE(policy.rows.empty());
    EXPECT_EQ(policy.rows.front().first, (FeatureLine{0, 0}));
    EXPECT_EQ(&row_for(policy, parse_version("213.999.999").value()), &policy.rows.back());
    for (std::size_t row = 1; row < policy.rows.size(); ++row) {
      EXPECT_EQ(policy.rows[row].first.major, policy.rows[row - 1].last.major);
      EXPECT_EQ(policy.rows[row].first.minor, policy.rows[row - 1].last.minor + 1);
    }
  }
}

TEST(Policy, WhoeverAsksAboutThe78OfConfluenceHearsThatTheVendorsPageIsAmbiguous) {
  const auto& policy = policy_of(Product::confluence);
  EXPECT_NE(note_on(policy, parse_version("7.8.3").value()).find("two rows"), std::string_view::npos);
  EXPECT_EQ(note_on(policy, parse_version("7.9.0").value()), "");
  EXPECT_EQ(note_on(policy_of(Product::afloat), parse_version("7.8.3").value()), "");
}

TEST(Policy, TheLongTermReleasesOfConfluenceAreKnown) {
  const auto& policy = policy_of(Product::confluence);
  for (const auto* text : {"7.4.0", "7.13.20", "7.19.1", "8.5.4", "9.2.0"})
    EXPECT_TRUE(is_lts(policy, parse_version(text).value())) << text;
  for (const auto* text : {"7.14.0", "8.4.9", "9.3.0"})
    EXPECT_FALSE(is_lts(policy, parse_version(text).value())) << text;
}

struct FactsCase {
  std::string_view name, from, to;
  bool rolling, from_last_feature;
  std::string_view from_min, stop;
  HopVerdict verdict;
  std::string_view says;
};
constexpr auto facts_cases = std::to_array<FactsCase>({
    {"a platform release rolls from the last feature release before it", "1.4.0", "2.0.0", true, true, "", "",
     HopVerdict::rolling, "last feature release before it"},
    {"not from an earlier one", "1.3.0", "2.0.0", true, false, "", "", HopVerdict::downtime, "only from the last"},
    {"not when its manifest refuses", "1.4.0", "2.0.0", false, true, "", "", HopVerdict::downtime, "asks for downtime"},
    {"not over a whole major version", "1.4.0", "3.0.0", true, true, "", "", HopVerdict::downtime, "platform"},
    {"a bugfix whose manifest refuses", "1.4.0", "1.4.1", false, false, "", "", HopVerdict::downtime,
     "the manifest of 1.4.1 asks for downtime"},
    {"below what it upgrades from", "1.0.0", "1.1.0", true, false, "1.0.5", "", HopVerdict::blocked,
     "finalized at 1.0.5 or above first"},
    {"at what it upgrades from", "1.0.5", "1.1.0", true, false, "1.0.5", "", HopVerdict::rolling, "next feature"},
    {"below a required stop", "1.0.5", "1.4.0", true, false, "1.0.0", "1.2.0", HopVerdict::blocked, "1.2.0"},
    {"above a required stop", "1.3.0", "1.4.0", true, false, "1.0.0", "1.2.0", HopVerdict::rolling, "next feature"},
    {"a downgrade stays one", "1.3.0", "1.2.0", true, false, "1.9.0", "", HopVerdict::downgrade, "older"},
});

TEST(Policy, WhatTheManifestOfTheTargetAdds) {
  for (const auto& [name, from, to, rolling, last, from_min, stop, verdict, says] : facts_cases) {
    SCOPED_TRACE(name);
    HopFacts facts{.rolling = rolling, .upgrade_from_min = {}, .required_stops = {}, .from_last_feature = last};
    if (!from_min.empty()) facts.upgrade_from_min = parse_version(from_min).value();
    if (!stop.empty()) facts.required_stops.push_back(parse_version(stop).value());
    const auto advice =
        advise_hop(policy_of(Product::afloat), parse_version(from).value(), parse_version(to).value(), facts);
    EXPECT_EQ(to_string(advice.verdict), to_string(verdict));
    EXPECT_NE(advice.message.find(says), std::string::npos) << advice.message;
  }
}

TEST(Policy, AnUnknownProductIsRefusedWithThoseThereAre) {
  EXPECT_EQ(parse_product("confluence").value(), Product::confluence);
  const auto refused = parse_product("jira");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("afloat and confluence"), std::string::npos);
}

TEST(Policy, ThePageForAdministratorsHasTheSameTable) {
  std::ifstream file(AFLOAT_SOURCE_DIR "/docs/upgrade-path.md");
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  for (const auto product : {Product::confluence, Product::afloat})
    for (const auto& row : policy_of(product).rows) {
      const auto line =
          fmt::format("| {} | {} | {} | {} | {} | {} |\n", to_string(product), row.from, words_of(row.bugfix),
                      words_of(row.next_feature), words_of(row.further), words_of(row.platform));
      EXPECT_NE(page.find(line), std::string::npos) << line;
    }
}

}  // namespace
}  // namespace afloat::version
