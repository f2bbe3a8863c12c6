#include <filesystem>
#include <sstream>

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
Wanted wanted(const std::string& folder) {
  const char* words = getenv("AFLOAT_GOLDEN");
  std::istringstream in(words ? words : "");
  std::string verb;
  Wanted wanted;
  in >> verb >> wanted.release.program >> wanted.release.catalogue >> wanted.release.version >> wanted.release.next;
  wanted.write = verb == "write";
  if (wanted.release.program.empty())
    wanted.release = {
        bundles().program,
        catalogue_behind_target(folder, AFLOAT_NEXT_VERSION, AFLOAT_NEXT_PROGRAM, AFLOAT_SOURCE_DIR "/web"),
        bundles().to, AFLOAT_NEXT_VERSION};
  return wanted;
}

TEST(PersistedDocuments, ThisReleaseWritesWhatItsFilesSay) {
  local::TempDir folder;
  const auto [write, release] = wanted(folder.path() + "/catalogue");
  std::map<std::string, json::value> made;
  ASSERT_NO_FATAL_FAILURE(harvest(release, made));
  for (const auto& document : formats::documents()) {
    const std::string name(document.name);
    const auto file = formats::golden_file(release.version, name);
    if (write) {
      if (made.contains(name)) ASSERT_TRUE(local::write_file(file, formats::pretty(made[name])));
      continue;
    }
    const auto golden = formats::golden(release.version, name);
    ASSERT_TRUE(golden) << golden.error().message();
    const auto told = formats::shape_of(*golden, document.maps), now = formats::shape_of(made[name], document.maps);
    if (told == now) continue;
    const auto gone = formats::shape_breaks(told, now), added = formats::shape_breaks(now, told);
    ADD_FAILURE()
        << release.version << " writes " << name << " otherwise than " << file << " says.\nThere and not here:\n"
        << join(gone, "\n") << "\nHere and not there:\n"
        << join(added, "\n") << "\nWhile " << release.version
        << " is not released: AFLOAT_GOLDEN=write, this test once more, and look at what git says has changed. "
           "The files of a release that is out are never changed.";
  }
}

}  // namespace
}  // namespace afloat::test
