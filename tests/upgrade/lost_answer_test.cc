#include <libpq-fe.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <thread>

#include "base/json_fields.h"
#include "base/text.h"
#include "store/page_body.h"
#include "upgrade/postgres_relay.h"
#include "upgrade/site_helpers.h"

// The database goes away between COMMIT and its answer. Clients send again what got a 5xx, so a 503 for a page
// that is there after all doubles it; and what was acknowledged must be there.
namespace afloat::test {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// A site whose nodes reach the database through a relay.
struct RelayedSite {
  std::unique_ptr<PostgresRelay> relay;
  std::unique_ptr<SiteFixture> site;
  std::string database;  ///< the real one
  RelayedSite() {
    auto setup = without_conductor();
    setup.nodes = 2;
    setup.database_through = [this](const std::string& connection) {
      database = connection;
      relay = std::make_unique<PostgresRelay>(connection);
      return relay->connection();
    };
    site = std::make_unique<SiteFixture>(setup);
  }
  ~RelayedSite() { site.reset(); }  // before what it speaks through
  std::string query(const std::string& sql) const {
    auto answer = postgres().query(database.substr(database.find("dbname=") + 7), sql);
    if (!answer) ADD_FAILURE() << answer.error().message();
    return answer.value_or("");
  }
  std::string count(const std::string& title) const {
    return query("select count(*) from page where title = '" + title + "'");
  }
};

/// Holds a table locked, so that writes to it are on the server and not done.
class TableLock {
 public:
  TableLock(const std::string& connection, const std::string& table) : connection_(PQconnectdb(connection.c_str())) {
    PQclear(PQexec(connection_, "set idle_in_transaction_session_timeout = 0"));
    PQclear(PQexec(connection_, "begin"));
    PGresult* locked = PQexec(connection_, ("lock table " + table + " in share mode").c_str());
    EXPECT_EQ(PQresultStatus(locked), PGRES_COMMAND_OK) << PQerrorMessage(connection_);
    PQclear(locked);
  }
  ~TableLock() { PQfinish(connection_); }
  TableLock(const TableLock&) = delete;
  TableLock& operator=(const TableLock&) = delete;

