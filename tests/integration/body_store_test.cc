#include <gtest/gtest.h>

#include <sstream>

#include "local/process.h"
#include "server/finalizer.h"
#include "store/page_body.h"
#include "store/page_store.h"
#include "store/space_store.h"
#include "store/tasks/body_store.h"
#include "support/protocol.h"

/// 1.1.0's move of page bodies on the real schema: what 1.0.0 and 1.1.0 write, read and leave behind.
namespace afloat::store {
namespace {

using namespace std::chrono_literals;
using test::new_build;
using test::Node;
using test::old_build;
using test::Session;
using test::soon;

constexpr Gates old_gates{1, old_build}, new_gates{2, new_build};

/// A site of one node, upgraded by its own finalizer. What 1.0.0 does is written out here as its SQL.
class BodyStore : public testing::Test {
 protected:
  void SetUp() override {
    Node old(site, old_build, {});
    ASSERT_TRUE(old.run(old.cluster->admit(test::candidate("n1", old_build), soon())));
    ASSERT_EQ(session.run("insert into app_user (name, password_hash) values ('admin', '');"
                          "insert into space (key, name) values ('T', 'Test')"),
              "");
  }
  /// As 1.0.0 creates a page.
  std::int64_t old_create(const std::string& title, const std::string& body) {
    return std::stoll(session.value(
        "with fence as (select 1), p as (insert into page (space_id, title, created_by, updated_by) select id, '" + title +
        "', 1, 1 from space where key = 'T' returning id, title) insert into page_version (page_id, number, title, body, "
        "message, author) select id, 1, title, '" + body + "', '', 1 from p returning page_id"));
  }
  /// As 1.0.0 saves one.
  void old_save(std::int64_t id, const std::string& body) {
    ASSERT_EQ(session.run("with p as (update page set version = version + 1 where id = " + std::to_string(id) +
                          " returning id, version, title) insert into page_version (page_id, number, title, body, message, "
                          "author) select id, version, title, '" + body + "', '', 1 from p"),
              "");
  }
  /// As 1.0.0 reads it.
  std::string old_read(std::int64_t id) {
    return session.value("select v.body from page p join page_version v on v.page_id = p.id and v.number = p.version "
                         "where p.id = " + std::to_string(id));
  }
  std::int64_t create(Gates gates, const std::string& title, const std::string& body) {
    NewPage page;
    page.space_key = "T";
    page.title = title;
    page.body = body;
    page.author = 1;
    auto made = node.run(create_page(*node.database, gates, page, soon()));
    EXPECT_TRUE(made) << made.error().message();
    return made ? made->id : 0;
  }
  Result<SavedPage> try_save(Gates gates, std::int64_t id, const std::string& body) {
    auto now = node.run(read_page(*node.database, gates, id, soon()));
    if (!now) return std::unexpected(now.error());
    SavePage page;
    page.id = id;
    page.expected_version = now->version;
    page.title = now->title;
    page.body = body;
    page.author = 1;
    return node.run(save_page(*node.database, gates, page, soon()));
  }
  void save(Gates gates, std::int64_t id, const std::string& body) {
    auto saved = try_save(gates, id, body);
    ASSERT_TRUE(saved) << saved.error().message();
  }
  std::string read(Gates gates, std::int64_t id) {
    auto page = node.run(read_page(*node.database, gates, id, soon()));
    return page ? page->body : "failed: " + page.error().message();
  }
  void start() {
    auto started = node.run(node.cluster->apply(cluster::Command::start, "test", new_build, std::nullopt, soon()));
    ASSERT_TRUE(started) << started.error().message();
    TaskRunner runner(*node.database, node.clock, node.timer, new_build, "n1");
    auto expanded = node.run(runner.expand([](std::string) {}, soon()));
    ASSERT_TRUE(expanded) << expanded.error().message();
    static int starts = 1;
    incarnation = "1-" + std::to_string(++starts);
    auto admitted = node.run(node.cluster->admit(test::candidate("n1", new_build, incarnation), soon()));
    ASSERT_TRUE(admitted) << admitted.error().message();
    ASSERT_TRUE(node.run(node.cluster->set_state("id-n1", incarnation, cluster::NodeState::ACTIVE, false, soon())));
  }
  void cancel() {
    auto back = node.run(node.cluster->admit(test::candidate("n1", old_build, incarnation + "-back"), soon()));
    ASSERT_TRUE(back) << back.error().message();
    auto cancelled = node.run(node.cluster->apply(cluster::Command::cancel, "test", std::nullopt, std::nullopt, soon()));
    ASSERT_TRUE(cancelled) << cancelled.error().message();
  }
  /// One step as the node does it, heartbeat included; the gates that it then works with.
  void step() {
    Heartbeat beat;
    beat.id = "id-n1";
    beat.incarnation = incarnation;
    beat.state = cluster::NodeState::ACTIVE;
    beat.gates_in_use = gates.number;
    auto lease = node.run(node.cluster->renew(beat, soon()));
    ASSERT_TRUE(lease && lease->held);
    gates = {lease->state.gates, lease->state.cluster_build};
    auto done = node.run(finalizer.step(lease->state, soon()));
    ASSERT_TRUE(done) << done.error().message();
    mode = lease->state.mode;
  }
  void backfill() {
    ASSERT_TRUE(test::eventually(5s, [&] {
      step();
      return HasFatalFailure() || site.query("select state from upgrade_task where kind = 'backfill'") == "recheck";
    }));
  }
  void finish() {
    auto approved = node.run(node.cluster->apply(cluster::Command::approve, "test", std::nullopt, std::nullopt, soon()));
    ASSERT_TRUE(approved) << approved.error().message();
    ASSERT_TRUE(test::eventually(10s, [&] {
      step();
      return HasFatalFailure() || mode == cluster::Mode::off;
    })) << site.query("select string_agg(concat_ws(' ', id, state, error), ', ') from upgrade_task");
  }
  std::string missing() { return site.query("select count(*) from page_version where body_hash is null"); }

