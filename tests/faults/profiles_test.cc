#include <fmt/format.h>

#include <filesystem>

#include "base/json_fields.h"
#include "base/text.h"
#include "faults/fault_site.h"

// A release that is bad in one way, rolled out on a whole site under load: what notices it, where the run stands then,
// how it ends, and what its users saw. docs/fault-profiles.md has the table that these tests print.
namespace afloat::test {
namespace {

namespace fs = std::filesystem;
using rollout::OnFailure;
using std::chrono::milliseconds;
using std::chrono::seconds;
using SteadyClock = std::chrono::steady_clock;

std::string faulty_program(const std::string& profile) {
  return std::string(AFLOAT_FAULTY_PROGRAMS) + "/fault_" + profile;
}

/// What is expected of one profile, with either policy.
struct Profile {
  std::string name;
  std::string stands_at;           ///< the step that is not passed
  std::vector<std::string> words;  ///< of what the run says about it
};
void PrintTo(const Profile& profile, std::ostream* out) { *out << profile.name; }

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
  options.drain_deadline_ms = 5'000;
  options.active_deadline_ms = 8'000;
  options.on_failure = policy;
  return options;
}

/// One profile and one policy, from the first request to the last one that is read back.
class Story {
 public:
  Story(Profile profile, OnFailure policy)
      : profile_(std::move(profile)), policy_(policy), release_(profile_.name), site_(release_.setup(), 300) {}

  FaultSite& site() { return site_; }
  const FaultyRelease& release() const { return release_; }

  void begin(const rollout::Options& options) {
    ASSERT_NO_FATAL_FAILURE(site_.users_come());
    site_.start_conductor();
    begun_ = SteadyClock::now();
    ASSERT_NO_FATAL_FAILURE(site_.begin_run_at_the_desk(options));
  }

  /// Until a step is not passed: it pauses there, is refused, or is left for the way back.
  void expect_noticed() {
    std::string title;
    ASSERT_TRUE(eventually(seconds(60),
                           [&] {
                             for (const auto& step : site_.journal()) {
                               if (step.state != "paused" && step.state != "refused" && step.state != "interrupted")
                                 continue;
                               title = step.title();
                               return true;
                             }
                             const auto state = site_.run_state();
                             return state == "done" || state == "cancelled" || state == "failed";
                           }))
        << site_.newest_step().title() << ": " << site_.run_message();
    EXPECT_EQ(title, profile_.stands_at) << site_.run_message();
    noticed_after_ = since_begin();
    const bool late = profile_.stands_at == "hold_before_finalize" || profile_.stands_at == "await_stable";
    EXPECT_LE(site_.begun().size(), late ? 3 : 1) << "more nodes than one are bad";
  }

  /// Of the policy to pause: it says what it has found, and what to do.
  void expect_paused(const std::vector<std::string>& next_actions = {"afloat upgrade resume",
                                                                     "afloat upgrade cancel"}) {
    ASSERT_EQ(site_.await_end(), "paused") << site_.run_message();
    said_ = site_.run_message();
    expect_words(profile_.words);
    expect_words(next_actions);
  }

  /// What is wrong is mended, a person lets the run go on, and it comes to its end.
  void mend_and_go_on() {
    release_.mend();
    site_.ask("resume");
    ASSERT_EQ(site_.await_end(), "paused") << site_.run_message();
    ASSERT_EQ(site_.newest_step().title(), "hold_before_finalize") << site_.run_message();
    site_.ask("resume");
    ASSERT_EQ(site_.await_end(), "done") << site_.run_message();
    expect_settled(site_.fixture(), bundles().to);
    ended_ = "paused; mended and resumed: done";
  }

  /// Of the policy to turn back: nobody does anything.
  void expect_turned_back() {
    ASSERT_EQ(site_.await_end(), "cancelled") << site_.run_message();
    said_ = site_.run_message();
    expect_words(profile_.words);
    expect_words({"Every node is back on " + bundles().from, "It turned back because of this"});
    expect_settled(site_.fixture(), bundles().from);
    EXPECT_EQ(site_.sql("select count(*) from upgrade_task where state = 'failed'"), "0") << "the next one begins anew";
    ended_ = "by itself all on the old release";
  }

  /// A person wants to go back.
  void cancel() {
    const auto said = site_->afloat({"upgrade", "cancel", "--wait"});
    ASSERT_TRUE(said && said->exit_code == 0) << (said ? said->output : said.error().message());
    ASSERT_EQ(site_.await_end(), "cancelled") << site_.run_message();
    expect_settled(site_.fixture(), bundles().from);
    ended_ = "paused; cancelled: all on the old release";
  }

  void ended(std::string how) { ended_ = std::move(how); }
  void said(std::string words) { said_ = std::move(words); }