 private:
  PGconn* connection_;
};

TEST(LostAnswer, AWriteThatWasCommittedIsAnsweredAsIfTheReplyHadCome) {
  RelayedSite relayed;
  auto& site = *relayed.site;
  make_space(site);
  const auto id = make_page(site.admin("node1"), "Edited");
  const auto path = "/rest/api/content/" + id;

  for (int round = 1; round <= 3; ++round) {  // the first one prepares its statements on a new connection
    const auto title = "Created in round " + std::to_string(round);
    relayed.relay->break_at(title, Break::after_commit);
    const auto created = site.admin("node1").post("/rest/api/content", page_json(title, "text of " + title));
    EXPECT_TRUE(relayed.relay->broken()) << "the write was not seen by the relay";
    ASSERT_EQ(created.status, 200) << *created.body;
    auto page = parse_json_object(*created.body, "the page");
    ASSERT_TRUE(page) << *created.body;
    EXPECT_EQ(string_or(*page, "title"), title);
    const auto* version = object_at(*page, "version");
    EXPECT_TRUE(version && int_or(*version, "number") == 1) << *created.body;
    EXPECT_EQ(relayed.count(title), "1");
    const auto read = site.admin("node2").get("/rest/api/content/" + string_or(*page, "id") + "?expand=body.storage");
    EXPECT_NE(read.body->find("text of " + title), std::string::npos) << *read.body;

    const auto text = "edit of round " + std::to_string(round);
    relayed.relay->break_at(text, Break::after_commit);
    const auto saved = site.admin("node1").put(path, page_json("Edited", text, round + 1));
    EXPECT_TRUE(relayed.relay->broken());
    ASSERT_EQ(saved.status, 200) << *saved.body;
    auto edited = parse_json_object(*saved.body, "the page");
    const auto* number = edited ? object_at(*edited, "version") : nullptr;
    EXPECT_TRUE(number && int_or(*number, "number") == round + 1) << *saved.body;
    const auto seen = site.admin("node2").get(path + "?expand=body.storage,version");
    EXPECT_NE(seen.body->find(text), std::string::npos) << *seen.body;
  }
  EXPECT_EQ(relayed.query("select count(*) || '/' || max(number) from page_version where page_id = " + id), "4/4");
}

TEST(LostAnswer, OtherWritesThatWereCommittedAreAnsweredAsIfTheReplyHadComeToo) {
  RelayedSite relayed;
  auto& site = *relayed.site;
  make_space(site);
  const auto page = "/rest/api/content/" + make_page(site.admin("node1"), "Page");
  const std::string file =
      "--limit\r\nContent-Disposition: form-data; name=\"file\"; filename=\"lost-file.txt\"\r\n"
      "Content-Type: text/plain\r\n\r\nbytes\r\n--limit--\r\n";
  struct Case {
    std::string marker, path, body, content_type, shown_at;
  };
  const std::vector<Case> cases = {
      {"lost-label", page + "/label", R"([{"prefix":"global","name":"lost-label"}])", "application/json",
       page + "/label"},
      {"lost-file.txt", page + "/child/attachment", file, "multipart/form-data; boundary=limit",
       page + "/child/attachment"},
      {"LOSTSPACE", "/rest/api/space", R"({"key":"LOSTSPACE","name":"Space"})", "application/json",
       "/rest/api/space/LOSTSPACE"},
  };
  for (const auto& [marker, path, body, content_type, shown_at] : cases) {
    SCOPED_TRACE(marker);
    relayed.relay->break_at(marker, Break::after_commit);
    const auto answer = site.admin("node1").send("POST", path, body,
                                                 {{"Content-Type", content_type}, {"X-Atlassian-Token", "no-check"}});
    EXPECT_TRUE(relayed.relay->broken());
    EXPECT_EQ(answer.status, 200) << *answer.body;
    EXPECT_NE(answer.body->find(marker), std::string::npos) << *answer.body;
    const auto shown = site.admin("node2").get(shown_at);
    EXPECT_EQ(shown.status, 200);
    EXPECT_NE(shown.body->find(marker), std::string::npos) << *shown.body;
  }
  EXPECT_EQ(relayed.query("select (select count(*) from label) || '/' || (select count(*) from attachment_version) || "
                          "'/' || (select count(*) from space where key = 'LOSTSPACE')"),
            "1/1/1");
}

TEST(LostAnswer, AWriteThatNeverReachedTheServerGets503AndMayBeSentAgain) {
  RelayedSite relayed;
  auto& site = *relayed.site;
  make_space(site);
  for (const std::string title : {"Never arrived once", "Never arrived twice"}) {
    relayed.relay->break_at(title, Break::before_commit);
    const auto refused = site.admin("node1").post("/rest/api/content", page_json(title, "text"));
    EXPECT_TRUE(relayed.relay->broken());
    EXPECT_EQ(refused.status, 503) << *refused.body;
    EXPECT_TRUE(refused.headers.has("Retry-After"));
    EXPECT_EQ(relayed.count(title), "0");
    make_page(site.admin("node1"), title);
    EXPECT_EQ(relayed.count(title), "1");
  }
}

TEST(LostAnswer, AWriteThatTheServerIsStillAtIsEndedBeforeItsClientHearsThatNothingHappened) {
  RelayedSite relayed;
  auto& site = *relayed.site;
  make_space(site);
  make_page(site.admin("node1"), "Before");
  for (const std::string title : {"Ended once", "Ended twice"}) {
    SCOPED_TRACE(title);
    relayed.relay->break_at(title, Break::while_running);
    {
      const TableLock lock(relayed.database, "page");
      const auto refused = site.admin("node1").post("/rest/api/content", page_json(title, "text"));
      EXPECT_TRUE(relayed.relay->broken());
      EXPECT_EQ(refused.status, 503) << *refused.body;
    }
    // Were its backend alive, it would have the lock now, and commit what was said not to have happened.
    EXPECT_TRUE(eventually(seconds(5), [&] {
      return relayed.query(
                 "select count(*) from pg_stat_activity where datname = current_database() and state = "
                 "'active' and wait_event_type = 'Lock'") == "0";
    }));
    EXPECT_EQ(relayed.count(title), "0");
    make_page(site.admin("node1"), title);
    EXPECT_EQ(relayed.count(title), "1");
  }
}

/// The children of a process, from /proc.
std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const auto pid = atoi(entry.path().filename().c_str());
    if (pid <= 0) continue;
    if (process_entry(pid).parent == parent) found.push_back(pid);
  }
  return found;
}

