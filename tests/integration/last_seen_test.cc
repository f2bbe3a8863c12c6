#include <gtest/gtest.h>

#include "store/session_store.h"
#include "support/hop.h"

/// 1.4.0's last_seen of each account, while a site goes there from 1.3 and back.
namespace afloat::store {
namespace {

using test::Hop;
using test::Session;
using test::soon;

constexpr int build_1_3 = 10030009, build_1_4 = 10040009;
constexpr Gates gates_1_3{1, build_1_3}, gates_1_4{2, build_1_4};

class LastSeen : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(session.run("update member_lease set lease_until = clock_timestamp() + interval '1 h'"), "");
    // As a node of 1.3 does it: who signs in is noted in the session alone.
    ASSERT_EQ(session.run("insert into app_user (name, password_hash, created_at) values"
                          " ('ann', '', '2026-01-01'), ('bob', '', '2026-01-01');"
                          "insert into session (id_hash, user_id, csrf, last_seen, expires_at)"
                          " select ('ann-' || n)::bytea, u.id, '', ('2026-02-0' || n)::timestamptz, now() + interval '1 h'"
                          " from app_user u, generate_series(1, 2) n where u.name = 'ann'"),
              "");
  }
  /// "2026-02-02", "now" or "never".
  std::string last_here(const std::string& name) {
    auto found = hop.node.run(find_users(*hop.node.database, {.text = name}, soon()));
    EXPECT_TRUE(found && found->users.size() == 1);
    if (!found || found->users.size() != 1) return "?";
    const auto ms = found->users[0].last_seen_ms;
    if (ms == 0) return "never";
    if (std::abs(ms - SystemClock().unix_ms()) < 60'000) return "now";
    return site.query("select to_char(to_timestamp(" + std::to_string(ms) + " / 1000.0), 'YYYY-MM-DD')");
  }
  std::int64_t id_of(const std::string& name) {
    return std::stoll(session.value("select id from app_user where name = '" + name + "'"));
  }

  static constexpr auto missing_sql = "select count(*) from app_user where last_seen is null";
  test::Database site{"last_seen", [](const std::string& connection) {
                        const auto tasks = test::tasks_up_to("1.3.0");
                        test::make_site(connection, build_1_3, tasks);
                      }};
  Session session{site};
  std::vector<UpgradeTask> tasks = test::tasks_up_to("1.4.0");
  Hop hop{site, tasks, build_1_3, build_1_4, "1.4.0"};
};

TEST_F(LastSeen, IsTakenFromTheSessionsAndNotedFromThenOn) {
  ASSERT_NO_FATAL_FAILURE(hop.start());
  EXPECT_EQ(last_here("ann"), "never") << "read before it is filled in";
  ASSERT_NO_FATAL_FAILURE(hop.backfill(missing_sql));
  EXPECT_EQ(last_here("ann"), "2026-02-02");
  EXPECT_EQ(last_here("bob"), "never");
  // In a mixed cluster 1.3 goes on making accounts and sessions.
  ASSERT_EQ(session.run("insert into app_user (name, password_hash) values ('cleo', '')"), "");
  EXPECT_EQ(last_here("cleo"), "never");
  auto& database = *hop.node.database;
  ASSERT_TRUE(
      hop.node.run(create_session(database, gates_1_3, "new", id_of("cleo"), "", std::chrono::hours(1), soon())));
  EXPECT_EQ(last_here("cleo"), "now") << "within the minute in which the account was made";
  ASSERT_TRUE(hop.node.run(touch_user(database, gates_1_3, id_of("bob"), soon())));
  EXPECT_EQ(last_here("bob"), "now");
  ASSERT_NO_FATAL_FAILURE(hop.cancel());
  ASSERT_EQ(session.run("insert into app_user (name, password_hash) values ('dan', '')"), "");
  ASSERT_NO_FATAL_FAILURE(hop.start());
  ASSERT_NO_FATAL_FAILURE(hop.finish());
  EXPECT_EQ(last_here("ann"), "2026-02-02");
  EXPECT_EQ(last_here("dan"), "never");
  ASSERT_TRUE(hop.node.run(touch_session(database, gates_1_4, "ann-1", id_of("ann"), soon())));
  EXPECT_EQ(last_here("ann"), "now");
  EXPECT_EQ(site.query("select count(*) from session where last_seen > now() - interval '1 minute'"), "2")
      << "ann's and cleo's";
  EXPECT_EQ(session.run("insert into app_user (name, password_hash, last_seen) values ('eve', '', null)"), "23502")
      << "after finalize nobody may leave it out";
  EXPECT_EQ(session.run("insert into app_user (name, password_hash) values ('eve', '')"), "");
}

}  // namespace
}  // namespace afloat::store
