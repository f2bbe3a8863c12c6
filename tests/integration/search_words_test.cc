#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "base/text.h"
#include "local/process.h"
#include "server/finalizer.h"
#include "store/page_body.h"
#include "store/page_index.h"
#include "store/page_store.h"
#include "store/search_store.h"
#include "store/space_store.h"
#include "store/tasks/body_store.h"
#include "support/protocol.h"
#include "wiki/storage_xml.h"

/// 1.2.0's search on the real schema: what people find, and what 1.1 and 1.2.0 write, read and leave behind while a
/// site goes from the one to the other.
namespace afloat::store {
namespace {

using namespace std::chrono_literals;
using test::Node;
using test::Session;
using test::soon;

constexpr int build_1_0 = test::old_build, build_1_1 = test::new_build, build_1_2 = 10020009;
// A fresh site of 1.2 has its first gates; one that came from 1.1 has the second ones.
constexpr Gates gates_1_1{1, build_1_1}, gates_1_2{2, build_1_2}, fresh_1_2{1, build_1_2};

/// The upgrade of a site of one node, by its own finalizer.
class Hop {
 public:
  Hop(const test::Database& database, std::span<const UpgradeTask> tasks, int from, int to, std::string version)
      : site(database),
        node(site, to, tasks),
        tasks_(tasks),
        finalizer_(*node.database, *node.cluster, node.clock, node.timer, to, std::move(version), "n1", tasks),
        from_(from),
        to_(to) {}

  void start() {
    auto started = node.run(node.cluster->apply(cluster::Command::start, "test", to_, std::nullopt, soon()));
    ASSERT_TRUE(started) << started.error().message();
    TaskRunner runner(*node.database, node.clock, node.timer, to_, "n1", tasks_);
    auto expanded = node.run(runner.expand([](std::string) {}, soon()));
    ASSERT_TRUE(expanded) << expanded.error().message();
    static int starts = 1;
    incarnation_ = "1-" + std::to_string(++starts);
    auto admitted = node.run(node.cluster->admit(test::candidate("n1", to_, incarnation_), soon()));
    ASSERT_TRUE(admitted) << admitted.error().message();
    ASSERT_TRUE(node.run(node.cluster->set_state("id-n1", incarnation_, cluster::NodeState::ACTIVE, false, soon())));
  }
  void cancel() {
    auto back = node.run(node.cluster->admit(test::candidate("n1", from_, incarnation_ + "-back"), soon()));
    ASSERT_TRUE(back) << back.error().message();
    auto cancelled =
        node.run(node.cluster->apply(cluster::Command::cancel, "test", std::nullopt, std::nullopt, soon()));
    ASSERT_TRUE(cancelled) << cancelled.error().message();
  }
  /// Until every row has the new form. What an earlier pass recorded as caught up is looked at once more.
  void backfill(const std::string& remaining) {
    site.query("update upgrade_task set total = 0 where kind = 'backfill' and state = 'recheck' returning 1");
    ASSERT_TRUE(test::eventually(10s, [&] {
      step();
      return testing::Test::HasFatalFailure() ||
             (site.query(remaining) == "0" &&
              site.query("select count(*) from upgrade_task where kind = 'backfill' and state = 'running'") == "0");
    }));
  }
  void finish() {
    auto approved =
        node.run(node.cluster->apply(cluster::Command::approve, "test", std::nullopt, std::nullopt, soon()));
    ASSERT_TRUE(approved) << approved.error().message();
    ASSERT_TRUE(test::eventually(15s, [&] {
      step();
      return testing::Test::HasFatalFailure() || mode_ == cluster::Mode::off;
    })) << site.query("select string_agg(concat_ws(' ', id, state, error), ', ') from upgrade_task");
  }

  const test::Database& site;
  Node node;

 private:
  /// As the node does it, heartbeat included.
  void step() {
    Heartbeat beat;
    beat.id = "id-n1";
    beat.incarnation = incarnation_;
    beat.state = cluster::NodeState::ACTIVE;
    beat.gates_in_use = gates_;
    auto lease = node.run(node.cluster->renew(beat, soon()));
    ASSERT_TRUE(lease && lease->held);
    gates_ = lease->state.gates;
    auto done = node.run(finalizer_.step(lease->state, soon()));
    ASSERT_TRUE(done) << done.error().message();
    mode_ = lease->state.mode;
  }

