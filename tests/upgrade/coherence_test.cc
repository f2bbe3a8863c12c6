#include <chrono>

#include "cli/probe_ledger.h"
#include "upgrade/site_helpers.h"

namespace afloat::test {
namespace {

using std::chrono::seconds;

// Each node keeps rendered articles in a cache of its own, and nobody is sent to the same node twice: what was
// acknowledged anywhere must be what the very next reader gets anywhere else, under load as well.
TEST(ClusterCoherence, APutOnOneNodeIsSeenByTheNextGetOnEveryOtherUnderLoad) {
  SiteFixture site(without_conductor());
  make_space(site);
  for (const char* title : {"Harbour lights", "Anchor chains", "Tidal tables", "Signal flags"})
    make_page(site.admin("node1"), title, std::string("About ") + title);
  const auto id = make_page(site.admin("node1"), "Seen at once");
  const auto path = "/rest/api/content/" + id;
  std::vector<HttpClient> clients;
  for (const char* node : node_names) clients.push_back(site.admin(node));
  for (const auto& client : clients)
    ASSERT_EQ(HttpClient(client).get("/pages/" + id).status, 200);  // now it is in every cache
  Users users(site, 60);
  ASSERT_TRUE(users.begin()) << users.words();

  const auto begun = std::chrono::steady_clock::now();
  constexpr int rounds = 1000;
  for (int i = 0; i < rounds; ++i) {
    const auto writer = static_cast<std::size_t>(i) % clients.size();
    const auto text = "text of round " + std::to_string(i) + ".";
    const auto saved = clients[writer].put(path, page_json("Seen at once", text, i + 2));
    ASSERT_EQ(saved.status, 200) << "round " << i << ": " << *saved.body;
    for (std::size_t step = 1; step < clients.size(); ++step) {
      const auto reader = (writer + step) % clients.size();
      // The page that people read comes from the cache of rendered articles, the other from the database.
      const bool rendered = (static_cast<std::size_t>(i) / clients.size() + step) % 2 == 0;
      const auto read = clients[reader].get(rendered ? "/pages/" + id : path + "?expand=body.storage,version");
      ASSERT_NE(read.body->find(text), std::string::npos)
          << "round " << i << ", written on " << node_names[writer] << ", read " << (rendered ? "as HTML " : "")
          << "on " << node_names[reader] << ": " << *read.body;
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  const auto code = users.go_home();
  ASSERT_TRUE(code) << users.words();
  EXPECT_EQ(*code, 0) << users.words();
  auto ledger = cli::read_ledger(users.ledger());
  ASSERT_TRUE(ledger) << ledger.error().message();
  EXPECT_GT(static_cast<double>(ledger->outcomes.size()), 40 * took.count()) << "there was hardly any load meanwhile";
}

}  // namespace
}  // namespace afloat::test