  /// No acknowledged write is lost, and no request failed.
  void expect_users_content() {
    const auto seconds_in_all = since_begin();
    const auto figures = site_.figures();
    EXPECT_EQ(figures.lost, 0);
    EXPECT_EQ(figures.failed, 0) << figures.text;
    fmt::print("| {} | {} | {} | {} | {} | {} of {} | {} of {} | {:.1f} / {:.1f} s |\n", profile_.name,
               rollout::to_string(policy_), profile_.stands_at, finding(), ended_, figures.failed, figures.requests,
               figures.lost, figures.acknowledged, noticed_after_, seconds_in_all);
  }

  void expect_words(const std::vector<std::string>& words) {
    for (const auto& word : words) EXPECT_NE(said_.find(word), std::string::npos) << word << " is not in: " << said_;
  }

 private:
  double since_begin() const { return std::chrono::duration<double>(SteadyClock::now() - begun_).count(); }

  /// Of what the run said, what it found.
  std::string finding() const {
    auto text = said_;
    if (const auto at = text.find("because of this: "); at != std::string::npos) text = text.substr(at + 17);
    if (const auto at = text.find(" When it is mended"); at != std::string::npos) text.resize(at);
    for (auto& letter : text)
      if (letter == '\n' || letter == '|') letter = ' ';
    return text.substr(0, 200);
  }

  Profile profile_;
  OnFailure policy_;
  FaultyRelease release_;
  FaultSite site_;
  SteadyClock::time_point begun_;
  double noticed_after_ = 0;
  std::string said_, ended_;
};

const std::vector<Profile> profiles{
    {.name = "crash_at_start",
     .stands_at = "await_active node1",
     .words = {"node1 does not start on", "exit code 134", "crash_at_start: this build crashes"}},
    {.name = "never_ready",
     .stands_at = "await_active node1",
     .words = {"not reached within 8 s", "has not become ACTIVE", "its log may say why"}},
    // None of the next six passes the trial, which nobody but the conductor sees.
    {.name = "slow", .stands_at = "trial node1", .words = {"p99 is", "on the others"}},
    {.name = "errors_5_percent", .stands_at = "trial node1", .words = {"reads failed", "0 on the others"}},
    {.name = "wrong_answers", .stands_at = "trial node1", .words = {"known pages were answered wrongly"}},
    {.name = "memory_leak", .stands_at = "trial node1", .words = {"its memory grew from"}},
    {.name = "write_errors_5_percent", .stands_at = "trial node1", .words = {"writes failed", "a draft"}},
    {.name = "expand_fails", .stands_at = "expand", .words = {"last_seen/expand failed", "expand_fails lets it"}},
    {.name = "backfill_fails",
     .stands_at = "choose_node",
     .words = {"last_seen/backfill failed on node1 after 1 attempt", "backfill_fails lets it"}},
};

Profile profile(const std::string& name) {
  const auto found = std::ranges::find(profiles, name, &Profile::name);
  return found == profiles.end() ? Profile{} : *found;
}

class FaultProfile : public testing::TestWithParam<std::tuple<Profile, OnFailure>> {};

TEST_P(FaultProfile, IsNoticedAndNobodyIsTheWorseForIt) {
  const auto& [profile, policy] = GetParam();
  Story story(profile, policy);
  ASSERT_NO_FATAL_FAILURE(story.begin(wishes(policy)));
  ASSERT_NO_FATAL_FAILURE(story.expect_noticed());
  if (policy == OnFailure::pause) {
    ASSERT_NO_FATAL_FAILURE(story.expect_paused());
    ASSERT_NO_FATAL_FAILURE(story.mend_and_go_on());
  } else {
    ASSERT_NO_FATAL_FAILURE(story.expect_turned_back());
  }
  story.expect_users_content();
}

std::string name_of(const testing::TestParamInfo<std::tuple<Profile, OnFailure>>& info) {
  return fmt::format("{}_{}", std::get<0>(info.param).name, rollout::to_string(std::get<1>(info.param)));
}

INSTANTIATE_TEST_SUITE_P(Faults, FaultProfile,
                         testing::Combine(testing::ValuesIn(profiles),
                                          testing::Values(OnFailure::pause, OnFailure::cancel)),
                         name_of);
// These two in every run of the tests.
INSTANTIATE_TEST_SUITE_P(Short, FaultProfile,
                         testing::Values(std::tuple(profile("errors_5_percent"), OnFailure::cancel),
                                         std::tuple(profile("backfill_fails"), OnFailure::cancel)),
                         name_of);

/// Both policies: behind the point of no return there is no way back.
class ContractFails : public testing::TestWithParam<OnFailure> {};

TEST_P(ContractFails, BehindThePointOfNoReturnAndRetryGoesOnFromTheCheckpoint) {
  Story story({.name = "contract_fails",
               .stands_at = "await_stable",
               .words = {"last_seen/contract failed on node", "after 1 attempt at checkpoint relaxed",
                         "contract_fails lets it fail"}},
              GetParam());
  auto& site = story.site();
  auto options = wishes(GetParam());
  options.hold_before_finalize = false;
  ASSERT_NO_FATAL_FAILURE(story.begin(options));
  ASSERT_NO_FATAL_FAILURE(story.expect_noticed());
  ASSERT_NO_FATAL_FAILURE(story.expect_paused({"afloat upgrade resume"}));
  EXPECT_EQ(site.run_message().find("afloat upgrade cancel"), std::string::npos) << site.run_message();

  // It serves, says what is the matter, and does not go back.
  const auto cluster = site.fixture().admin().get_json("/rest/zdu/cluster");
  EXPECT_EQ(string_or(cluster, "state"), "UPGRADE_TASKS_FAILED");
  const auto seen = boost::json::serialize(site.fixture().admin().get_json("/rest/afloat/1/cluster"));
  for (const auto* word : {"last_seen/contract", "contract_fails lets it fail"})
    EXPECT_NE(seen.find(word), std::string::npos) << word << " is not in: " << seen;
  ASSERT_TRUE(site.users().work(seconds(1))) << site.users().words();
  make_page(site.fixture().admin(), "Written while the contract has failed");
  const auto back = site->afloat({"upgrade", "cancel"});
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_NE(back->exit_code, 0) << back->output;

  site.sql("create table seen_tasks (id bigserial, task text, checkpoint text)");
  site.sql(R"(create function see_task() returns trigger language plpgsql as $$
    begin
      if (old.checkpoint, old.done) is distinct from (new.checkpoint, new.done) then
        insert into seen_tasks (task, checkpoint) values (new.id, new.checkpoint);
      end if;
      return new;
    end $$)");
  site.sql("create trigger see_task before update on upgrade_task for each row execute function see_task()");
  const auto again = site->afloat({"upgrade", "retry", "--wait"});
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->exit_code, 1) << "it is not mended: " << again->output;

