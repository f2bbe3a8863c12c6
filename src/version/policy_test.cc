#include "version/policy.h"

#include <gtest/gtest.h>

#include <array>

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

}  // namespace
}  // namespace afloat::version
