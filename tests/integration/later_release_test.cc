#include <gtest/gtest.h>

#include "base/text.h"
#include "cluster/node_state.h"
#include "cluster/phase.h"
#include "server/cache.h"
#include "store/attachment_store.h"
#include "store/change_log.h"
#include "store/page_tree.h"
#include "store/run_store.h"
#include "store/search_store.h"
#include "store/session_store.h"
#include "store/space_store.h"
#include "store/upgrade_task.h"
#include "support/protocol.h"

/// What this release meets when a later one writes into the same database: a released binary can't be mended, so
/// whatever it does not know it keeps, and shows as it is.
namespace afloat::store {
namespace {

using namespace std::chrono_literals;
using test::Node;
using test::soon;

constexpr int this_release = 10020009;
constexpr Gates gates{1, this_release};

class LaterRelease : public testing::Test {
 protected:
  // One node, and the whole schema.
  test::Database site{"later_release", [](const std::string& connection) {
                        Node node(connection, this_release, all_tasks());
                        auto admitted = node.run(node.cluster->admit(test::candidate("n1", this_release), soon()));
                        if (!admitted) throw std::runtime_error(admitted.error().message());
                      }};
  Node node{site, this_release, all_tasks()};
  test::Session later{site};

  // The copy's lease is as old as the template.
  void SetUp() override {
    ASSERT_EQ(later.run("update member_lease set lease_until = clock_timestamp() + interval '1 h'"), "");
  }
  cluster::Snapshot observe() {
    auto snapshot = node.run(node.cluster->observe(soon()));
    EXPECT_TRUE(snapshot) << snapshot.error().message();
    return snapshot ? *snapshot : cluster::Snapshot();
  }
};

TEST_F(LaterRelease, AnUnknownKindOfChangeClearsTheWholeCache) {
  server::PageCache cache;
  ChangeLog log(*node.database);
  std::vector<std::string> told;
  log.subscribe([&](std::string_view kind, std::string_view key) {
    told.emplace_back(kind);
    cache.invalidate(kind, key);
  });
  ASSERT_TRUE(node.run(log.fresh(soon())));
  const auto page = std::make_shared<const std::string>("text");
  cache.put("a", {"page/1"}, page, cache.ticket());
  const auto ticket = cache.ticket();
  ASSERT_EQ(later.run("insert into change_log (kind, key) values ('page', '2')"), "");
  ASSERT_TRUE(node.run(log.fresh(soon())));
  EXPECT_TRUE(cache.get("a")) << "another page's change";
  ASSERT_EQ(later.run("insert into change_log (kind, key) values ('reaction', '7')"), "");
  ASSERT_TRUE(node.run(log.fresh(soon())));
  EXPECT_FALSE(cache.get("a"));
  EXPECT_EQ(told, (std::vector<std::string>{"page", "reaction"}));
  cache.put("a", {"page/1"}, page, ticket);
  EXPECT_FALSE(cache.get("a")) << "it was read before the change was heard of";
}

TEST_F(LaterRelease, UnknownStatesOfMembersAndTasksAreKeptAndShown) {
  ASSERT_EQ(later.run("update member set state = 'HIBERNATING';"
                      "insert into cluster_event (actor, kind, detail) values ('n9', 'mooned', '{\"phase\": [1]}');"
                      "insert into upgrade_task (id, version, build, kind, ordinal, checksum, state) values "
                      "('1.2.0/x/polish', '1.2.0', 10020009, 'polish', 1, 'c', 'pondering')"),
            "");
  auto snapshot = observe();
  ASSERT_EQ(snapshot.members.size(), 1U);
  EXPECT_EQ(snapshot.members[0].state, cluster::NodeState::unknown);
  EXPECT_EQ(cluster::shown_state(snapshot.members[0]), "HIBERNATING");
  EXPECT_FALSE(cluster::serves(cluster::effective_state(snapshot.members[0])));
  const auto polish = std::ranges::find(snapshot.tasks, "1.2.0/x/polish", &cluster::TaskRecord::id);
  ASSERT_NE(polish, snapshot.tasks.end());
  EXPECT_EQ(polish->kind_text + " " + polish->state_text, "polish pondering");
  EXPECT_EQ(cluster::derive_phase(snapshot).phase, cluster::Phase::STABLE);

  // A lease goes on, another node joins, and nobody writes over what he does not know.
  Heartbeat beat;
  beat.id = "id-n1";
  beat.incarnation = "1-1";
  beat.gates_in_use = 1;
  auto lease = node.run(node.cluster->renew(beat, soon()));
  ASSERT_TRUE(lease) << lease.error().message();
  EXPECT_TRUE(lease->held);
  auto joined = node.run(node.cluster->admit(test::candidate("n2", this_release), soon()));
  EXPECT_TRUE(joined && joined->outcome == cluster::AdmissionOutcome::admit);
  EXPECT_EQ(
      site.query("select concat_ws(' ', m.state, t.kind, t.state) from member m, upgrade_task t where m.name = 'n1' and t.kind = 'polish'"),
      "HIBERNATING polish pondering");
  // In upgrade mode it keeps approve off, in that state's own words.
  ASSERT_EQ(later.run("update cluster_state set mode = 'on', original_build = 10020009, target_build = 10030009, "
                      "max_build = 10030009, expand_done = true; update member set build = 10030009"),
            "");
  auto approved = node.run(node.cluster->apply(cluster::Command::approve, "test", std::nullopt, std::nullopt, soon()));
  ASSERT_FALSE(approved);
  EXPECT_NE(approved.error().message().find("n1 is HIBERNATING"), std::string::npos) << approved.error().message();
}

TEST_F(LaterRelease, UnknownStatesAndStepsOfARunAreKept) {
  auto runs = make_run_store(*node.database);
  NewRun asked;
  asked.to = "1.3.0";
  asked.actor = "admin";
  auto id = node.run(runs->create(asked, soon()));
  ASSERT_TRUE(id) << id.error().message();
  ASSERT_EQ(
      later.run("update upgrade_run set state = 'hovering', options = '{\"moon\": \"full\", \"offline\": true}', journal_build = 10030009;"
                "insert into upgrade_step (run_id, kind, state) select id, 'teleport', 'done' from upgrade_run;"
                "insert into upgrade_step (run_id, kind, node, state) select id, 'drain', 'n1', 'pondering' from "
                "upgrade_run"),
      "");
  auto run = node.run(runs->load(*id, soon()));
  ASSERT_TRUE(run) << run.error().message();
  EXPECT_EQ(run->state, rollout::RunState::paused) << "a newer conductor's run is left alone";
  EXPECT_TRUE(run->options.offline) << "what is known of its options is shown";
  ASSERT_EQ(run->steps.size(), 1U);
  EXPECT_EQ(run->steps[0].state, rollout::StepState::interrupted);
  EXPECT_TRUE(node.run(runs->list(5, soon())));
  EXPECT_TRUE(node.run(runs->active(soon())));
  EXPECT_TRUE(node.run(runs->changes(*id, 0, soon())));
  EXPECT_EQ(site.query(
                "select concat_ws(' ', state, options, (select string_agg(kind || ' ' || state, ' ' order by seq) from "
                "upgrade_step)) from upgrade_run"),
            "hovering {\"moon\": \"full\", \"offline\": true} teleport done drain pondering");
}

TEST_F(LaterRelease, AHigherFormatIsRefusedBeforeAnythingElse) {
  ASSERT_EQ(later.run("update cluster_state set format = 2"), "");
  const auto members = site.query("select string_agg(m::text, ' ') from member m");
  auto decided = node.run(node.cluster->admit(test::candidate("n2", this_release), soon()));
  ASSERT_TRUE(decided) << decided.error().message();
  EXPECT_EQ(decided->outcome, cluster::AdmissionOutcome::refuse);
  EXPECT_EQ(decided->reason, "format");
  EXPECT_EQ(site.query("select string_agg(m::text, ' ') from member m"), members);
}

/// The reads and writes of a node's day, each through statements that are prepared once.
void expect_day(Node& node, const test::Database& site, int day) {
  const auto good = [](const auto& result, const char* what) {
    EXPECT_TRUE(result) << what << ": " << result.error().message() << " " << result.error().code();
    return result.has_value();
  };
  auto& db = *node.database;
  const auto number = std::to_string(day);
  good(node.run(node.cluster->observe(soon())), "observe");
  Heartbeat beat;
  beat.id = "id-n1";
  beat.incarnation = "1-1";
  beat.load = day % 2;
  good(node.run(node.cluster->renew(beat, soon())), "renew");
  good(node.run(node.cluster->set_state("id-n1", "1-1", cluster::NodeState::ACTIVE, false, soon())), "set_state");
  auto runs = make_run_store(db);
  good(node.run(runs->list(5, soon())), "runs");
  good(node.run(runs->active(soon())), "active run");
  good(node.run(runs->take_lead("n1", 0, this_release, soon())), "lead");
  TaskRunner tasks(db, node.clock, node.timer, this_release, "n1", {});
  good(node.run(tasks.register_tasks(soon())), "tasks");

  NewUser user;
  user.name = "user" + number;
  user.password_hash = "hash";
  auto made = node.run(create_user(db, gates, user, soon()));
  if (!good(made, "create_user")) return;
  good(node.run(find_user(db, user.name, soon())), "find_user");
  good(node.run(create_session(db, gates, "session" + number, made->id, "csrf", 1h, soon())), "create_session");
  auto session = node.run(read_session(db, "session" + number, soon()));
  EXPECT_TRUE(session && *session) << "read_session";
  good(node.run(touch_session(db, gates, "session" + number, made->id, soon())), "touch_session");
  good(node.run(create_token(db, gates, "token" + number, made->id, "t", std::nullopt, soon())), "create_token");
  good(node.run(read_token(db, "token" + number, soon())), "read_token");

  NewSpace space;
  space.key = "S" + number;
  space.name = "Space " + number;
  space.author = made->id;
  if (!good(node.run(create_space(db, gates, space, soon())), "create_space")) return;
  good(node.run(list_spaces(db, 0, 10, soon())), "list_spaces");
  NewPage page;
  page.space_key = space.key;
  page.title = "Page";
  page.body = "<p>harbour</p>";
  page.author = made->id;
  auto created = node.run(create_page(db, gates, page, soon()));
  if (!good(created, "create_page")) return;
  good(node.run(save_page(db, gates, {created->id, 1, "Page", "<p>anchor</p>", "", made->id, std::nullopt}, soon())),
       "save_page");
  good(node.run(add_labels(db, gates, created->id, {{"global", "l"}}, soon())), "add_labels");
  auto read = node.run(read_page(db, gates, created->id, soon()));
  if (good(read, "read_page")) EXPECT_EQ(read->body, "<p>anchor</p>");
  good(node.run(list_versions(db, created->id, 0, 10, soon())), "list_versions");
  UploadedFile file;
  file.page_id = created->id;
  file.file_name = "a.txt";
  file.digest = std::string(64, 'a');
  file.author = made->id;
  good(node.run(upload_attachment(db, gates, file, UploadMode::create, soon())), "upload");
  good(node.run(list_attachments(db, created->id, "", 0, 10, soon())), "list_attachments");
  SearchQuery query;
  query.text = "anchor";
  query.space_key = space.key;
  auto found = node.run(search_pages(db, gates, query, true, soon()));
  if (good(found, "search")) EXPECT_EQ(found->total, 1);
  EXPECT_EQ(site.query("select count(*) from page"), std::to_string(2 * day));
}

TEST_F(LaterRelease, AnAddedColumnInAnyTableDisturbsNoRunningNode) {
  int day = 0;
  ASSERT_NO_FATAL_FAILURE(expect_day(node, site, ++day));
  ASSERT_FALSE(HasFailure());
  // What it would do to a statement that does not name its columns.
  ASSERT_EQ(later.run("prepare all_columns as select * from space; execute all_columns"), "");
  const auto names = site.query("select string_agg(tablename, ',') from pg_tables where schemaname = 'public'");
  const auto tables = split(names, ',');
  ASSERT_GT(tables.size(), 20U);
  for (const auto& name : tables) {
    const std::string table(name);
    SCOPED_TRACE("a column more in " + table);
    ASSERT_EQ(later.run("alter table " + table + " add column added text not null default 'later'"), "");
    ASSERT_NO_FATAL_FAILURE(expect_day(node, site, ++day));
    if (HasFailure()) break;
  }
  EXPECT_EQ(later.run("execute all_columns"), "0A000");
}

TEST_F(LaterRelease, ASessionsUnknownFieldsAreKept) {
  expect_day(node, site, 1);
  ASSERT_EQ(later.run("update session set data = '{\"theme\": {\"later\": true}}', last_seen = now() - interval '1 h'"),
            "");
  auto session = node.run(read_session(*node.database, "session1", soon()));
  ASSERT_TRUE(session && *session);
  EXPECT_TRUE((*session)->touch_due);
  ASSERT_TRUE(node.run(touch_session(*node.database, gates, "session1", (*session)->user.id, soon())));
  EXPECT_EQ(site.query("select concat_ws(' ', last_seen > now() - interval '1 min', data) from session"),
            "t {\"theme\": {\"later\": true}}");
}

}  // namespace
}  // namespace afloat::store