  std::span<const UpgradeTask> tasks_;
  server::Finalizer finalizer_;
  const int from_, to_;
  std::string incarnation_ = "1-1";
  int gates_ = 1;
  cluster::Mode mode_ = cluster::Mode::on;
};

/// A fresh site of that release, with a user and a space.
void make_site(const std::string& connection, int build, std::span<const UpgradeTask> tasks) {
  Node first(connection, build, tasks);
  if (auto admitted = first.run(first.cluster->admit(test::candidate("n1", build), soon())); !admitted)
    throw std::runtime_error(admitted.error().message());
  if (!Session(connection)
           .run("insert into app_user (name, password_hash) values ('admin', '');"
                "insert into space (key, name) values ('T', 'Test')")
           .empty())
    throw std::runtime_error("the site got no space");
}

/// Pages as this release writes and finds them.
class Wiki {
 public:
  explicit Wiki(Node& node) : node_(node) {}
  std::int64_t create(Gates gates, const std::string& title, const std::string& body) {
    NewPage page;
    page.space_key = "T";
    page.title = title;
    page.body = body;
    page.author = 1;
    auto made = node_.run(create_page(*node_.database, gates, page, soon()));
    EXPECT_TRUE(made) << made.error().message();
    return made ? made->id : 0;
  }
  Result<SavedPage> save(Gates gates, std::int64_t id, int version, const std::string& title, const std::string& body) {
    SavePage page;
    page.id = id;
    page.expected_version = version;
    page.title = title;
    page.body = body;
    page.author = 1;
    return node_.run(save_page(*node_.database, gates, page, soon()));
  }
  SearchResult search(Gates gates, SearchQuery query) {
    auto found = node_.run(search_pages(*node_.database, gates, std::move(query), true, soon()));
    EXPECT_TRUE(found) << found.error().message();
    return found ? *found : SearchResult();
  }
  SearchResult search(Gates gates, const std::string& words) {
    SearchQuery query;
    query.text = words;
    return search(gates, query);
  }
  /// Titles in the order found.
  std::string titles(Gates gates, const std::string& words) { return titles_of(search(gates, words)); }
  std::string titles_by_title(Gates gates, const std::string& words) {
    SearchQuery query;
    query.title_like = words;
    return titles_of(search(gates, query));
  }

