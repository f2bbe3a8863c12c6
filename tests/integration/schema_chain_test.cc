#include <gtest/gtest.h>

#include <sstream>

#include "local/process.h"
#include "store/page_store.h"
#include "store/search_store.h"
#include "support/hop.h"

/// The way of a schema through all releases.
namespace afloat::store {
namespace {

using namespace std::chrono_literals;
using test::Hop;
using test::Node;
using test::Session;
using test::soon;

constexpr int build_1_0 = test::old_build, build_1_1 = test::new_build, build_1_2 = 10020009, build_1_3 = 10030009,
              build_1_4 = 10040009;

std::string schema_of(const test::Database& database) {
  auto dumped = local::run_checked(
      {.argv = {"pg_dump", "--schema-only", "--no-owner", "--no-comments", "-d", database.connection()}}, 20s);
  EXPECT_TRUE(dumped) << dumped.error().message();
  // Restrict keys are random, and default privileges of no interest.
  std::istringstream lines(dumped ? *dumped : "");
  std::string text;
  for (std::string line; std::getline(lines, line);)
    if (!line.starts_with("\\") && !line.starts_with("--")) text += line + "\n";
  return text;
}

TEST(SchemaChain, AnUpgradedSchemaEqualsAFreshOneAndEveryTextIsThere) {
  const test::Database site;
  test::make_site(site.connection(), build_1_0, {});
  std::string text;
  for (int i = 0; i < 2'000; ++i) text += "<p>the same in each</p>";
  for (int i = 0; i < 30; ++i)  // as 1.0.0 creates them
    ASSERT_EQ(
        Session(site).run("with p as (insert into page (space_id, title, created_by, updated_by) select id, 'Copy " +
                          std::to_string(i) +
                          "', 1, 1 from space returning id, title), f as (insert into page_search"
                          " (page_id, document) select id, to_tsvector('english', title) from p) insert into"
                          " page_version (page_id, number, title, body, message, author) select id, 1, title, '" +
                          text + "', '', 1 from p"),
        "");
  const auto tasks_1_1 = test::tasks_up_to("1.1.0");
  Hop first(site, tasks_1_1, build_1_0, build_1_1, "1.1.0");
  ASSERT_NO_FATAL_FAILURE(first.start());
  ASSERT_NO_FATAL_FAILURE(first.finish());
  EXPECT_EQ(site.query("select count(*) from page_body"), "1");
  EXPECT_EQ(site.query("select size > 20 * octet_length(data) from page_body"), "t") << "it is compressed";
  const auto tasks_1_2 = test::tasks_up_to("1.2.0");
  Hop second(site, tasks_1_2, build_1_1, build_1_2, "1.2.0");
  ASSERT_NO_FATAL_FAILURE(second.start());
  ASSERT_NO_FATAL_FAILURE(second.finish());
  const auto tasks_1_3 = test::tasks_up_to("1.3.0");
  Hop third(site, tasks_1_3, build_1_2, build_1_3, "1.3.0");
  ASSERT_NO_FATAL_FAILURE(third.start());
  ASSERT_NO_FATAL_FAILURE(third.finish());
  Hop fourth(site, all_tasks(), build_1_3, build_1_4, "1.4.0");
  ASSERT_NO_FATAL_FAILURE(fourth.start());
  ASSERT_NO_FATAL_FAILURE(fourth.finish());
  constexpr Gates gates{5, build_1_4};
  SearchQuery query;
  query.text = "\"the same in each\"";
  auto found = fourth.node.run(search_pages(*fourth.node.database, gates, query, false, soon()));
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->total, 30);
  const auto id = std::stoll(site.query("select id from page where title = 'Copy 7'"));
  auto page = fourth.node.run(read_page(*fourth.node.database, gates, id, soon()));
  ASSERT_TRUE(page) << page.error().message();
  EXPECT_EQ(page->body, text);
  EXPECT_EQ(site.query("select distinct words_added || ' ' || words_removed from page_version"), "8000 0");

  const test::Database fresh;
  Node node(fresh, build_1_4, all_tasks());
  ASSERT_TRUE(node.run(node.cluster->admit(test::candidate("n1", build_1_4), soon())));
  const auto upgraded = schema_of(site), installed = schema_of(fresh);
  EXPECT_GT(upgraded.size(), 5'000U);
  EXPECT_EQ(upgraded, installed);
  EXPECT_EQ(fresh.query("select count(*) from upgrade_task where state <> 'done'"), "0");
  EXPECT_EQ(fresh.query("select count(*) from upgrade_task"), site.query("select count(*) from upgrade_task"));
}

}  // namespace
}  // namespace afloat::store
