#include <fmt/format.h>

#include <filesystem>
#include <sstream>

#include "base/json_fields.h"
#include "base/text.h"
#include "formats/golden.h"
#include "formats/json_shape.h"
#include "formats/schema_diff.h"
#include "upgrade/harvest.h"
#include "upgrade/site_helpers.h"

// What the previous release finds of this one: in the database that it has prepared, and in documents.
namespace afloat::test {
namespace {

namespace json = boost::json;
using std::chrono::seconds;

formats::Schema schema_of(const SiteFixture& site) {
  auto schema = formats::parse_schema(site.query(std::string(formats::schema_sql())));
  EXPECT_TRUE(schema) << schema.error().message();
  return schema.value_or(formats::Schema{});
}

std::string breaks(const formats::Schema& before, const formats::Schema& after) {
  return join(formats::schema_breaks(before, after), "\n");
}

TEST(PersistedTables, TheReleaseBeforeFindsAllThatItKnewUntilFinalize) {
  auto setup = without_conductor();
  setup.nodes = 1;
  SiteFixture site(setup);
  const auto format = site.query("select format from cluster_state");
  const auto before = schema_of(site);
  ASSERT_GT(before.tables.size(), 18U);
  for (const char* table : {"page", "cluster_state", "upgrade_run"})
    ASSERT_TRUE(before.tables.contains(table)) << table;

  ASSERT_EQ(site.admin().post("/rest/zdu/start").status, 200);
  ASSERT_TRUE(site->distribute(bundles().to));
  auto expanded = site->afloat_of(site->program_of(bundles().to), {"upgrade", "expand"}, seconds(30));
  ASSERT_TRUE(expanded) << expanded.error().message();
  ASSERT_EQ(expanded->exit_code, 0) << expanded->output;
  ASSERT_EQ(site.query("select expand_done from cluster_state"), "t") << expanded->output;
  const auto after = schema_of(site);
  EXPECT_EQ(breaks(before, after), "") << "after expand of " << bundles().to << ", nodes of " << bundles().from
                                       << " would hit this";
  EXPECT_EQ(site.query("select format from cluster_state"), format) << "nodes of the release before refuse to start";

  // The new node's finalizer does the early backfill; nothing of it may take away what a cancelled upgrade needs.
  ASSERT_NO_FATAL_FAILURE(replace(site, "node1", bundles().to));
  ASSERT_TRUE(eventually(seconds(15), [&] {
    return site.query(
               "select count(*) from upgrade_task where kind = 'backfill' and state in ('pending', 'running')") == "0";
  })) << site.query("select string_agg(id || ' ' || state, ', ') from upgrade_task");
  EXPECT_EQ(breaks(before, schema_of(site)), "") << "after the backfill of " << bundles().to;

  // And what is planted is seen: the snapshot is of the real database.
  site.query(
      "alter table label alter column prefix drop default; drop index page_title; alter table space add column owner "
      "text not null; alter table page add constraint short check (length(title) < 300) not valid; alter table "
      "app_user alter column email type varchar(100); alter sequence upgrade_change increment by 2; create table "
      "reaction "
      "(page_id bigint references page (id))");
  const auto planted = breaks(after, schema_of(site));
  for (const char* said :
       {"the default of label.prefix was 'global'::text and is none", "unique index of page page_title is gone",
        "new column space.owner refuses null", "new check short of page may refuse",
        "column app_user.email was text and is character varying(100)", "sequence upgrade_change is another one",
        "keeps the old release from removing rows of page (on delete no action)"})
    EXPECT_NE(planted.find(said), std::string::npos) << said << " is not in:\n" << planted;
}

/// AFLOAT_GOLDEN=write writes the files of this tree's release instead of comparing; with four more words, those of
/// another: "write PROGRAM CATALOGUE VERSION NEXT".
struct Wanted {
  bool write = false;
  HarvestedRelease release;
};
/// This tree's release, and the bugfix release behind it with notes that somebody has to read.
std::string catalogue_in(const std::string& folder) {
  const auto bundle = folder + "/" + AFLOAT_NEXT_VERSION;
  EXPECT_TRUE(local::make_folders(folder));
  EXPECT_TRUE(local::write_file(folder + "/notes.md", "# Notes\n\nRead this.\n"));
  std::filesystem::create_directory_symlink(bundles().catalogue + "/" + bundles().to, folder + "/" + bundles().to);
  local::ProcessOptions pack;
  pack.argv = {bundles().program,
               "releases",
               "pack",
               "--version",
               AFLOAT_NEXT_VERSION,
               "--binary",
               AFLOAT_NEXT_PROGRAM,
               "--web",
               AFLOAT_SOURCE_DIR "/web",
               "--notes",
               folder + "/notes.md",
               "--out",
               bundle};
  auto done = local::run_checked(pack);
  EXPECT_TRUE(done) << done.error().message();
  sign_bundle(bundle);
  return folder;
}

Wanted wanted(const std::string& folder) {
  const char* words = getenv("AFLOAT_GOLDEN");
  std::istringstream in(words ? words : "");
  std::string verb;
  Wanted wanted;
  in >> verb >> wanted.release.program >> wanted.release.catalogue >> wanted.release.version >> wanted.release.next;
  wanted.write = verb == "write";
  if (wanted.release.program.empty())
    wanted.release = {bundles().program, catalogue_in(folder), bundles().to, AFLOAT_NEXT_VERSION};
  return wanted;
}

TEST(PersistedDocuments, ThisReleaseWritesWhatItsFilesSay) {
  local::TempDir folder;
  const auto [write, release] = wanted(folder.path() + "/catalogue");
  std::map<std::string, json::value> made;
  ASSERT_NO_FATAL_FAILURE(harvest(release, made));
  const auto to_renew = "While " + release.version +
                        " is not released: AFLOAT_GOLDEN=write, this test once more, and look at what git says has "
                        "changed. The files of a release that is out are never changed.";
  for (const auto& document : formats::documents()) {
    const std::string name(document.name);
    const auto file = formats::golden_file(release.version, name);
    if (write) {
      ASSERT_TRUE(local::make_folders(std::filesystem::path(file).parent_path().string()));
      if (made.contains(name)) ASSERT_TRUE(local::write_file(file, formats::pretty(made[name])));
      continue;
    }
    const auto golden = formats::golden(release.version, name);
    ASSERT_TRUE(golden) << golden.error().message() << '\n' << to_renew;
    const auto told = formats::shape_of(*golden, document.maps), now = formats::shape_of(made[name], document.maps);
    if (told == now) continue;
    ADD_FAILURE() << release.version << " writes " << name << " otherwise than " << file
                  << " says.\nFrom the file on:\n"
                  << join(formats::shape_breaks(told, now), "\n") << "\nFrom what is written now back:\n"
                  << join(formats::shape_breaks(now, told), "\n") << '\n'
                  << to_renew;
  }
}

/// The rows that `writer` left, in the database of a site of another release; only columns that it has.
void put_rows(const SiteFixture& site, const json::object& rows) {
  site.query("delete from app_user; delete from long_task; delete from upgrade_step; delete from upgrade_run");
  for (const char* table : {"app_user", "session", "long_task", "upgrade_run", "upgrade_step"})
    for (const auto& row : rows.at(table).as_array()) {
      const auto text = json::serialize(row);
      const auto columns =
          site.query(fmt::format("select string_agg(quote_ident(column_name), ', ') from information_schema.columns "
                                 "where table_name = '{}' and "
                                 "column_name in (select jsonb_object_keys($j${}$j$::jsonb))",
                                 table, text));
      site.query(fmt::format(
          "insert into {0} ({1}) overriding system value select {1} from jsonb_populate_record(null::{0}, $j${2}$j$)",
          table, columns, text));
    }
  for (const auto& [kind, detail] : rows.at("cluster_event").as_object())
    site.query(fmt::format("insert into cluster_event (actor, kind, detail) values ('other', '{}', $j${}$j$)",
                           std::string(kind), json::serialize(detail)));
  // The files' times are fixed ones.
  site.query("update session set expires_at = now() + interval '1 h', last_seen = now()");
}

struct Reading {
  std::string reader, writer;
};

/// A real node of `reader`, over what the programs of `writer` left.
void expect_reads(const Reading& reading) {
  const auto read = [&](const char* name) {
    auto document = formats::golden(reading.writer, name);
    EXPECT_TRUE(document) << document.error().message();
    return document ? document->as_object() : json::object();
  };
  const auto rows = read("rows"), cookie = read("cookie"), told = read("run");
  auto setup = without_conductor();
  setup.nodes = 1;
  setup.start = false;
  SiteFixture site(setup);
  ASSERT_TRUE(local::write_file(site->dir() + "/home/site.key", string_or(cookie, "site_key"), 0600));
  auto started = site->start_nodes(reading.reader);
  ASSERT_TRUE(started) << started.error().message();
  ASSERT_NO_FATAL_FAILURE(put_rows(site, rows));

  // Whoever is signed in stays it, and the form that he had open is taken.
  HttpClient browser(site->url());
  const auto& [name, held] = *cookie.at("cookie").as_object().begin();
  const auto& [field, token] = *cookie.at("form").as_object().begin();
  const auto page =
      browser.send("GET", "/", "", {{"Cookie", std::string(name) + '=' + std::string(held.at("value").as_string())}});
  EXPECT_EQ(page.status, 200) << *page.body;
  EXPECT_NE(
      page.body->find(fmt::format("name=\"{}\" value=\"{}\"", std::string(field), std::string(token.as_string()))),
      std::string::npos);

  // A password that was set there is known here, and who was verified is told in the same form.
  HttpClient admin(site->url(), "admin", string_or(cookie, "password"));
  const auto run = admin.get_json("/rest/afloat/1/runs/1");
  const auto digest = string_or(rows.at("verified_credential").at(0).as_object(), "digest");
  EXPECT_TRUE(eventually(seconds(5),
                         [&] {
                           return site.query("select count(*) from verified_credential where digest = '" + digest +
                                             "'::bytea") == "1";
                         }))
      << site.query("select string_agg(digest::text, ' ') from verified_credential") << " is not " << digest;

  // The run that was carried out there.
  for (const char* field : {"from", "to", "state", "outcome", "reason", "actor", "message", "checks", "evidence"})
    EXPECT_EQ(run.at(field), told.at(field)) << field;
  // Up to 1.1.1 a node that meets an option that it does not know shows all as they are by default; nobody acts on what
  // it shows, for journal_build keeps its conductor away.
  if (reading.reader != bundles().from)
    for (const auto& [option, value] : told.at("options").as_object())
      EXPECT_EQ(run.at("options").at(option), value) << option;
  const auto steps = [](const json::object& of) {
    std::string all;
    for (const auto& step : of.at("steps").as_array())
      all += fmt::format("{} {} {} {}\n", string_or(step.as_object(), "name"), string_or(step.as_object(), "node"),
                         string_or(step.as_object(), "state"), string_or(step.as_object(), "detail"));
    return all;
  };
  EXPECT_EQ(steps(run), steps(told));

  const auto& task = rows.at("long_task").at(0).as_object();
  const auto shown = admin.get_json("/rest/api/longtask/" + string_or(task, "id"));
  EXPECT_TRUE(bool_or(shown, "successful")) << json::serialize(shown);
  const auto* messages = array_at(shown, "messages");
  ASSERT_TRUE(messages);
  EXPECT_EQ(messages->size(), 1 + task.at("notes").as_array().size()) << json::serialize(shown);

  std::map<std::string, json::value> events;
  const auto listed = admin.get_json("/rest/afloat/1/events?limit=1000");
  for (const auto& event : listed.at("results").as_array())
    if (string_or(event.as_object(), "actor") == "other")
      events[string_or(event.as_object(), "kind")] = event.at("detail");
  for (const auto& [kind, detail] : rows.at("cluster_event").as_object()) EXPECT_EQ(events[kind], detail) << kind;
}

TEST(PersistedDocuments, NodesOfBothReleasesReadWhatTheOtherLeft) {
  std::vector<Reading> readings = {{bundles().from, bundles().to}};
  for (const auto& version : formats::golden_versions())
    if (version != bundles().to) readings.push_back({bundles().to, version});
  ASSERT_GE(readings.size(), 3U);
  for (const auto& reading : readings) {
    SCOPED_TRACE(reading.reader + " reads what " + reading.writer + " wrote");
    ASSERT_NO_FATAL_FAILURE(expect_reads(reading));
  }
}

}  // namespace
}  // namespace afloat::test
