#include <gtest/gtest.h>

#include "base/text.h"
#include "store/page_body.h"
#include "store/page_store.h"
#include "support/hop.h"

/// 1.3.0's size of each change, while a site goes there from 1.2 and back.
namespace afloat::store {
namespace {

using namespace std::chrono_literals;
using test::Hop;
using test::Session;
using test::soon;

constexpr int build_1_2 = 10020009, build_1_3 = 10030009;
// Those of a fresh site; each release that is finalized raises the number.
constexpr Gates gates_1_2{1, build_1_2}, gates_1_3{2, build_1_3};

class ChangeSizes : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(session.run("update member_lease set lease_until = clock_timestamp() + interval '1 h'"), "");
  }
  static std::string body_insert(const std::string& body) {
    const auto stored = store_body(body);
    return "insert into page_body (hash, size, data) values ('\\x" + to_hex(stored.hash) + "', " +
           std::to_string(stored.size) + ", '\\x" + to_hex(stored.data) + "') on conflict (hash) do nothing";
  }
  /// As a node of 1.2 does it.
  std::int64_t old_create(const std::string& title, const std::string& body) {
    return std::stoll(session.value(
        "with body as (" + body_insert(body) +
        "), created as (insert into page (space_id, title, created_by, updated_by) select id, '" + title +
        "', 1, 1 from space where key = 'T' returning id, title), written as (insert into page_version"
        " (page_id, number, title, body_hash, message, author) select id, 1, title, '\\x" +
        to_hex(store_body(body).hash) + "', '', 1 from created) select id from created"));
  }
  void old_save(std::int64_t id, const std::string& body) {
    ASSERT_EQ(session.run("with body as (" + body_insert(body) +
                          "), saved as (update page set version = version + 1, updated_at = now() where id = " +
                          std::to_string(id) +
                          " returning id, version, title) insert into page_version"
                          " (page_id, number, title, body_hash, message, author) select id, version, title, '\\x" +
                          to_hex(store_body(body).hash) + "', '', 1 from saved"),
              "");
  }
  void save(Gates gates, std::int64_t id, int version, const std::string& body) {
    SavePage page;
    page.id = id;
    page.expected_version = version;
    page.title = "Page";
    page.body = body;
    page.author = 1;
    auto saved = hop.node.run(save_page(*hop.node.database, gates, page, soon()));
    ASSERT_TRUE(saved) << saved.error().message();
  }
  /// Of each version, the oldest first: "+2-1", or "?".
  std::string sizes(std::int64_t id) {
    auto versions = hop.node.run(list_versions(*hop.node.database, id, 0, 50, soon()));
    EXPECT_TRUE(versions) << versions.error().message();
    std::string out;
    if (versions)
      for (const auto& version : *versions)
        out = (version.change ? "+" + std::to_string(version.change->added_words) + "-" +
                                    std::to_string(version.change->removed_words)
                              : "?") +
              (out.empty() ? "" : " " + out);
    return out;
  }

  static constexpr auto missing_sql = "select count(*) from page_version where words_added is null";
  test::Database site{"change_sizes", [](const std::string& connection) {
                        const auto tasks = test::tasks_up_to("1.2.0");
                        test::make_site(connection, build_1_2, tasks);
                      }};
  Session session{site};
  std::vector<UpgradeTask> tasks = test::tasks_up_to("1.3.0");
  Hop hop{site, tasks, build_1_2, build_1_3, "1.3.0"};
};

TEST_F(ChangeSizes, EveryVersionHasOneAfterTheUpgradeWhicheverReleaseWroteIt) {
  const auto page = old_create("Page", "<p>one two three</p>");
  ASSERT_NO_FATAL_FAILURE(old_save(page, "<p>one two four five</p>"));
  ASSERT_NO_FATAL_FAILURE(hop.start());
  EXPECT_EQ(sizes(page), "? ?") << "what 1.2 wrote can be read before it is measured";
  ASSERT_NO_FATAL_FAILURE(save(gates_1_2, page, 2, "<p>one two four five six</p>"));
  EXPECT_EQ(sizes(page), "? ? +1-0");
  ASSERT_NO_FATAL_FAILURE(hop.backfill(missing_sql));
  EXPECT_EQ(sizes(page), "+3-0 +2-1 +1-0");
  // In a mixed cluster 1.2 goes on writing, also between versions of 1.3.
  ASSERT_NO_FATAL_FAILURE(old_save(page, "<p>six</p>"));
  ASSERT_NO_FATAL_FAILURE(save(gates_1_2, page, 4, "<p>six</p><p>seven eight</p>"));
  EXPECT_EQ(sizes(page), "+3-0 +2-1 +1-0 ? +2-0");
  ASSERT_NO_FATAL_FAILURE(hop.cancel());
  ASSERT_NO_FATAL_FAILURE(old_save(page, "<p>eight</p>"));
  ASSERT_NO_FATAL_FAILURE(hop.start());
  ASSERT_NO_FATAL_FAILURE(hop.finish());
  EXPECT_EQ(sizes(page), "+3-0 +2-1 +1-0 +0-4 +2-0 +0-2");
  ASSERT_NO_FATAL_FAILURE(save(gates_1_3, page, 6, "<p>eight nine</p>"));
  EXPECT_EQ(sizes(page), "+3-0 +2-1 +1-0 +0-4 +2-0 +0-2 +1-0");
  EXPECT_EQ(session.run("insert into page_version (page_id, number, title, body_hash) select page_id, 99, title,"
                        " body_hash from page_version limit 1"),
            "23502")
      << "after finalize nobody may leave it out";
}

TEST_F(ChangeSizes, ADamagedTextStopsNeitherTheUpgradeNorTheNextSave) {
  const auto page = old_create("Page", "<p>one two three</p>");
  ASSERT_EQ(session.run("update page_body set data = 'no frame'"), "");
  ASSERT_NO_FATAL_FAILURE(hop.start());
  ASSERT_NO_FATAL_FAILURE(hop.finish());
  EXPECT_EQ(sizes(page), "+0-0");
  ASSERT_NO_FATAL_FAILURE(save(gates_1_3, page, 1, "<p>four</p>"));
  EXPECT_EQ(sizes(page), "+0-0 +1-0");
}

}  // namespace
}  // namespace afloat::store