  test::Database site;
  Session session{site};
  Node node{site, new_build, all_tasks()};
  server::Finalizer finalizer{*node.database, *node.cluster, node.clock, node.timer, new_build, "1.1.0", "n1"};
  std::string incarnation = "1-1";
  Gates gates = old_gates;
  cluster::Mode mode = cluster::Mode::on;
};

TEST_F(BodyStore, EachReleaseReadsWhatTheOtherWrites) {
  const auto before = old_create("Before", "<p>of 1.0.0</p>");
  ASSERT_NO_FATAL_FAILURE(start());
  EXPECT_EQ(read(old_gates, before), "<p>of 1.0.0</p>");
  const auto meanwhile = old_create("Meanwhile", "<p>old</p>");
  const auto fresh = create(old_gates, "Fresh", "<p>new</p>");
  EXPECT_EQ(old_read(fresh), "<p>new</p>");
  ASSERT_NO_FATAL_FAILURE(save(old_gates, before, "<p>saved by 1.1.0</p>"));
  EXPECT_EQ(old_read(before), "<p>saved by 1.1.0</p>");
  ASSERT_NO_FATAL_FAILURE(old_save(fresh, "<p>saved by 1.0.0</p>"));
  EXPECT_EQ(read(old_gates, fresh), "<p>saved by 1.0.0</p>");
  EXPECT_EQ(missing(), "3") << "the old release's three writes";
  ASSERT_NO_FATAL_FAILURE(backfill());
  EXPECT_EQ(missing(), "0");
  // Nothing of 1.0.0 does this; a person at psql may.
  EXPECT_EQ(session.run("update page_version set body = '<p>by hand</p>' where page_id = " + std::to_string(meanwhile)), "");
  EXPECT_EQ(read(old_gates, meanwhile), "<p>by hand</p>") << "the stale stored form was read";
  ASSERT_NO_FATAL_FAILURE(finish());
  EXPECT_EQ(read(new_gates, before), "<p>saved by 1.1.0</p>");
  EXPECT_EQ(read(new_gates, meanwhile), "<p>by hand</p>");
  EXPECT_EQ(read(new_gates, fresh), "<p>saved by 1.0.0</p>");
  auto first = node.run(read_version(*node.database, new_gates, before, 1, soon()));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->body, "<p>of 1.0.0</p>");
  ASSERT_NO_FATAL_FAILURE(save(new_gates, fresh, "<p>after</p>"));
  EXPECT_EQ(read(new_gates, fresh), "<p>after</p>");
  EXPECT_EQ(site.query("select count(*) from information_schema.columns where table_name = 'page_version' and "
                       "column_name = 'body'"),
            "0");
}

TEST_F(BodyStore, WhatIsWrittenAfterACancelIsCaughtUpByTheNextRun) {
  const auto id = old_create("Page", "<p>1</p>");
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_NO_FATAL_FAILURE(backfill());
  ASSERT_NO_FATAL_FAILURE(save(old_gates, id, "<p>2</p>"));
  ASSERT_NO_FATAL_FAILURE(cancel());
  ASSERT_NO_FATAL_FAILURE(old_save(id, "<p>3</p>"));
  const auto other = old_create("Other", "<p>other</p>");
  EXPECT_EQ(missing(), "2");
  ASSERT_NO_FATAL_FAILURE(start());
  EXPECT_EQ(read(old_gates, id), "<p>3</p>");
  ASSERT_NO_FATAL_FAILURE(backfill());
  EXPECT_EQ(missing(), "0");
  ASSERT_NO_FATAL_FAILURE(old_save(id, "<p>4</p>"));  // after backfill has passed
  ASSERT_NO_FATAL_FAILURE(finish());
  EXPECT_EQ(read(new_gates, id), "<p>4</p>");
  EXPECT_EQ(read(new_gates, other), "<p>other</p>");
  for (const auto& [number, text] : {std::pair(1, "<p>1</p>"), {2, "<p>2</p>"}, {3, "<p>3</p>"}}) {
    auto version = node.run(read_version(*node.database, new_gates, id, number, soon()));
    ASSERT_TRUE(version) << version.error().message();
    EXPECT_EQ(version->body, text);
  }
}

TEST_F(BodyStore, AWriteWithTheGatesOfYesterdayIsRefusedAndNothingIsLost) {
  const auto id = old_create("Page", "<p>1</p>");
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_NO_FATAL_FAILURE(finish());
  SavePage page;
  page.id = id;
  page.expected_version = 1;
  page.title = "Page";
  page.body = "<p>late</p>";
  auto late = node.run(save_page(*node.database, old_gates, page, soon()));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), "AF003") << late.error().message();
  EXPECT_EQ(read(new_gates, id), "<p>1</p>");
}

