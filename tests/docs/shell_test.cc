#include <fmt/format.h>

#include <regex>

#include "base/text.h"
#include "docs/pages.h"
#include "local/process.h"
#include "local/workplace.h"
#include "server/by_hand.h"
#include "support/support.h"

// The shell lines of the two upgrade pages, exactly as they stand there, on a real site of three nodes.
namespace afloat::test {
namespace {

using std::chrono::seconds;

/// bash with the program as `afloat` on its PATH. stdout and stderr together.
local::CommandOutput run_bash(SiteFixture& site, const std::string& script) {
  const auto bin = site->dir() + "/bin";
  EXPECT_TRUE(local::make_folders(bin));
  EXPECT_TRUE(local::write_file(bin + "/afloat", "#!/bin/sh\nexec '" + bundles().program + "' \"$@\"\n", 0755));
  EXPECT_TRUE(local::write_file(bin + "/script", script));
  auto ran = local::run_command({.argv = {"bash", bin + "/script"}, .env = {{"PATH", bin + ":" + std::getenv("PATH")}}},
                                seconds(90));
  if (!ran) ADD_FAILURE() << ran.error().message();
  return ran ? *ran : local::CommandOutput{-1, ""};
}

/// What the page's first block leaves to the reader.
std::string readers_values(SiteFixture& site) {
  std::string url, agent;
  for (const auto& node : site->nodes()) {
    url += fmt::format("[{}]={} ", node.name, node.url());
    agent += fmt::format("[{}]={}/hosts/{}/agent.sock ", node.name, site->dir(), node.host);
  }
  return fmt::format(
      "export AFLOAT_SITE={} AFLOAT_USER=admin AFLOAT_PASSWORD={}\nsite=$AFLOAT_SITE old={} new={} config={}\n"
      "balancer={} backend=wiki\ndeclare -A url=({})\ndeclare -A agent=({})\n",
      site->url(), site->admin_password(), bundles().from, bundles().to, site->config(), site->haproxy().socket(), url,
      agent);
}

/// Words after "# " at the ends of lines: the phases that the page promises there, in order.
std::vector<std::string> promised_phases(const std::string& block) {
  std::vector<std::string> phases;
  for (const auto& line : split(block, '\n'))
    if (const auto at = line.rfind(" # "); at != std::string::npos) phases.emplace_back(trim(line.substr(at + 3)));
  return phases;
}

/// Lines of the output that are nothing but a phase.
std::vector<std::string> printed_phases(const std::string& output) {
  std::vector<std::string> phases;
  for (const auto& line : split(output, '\n')) {
    const auto word = trim(line);
    // Words of `afloat upgrade finalize --wait` follow after a colon.
    if (word == "STABLE" || word == "MIXED" || word == "READY_TO_UPGRADE" || word == "READY_TO_RUN_UPGRADE_TASKS" ||
        word == "RUNNING_UPGRADE_TASKS" || word == "UPGRADE_TASKS_FAILED")
      phases.emplace_back(word);
  }
  return phases;
}

TEST(DocumentedShell, UpgradeByHandGoesThereAndBackAndThere) {
  const auto blocks = shell_blocks(read_page("docs/upgrade-by-hand.md"));
  ASSERT_EQ(blocks.size(), 7U) << "reader's values, functions, mode on, first, others, finalize, back";
  const auto& [values, functions, begin, first, others, finalize, back] =
      std::tie(blocks[0], blocks[1], blocks[2], blocks[3], blocks[4], blocks[5], blocks[6]);
  SiteFixture site;
  const auto given = readers_values(site);
  for (const auto* name : {"AFLOAT_SITE=", "AFLOAT_USER=", "AFLOAT_PASSWORD=", "site=", "old=", "new=", "config=",
                           "balancer=", "backend=", "url=", "agent="}) {
    EXPECT_TRUE(values.contains(name)) << name << " is set by the test but not by the page";
    EXPECT_TRUE(given.contains(name)) << name;
  }
  std::string script = given + functions;
  std::vector<std::string> promised;
  for (const auto& block : {begin, first, back, begin, first, others, finalize}) {
    // As in a terminal, every line is carried out; but here one that fails ends it.
    for (const auto& line : split(block, '\n'))
      if (!trim(line).empty()) script += line + "\n[ $? = 0 ] || exit 9\n";
    for (const auto& phase : promised_phases(block)) promised.push_back(phase);
  }
  ASSERT_EQ(promised.size(), 10U);
  const auto ran = run_bash(site, script);
  EXPECT_EQ(ran.exit_code, 0) << ran.output;
  EXPECT_EQ(printed_phases(ran.output), promised) << ran.output;
  for (const auto& [node, version] : versions_of(site)) EXPECT_EQ(version, bundles().to) << node;
}

TEST(DocumentedShell, UpgradeByApiUpgradesTheSite) {
  const auto by_hand = shell_blocks(read_page("docs/upgrade-by-hand.md"));
  const auto by_api = shell_blocks(read_page("docs/upgrade-by-api.md"));
  ASSERT_EQ(by_api.size(), 1U);
  ASSERT_GT(by_hand.size(), 1U);
  SiteSetup setup;
  setup.conductor = false;
  SiteFixture site(setup);
  // What the page leaves to the reader: address, password, and how a node gets its release.
  const auto ran = run_bash(site, readers_values(site) + by_hand[1] +
                                      "SITE=$site\nreplace_node() { replace \"$1\" \"$new\"; }\n" + by_api[0]);
  EXPECT_EQ(ran.exit_code, 0) << ran.output;
  for (const auto& node : site->nodes())
    EXPECT_TRUE(ran.output.contains(fmt::format("{} {} ACTIVE", node.name, bundles().to))) << ran.output;
  EXPECT_EQ(site.phase(), "STABLE");
}

TEST(DocumentedShell, WhatTheDemoAndTheConsolePrintHasTheFunctionsOfThePage) {
  const auto blocks = shell_blocks(read_page("docs/upgrade-by-hand.md"));
  ASSERT_GT(blocks.size(), 1U);
  SiteSetup setup;
  setup.start = false;
  setup.conductor = false;
  SiteFixture site(setup);
  const auto config = server::load_config(site->config());
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(server::by_hand_obstacle(*config), "");
  const auto script = server::by_hand_script(
      *config, {site->url(), "admin", site->admin_password(), bundles().from, bundles().to, "/the/program"});
  EXPECT_TRUE(script.ends_with(blocks[1])) << script;
}

}  // namespace
}  // namespace afloat::test