 private:
  static std::string titles_of(const SearchResult& found) {
    std::vector<std::string> titles;
    for (const auto& hit : found.hits) titles.push_back(hit.page.title);
    return join(titles, ", ");
  }
  Node& node_;
};

class SearchWords : public testing::Test {
 protected:
  test::Database site{"search_words",
                      [](const std::string& connection) { make_site(connection, build_1_2, all_tasks()); }};
  Session session{site};
  Node node{site, build_1_2, all_tasks()};
  Wiki wiki{node};
};

struct FoundCase {
  std::string_view typed, titles;
};
constexpr auto found_cases = std::to_array<FoundCase>({
    {"max_connections", "Settings"},
    {"MAX_CONN*", "Settings"},
    {"connections max", "Settings, Apart"},
    {"pg_hba.conf", "Files"},
    {"hba", "Files"},
    {"/etc/pg_hba.conf", "Files"},
    {"\"to be or not to be\"", "Quotes"},
    {"\"not to be\"", "Quotes"},
    {"\"be to\"", ""},
    {"how to", "Manual"},
    {"the upgrade", "Upgrade, Runs"},
    {"upgrading", "Runs, Upgrade"},
    {"upgr*", "Upgrade, Runs"},
    {"\xC3\x84rger", "Umlaut"},
    {"\xC3\xA4rger", "Umlaut"},
    {"\xC3\xA4rg*", "Umlaut"},
    {"die", "Umlaut"},
    {"upgrade -shipped", "Upgrade"},
    {"hba or not", "Files, Quotes, Manual"},
    {"well-known", "Files"},
    {"nothing*", ""},
});

TEST_F(SearchWords, FindsWordsAsTheyAreTypedAndBeginningsOfThem) {
  wiki.create(fresh_1_2, "Settings", "<p>Set max_connections before you start.</p>");
  wiki.create(fresh_1_2, "Apart", "<p>connections have a max</p>");
  wiki.create(fresh_1_2, "Files", "<p>See <code>/etc/pg_hba.conf</code>, which is well-known.</p>");
  wiki.create(fresh_1_2, "Quotes", "<p>To be, or not to be.</p>");
  wiki.create(fresh_1_2, "Manual", "<p>How to and how not.</p>");
  wiki.create(fresh_1_2, "Runs", "<p>Upgrading what was shipped.</p>");
  wiki.create(fresh_1_2, "Upgrade", "<p>Without downtime.</p>");
  wiki.create(fresh_1_2, "Umlaut", "<p>\xC3\x84rger, die vergeht.</p>");
  for (const auto& [typed, titles] : found_cases) {
    SCOPED_TRACE(typed);
    auto found = split(wiki.titles(fresh_1_2, std::string(typed)), ','), wanted = split(titles, ',');
    for (auto* list : {&found, &wanted}) {
      for (auto& title : *list) title = trim(title);
      std::ranges::sort(*list);
    }
    EXPECT_EQ(join(found, ","), join(wanted, ","));
  }
}

TEST_F(SearchWords, TitlesComeBeforeExactWordsAndTheseBeforeStems) {
  wiki.create(fresh_1_2, "Running", "<p>in the title</p>");
  wiki.create(fresh_1_2, "Exact", "<p>it is running and running and running</p>");
  wiki.create(fresh_1_2, "Stem", "<p>runs, run, runs, run, runs, run and runs</p>");
  EXPECT_EQ(wiki.titles(fresh_1_2, "running"), "Running, Exact, Stem");
  EXPECT_EQ(wiki.titles(fresh_1_2, "runn*"), "Running, Exact");
}

TEST_F(SearchWords, TitlesAreFoundByTheirBeginningsTheShorterFirst) {
  wiki.create(fresh_1_2, "Vacuum", "<p>a</p>");
  wiki.create(fresh_1_2, "Routine vacuuming of large databases", "<p>b</p>");
  wiki.create(fresh_1_2, "Other", "<p>vacuum</p>");
  EXPECT_EQ(wiki.titles_by_title(fresh_1_2, "vac*"), "Vacuum, Routine vacuuming of large databases");
  EXPECT_EQ(wiki.titles_by_title(fresh_1_2, "vacuum databases"), "Routine vacuuming of large databases");
  EXPECT_EQ(wiki.titles_by_title(fresh_1_2, "*"), "");
}

TEST_F(SearchWords, NothingThatIsTypedBreaksIt) {
  wiki.create(fresh_1_2, "Page", "<p>words</p>");
  std::vector<std::string> hostile{"",
                                   " ",
                                   "*",
                                   "\"",
                                   "\"\"",
                                   "'",
                                   "''",
                                   "\\",
                                   "\\'",
                                   "&",
                                   "|",
                                   "!",
                                   "!!a",
                                   "( )",
                                   "<->",
                                   "a <-> b",
                                   "a:*",
                                   "a:B*",
                                   ":*",
                                   "-",
                                   "--",
                                   "- -",
                                   "-*",
                                   "or",
                                   "or or",
                                   "a or",
                                   "$1",
                                   "{}",
                                   "{\"a\"}",
                                   "%s",
                                   "\xFF\xFE",
                                   "a\xC3",
                                   std::string("a\0b", 3),
                                   "\xEF\xBB\xBF",
                                   "1e5",
                                   "1e*",
                                   "-5 +6",
                                   "http://a.b/c?d=e*",
                                   "a@b.c",
                                   "\xF0\x9F\x98\x80*",
                                   "</script>"};
  for (const char* part : {"x", "\"", "*", "-", "' ", "a ", "-a ", "a or ", "\\", "\xC3\x84", "\xC4\xB0"}) {
    std::string longer;
    while (longer.size() < 10'000) longer += part;
    hostile.push_back(longer);
    hostile.push_back(longer + "*");
  }
  for (const auto& typed : hostile) {
    SCOPED_TRACE(typed.substr(0, 40));
    for (bool title : {false, true}) {
      SearchQuery query;
      (title ? query.title_like : query.text) = typed;
      auto found = node.run(search_pages(*node.database, fresh_1_2, query, true, soon()));
      EXPECT_TRUE(found) << found.error().message();
    }
  }
}

TEST_F(SearchWords, ExcerptsComeFromTheIndexWithoutTheBodies) {
  const std::string filler(400, '.');
  wiki.create(fresh_1_2, "Page", "<p>begin " + filler + "</p><p>set <b>max_connections</b> here " + filler + "</p>");
  ASSERT_EQ(session.run("update page_body set data = 'not to be read'"), "");
  for (const auto* typed : {"max_connections", "\"max connections\" or connect*", "max_con*"}) {
    const auto found = wiki.search(fresh_1_2, typed);
    ASSERT_EQ(found.hits.size(), 1U) << typed;
    EXPECT_EQ(found.total, 1);
  }
  const auto excerpt = wiki.search(fresh_1_2, "max_connections").hits.at(0).excerpt;
  EXPECT_NE(excerpt.find("set max_connections here"), std::string::npos) << excerpt;
}

TEST_F(SearchWords, ManyHitsKeepTheirTotalAndOrderOverThePages) {
  for (int i = 0; i < 40; ++i) wiki.create(fresh_1_2, "Page " + std::to_string(i), "<p>common</p>");
  std::string all;
  for (int start = 0; start < 60; start += 20) {
    SearchQuery query;
    query.text = "common";
    query.start = start;
    query.limit = 20;
    const auto found = wiki.search(fresh_1_2, query);
    EXPECT_EQ(found.total, 40);
    for (const auto& hit : found.hits) all += hit.page.title + ",";
  }
  std::string wanted;
  for (int i = 39; i >= 0; --i) wanted += "Page " + std::to_string(i) + ",";
  EXPECT_EQ(all, wanted) << "the newest first";
}

TEST_F(SearchWords, EqualBodiesAreStoredOnceAndUnusedOnesAreCollected) {
  wiki.create(fresh_1_2, "One", "<p>the same</p>");
  wiki.create(fresh_1_2, "Another", "<p>the same</p>");
  const auto gone = wiki.create(fresh_1_2, "Gone", "<p>of one page only</p>");
  EXPECT_EQ(site.query("select count(*) from page_body"), "2");
  ASSERT_EQ(session.run("delete from page where id = " + std::to_string(gone) +
                        "; update page_body set created_at = now() - interval '2 days'"),
            "");
  const auto collect = [&] { ASSERT_TRUE(node.run(collect_bodies(*node.database, fresh_1_2, soon()))); };
  collect();
  EXPECT_EQ(site.query("select count(*) from page_body"), "2") << "it has a day's grace";
  EXPECT_EQ(site.query("select count(doomed_at) from page_body"), "1");
  wiki.create(fresh_1_2, "Back again", "<p>of one page only</p>");
  EXPECT_EQ(site.query("select count(doomed_at) from page_body"), "0") << "whoever stores the text again spares it";
  ASSERT_EQ(session.run("delete from page where title = 'Back again'; "
                        "update page_body set doomed_at = now() - interval '25 hours'"),
            "");
  collect();
  EXPECT_EQ(site.query("select count(*) from page_body"), "1") << "only what no version uses may go";
}

/// A site of 1.1 that is upgraded. What 1.1 does is written out here as its SQL.
class SearchUpgrade : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(session.run("update member_lease set lease_until = clock_timestamp() + interval '1 h'"), "");
  }
  static std::string body_insert(const std::string& body) {
    const auto stored = store_body(body);
    return "insert into page_body (hash, size, data) values ('\\x" + to_hex(stored.hash) + "', " +
           std::to_string(stored.size) + ", '\\x" + to_hex(stored.data) + "') on conflict (hash) do nothing";
  }
  std::int64_t old_create(const std::string& title, const std::string& body, std::size_t limit = 500'000) {
    return std::stoll(
        session.value("with body as (" + body_insert(body) +
                      "), created as (insert into page (space_id, title, created_by, updated_by)"
                      " select id, '" +
                      title +
                      "', 1, 1 from space where key = 'T' returning id, title), written as (insert into"
                      " page_version (page_id, number, title, body_hash, message, author) select id, 1, title, '\\x" +
                      to_hex(store_body(body).hash) +
                      "', '', 1 from created), indexed as (insert into page_search (page_id, document)"
                      " select id, setweight(to_tsvector('english', title), 'A') || to_tsvector('english', '" +
                      wiki::plain_text(body).substr(0, limit) + "') from created) select id from created"));
  }
  /// Of all these pages at once.
  void old_save(const std::string& ids, const std::string& body) {
    ASSERT_EQ(session.run("with body as (" + body_insert(body) +
                          "), saved as (update page set version = version + 1, updated_at = now()"
                          " where id in (" +
                          ids +
                          ") returning id, version, title), written as (insert into page_version (page_id, number,"
                          " title, body_hash, message, author) select id, version, title, '\\x" +
                          to_hex(store_body(body).hash) +
                          "', '', 1 from saved) insert into page_search (page_id, document) select id, "
                          "setweight(to_tsvector('english',"
                          " title), 'A') || to_tsvector('english', '" +
                          wiki::plain_text(body) +
                          "') from saved on conflict (page_id) do"
                          " update set document = excluded.document"),
              "");
  }
  std::string old_count(const std::string& word) {
    return session.value(
        "select count(*) from page p join page_search f on f.page_id = p.id where p.status = 'current'"
        " and f.document @@ websearch_to_tsquery('english', '" +
        word + "')");
  }