TEST_F(BodyStore, EqualTextsAreStoredOnceAndUnusedOnesAreCollected) {
  std::string text;
  for (int i = 0; i < 2'000; ++i) text += "<p>the same in each</p>";
  for (int i = 0; i < 30; ++i) old_create("Copy " + std::to_string(i), text);
  ASSERT_NO_FATAL_FAILURE(start());
  create(old_gates, "One more", text);
  ASSERT_NO_FATAL_FAILURE(finish());
  EXPECT_EQ(site.query("select count(*) from page_body"), "1");
  EXPECT_EQ(site.query("select size > 20 * octet_length(data) from page_body"), "t") << "it is compressed";
  const auto gone = create(new_gates, "Gone", "<p>of one page only</p>");
  ASSERT_EQ(session.run("delete from page where id = " + std::to_string(gone) +
                        "; update page_body set created_at = now() - interval '2 days'"),
            "");
  const auto collect = [&] { ASSERT_TRUE(node.run(collect_bodies(*node.database, new_gates, soon()))); };
  collect();
  EXPECT_EQ(site.query("select count(*) from page_body"), "2") << "it has a day's grace";
  EXPECT_EQ(site.query("select count(doomed_at) from page_body"), "1");
  create(new_gates, "Back again", "<p>of one page only</p>");
  EXPECT_EQ(site.query("select count(doomed_at) from page_body"), "0") << "whoever stores the text again spares it";
  ASSERT_EQ(session.run("delete from page where title = 'Back again'; update page_body set doomed_at = now() - interval '25 hours'"), "");
  collect();
  EXPECT_EQ(site.query("select count(*) from page_body"), "1") << "only what no version uses may go";
}

TEST_F(BodyStore, AnUpgradedSchemaEqualsAFreshOne) {
  old_create("Page", "<p>1</p>");
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_NO_FATAL_FAILURE(finish());
  const test::Database fresh;
  Node first(fresh, new_build, all_tasks());
  ASSERT_TRUE(first.run(first.cluster->admit(test::candidate("n1", new_build), soon())));
  const auto schema_of = [](const test::Database& database) {
    auto dumped = local::run_checked(
        {.argv = {"pg_dump", "--schema-only", "--no-owner", "--no-comments", "-d", database.connection()}}, 20s);
    EXPECT_TRUE(dumped) << dumped.error().message();
    // Restrict keys are random, and default privileges of no interest.
    std::istringstream lines(dumped ? *dumped : "");
    std::string text;
    for (std::string line; std::getline(lines, line);)
      if (!line.starts_with("\\") && !line.starts_with("--")) text += line + "\n";
    return text;
  };
  const auto upgraded = schema_of(site), installed = schema_of(fresh);
  EXPECT_GT(upgraded.size(), 5'000u);
  EXPECT_EQ(upgraded, installed);
  EXPECT_EQ(fresh.query("select count(*) from upgrade_task where state <> 'done'"), "0");
  EXPECT_EQ(fresh.query("select count(*) from upgrade_task"), site.query("select count(*) from upgrade_task"));
}

}  // namespace
}  // namespace afloat::store