/// kill -9 of the server and everything it has started, then its start from what is on disk.
void crash(local::Postgres& server) {
  const auto postmaster = server.process().pid();
  ASSERT_GT(postmaster, 0);
  kill(postmaster, SIGSTOP);  // or it starts one more while the others are looked for
  const auto backends = children_of(postmaster);
  ASSERT_FALSE(backends.empty());
  kill(postmaster, SIGKILL);
  for (const auto pid : backends) kill(pid, SIGKILL);
  ASSERT_TRUE(server.process().wait(seconds(5)));
  ASSERT_TRUE(eventually(seconds(5), [&] { return std::ranges::all_of(backends, ended); }));
  const auto up = server.start_again();
  ASSERT_TRUE(up) << up.error().message();
}

/// The lines of a text that a query gives: each with how often it is there.
std::map<std::string, int> counted(local::Postgres& server, const std::string& sql) {
  const auto text = server.query("afloat", sql);
  if (!text) ADD_FAILURE() << text.error().message();
  std::map<std::string, int> lines;
  for (auto& line : split(text.value_or(""), '\n')) ++lines[line];
  return lines;
}

/// What users were told about writes. One thread writes one title once, or one page version after version.
struct Told {
  std::mutex mutex;
  std::vector<std::string> created, refused, unknown, wrong;
  struct Edits {
    int acknowledged = 1;                ///< highest version
    std::map<int, std::string> texts{};  ///< version -> text
    std::set<std::string> never{};       ///< texts that got a 503
  };
  std::map<std::string, Edits> edited;
};

/// Until `over`: pages with titles of its own.
void create_pages(SiteFixture& site, const std::string& node, const std::string& name, const std::atomic<bool>& over,
                  Told& told) {
  http::Client client(1);
  for (int i = 0; !over; ++i) {
    const auto title = name + " " + std::to_string(i);
    const auto answer =
        client.send_blocking(request_to(site, node, "POST", "/rest/api/content", page_json(title, title)), seconds(15));
    // Whoever is told to come back later does not come back at once.
    if (!answer || answer->status == 503) eventually(milliseconds(20), [&] { return over.load(); });
    std::lock_guard lock(told.mutex);
    if (!answer && answer.error().kind() != ErrorKind::unavailable)
      told.unknown.push_back(title);
    else if (!answer || answer->status == 503)
      told.refused.push_back(title);
    else if (answer->status == 200)
      told.created.push_back(title);
    else
      told.wrong.push_back("POST " + title + ": " + std::to_string(answer->status) + " " + *answer->body);
  }
}

/// Until `over`: versions of one page. After an unknown outcome it reads which version there is.
void edit_page(SiteFixture& site, const std::string& node, const std::string& id, const std::atomic<bool>& over,
               Told& told) {
  http::Client client(1);
  const auto path = "/rest/api/content/" + id;
  Told::Edits edits;
  int version = 1;
  std::vector<std::string> wrong;
  for (int i = 0; !over; ++i) {
    const auto text = "edit " + std::to_string(i) + " of " + id + ".";
    const auto answer = client.send_blocking(
        request_to(site, node, "PUT", path, page_json("Edited on " + id, text, version + 1)), seconds(15));
    if (answer && answer->status == 200) {
      ++version;
      edits.acknowledged = version;
      edits.texts[version] = text;
    } else if (answer && answer->status == 503) {
      edits.never.insert(text);
      eventually(milliseconds(20), [&] { return over.load(); });
    } else if (!answer && answer.error().kind() != ErrorKind::unavailable) {
      eventually(seconds(20), [&] {
        auto read = client.send_blocking(request_to(site, node, "GET", path + "?expand=version"), seconds(15));
        if (!read || read->status != 200) return over.load();
        auto page = parse_json_object(*read->body, "the page");
        const auto* number = page ? object_at(*page, "version") : nullptr;
        version = number ? static_cast<int>(int_or(*number, "number")) : version;
        return true;
      });
    } else if (answer) {
      wrong.push_back("PUT " + text + ": " + std::to_string(answer->status) + " " + *answer->body);
    }
  }
  std::lock_guard lock(told.mutex);
  told.edited[id] = std::move(edits);
  told.wrong.insert(told.wrong.end(), wrong.begin(), wrong.end());
}