  static constexpr auto missing_sql = "select count(*) from page_search where words is null";
  test::Database site{"search_upgrade", [](const std::string& connection) {
                        const auto tasks = body_store_tasks();
                        make_site(connection, build_1_1, tasks);
                      }};
  Session session{site};
  Hop hop{site, all_tasks(), build_1_1, build_1_2, "1.2.0"};
  Wiki wiki{hop.node};
};

TEST_F(SearchUpgrade, EachReleaseFindsWhatTheOtherWrites) {
  const auto before = old_create("Earlier", "<p>it runs with max_connections</p>");
  ASSERT_NO_FATAL_FAILURE(hop.start());
  EXPECT_EQ(wiki.titles(gates_1_1, "running"), "Earlier");
  EXPECT_EQ(wiki.titles(gates_1_1, "max_connections"), "Earlier");
  EXPECT_EQ(wiki.titles_by_title(gates_1_1, "earl*"), "Earlier");
  EXPECT_NE(wiki.search(gates_1_1, "running").hits.at(0).excerpt.find("it runs"), std::string::npos);
  wiki.create(gates_1_1, "Fresh", "<p>it is running</p>");
  EXPECT_EQ(old_count("run"), "2");
  EXPECT_EQ(session.value(missing_sql), "1");
  ASSERT_NO_FATAL_FAILURE(hop.backfill(missing_sql));
  EXPECT_EQ(wiki.titles(gates_1_1, "\"it runs\""), "Earlier");
  // Its old form stays the same, for the stem does; the new one must not.
  ASSERT_NO_FATAL_FAILURE(old_save(std::to_string(before), "<p>it run with max_connections</p>"));
  EXPECT_EQ(session.value(missing_sql), "1") << "the stale words stayed";
  ASSERT_NO_FATAL_FAILURE(hop.backfill(missing_sql));
  EXPECT_EQ(wiki.titles(gates_1_1, "\"it runs\""), "");
  EXPECT_EQ(wiki.titles(gates_1_1, "\"it run\""), "Earlier");
  // A save of 1.2.0 that changes nothing leaves nothing to be done again.
  ASSERT_TRUE(wiki.save(gates_1_1, before, 2, "Earlier", "<p>it run with max_connections</p>"));
  EXPECT_EQ(session.value(missing_sql), "0");
  ASSERT_NO_FATAL_FAILURE(hop.finish());
  EXPECT_EQ(wiki.titles(gates_1_2, "\"it run\""), "Earlier");
  EXPECT_EQ(wiki.titles(gates_1_2, "earl*"), "Earlier");
  auto late = wiki.save(gates_1_1, before, 3, "Earlier", "<p>late</p>");
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), "AF003") << late.error().message();
  EXPECT_TRUE(wiki.save(gates_1_2, before, 3, "Earlier", "<p>after</p>"));
  EXPECT_EQ(wiki.titles(gates_1_2, "after"), "Earlier");
}

