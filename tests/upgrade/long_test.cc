#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/json_fields.h"
#include "cli/load.h"
#include "upgrade/site_helpers.h"

/// What takes minutes: `./run test full` runs it, `./run test` says that it is left out.
namespace afloat::test {
namespace {

namespace json = boost::json;
using std::chrono::seconds;

/// The nodes whose replacement has begun.
std::size_t begun(const json::object& run) {
  std::set<std::string> nodes;
  if (const auto* steps = array_at(run, "steps"))
    for (const auto& step : *steps)
      if (string_or(step.as_object(), "name") == "drain") nodes.insert(string_or(step.as_object(), "node"));
  return nodes.size();
}

// One site's life under load: ten upgrades that are cancelled, after one, two or three nodes in turn, and then
// one that is finalized. Each cancel brings every node back to the old release; no request ever fails.
TEST(Long, TenUpgradesCancelledAndOneFinalizedInASitesLife) {
  constexpr std::size_t wanted_requests = 100'000;
  SiteFixture site;
  make_space(site);
  Users users(site, 300);
  ASSERT_TRUE(users.begin()) << users.words();
  for (std::size_t round = 0; round < 10; ++round) {
    const auto nodes = round % 3 + 1;
    SCOPED_TRACE("round " + std::to_string(round) + ", cancelled at node " + std::to_string(nodes));
    auto ran = site->afloat(
        {"upgrade", "run", "--to", bundles().to, "--acknowledge-notes", "--no-hold", "--max-load", "0"}, seconds(20));
    ASSERT_TRUE(ran) << ran.error().message();
    ASSERT_EQ(ran->exit_code, 0) << ran->output;
    ASSERT_TRUE(eventually(seconds(60), [&] { return begun(latest_run(site)) >= nodes; }));
    auto cancelled = site->afloat({"upgrade", "cancel", "--wait"}, seconds(90));
    ASSERT_TRUE(cancelled) << cancelled.error().message();
    ASSERT_EQ(cancelled->exit_code, 0) << cancelled->output;
    EXPECT_EQ(string_or(latest_run(site), "outcome"), "cancelled");
    ASSERT_NO_FATAL_FAILURE(expect_settled(site, bundles().from));
    ASSERT_TRUE(users.work(seconds(31))) << users.words();
  }
  auto ran = site->afloat(
      {"upgrade", "run", "--to", bundles().to, "--acknowledge-notes", "--wait", "--no-hold", "--max-load", "0"},
      seconds(90));
  ASSERT_TRUE(ran) << ran.error().message();
  EXPECT_EQ(ran->exit_code, 0) << ran->output;
  EXPECT_TRUE(users.work(seconds(5))) << users.words();
  const auto code = users.go_home();
  ASSERT_TRUE(code) << users.words();
  EXPECT_EQ(*code, 0) << users.words();

  auto ledger = cli::read_ledger(users.ledger());
  ASSERT_TRUE(ledger) << ledger.error().message();
  EXPECT_GE(ledger->outcomes.size(), wanted_requests);
  std::size_t failed = 0;
  for (const auto& outcome : ledger->outcomes) {
    if (outcome.failure.empty() || ++failed > 20) continue;
    ADD_FAILURE() << outcome.kind << " at " << outcome.at_ms << " by " << outcome.node << ": " << outcome.failure;
  }
  EXPECT_EQ(failed, 0u) << "of " << ledger->outcomes.size();
  cli::VerifyOptions verify;
  for (const auto& node : site->nodes()) verify.nodes.push_back(node.url());
  verify.admin_password = site->admin_password();
  auto verified = cli::verify_ledger(*ledger, verify);
  ASSERT_TRUE(verified) << verified.error().message();
  EXPECT_TRUE(verified->good()) << cli::to_json(*verified);
  std::printf("%zu requests, %zu failed; %s\n", ledger->outcomes.size(), failed, cli::to_json(*verified).c_str());
  expect_settled(site, bundles().to);
}

}  // namespace
}  // namespace afloat::test
