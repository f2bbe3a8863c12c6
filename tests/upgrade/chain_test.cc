#include <cstdlib>

#include "base/json_fields.h"
#include "upgrade/site_helpers.h"

// From the release before the one before to this one: two hops, in one run.
namespace afloat::test {
namespace {

namespace json = boost::json;
using std::chrono::seconds;

TEST(Chain, TwoHopsInOneRunFailNoRequestAndLoseNoWrite) {
  const auto* first = std::getenv("AFLOAT_TEST_FIRST");
  ASSERT_NE(first, nullptr) << "./run test names it";
  SiteSetup setup;
  setup.version = first;
  SiteFixture site(setup);
  make_space(site);
  const auto id = make_page(site.admin("node1"), "Old rope", "written on the first release");
  Users users(site, 80);
  ASSERT_TRUE(users.begin()) << users.words();
  auto ran = site->afloat({"upgrade", "run", "--to", bundles().to, "--finalize-intermediate", "--acknowledge-notes",
                           "--no-hold", "--max-load", "0", "--wait"},
                          seconds(120));
  ASSERT_TRUE(ran) << ran.error().message();
  EXPECT_EQ(ran->exit_code, 0) << ran->output;
  EXPECT_EQ(ran->output.find("can't record that the release notes were read"), std::string::npos) << ran->output;
  (void)expect_nothing_failed_or_lost(site, users);
  expect_settled(site, bundles().to);
  const auto page = site.admin("node2").get("/rest/api/content/" + id + "?expand=body.storage");
  EXPECT_NE(page.body->find("written on the first release"), std::string::npos) << *page.body;

  const auto run = latest_run(site);
  const auto* hops = array_at(run, "hops");
  ASSERT_TRUE(hops) << json::serialize(run);
  EXPECT_EQ(json::serialize(*hops), "[\"" + bundles().from + "\",\"" + bundles().to + "\"]");
  const auto text = json::serialize(run);
  EXPECT_TRUE(text.contains(bundles().to + ", " + bundles().from + ", by admin")) << "the notes of both: " << text;
}

}  // namespace
}  // namespace afloat::test