/// One course: writes, backfill, writes, backfill, writes, cancel, writes, start, writes, backfill, writes, finalize.
/// At each place for writes a page is written by nobody, by 1.1 or by 1.2.0, and there is a page for each way to
/// choose: so the course is all orders of both releases' writes, with batches, a cancel and a second run between them.
TEST_F(SearchUpgrade, FormsAgreeInEveryOrderOfWritesAndNoneIsLost) {
  struct Page {
    std::int64_t id = 0;
    int version = 1;
    int written = 0;  ///< place of its last write
  };
  constexpr int places = 5;
  constexpr int while_cancelled = 3;
  std::vector<Page> pages(static_cast<std::size_t>(3 * 3 * 2 * 3 * 3));
  const auto writer = [](std::size_t page, int place) {  // 0: nobody, 1: 1.1, 2: 1.2.0
    static constexpr std::array<std::size_t, places + 1> ways{1, 3, 3, 2, 3, 3};
    for (int i = 1; i < place; ++i) page /= ways[static_cast<std::size_t>(i)];
    return page % ways[static_cast<std::size_t>(place)];
  };
  const auto word = [](int place) { return "place" + std::to_string(place); };
  const auto body = [&](int place) { return "<p>written at " + word(place) + "</p>"; };
  for (std::size_t i = 0; i < pages.size(); ++i) pages[i].id = old_create("Page " + std::to_string(i), body(0));
  const auto compare = [&](Gates gates, const std::string& when) {
    for (int place = 0; place <= places; ++place) {
      const auto wanted = std::ranges::count(pages, place, &Page::written);
      EXPECT_EQ(wiki.search(gates, word(place)).total, wanted) << word(place) << " " << when;
      EXPECT_EQ(wiki.search(gates, "\"at " + word(place) + "\"").total, wanted) << word(place) << " exactly, " << when;
      if (gates.number == 1) EXPECT_EQ(old_count(word(place)), std::to_string(wanted)) << "for 1.1, " << when;
    }
  };
  const auto write = [&](int place) {
    std::string ids;
    for (std::size_t i = 0; i < pages.size(); ++i) {
      const auto by = writer(i, place);
      if (by == 0) continue;
      if (by == 1) ids += (ids.empty() ? "" : ", ") + std::to_string(pages[i].id);
      if (by == 2) {
        auto saved = wiki.save(gates_1_1, pages[i].id, pages[i].version, "Page " + std::to_string(i), body(place));
        ASSERT_TRUE(saved) << saved.error().message();
      }
      ++pages[i].version;
      pages[i].written = place;
    }
    ASSERT_NO_FATAL_FAILURE(old_save(ids, body(place)));
    compare(gates_1_1, "after its writes at place " + std::to_string(place));
  };
  ASSERT_NO_FATAL_FAILURE(hop.start());
  ASSERT_NO_FATAL_FAILURE(write(1));
  ASSERT_NO_FATAL_FAILURE(hop.backfill(missing_sql));
  ASSERT_NO_FATAL_FAILURE(write(2));
  ASSERT_NO_FATAL_FAILURE(hop.cancel());
  ASSERT_NO_FATAL_FAILURE(write(while_cancelled));
  ASSERT_NO_FATAL_FAILURE(hop.start());
  compare(gates_1_1, "after the second start");
  ASSERT_NO_FATAL_FAILURE(write(4));
  ASSERT_NO_FATAL_FAILURE(hop.backfill(missing_sql));
  compare(gates_1_1, "after the second backfill");
  ASSERT_NO_FATAL_FAILURE(write(5));
  ASSERT_NO_FATAL_FAILURE(hop.finish());
  compare(gates_1_2, "after finalize");
  EXPECT_EQ(
      site.query("select count(*) from page_search f join page p on p.id = f.page_id where f.version <> p.version"),
      "0");
}

