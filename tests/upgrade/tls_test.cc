#include "support/certificates.h"
#include "upgrade/site_helpers.h"

// A whole site under TLS: HAProxy verifies its nodes, agents are reached by HTTPS with a token.
namespace afloat::test {
namespace {

using std::chrono::seconds;

TEST(TlsSite, ARollingRestartUnderTlsFailsNoRequest) {
  Authority authority;
  const auto pair = authority.issue("site");
  const auto tokens = authority.path("tokens");
  ASSERT_TRUE(local::write_file(tokens, std::string(40, 'a') + "\n", 0600));
  auto setup = without_conductor();
  setup.version = bundles().to;  // the release before it knows no TLS
  setup.tls = local::SiteTls{authority.ca(), pair.certificate, pair.key, tokens, {"host1"}};
  SiteFixture site(setup);
  make_space(site);
  EXPECT_TRUE(site->node("node1").url().starts_with("https://"));
  Users users(site, 80);
  ASSERT_TRUE(users.begin()) << users.words();
  ASSERT_TRUE(users.work(seconds(1))) << users.words();
  for (const char* node : node_names) ASSERT_NO_FATAL_FAILURE(replace(site, node, bundles().to));
  ASSERT_TRUE(users.work(seconds(2))) << users.words();
  (void)expect_nothing_failed_or_lost(site, users, 200);
  expect_settled(site, bundles().to);
}

}  // namespace
}  // namespace afloat::test
