#include "upgrade/site_helpers.h"

namespace afloat::test {
namespace {

struct Refused {
  std::string name;
  std::vector<std::string> arguments;
  int exit_code;
  std::vector<std::string> says;
};

TEST(FinalizeAndRetry, RefusedWithTheReasonAndWithTheExitCodesOfTheOtherCommands) {
  SiteSetup setup;
  setup.nodes = 1;
  SiteFixture site(setup);
  const std::vector<Refused> cases = {
      {"nothing to finalize", {"upgrade", "finalize"}, 1, {"approve is refused", "STABLE", "Next:"}},
      {"nothing to finalize, nothing to wait for", {"upgrade", "finalize", "--wait"}, 1, {"approve is refused"}},
      {"nothing has failed", {"upgrade", "retry"}, 1, {"retry is refused", "STABLE", "Next:"}},
      {"nobody of that name", {"upgrade", "retry", "--user", "nobody"}, 1, {"401"}},
      {"no user", {"upgrade", "finalize", "--user", ""}, 2, {"AFLOAT_USER"}},
  };
  for (const auto& [name, arguments, exit_code, says] : cases) {
    SCOPED_TRACE(name);
    const auto ran = site->afloat(arguments, std::chrono::seconds(20));
    ASSERT_TRUE(ran) << ran.error().message();
    EXPECT_EQ(ran->exit_code, exit_code) << ran->output;
    for (const auto& words : says) EXPECT_TRUE(ran->output.contains(words)) << words << " is not in: " << ran->output;
  }
  EXPECT_EQ(site.phase(), "STABLE");
}

TEST(UpgradeByHand, UpgradeModeIsTurnedOnAndOffByTheCommands) {
  SiteFixture site(without_conductor());
  const auto said = [&](const std::vector<std::string>& words) {
    auto ran = site->afloat(words, std::chrono::seconds(20));
    EXPECT_TRUE(ran) << ran.error().message();
    return ran.value_or(local::CommandOutput{});
  };
  const auto started = said({"upgrade", "start"});
  EXPECT_EQ(started.exit_code, 0) << started.output;
  EXPECT_EQ(site.phase(), "READY_TO_UPGRADE");
  const auto again = said({"upgrade", "start"});
  EXPECT_EQ(again.exit_code, 1) << again.output;
  const auto cancelled = said({"upgrade", "cancel"});
  EXPECT_EQ(cancelled.exit_code, 0) << cancelled.output;
  EXPECT_EQ(site.phase(), "STABLE");
  EXPECT_EQ(said({"upgrade", "cancel"}).exit_code, 1) << "there is nothing to cancel";
}

}  // namespace
}  // namespace afloat::test