TEST_F(SearchUpgrade, WithoutTheTriggerAnOldWriteWouldLeaveStaleWords) {
  const auto id = old_create("Page", "<p>first</p>");
  ASSERT_NO_FATAL_FAILURE(hop.start());
  ASSERT_NO_FATAL_FAILURE(hop.backfill(missing_sql));
  ASSERT_EQ(session.run("drop trigger page_search_document_changed on page_search"), "");
  ASSERT_NO_FATAL_FAILURE(old_save(std::to_string(id), "<p>second</p>"));
  EXPECT_EQ(wiki.titles(gates_1_1, "first"), "Page");
  EXPECT_EQ(wiki.titles(gates_1_1, "second"), "");
}

TEST_F(SearchUpgrade, APageWithMoreWordsThanATsvectorHoldsIsIndexedUpToALimit) {
  std::string words = "beginning ";
  for (int i = 0; words.size() < 499'000; ++i) {
    std::string word = "a";
    for (int left = i, letter = 0; letter < 4; ++letter, left /= 19) word += "bcdfghjklmnpqrtvwxz"[left % 19];
    words += word + "s ";  // its stem is another word
  }
  old_create("Old", "<p>" + words + "</p>", 50'000);
  ASSERT_NO_FATAL_FAILURE(hop.start());
  wiki.create(gates_1_1, "New", "<p>" + words + "</p>");
  ASSERT_NO_FATAL_FAILURE(hop.finish());
  wiki.create(gates_1_2, "Newer", "<p>" + words + "</p>");
  EXPECT_EQ(wiki.search(gates_1_2, "beginning").total, 3);
  EXPECT_EQ(site.query("select string_agg(length(plain)::text, ' ') from page_search"), "50000 50000 50000");
}

TEST_F(SearchUpgrade, ADamagedBodyDoesNotStopIt) {
  old_create("Damaged", "<p>text</p>");
  ASSERT_EQ(session.run("update page_body set data = 'no frame'"), "");
  ASSERT_NO_FATAL_FAILURE(hop.start());
  ASSERT_NO_FATAL_FAILURE(hop.finish());
  EXPECT_EQ(wiki.titles(gates_1_2, "damaged"), "Damaged");
}

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
  make_site(site.connection(), build_1_0, {});
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
  const auto tasks_1_1 = body_store_tasks();
  Hop first(site, tasks_1_1, build_1_0, build_1_1, "1.1.0");
  ASSERT_NO_FATAL_FAILURE(first.start());
  ASSERT_NO_FATAL_FAILURE(first.finish());
  EXPECT_EQ(site.query("select count(*) from page_body"), "1");
  EXPECT_EQ(site.query("select size > 20 * octet_length(data) from page_body"), "t") << "it is compressed";
  Hop second(site, all_tasks(), build_1_1, build_1_2, "1.2.0");
  ASSERT_NO_FATAL_FAILURE(second.start());
  ASSERT_NO_FATAL_FAILURE(second.finish());
  Wiki wiki(second.node);
  EXPECT_EQ(wiki.search(gates_1_2, "\"the same in each\"").total, 30);
  const auto id = std::stoll(site.query("select id from page where title = 'Copy 7'"));
  auto page = second.node.run(read_page(*second.node.database, gates_1_2, id, soon()));
  ASSERT_TRUE(page) << page.error().message();
  EXPECT_EQ(page->body, text);

  const test::Database fresh;
  Node node(fresh, build_1_2, all_tasks());
  ASSERT_TRUE(node.run(node.cluster->admit(test::candidate("n1", build_1_2), soon())));
  const auto upgraded = schema_of(site), installed = schema_of(fresh);
  EXPECT_GT(upgraded.size(), 5'000U);
  EXPECT_EQ(upgraded, installed);
  EXPECT_EQ(fresh.query("select count(*) from upgrade_task where state <> 'done'"), "0");
  EXPECT_EQ(fresh.query("select count(*) from upgrade_task"), site.query("select count(*) from upgrade_task"));
}

}  // namespace
}  // namespace afloat::store
