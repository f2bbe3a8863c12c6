#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "store/page_body.h"
#include "store/page_index.h"
#include "store/page_store.h"
#include "store/search_store.h"
#include "store/space_store.h"
#include "support/hop.h"
#include "wiki/storage_xml.h"

/// Search on the real schema: what people find.
namespace afloat::store {
namespace {

using namespace std::chrono_literals;
using test::Node;
using test::Session;
using test::soon;

constexpr int build = 10030009;
constexpr Gates gates{1, build};

/// Pages as this release writes and finds them.
class Wiki {
 public:
  explicit Wiki(Node& node) : node_(node) {}
  std::int64_t create(const std::string& title, const std::string& body) {
    NewPage page;
    page.space_key = "T";
    page.title = title;
    page.body = body;
    page.author = 1;
    auto made = node_.run(create_page(*node_.database, gates, page, soon()));
    EXPECT_TRUE(made) << made.error().message();
    return made ? made->id : 0;
  }
  SearchResult search(SearchQuery query) {
    auto found = node_.run(search_pages(*node_.database, gates, std::move(query), true, soon()));
    EXPECT_TRUE(found) << found.error().message();
    return found ? *found : SearchResult();
  }
  SearchResult search(const std::string& words) {
    SearchQuery query;
    query.text = words;
    return search(query);
  }
  /// Titles in the order found.
  std::string titles(const std::string& words) { return titles_of(search(words)); }
  std::string titles_by_title(const std::string& words) {
    SearchQuery query;
    query.title_like = words;
    return titles_of(search(query));
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
                      [](const std::string& connection) { test::make_site(connection, build, all_tasks()); }};
  Session session{site};
  Node node{site, build, all_tasks()};
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
  wiki.create("Settings", "<p>Set max_connections before you start.</p>");
  wiki.create("Apart", "<p>connections have a max</p>");
  wiki.create("Files", "<p>See <code>/etc/pg_hba.conf</code>, which is well-known.</p>");
  wiki.create("Quotes", "<p>To be, or not to be.</p>");
  wiki.create("Manual", "<p>How to and how not.</p>");
  wiki.create("Runs", "<p>Upgrading what was shipped.</p>");
  wiki.create("Upgrade", "<p>Without downtime.</p>");
  wiki.create("Umlaut", "<p>\xC3\x84rger, die vergeht.</p>");
  for (const auto& [typed, titles] : found_cases) {
    SCOPED_TRACE(typed);
    auto found = split(wiki.titles(std::string(typed)), ','), wanted = split(titles, ',');
    for (auto* list : {&found, &wanted}) {
      for (auto& title : *list) title = trim(title);
      std::ranges::sort(*list);
    }
    EXPECT_EQ(join(found, ","), join(wanted, ","));
  }
}

TEST_F(SearchWords, TitlesComeBeforeExactWordsAndTheseBeforeStems) {
  wiki.create("Running", "<p>in the title</p>");
  wiki.create("Exact", "<p>it is running and running and running</p>");
  wiki.create("Stem", "<p>runs, run, runs, run, runs, run and runs</p>");
  EXPECT_EQ(wiki.titles("running"), "Running, Exact, Stem");
  EXPECT_EQ(wiki.titles("runn*"), "Running, Exact");
}

TEST_F(SearchWords, TitlesAreFoundByTheirBeginningsTheShorterFirst) {
  wiki.create("Vacuum", "<p>a</p>");
  wiki.create("Routine vacuuming of large databases", "<p>b</p>");
  wiki.create("Other", "<p>vacuum</p>");
  EXPECT_EQ(wiki.titles_by_title("vac*"), "Vacuum, Routine vacuuming of large databases");
  EXPECT_EQ(wiki.titles_by_title("vacuum databases"), "Routine vacuuming of large databases");
  EXPECT_EQ(wiki.titles_by_title("*"), "");
}

TEST_F(SearchWords, NothingThatIsTypedBreaksIt) {
  wiki.create("Page", "<p>words</p>");
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
      auto found = node.run(search_pages(*node.database, gates, query, true, soon()));
      EXPECT_TRUE(found) << found.error().message();
    }
  }
}

TEST_F(SearchWords, ExcerptsComeFromTheIndexWithoutTheBodies) {
  const std::string filler(400, '.');
  wiki.create("Page", "<p>begin " + filler + "</p><p>set <b>max_connections</b> here " + filler + "</p>");
  ASSERT_EQ(session.run("update page_body set data = 'not to be read'"), "");
  for (const auto* typed : {"max_connections", "\"max connections\" or connect*", "max_con*"}) {
    const auto found = wiki.search(typed);
    ASSERT_EQ(found.hits.size(), 1U) << typed;
    EXPECT_EQ(found.total, 1);
  }
  const auto excerpt = wiki.search("max_connections").hits.at(0).excerpt;
  EXPECT_NE(excerpt.find("set max_connections here"), std::string::npos) << excerpt;
}

TEST_F(SearchWords, ManyHitsKeepTheirTotalAndOrderOverThePages) {
  for (int i = 0; i < 40; ++i) wiki.create("Page " + std::to_string(i), "<p>common</p>");
  std::string all;
  for (int start = 0; start < 60; start += 20) {
    SearchQuery query;
    query.text = "common";
    query.start = start;
    query.limit = 20;
    const auto found = wiki.search(query);
    EXPECT_EQ(found.total, 40);
    for (const auto& hit : found.hits) all += hit.page.title + ",";
  }
  std::string wanted;
  for (int i = 39; i >= 0; --i) wanted += "Page " + std::to_string(i) + ",";
  EXPECT_EQ(all, wanted) << "the newest first";
}

TEST_F(SearchWords, EqualBodiesAreStoredOnceAndUnusedOnesAreCollected) {
  wiki.create("One", "<p>the same</p>");
  wiki.create("Another", "<p>the same</p>");
  const auto gone = wiki.create("Gone", "<p>of one page only</p>");
  EXPECT_EQ(site.query("select count(*) from page_body"), "2");
  ASSERT_EQ(session.run("delete from page where id = " + std::to_string(gone) +
                        "; update page_body set created_at = now() - interval '2 days'"),
            "");
  const auto collect = [&] { ASSERT_TRUE(node.run(collect_bodies(*node.database, gates, soon()))); };
  collect();
  EXPECT_EQ(site.query("select count(*) from page_body"), "2") << "it has a day's grace";
  EXPECT_EQ(site.query("select count(doomed_at) from page_body"), "1");
  wiki.create("Back again", "<p>of one page only</p>");
  EXPECT_EQ(site.query("select count(doomed_at) from page_body"), "0") << "whoever stores the text again spares it";
  ASSERT_EQ(session.run("delete from page where title = 'Back again'; "
                        "update page_body set doomed_at = now() - interval '25 hours'"),
            "");
  collect();
  EXPECT_EQ(site.query("select count(*) from page_body"), "1") << "only what no version uses may go";
}

/// A site of 1.1 that is upgraded. What 1.1 does is written out here as its SQL.

}  // namespace
}  // namespace afloat::store
