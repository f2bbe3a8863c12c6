#include <fmt/format.h>

#include <filesystem>

#include "base/text.h"
#include "faults/fault_site.h"

// A release that is bad in one way, rolled out on a whole site under load: when it is noticed, how the run ends, and
// what its users saw. docs/fault-profiles.md has the table.
namespace afloat::test {
namespace {

namespace fs = std::filesystem;
using rollout::OnFailure;
using std::chrono::milliseconds;
using std::chrono::seconds;

std::string faulty_program(const std::string& profile) {
  return std::string(AFLOAT_FAULTY_PROGRAMS) + "/fault_" + profile;
}

/// What is expected of one profile.
struct Profile {
  std::string name;
  std::string begins_at;           ///< step of the run from which on the fault can bite
  std::string stands_at;           ///< step that is not passed
  std::vector<std::string> words;  ///< of what the run says then, beside the next action
  bool may_fail_requests = false;  ///< users can meet it before it is known
};

/// A catalogue with the release and its fault, and the file that mends it.
struct FaultyRelease {
  explicit FaultyRelease(const std::string& profile)
      : catalogue(catalogue_with(folder.path() + "/catalogue", faulty_program(profile), getenv("AFLOAT_WEB"), profile)),
        mended(folder.path() + "/mended") {}
  SiteSetup setup() const {
    SiteSetup setup;
    setup.settings["catalogue"] = "\"" + catalogue + "\"";
    setup.env["AFLOAT_FAULT_MENDED"] = mended;
    return setup;
  }
  void mend() const { EXPECT_TRUE(local::write_file(mended, "")); }
  local::TempDir folder;
  std::string catalogue, mended;
};

rollout::Options wishes(OnFailure policy) {
  rollout::Options options;
  options.max_load = 0;
  options.soak_ms = 2'000;
  options.active_deadline_ms = 8'000;
  options.on_failure = policy;
  return options;
}

std::int64_t number(const std::string& text) { return parse_int(text).value_or(0); }

/// One profile and one policy, from the first request to the last one read back.
class Story {
 public:
  Story(Profile profile, OnFailure policy)
      : profile_(std::move(profile)), policy_(policy), release_(profile_.name), site_(release_.setup(), 300) {}

  void live() {
    ASSERT_NO_FATAL_FAILURE(site_.users_come());
    site_.start_conductor();
    ASSERT_NO_FATAL_FAILURE(site_.begin_run_at_the_desk(wishes(policy_)));
    ASSERT_TRUE(eventually(seconds(60), [&] {
      state_ = site_.run_state();
      return state_ == "paused" || state_ == "rolling_back" || state_ == "cancelled" || state_ == "done";
    })) << site_.run_message();
    if (policy_ == OnFailure::pause) {
      ASSERT_EQ(state_, "paused") << site_.run_message();
    }
    why_ = site_.run_message();
    std::printf("%s\n", why_.c_str());
    for (const auto& step : site_.journal()) std::printf("%s %s; ", step.title().c_str(), step.state.c_str());
    std::printf("\n");
    if (state_ == "paused") {
      const auto said = (*site_.fixture()).afloat({"upgrade", "cancel", "--wait"});
      EXPECT_TRUE(said && said->exit_code == 0) << (said ? said->output : said.error().message());
    }
    EXPECT_EQ(site_.await_end(), "cancelled") << site_.run_message();
    expect_settled(site_.fixture(), bundles().from);
    const auto figures = site_.figures();
    std::printf("%s\n", figures.text.c_str());
    FaultSite::print_row(profile_.name, figures, why_);
  }

 private:
  Profile profile_;
  OnFailure policy_;
  FaultyRelease release_;
  FaultSite site_;
  std::string state_, why_;
};

class FaultsOfAProfile : public testing::TestWithParam<std::tuple<Profile, OnFailure>> {};

TEST_P(FaultsOfAProfile, EndsAsItMust) {
  const auto& [profile, policy] = GetParam();
  Story story(profile, policy);
  story.live();
}

const std::vector<Profile> profiles{
    {.name = "crash_at_start"},
    {.name = "never_ready"},
    {.name = "slow"},
    {.name = "errors_5_percent"},
    {.name = "write_errors_5_percent"},
    {.name = "wrong_answers"},
    {.name = "memory_leak"},
    {.name = "expand_fails"},
    {.name = "backfill_fails"},
    {.name = "ignores_sigterm"},
};

INSTANTIATE_TEST_SUITE_P(Long, FaultsOfAProfile,
                         testing::Combine(testing::ValuesIn(profiles),
                                          testing::Values(OnFailure::pause, OnFailure::cancel)),
                         [](const auto& info) {
                           return std::get<0>(info.param).name + "_" +
                                  std::string(rollout::to_string(std::get<1>(info.param)));
                         });

}  // namespace
}  // namespace afloat::test
