#include <set>

#include "base/json_fields.h"
#include "base/text.h"
#include "cli/load.h"
#include "upgrade/faulty_proxy.h"
#include "upgrade/site_helpers.h"

// The figures "0 failed, 0 lost" are worth what the instrument is worth that counts them: on a whole site it must
// find each fault that is planted, and nothing else.
namespace afloat::test {
namespace {

using cli::WriteTarget;
using std::chrono::seconds;

/// Picks a page of the load that no other fault uses.
class Pages {
 public:
  explicit Pages(const cli::LedgerContents& ledger) {
    for (const auto& write : ledger.writes) {
      if (write.target == WriteTarget::attachment || write.certainty == cli::Certainty::unknown) {
        used_.insert(write.target == WriteTarget::attachment ? write.page_id : write.id);
        continue;
      }
      auto& page = pages_[write.id];
      page.first = std::max(page.first, write.version);
      page.second = write.title;
    }
  }
  /// Its id, newest version and title.
  struct Page {
    std::string id;
    int version = 0;
    std::string title;
  };
  Page take(int least, int most = 1000) {
    for (const auto& [id, page] : pages_)
      if (page.first >= least && page.first <= most && used_.insert(id).second) return {id, page.first, page.second};
    ADD_FAILURE() << "the load wrote no page with " << least << " to " << most << " versions";
    return {};
  }

 private:
  std::map<std::string, std::pair<int, std::string>> pages_;
  std::set<std::string> used_;
};

TEST(PlantedFaults, LoadAndReadBackFindEachOneOnAWholeSiteAndNothingElse) {
  SiteFixture site(without_conductor());
  make_space(site);
  for (const char* title : {"Harbour lights", "Anchor chains", "Tidal tables", "Signal flags"})
    make_page(site.admin("node1"), title, std::string("About ") + title);
  FaultyProxy proxy(site->node("node2").port);
  const auto there = " addr 127.0.0.1 port " + std::to_string(proxy.port());
  for (const auto& command : {std::string(" state maint"), there, std::string(" state ready")})
    ASSERT_TRUE(site->haproxy().command("set server wiki/node2" + command)) << command;
  const auto up = site->haproxy().wait_up(3, seconds(10));
  ASSERT_TRUE(up) << up.error().message();

  Users users(site, 150);
  ASSERT_TRUE(users.begin()) << users.words();
  proxy.arm("GET", "/pages/", "", NodeFault::answer_500);
  proxy.arm("GET", "/rest/api/search", "", NodeFault::answer_404);
  proxy.arm("GET", "/", "/", NodeFault::redirect);
  proxy.arm("GET", "/rest/api/content/", "/history", NodeFault::close);
  proxy.arm("GET", "/download/", "", NodeFault::truncate);
  proxy.arm("GET", "/pages/", "", NodeFault::wrong_body);
  proxy.arm("PUT", "/rest/api/content/", "", NodeFault::commit_then_close);
  EXPECT_TRUE(eventually(seconds(20), [&] { return proxy.armed() == 0; }))
      << proxy.armed() << " faults were not needed: " << users.words();
  EXPECT_TRUE(users.work(seconds(1))) << users.words();
  const auto code = users.go_home();
  ASSERT_TRUE(code) << users.words();
  EXPECT_NE(*code, 0) << "the load calls a run with failures good: " << users.words();

  auto ledger = cli::read_ledger(users.ledger());
  ASSERT_TRUE(ledger) << ledger.error().message();
  EXPECT_TRUE(ledger->ended);
  std::map<std::string, int> failures, kinds;
  std::string all;
  for (const auto& outcome : ledger->outcomes) {
    if (outcome.failure.empty()) continue;
    ++failures[std::string(cli::failure_kind(outcome.failure))];
    ++kinds[outcome.kind];
    all += outcome.kind + ": " + outcome.failure + "\n";
  }
  // Where a node closes without an answer, HAProxy answers 502 or closes too, as the client's connection is new or
  // kept.
  EXPECT_EQ(failures["status"] + failures["reset"], 4) << all;
  EXPECT_GE(failures["status"], 2) << all;
  failures.erase("status");
  failures.erase("reset");
  EXPECT_EQ(failures, (std::map<std::string, int>{{"content", 1}, {"redirect", 1}, {"truncated", 1}})) << all;
  EXPECT_EQ(kinds, (std::map<std::string, int>{
                       {"view", 2}, {"search", 1}, {"home", 1}, {"history", 1}, {"download", 1}, {"edit", 1}}))
      << all;

  cli::VerifyOptions verify;
  verify.nodes = {site->node("node1").url(), proxy.url(), site->node("node3").url()};
  verify.admin_password = site->admin_password();
  auto clean = cli::verify_ledger(*ledger, verify);
  ASSERT_TRUE(clean) << clean.error().message();
  EXPECT_TRUE(clean->good()) << "before anything was done to the pages: " << cli::to_json(*clean);
  EXPECT_GT(clean->acknowledged, 30);

  // What happens to acknowledged writes behind the load's back.
  Pages pages(*ledger);
  auto admin = site.admin("node1");
  const auto lost = pages.take(1, 1), changed = pages.take(2), doubled = pages.take(1), stale = pages.take(2);
  ASSERT_FALSE(testing::Test::HasFailure());
  EXPECT_EQ(admin.del("/rest/api/content/" + lost.id).status, 204);
  const auto name = site->database().substr(site->database().find("dbname=") + 7);
  EXPECT_TRUE(postgres().execute(name,
                                 "update page_version v set body_hash = (select b.hash from page_body b where b.hash <> "
                                 "v.body_hash limit 1) where v.number = 1 and v.page_id = " +
                                     changed.id));
  auto copy = page_json(doubled.title.substr(0, doubled.title.find(' ')) + " once more", "the same again");
  copy = replace_all(copy, R"("key":"T")", R"("key":")" + ledger->meta.write_space + "\"");
  EXPECT_EQ(admin.post("/rest/api/content", copy).status, 200);
  proxy.show_old(stale.id, stale.version - 1);
  const auto file = std::ranges::find_if(ledger->writes, [](const cli::WriteRecord& write) {
    return write.target == WriteTarget::attachment && write.certainty == cli::Certainty::acknowledged;
  });
  ASSERT_NE(file, ledger->writes.end());
  EXPECT_EQ(admin.del("/rest/api/content/" + file->id).status, 204);

  auto report = cli::verify_ledger(*ledger, verify);
  ASSERT_TRUE(report) << report.error().message();
  const auto told = cli::to_json(*report);
  EXPECT_FALSE(report->good());
  EXPECT_EQ(report->acknowledged, clean->acknowledged);
  EXPECT_EQ(report->lost, 3) << "the page, the changed version, the file: " << told;
  EXPECT_EQ(report->altered, 1) << told;
  EXPECT_EQ(report->stale, 1) << told;
  EXPECT_EQ(report->duplicated, 1) << told;
  EXPECT_EQ(report->verified, report->acknowledged - 4) << told;
  EXPECT_EQ(report->offenders.size(), 5U) << told;
  for (const auto& [verdict, what] :
       std::map<std::string, std::string>{{lost.id, "lost"}, {changed.id, "lost"}, {stale.id, "stale"}})
    EXPECT_TRUE(std::ranges::any_of(report->offenders,
                                    [&](const cli::Offender& offender) {
                                      return offender.verdict == what &&
                                             offender.what.starts_with("page " + verdict + " ");
                                    }))
        << what << " page " << verdict << " is not named: " << told;
}

}  // namespace
}  // namespace afloat::test
