#include <fmt/format.h>
#include <sys/mount.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <filesystem>
#include <fstream>

#include "base/json_fields.h"
#include "base/text.h"
#include "support/lone_node.h"

// What an administrator meets at night: each wrong surrounding ends or waits with a message that says what to
// do, and nothing is half done. (The messages: docs/troubleshooting.md.)
namespace afloat::test {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

void expect_words(const std::string& text, std::initializer_list<std::string> words) {
  for (const auto& word : words) EXPECT_NE(text.find(word), std::string::npos) << "no \"" << word << "\" in: " << text;
}

/// The same words from `serve`, which ends with 1, and from `selfcheck`, which ends with 4.
void expect_refused(LoneNode& node, std::initializer_list<std::string> words) {
  const auto checked = node.afloat({"selfcheck", "--config", node.config(), "--node", "lone"});
  EXPECT_EQ(checked.exit_code, 4) << checked.output;
  expect_words(checked.output, words);
  ASSERT_NO_FATAL_FAILURE(node.start());
  EXPECT_EQ(node.wait_end(), 1) << node.log();
  expect_words(node.log(), words);
}

std::string page_in_space(LoneNode& node) {
  EXPECT_EQ(node.admin().post("/rest/api/space", R"({"key":"T","name":"T"})").status, 200);
  const auto made = node.admin().post(
      "/rest/api/content",
      R"({"type":"page","title":"Page","space":{"key":"T"},"body":{"storage":{"value":"<p>x</p>","representation":"storage"}}})");
  EXPECT_EQ(made.status, 200) << *made.body;
  return string_or(*parse_json_object(*made.body, "page"), "id");
}

http::Response upload(LoneNode& node, const std::string& page, const std::string& name, const std::string& bytes) {
  return node.admin().send("PUT", "/rest/api/content/" + page + "/child/attachment",
                           "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + name +
                               "\"\r\nContent-Type: text/plain\r\n\r\n" + bytes + "\r\n--b--\r\n",
                           {{"Content-Type", "multipart/form-data; boundary=b"}, {"X-Atlassian-Token", "no-check"}});
}

int files_below(const std::string& folder) {
  int count = 0;
  if (fs::exists(folder))
    for (const auto& entry : fs::recursive_directory_iterator(folder)) count += entry.is_regular_file() ? 1 : 0;
  return count;
}

std::string message_in(const http::Response& response) {
  auto body = parse_json_object(*response.body, "the answer");
  return body ? string_or(*body, "message") : *response.body;
}

TEST(BadSurroundings, AnUnknownKeyStopsANodeButNotWhileUpgradeModeIsOn) {
  Database database;
  LoneNode node(database.connection());
  node.write_config("log_levle = \"info\"\n");
  expect_refused(node, {node.config() + " line 3", "'log_levle'", "did you mean 'log_level'?"});
  EXPECT_EQ(database.query("select to_regclass('cluster_state') is null"), "t") << "nothing was made";
  node.write_config();
  ASSERT_NO_FATAL_FAILURE(node.start());
  ASSERT_TRUE(node.wait_ready()) << node.log();
  ASSERT_EQ(node.admin().post("/rest/zdu/start").status, 200);
  EXPECT_EQ(node.process().stop(), 0);
  node.write_config("log_levle = \"info\"\n");
  ASSERT_NO_FATAL_FAILURE(node.start());
  ASSERT_TRUE(node.wait_ready()) << node.log();
  expect_words(node.log(), {"warning", "'log_levle'", "ignored while upgrade mode is on"});
  ASSERT_EQ(node.admin().post("/rest/zdu/cancel").status, 200);
  EXPECT_EQ(node.process().stop(), 0);
  expect_refused(node, {"'log_levle'"});
}

TEST(BadSurroundings, ADatabaseThatWillNotDoIsNamedAtOnce) {
  auto& server = postgres();
  {
    LoneNode node(server.connection("there_is_none"));
    expect_refused(node, {"there_is_none", "does not exist", "createdb"});
  }
  {
    LoneNode node("host db wiki");
    expect_refused(node, {"connection info string", "libpq connection string"});
  }
  ASSERT_TRUE(server.execute("postgres", "create database latin encoding 'LATIN1' locale 'C' template template0"));
  {
    LoneNode node(server.connection("latin"));
    expect_refused(node, {"database latin has the encoding LATIN1", "--encoding UTF8"});
  }
  ASSERT_TRUE(server.drop_database("latin"));
  ASSERT_TRUE(server.execute("postgres", "create role stranger login"));
  {
    Database database;
    auto connection = replace_all(database.connection(), "user=afloat", "user=stranger");
    ASSERT_NE(connection, database.connection());
    LoneNode node(connection);
    expect_refused(node, {"user stranger may not make tables", "owner to stranger"});
  }
  ASSERT_TRUE(server.execute("postgres", "drop role stranger"));
}

TEST(BadSurroundings, AWrongPasswordEndsTheStartAndADatabaseThatIsAwayIsWaitedFor) {
  local::TempDir folder;
  auto server = local::Postgres::start({.folder = folder.path() + "/pg", .log = "", .fsync = false});
  ASSERT_TRUE(server) << server.error().message();
  ASSERT_TRUE(server->create_database("wiki"));
  ASSERT_TRUE(server->execute("wiki", "create role locked login password 'right'"));
  const auto rules = *local::read_file(folder.path() + "/pg/data/pg_hba.conf");
  {
    std::ofstream file(folder.path() + "/pg/data/pg_hba.conf");  // in place: its owner stays
    file << "local all locked scram-sha-256\n" << rules;
  }
  ASSERT_TRUE(server->execute("wiki", "select pg_reload_conf()"));
  const auto locked = replace_all(server->connection("wiki"), "user=afloat", "user=locked");
  ASSERT_TRUE(eventually(seconds(5), [&] {
    LoneNode node(locked + " password=wrong");
    return node.afloat({"selfcheck", "--config", node.config(), "--node", "lone"})
               .output.find("authentication failed") != std::string::npos;
  }));
  {
    LoneNode node(locked + " password=wrong");
    expect_refused(node, {"password authentication failed", "Correct user and password in `database`"});
    EXPECT_EQ(node.log().find("=wrong"), std::string::npos) << "a password in the log";
  }

  server->stop();
  LoneNode node(server->connection("wiki"));
  ASSERT_NO_FATAL_FAILURE(node.start());
  ASSERT_TRUE(eventually(seconds(10), [&] { return node.log().find("Waiting for it") != std::string::npos; }))
      << node.log();
  expect_words(node.log(), {"Can't connect to the database", "at most 60 s"});
  ASSERT_TRUE(server->start_again());
  ASSERT_TRUE(node.wait_ready()) << node.log();

  // Away later: answered at once with what a client may do, and over within a second.
  server->stop(true);
  // Where the database is and who we are there is for the log, not for clients.
  http::Response away;
  ASSERT_TRUE(eventually(seconds(10), [&] {
    away = node.admin().get("/rest/api/space");
    EXPECT_EQ(away.body->find(folder.path()), std::string::npos) << *away.body;
    return away.status == 503 && message_in(away).starts_with("The site can't reach its database");
  })) << *away.body;
  EXPECT_EQ(away.headers.get("Retry-After"), "1");
  expect_words(node.log(),
               {"request_failed", "GET /rest/api/space", "Can't connect to the database", folder.path() + "/pg"});
  EXPECT_TRUE(eventually(seconds(10), [&] { return node.admin().get("/status").status == 503; }))
      << "its lease ran out";
  ASSERT_TRUE(server->start_again());
  EXPECT_TRUE(eventually(seconds(1), [&] { return node.admin().get("/rest/api/space").status == 200; }))
      << *node.admin().get("/rest/api/space").body << node.log();

  // Told to stop while it waits: that is no failure.
  EXPECT_EQ(node.process().stop(), 0);
  server->stop();
  ASSERT_NO_FATAL_FAILURE(node.start());
  ASSERT_TRUE(eventually(seconds(10), [&] { return node.log().find("Waiting for it") != std::string::npos; }))
      << node.log();
  EXPECT_EQ(node.process().stop(), 0) << node.log();
}

TEST(BadSurroundings, APortThatIsTakenIsNamedAlsoWhenAnotherNodeHasIt) {
  Database database, other;
  LoneNode node(database.connection()), second(other.connection());
  ASSERT_NO_FATAL_FAILURE(node.start());
  ASSERT_TRUE(node.wait_ready()) << node.log();
  auto text = *local::read_file(second.config());
  text = replace_all(text, fmt::format("port = {}", second.port()), fmt::format("port = {}", node.port()));
  ASSERT_TRUE(local::write_file(second.config(), text));
  ASSERT_NO_FATAL_FAILURE(second.start());
  EXPECT_EQ(second.wait_end(), 1) << second.log();
  expect_words(second.log(), {fmt::format("Can't listen on 127.0.0.1:{}", node.port()), "ss -ltnp"});
  EXPECT_EQ(other.query("select to_regclass('member') is null"), "t") << "it had become a member already";
}

TEST(BadSurroundings, ASchemaOfALaterFormatIsLeftAlone) {
  Database database;
  LoneNode node(database.connection());
  ASSERT_NO_FATAL_FAILURE(node.start());
  ASSERT_TRUE(node.wait_ready()) << node.log();
  EXPECT_EQ(node.process().stop(), 0);
  database.query("update cluster_state set format = 99 returning 1");
  ASSERT_NO_FATAL_FAILURE(node.start());
  EXPECT_EQ(node.wait_end(), 78) << node.log();
  expect_words(node.log(), {"format 99", "a newer release has been here"});
}

TEST(BadSurroundings, AFullDiskAndAReadOnlyOneAnswerClearlyAndLeaveNothingHalfWritten) {
  Database database;
  LoneNode node(database.connection());
  const auto disk = node.folder() + "/disk";
  ASSERT_TRUE(local::make_folders(disk));
  // Where no file system may be mounted, a limit to the size of files fails in the same place.
  const bool mounted = ::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=2m") == 0;
  struct Unmount {
    std::string path;
    ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
  } unmount{disk};
  node.shared_home = disk;
  node.write_config();
  ASSERT_NO_FATAL_FAILURE(
      node.start(mounted ? std::vector<std::string>{} : std::vector<std::string>{"prlimit", "--fsize=1500000"}));
  ASSERT_TRUE(node.wait_ready()) << node.log();
  const auto page = page_in_space(node);
  ASSERT_EQ(upload(node, page, "small", "fits").status, 200);
  const int before = files_below(disk);
  const auto full = upload(node, page, "large", std::string(3'000'000, 'x'));
  EXPECT_EQ(full.status, 503) << *full.body;
  expect_words(message_in(full), {"full", "make room"});
  EXPECT_EQ(files_below(disk), before) << "half a file was left";
  EXPECT_EQ(database.query("select count(*) from attachment"), "1");
  EXPECT_EQ(upload(node, page, "small2", "fits too").status, 200) << "the next small one does";
  EXPECT_EQ(*node.admin().get("/download/attachments/" + page + "/small").body, "fits");

  if (!mounted) return;
  ASSERT_EQ(::mount("tmpfs", disk.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, ""), 0);
  const auto read_only = upload(node, page, "another", "bytes");
  EXPECT_EQ(read_only.status, 503) << *read_only.body;
  expect_words(message_in(read_only), {"not writable"});
  EXPECT_EQ(*node.admin().get("/download/attachments/" + page + "/small").body, "fits") << "reading goes on";
  EXPECT_EQ(node.process().stop(), 0);
  expect_refused(node, {disk, "shared_home", "read-only"});

  // Not mounted at all: an empty folder that can be written, and the database knows better.
  ASSERT_EQ(::umount(disk.c_str()), 0);
  expect_refused(node, {disk, "not mounted"});
  EXPECT_EQ(files_below(disk), 0) << "nothing was written below the mount point";
}

TEST(BadSurroundings, DamagedAndMissingFilesAreToldAndNeverSent) {
  Database database;
  LoneNode node(database.connection());
  ASSERT_NO_FATAL_FAILURE(node.start());
  ASSERT_TRUE(node.wait_ready()) << node.log();
  const auto page = page_in_space(node);
  ASSERT_EQ(upload(node, page, "kept", std::string(200'000, 'k')).status, 200);
  std::string blob;
  for (const auto& entry : fs::recursive_directory_iterator(node.home() + "/blobs"))
    if (entry.is_regular_file()) blob = entry.path();
  ASSERT_FALSE(blob.empty());
  {
    std::fstream file(blob, std::ios::in | std::ios::out);
    file.seekp(150'000);
    file << "damage";
  }
  for (int i = 0; i < 3; ++i) {
    const auto damaged = node.admin().get("/download/attachments/" + page + "/kept");
    EXPECT_EQ(damaged.status, 500);
    expect_words(message_in(damaged), {"kept", "page " + page, "other bytes", "Restore it from a backup"});
  }
  auto health = node.admin().get_json("/rest/afloat/1/health");
  EXPECT_FALSE(bool_or(health, "healthy", true));
  const auto* findings = array_at(health, "findings");
  ASSERT_TRUE(findings && findings->size() == 1) << json::serialize(health);
  EXPECT_EQ(int_or(findings->front().as_object(), "count"), 3);
  const auto log = node.log();
  EXPECT_EQ(log.find("attachment_damaged"), log.rfind("attachment_damaged")) << "told once, not with every request";

  fs::remove(blob);
  const auto missing = node.admin().get("/download/attachments/" + page + "/kept");
  EXPECT_EQ(missing.status, 500);
  expect_words(message_in(missing), {"is missing", "upload it again"});
  ASSERT_EQ(upload(node, page, "kept", std::string(200'000, 'k')).status, 200);
  EXPECT_EQ(node.admin().get("/download/attachments/" + page + "/kept").body->size(), 200'000U);
  EXPECT_TRUE(bool_or(node.admin().get_json("/rest/afloat/1/health"), "healthy"));
}

TEST(BadSurroundings, WithoutAFreeFileHandleItSaysSoAndRecovers) {
  Database database;
  LoneNode node(database.connection());
  ASSERT_NO_FATAL_FAILURE(node.start({"prlimit", "--nofile=64:64"}));
  ASSERT_TRUE(node.wait_ready()) << node.log();
  expect_words(node.log(), {"few_file_handles", "may open 64 files"});
  {
    boost::asio::io_context context;
    std::vector<boost::asio::ip::tcp::socket> sockets;
    const boost::asio::ip::tcp::endpoint there(boost::asio::ip::make_address("127.0.0.1"),
                                               static_cast<unsigned short>(node.port()));
    for (int i = 0; i < 100; ++i) sockets.emplace_back(context).connect(there);
    EXPECT_TRUE(eventually(seconds(5), [&] { return node.log().find("accept_failed") != std::string::npos; }))
        << node.log();
  }
  EXPECT_TRUE(node.wait_ready()) << node.log();
  const auto log = node.log();
  EXPECT_EQ(log.find("accept_failed"), log.rfind("accept_failed")) << "no flood";
  expect_words(log, {"Can't accept connections", "LimitNOFILE"});
}

}  // namespace
}  // namespace afloat::test