  story.release().mend();
  const auto retried = site->afloat({"upgrade", "retry", "--wait"});
  ASSERT_TRUE(retried && retried->exit_code == 0) << (retried ? retried->output : retried.error().message());
  EXPECT_EQ(site.sql("select count(*) from seen_tasks"), "0") << "backfill and relax are not done a second time";
  EXPECT_EQ(site.sql("select count(*) from upgrade_task where state <> 'done'"), "0");
  expect_settled(site.fixture(), bundles().to);
  site.ask("resume");
  EXPECT_EQ(site.await_end(), "done") << site.run_message();
  story.ended("paused, serving; mended, `upgrade retry`: done");
  story.expect_users_content();
}

INSTANTIATE_TEST_SUITE_P(Faults, ContractFails, testing::Values(OnFailure::pause, OnFailure::cancel),
                         [](const auto& info) { return std::string(rollout::to_string(info.param)); });

/// Nothing is wrong until a node has to go back.
class IgnoresSigterm : public testing::TestWithParam<OnFailure> {};

TEST_P(IgnoresSigterm, EachNodeIsKilledOnTheWayBackAndNobodyNotices) {
  Story story({.name = "ignores_sigterm", .stands_at = "hold_before_finalize", .words = {}}, GetParam());
  auto& site = story.site();
  ASSERT_NO_FATAL_FAILURE(story.begin(wishes(GetParam())));
  ASSERT_NO_FATAL_FAILURE(story.expect_noticed());
  ASSERT_NO_FATAL_FAILURE(story.expect_paused({"afloat upgrade finalize", "afloat upgrade cancel"}));
  ASSERT_NO_FATAL_FAILURE(story.cancel());
  const auto log = local::read_file(site->dir() + "/logs/agent-host1.log").value_or("");
  for (const auto* node : node_names)
    EXPECT_TRUE(std::ranges::any_of(split(log, '\n'),
                                    [&](const std::string& line) {
                                      return line.contains(fmt::format("node {} (", node)) &&
                                             line.ends_with("did not end within 4500 ms: SIGKILL");
                                    }))
        << node << " was not killed after its time: " << log;
  story.said("nothing until a node goes back: the agent kills each one that does not end");
  story.expect_users_content();
}

INSTANTIATE_TEST_SUITE_P(Faults, IgnoresSigterm, testing::Values(OnFailure::pause, OnFailure::cancel),
                         [](const auto& info) { return std::string(rollout::to_string(info.param)); });

}  // namespace
}  // namespace afloat::test
