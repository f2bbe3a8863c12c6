#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <future>
#include <sstream>

#include "base/json_fields.h"
#include "support/certificates.h"
#include "upgrade/site_helpers.h"

// A whole site under TLS: HAProxy verifies its nodes, agents are reached by HTTPS with a token.
namespace afloat::test {
namespace {

using std::chrono::seconds;

/// Whether somebody is connected to this port of this machine, as the kernel has it.
bool in_use(int port) {
  std::ifstream file("/proc/net/tcp");
  const auto wanted = fmt::format(":{:04X}", port);
  for (std::string line; std::getline(file, line);) {
    std::string number, local, remote, state;
    std::istringstream(line) >> number >> local >> remote >> state;
    if (state == "01" && remote.ends_with(wanted)) return true;
  }
  return false;
}

// The release before this one knows no TLS, so the site begins at this tree's and goes to the next.
TEST(TlsSite, AnUpgradeOverHttpsAndAgentsWithTokensFailsNoRequestAndLosesNoWrite) {
  Authority authority;
  const auto pair = authority.issue("site");
  const auto tokens = authority.path("tokens");
  ASSERT_TRUE(local::write_file(tokens, std::string(40, 'a') + "\n", 0600));
  const local::TempDir folder;
  SiteSetup setup;
  setup.host_per_node = true;
  setup.version = bundles().to;
  setup.tls = local::SiteTls{authority.ca(), pair.certificate, pair.key, tokens, {"host1", "host2", "host3"}};
  setup.settings["catalogue"] = "\"" +
                                catalogue_behind_target(folder.path() + "/catalogue", AFLOAT_NEXT_VERSION,
                                                        AFLOAT_NEXT_PROGRAM, getenv("AFLOAT_WEB")) +
                                "\"";
  SiteFixture site(setup);
  make_space(site);
  EXPECT_TRUE(site->node("node1").url().starts_with("https://"));
  const auto id = make_page(site.admin("node1"), "Sealed");
  Users users(site, 80);
  ASSERT_TRUE(users.begin()) << users.words();
  // These nodes know of acknowledgements, so without one the run is refused.
  auto begun = site->afloat({"upgrade", "run", "--to", AFLOAT_NEXT_VERSION, "--acknowledge-notes", "--no-hold", "--max-load", "0"},
                            seconds(20));
  ASSERT_TRUE(begun) << begun.error().message();
  ASSERT_EQ(begun->exit_code, 0) << begun->output;

  // An event stream over HTTPS from the node that is replaced last.
  const auto number = int_or(latest_run(site), "id");
  auto stream = std::async(std::launch::async, [&] {
    auto client = site.admin("node3");
    client.timeout = seconds(60);
    return client.get(fmt::format("/rest/afloat/1/runs/{}/events", number));
  });
  std::string state;
  EXPECT_TRUE(eventually(seconds(60), [&] {
    state = string_or(latest_run(site), "state");
    return state == "done" || state == "paused" || state == "failed";
  }));
  EXPECT_EQ(state, "done") << boost::json::serialize(latest_run(site));
  for (int host = 0; host < 3; ++host)
    EXPECT_TRUE(in_use(site->spare_port(10 + host))) << "the conductor has another way to host" << host + 1;
  const auto heard = stream.get();
  EXPECT_EQ(heard.status, 200) << *heard.body;
  EXPECT_NE(heard.body->find("\ndata:"), std::string::npos) << *heard.body;
  EXPECT_NE(heard.body->find("retry:"), std::string::npos) << "it was not told to come back: " << *heard.body;

  EXPECT_TRUE(users.work(seconds(3)));
  (void)expect_nothing_failed_or_lost(site, users, 400);
  expect_settled(site, AFLOAT_NEXT_VERSION);
  for (const char* node : node_names) EXPECT_EQ(site.admin(node).get("/rest/api/content/" + id).status, 200) << node;
}

}  // namespace
}  // namespace afloat::test