TEST(LostAnswer, APageIsThereExactlyOnceOrNotAtAllWhenTheServerIsKilledOverAndOver) {
  auto setup = without_conductor();
  setup.own_postgres = true;
  setup.nodes = 2;
  SiteFixture site(setup);
  make_space(site);
  auto& server = site->postgres();
  // Nothing but the answers may keep a page from being there twice.
  ASSERT_TRUE(server.execute("afloat", "drop index page_title"));
  std::vector<std::string> pages;
  for (const char* title : {"First", "Second"}) pages.push_back(make_page(site.admin("node1"), title));

  Told told;
  std::atomic<bool> over = false;
  std::vector<std::thread> users;
  for (int i = 0; i < 6; ++i)
    users.emplace_back(
        [&, i] { create_pages(site, i % 2 ? "node1" : "node2", "User " + std::to_string(i), over, told); });
  for (std::size_t i = 0; i < pages.size(); ++i)
    users.emplace_back([&, i] { edit_page(site, i % 2 ? "node1" : "node2", pages[i], over, told); });
  const auto acknowledged = [&] {
    std::lock_guard lock(told.mutex);
    return told.created.size();
  };
  constexpr int rounds = 20;
  for (int round = 0; round < rounds && !testing::Test::HasFatalFailure(); ++round) {
    const auto before = acknowledged();
    // Work is under way again, on every connection.
    EXPECT_TRUE(eventually(seconds(10), [&] { return acknowledged() >= before + 30; })) << "round " << round;
    crash(server);
  }
  const auto before = acknowledged();
  EXPECT_TRUE(eventually(seconds(10), [&] { return acknowledged() > before; })) << "it did not recover";
  over = true;
  for (auto& user : users) user.join();

  for (const auto& what : told.wrong) ADD_FAILURE() << what;
  const auto there = counted(server, "select string_agg(title, E'\\n') from page");
  const auto count = [](const std::map<std::string, int>& all, const std::string& text) {
    const auto found = all.find(text);
    return found == all.end() ? 0 : found->second;
  };
  for (const auto& title : told.created) EXPECT_EQ(count(there, title), 1) << title << " was acknowledged";
  for (const auto& title : told.refused) EXPECT_EQ(count(there, title), 0) << title << " got a 503";
  for (const auto& title : told.unknown) EXPECT_LE(count(there, title), 1) << title;
  for (const auto& [title, times] : there) EXPECT_EQ(times, 1) << title;

  // Bodies by the hash of their text.
  const auto hash = [](const std::string& text) { return to_hex(store::store_body("<p>" + text + "</p>").hash); };
  const auto versions = counted(
      server,
      "select string_agg(page_id || '/' || number || ' ' || encode(body_hash, 'hex'), E'\\n') from page_version");
  const auto bodies = counted(server, "select string_agg(encode(body_hash, 'hex'), E'\\n') from page_version");
  for (const auto& [id, edits] : told.edited) {
    for (const auto& [version, text] : edits.texts)
      EXPECT_EQ(count(versions, id + "/" + std::to_string(version) + " " + hash(text)), 1) << "acknowledged";
    for (const auto& text : edits.never) EXPECT_EQ(count(bodies, hash(text)), 0) << text << " got a 503";
    EXPECT_GT(edits.acknowledged, 10);
  }
  // Something was always under way when the server was killed.
  EXPECT_GT(told.refused.size() + told.unknown.size(), 0U);
  RecordProperty("acknowledged", static_cast<int>(told.created.size()));
  RecordProperty("refused", static_cast<int>(told.refused.size()));
  RecordProperty("unknown", static_cast<int>(told.unknown.size()));
}

}  // namespace
}  // namespace afloat::test
