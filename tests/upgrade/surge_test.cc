#include <signal.h>

#include "base/json_fields.h"
#include "base/text.h"
#include "upgrade/site_helpers.h"

// A fourth node for as long as a run lasts: HAProxy learns of it and forgets it while it runs, and the roster too.
namespace afloat::test {
namespace {

namespace json = boost::json;
using std::chrono::seconds;

local::CommandOutput say(SiteFixture& site, std::vector<std::string> words, seconds limit = seconds(90)) {
  auto ran = site->afloat(std::move(words), limit);
  EXPECT_TRUE(ran) << ran.error().message();
  return ran.value_or(local::CommandOutput{});
}

/// "add_surge surge1 done": each step that is about the surge node.
std::vector<std::string> surge_steps(SiteFixture& site) {
  std::vector<std::string> out;
  const auto run = latest_run(site);
  if (const auto* steps = array_at(run, "steps"))
    for (const auto& step : *steps)
      if (string_or(step.as_object(), "node") == "surge1")
        out.push_back(string_or(step.as_object(), "name") + " " + string_or(step.as_object(), "state"));
  return out;
}

std::size_t servers(SiteFixture& site) {
  const auto state = site->haproxy().command("show servers state wiki");
  std::size_t count = 0;
  for (const auto& line : split(state.value_or(""), '\n'))
    if (line.find(" wiki ") != std::string::npos) ++count;
  return count;
}

void expect_no_trace(SiteFixture& site) {
  EXPECT_EQ(servers(site), 3U) << site->haproxy().command("show servers state wiki").value_or("");
  EXPECT_FALSE(nodes_by(site.admin(), "version").contains("surge1"));
  const auto agent = agent_node(site, "surge1");
  EXPECT_FALSE(bool_or(agent, "running") || bool_or(agent, "wanted")) << json::serialize(agent);
}

SiteSetup with_surge_node() {
  SiteSetup setup;
  setup.surge_node = true;
  return setup;
}

TEST(SurgeNode, ComesBeforeTheFirstNodeGoesAndIsGoneAfterARunAndAfterACancel) {
  SiteFixture site(with_surge_node());
  make_space(site);
  Users users(site);
  ASSERT_TRUE(users.begin()) << users.words();
  const auto run = [&](std::vector<std::string> more) {
    std::vector<std::string> words{"upgrade", "run", "--to", bundles().to, "--acknowledge-notes", "--surge", "always", "--max-load", "0"};
    words.insert(words.end(), more.begin(), more.end());
    return say(site, words);
  };
  auto ran = run({"--soak", "0", "--wait"});
  EXPECT_EQ(ran.exit_code, 1) << "held: " << ran.output;
  EXPECT_EQ(surge_steps(site), (std::vector<std::string>{"add_surge done", "balance done", "remove_surge done"}))
      << ran.output;
  expect_no_trace(site);
  ran = say(site, {"upgrade", "cancel", "--wait"});
  EXPECT_EQ(ran.exit_code, 0) << ran.output;
  expect_settled(site, bundles().from);

  // Once more, under another id: the first is a tombstone. It is killed in the middle, and HAProxy is reloaded.
  ASSERT_EQ(run({"--soak", "1", "--no-hold"}).exit_code, 0);
  const std::vector<std::string> passed{"add_surge done", "trial done", "balance done", "soak done"};
  ASSERT_TRUE(eventually(seconds(60), [&] { return surge_steps(site) == passed; })) << latest_run(site);
  EXPECT_EQ(servers(site), 4U);
  EXPECT_EQ(nodes_by(site.admin(), "version").at("surge1"), bundles().to);
  ASSERT_TRUE(site->haproxy().reload());
  const auto killed = static_cast<pid_t>(
      parse_int(split(string_or(agent_node(site, "surge1"), "incarnation"), '-').front()).value_or(0));
  ASSERT_GT(killed, 0);
  ::kill(killed, SIGKILL);
  ASSERT_TRUE(eventually(seconds(120), [&] {
    const auto now = latest_run(site);
    return string_or(now, "outcome") == "done" || string_or(now, "state") == "paused";
  })) << latest_run(site);
  EXPECT_EQ(string_or(latest_run(site), "outcome"), "done") << latest_run(site);
  expect_settled(site, bundles().to);
  expect_no_trace(site);
  EXPECT_GE(std::ranges::count(surge_steps(site), "add_surge done"), 2) << "the reloaded HAProxy had forgotten it";
  EXPECT_LE(expect_nothing_lost(site, users), 20) << "those that the killed process had in its hands";
}

}  // namespace
}  // namespace afloat::test
