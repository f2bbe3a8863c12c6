#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "adapters/files/zip.h"
#include "base/json_fields.h"
#include "upgrade/site_helpers.h"

// What a site's checks say where they need more than one node: balancer, agents and conductor, unpacked bundles, and
// nodes of two releases.
namespace afloat::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

using Answers = std::map<std::string, std::pair<std::string, std::string>>;
Answers answers(HttpClient client, const std::string& to) {
  Answers all;
  const auto body = client.get_json("/rest/afloat/1/checks?to=" + to);
  if (const auto* checks = array_at(body, "checks"))
    for (const auto& check : *checks)
      all[string_or(check.as_object(), "id")] = {string_or(check.as_object(), "result"),
                                                 string_or(check.as_object(), "found")};
  return all;
}

/// Each of these comes to that result with these words, within the time in which nodes tell of it.
void expect_found(HttpClient client, const std::string& to, const Answers& expected) {
  Answers seen;
  const auto as_expected = [&](const auto& one) {
    const auto& [result, found] = seen[one.first];
    return result == one.second.first && found.contains(one.second.second);
  };
  eventually(seconds(20), [&] {
    seen = answers(client, to);
    return std::ranges::all_of(expected, as_expected);
  });
  for (const auto& one : expected)
    EXPECT_TRUE(as_expected(one)) << one.first << " is " << seen[one.first].first << ": " << seen[one.first].second;
}

TEST(SiteChecks, PassOnASiteThatIsWellAndFindAByteThatWasChangedInTheReleaseThatRuns) {
  SiteSetup setup;
  setup.nodes = 2;
  setup.version = bundles().to;
  SiteFixture site(setup);
  make_space(site);
  const std::string to = "99.0.0";
  expect_found(site.admin(), to,
               {{"members_well", {"pass", "2 ACTIVE"}},
                {"members_active", {"pass", "2 members on " + bundles().to}},
                {"phase_stable", {"pass", "STABLE"}},
                {"agents_answer", {"pass", "1 host(s)"}},
                {"balancer", {"pass", "UP"}},
                {"balancer_check", {"pass", "each node is asked for /status"}},
                {"base_url", {"pass", "with X-Forwarded-For"}},
                {"shared_home", {"pass", "each node reads what the others write"}},
                {"clocks", {"pass", ""}},
                {"configuration", {"pass", "keys alike"}},
                {"release_files", {"pass", "as in the manifest"}},
                {"same_release", {"pass", "the same digest on every node"}},
                {"search_index", {"pass", ""}},
                {"release_present", {"fail", "99.0.0 is not in the catalogue"}},
                {"hop_allowed", {"unknown", "is not there"}}});

  const auto style = fs::path(site->program_of(bundles().to)).parent_path().parent_path() / "share/web/assets/app.css";
  char byte = 0;
  {
    std::fstream file(style, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(20);
    file.get(byte);
    file.seekp(20);
    file.put(static_cast<char>(byte ^ 1));
    ASSERT_TRUE(file.flush()) << style;
  }
  expect_found(site.admin(), to, {{"release_files", {"fail", "node1, node2: changed: share/web/assets/app.css"}}});

  site->stop_agents();
  expect_found(site.admin(), to, {{"agents_well", {"fail", "host1"}}, {"members_well", {"pass", "2 ACTIVE"}}});
  ASSERT_TRUE(site->start_agents());
  expect_found(site.admin(), to, {{"agents_well", {"pass", "1 host(s)"}}});

  // The agents have logs from before a node's last start too, and those of nodes that are down.
  ASSERT_TRUE(site->stop_node("node2"));
  const auto zip = site->dir() + "/support.zip";
  const auto made = site->afloat({"support", "zip", "--out", zip});
  ASSERT_TRUE(made && made->exit_code == 0) << (made ? made->output : made.error().message());
  std::map<std::string, std::string> content;
  for (auto& file : files::files_of_zip(local::read_file(zip).value()).value())
    content[file.path] = std::move(file.content);
  for (const auto* node : {"node1", "node2"}) {
    const auto log = fmt::format("hosts/host1/{}.log", node);
    EXPECT_TRUE(content[log].contains("\"event\":\"admitted\"")) << log << ": " << content[log];
    EXPECT_TRUE(content["contents.txt"].contains(log)) << content["contents.txt"];
  }
  EXPECT_TRUE(content["conductor.json"].contains("L7OK 200")) << content["conductor.json"];
  expect_found(site.admin("node1"), to,
               {{"members_active", {"fail", "node2 is OFFLINE"}},
                {"balancer", {"fail", "node2 is DOWN"}},
                {"balancer_check", {"warn", "node2: the last check said L4"}}});
}

TEST(SiteChecks, NodesOfBothReleasesTellInAMixedCluster) {
  auto setup = without_conductor();
  setup.nodes = 2;
  SiteFixture site(setup);
  ASSERT_EQ(site.admin("node1").post("/rest/zdu/start").status, 200);
  ASSERT_TRUE(site->distribute(bundles().to));
  ASSERT_NO_FATAL_FAILURE(replace(site, "node1", bundles().to));
  expect_found(site.admin("node1"), bundles().to,
               {{"open_files", {"pass", "on every node"}},
                {"clocks", {"pass", "less than half a second apart"}},
                {"release_files", {"pass", "all as in the manifest"}},
                {"members_well", {"pass", "2 ACTIVE"}},
                {"members_active", {"fail", "versions: " + bundles().from + ", " + bundles().to}},
                {"phase_stable", {"fail", "MIXED"}},
                {"balancer_check", {"unknown", "a conductor that leads asks it"}},
                {"long_transactions", {"pass", ""}},
                {"search_index", {"pass", ""}}});
}

TEST(Long, TheDemoOfChecksFindsEverythingThatItHasMadeWrong) {
  const auto ran = local::run_command({.argv = {bundles().program, "demo", "--show", "checks", "--to", bundles().to,
                                                "--catalogue", bundles().catalogue}},
                                      std::chrono::minutes(2));
  ASSERT_TRUE(ran) << ran.error().message();
  EXPECT_EQ(ran->exit_code, 0) << ran->output;
  EXPECT_TRUE(ran->output.contains("things were wrong, and each was found")) << ran->output;
}

}  // namespace
}  // namespace afloat::test
