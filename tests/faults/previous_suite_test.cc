#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "base/text.h"
#include "faults/fault_site.h"

// The way back: what the new release wrote before a cancel is the previous release's to work with. Its own tests of
// whole sites, built from its own source, run on such data.
namespace afloat::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::minutes;
using std::chrono::seconds;

/// They start a site with the target release, which may not touch the data of an earlier one outside an upgrade, or
/// with the release before, which may not touch that of a later one; or they add a column to tables that are empty.
const std::set<std::string> needs_an_empty_database{
    "Chain.TwoHopsInOneRunFailNoRequestAndLoseNoWrite",
    "FenceCheck.NoWriteOfTheProductGoesRoundTheFence",
    "LaterRelease.ANodeShowsWhatItDoesNotKnowAndRefusesAHigherFormat",
    "PersistedTables.TheReleaseBeforeFindsAllThatItKnewUntilFinalize",
    "SiteChecks.PassOnASiteThatIsWellAndFindAByteThatWasChangedInTheReleaseThatRuns",
    "TlsSite.AnUpgradeOverHttpsAndAgentsWithTokensFailsNoRequestAndLosesNoWrite",
    "Verbs.NodesAreListedDrainedReturnedAndRemovedForGoodWithoutAnyUpgrade",
    "Verbs.WhatIsWrongWithACommandIsSaidWithItsExitCode",
};
/// What takes minutes; bad builds of its own tree, which is not the target here; its own pair's documents.
constexpr const char* not_asked = "-Long.*:Long/*:Faults.*:Faults/*:Short/*:PersistedDocuments.*";

std::string checked(std::vector<std::string> argv, std::chrono::milliseconds limit = seconds(60)) {
  local::ProcessOptions run;
  run.argv = std::move(argv);
  auto said = local::run_checked(run, limit);
  EXPECT_TRUE(said) << said.error().message();
  return said.value_or("");
}

/// A site that was upgraded half-way, worked on through new nodes, and cancelled: its database as SQL in `file`.
void dump_of_a_cancelled_upgrade(const std::string& file) {
  FaultSite site;
  ASSERT_NO_FATAL_FAILURE(site.users_come());
  site.start_conductor();
  ASSERT_NO_FATAL_FAILURE(site.begin_run());
  for (const int nodes : {1, 2}) {
    ASSERT_TRUE(eventually(seconds(90), [&] { return static_cast<int>(site.begun().size()) > nodes; }))
        << site.run_message();
    ASSERT_TRUE(site.users().work(seconds(1)));
  }
  site.ask("cancel");
  ASSERT_EQ(site.await_end(), "cancelled") << site.run_message();
  expect_settled(site.fixture(), bundles().from);
  const auto figures = site.figures();
  EXPECT_EQ(figures.failed, 0U) << figures.text;
  FaultSite::print_row("cancelled, for the previous release's own tests", figures, "all on the old release");
  // Its tests begin with an empty shared home, and a node refuses that where the database knows of attachments. That
  // attachments outlive a cancel is seen above: each acknowledged write is read back.
  for (const auto* table : {"attachment_version", "attachment", "blob"}) site.sql(fmt::format("delete from {}", table));
  // Its own tests make a space T, and count what has its home page's title.
  site.sql("update space set key = 'BEFORE' where key = 'T'");
  site.sql("update page set title = 'Before: ' || title where title = 'Test Home'");
  for (const auto* node : node_names) ASSERT_TRUE(site->stop_node(node));
  // As for every copy of a database: the members are another site's.
  site.sql("update member set removed_at = clock_timestamp(), closed_at = coalesce(closed_at, clock_timestamp())");
  // Its tests read lists of events and runs from the beginning.
  for (const auto* table : {"conductor_lease", "cluster_event", "upgrade_step", "upgrade_hop", "upgrade_run"})
    site.sql(fmt::format("delete from {}", table));
  checked({"pg_dump", "--no-owner", "--file=" + file, site->database()});
  std::ofstream more(file, std::ios::app);
  // A new site's administrator is made where there is no user yet. So the users step aside until then, all of them
  // with their pages; the administrator of before comes back under another name.
  more << R"(
set search_path = public;
create schema before;
create table before.app_user as select * from app_user;
update before.app_user set name = 'before-' || name where name = 'admin';
set session_replication_role = replica;
delete from app_user;
set session_replication_role = origin;
create function before.come_back() returns trigger language plpgsql as $$
begin
  insert into public.app_user overriding system value select * from before.app_user;
  delete from before.app_user;
  return null;
end $$;
create trigger come_back after insert on app_user for each statement when (pg_trigger_depth() = 0)
  execute function before.come_back();
)";
}

/// A folder as initdb leaves it, whose template1 holds that SQL. For ReplaceInitdb.
void prepare_cluster(const std::string& folder, const std::string& sql) {
  auto server = local::Postgres::start({.folder = folder, .log = "", .fsync = false});
  ASSERT_TRUE(server) << server.error().message();
  checked({"psql", "--quiet", "--set=ON_ERROR_STOP=1", "--file=" + sql, server->connection("template1")});
  server->stop();
}

/// Names of its tests that failed; all that it ran are counted in `passed`.
std::set<std::string> failed_tests(const std::string& output, int& passed) {
  std::set<std::string> failed;
  for (const auto& line : split(output, '\n')) {
    if (line.starts_with("[       OK ] ")) ++passed;
    // "[  FAILED  ] Suite.Name (12 ms)"; at the end they are listed once more without the time.
    if (line.starts_with("[  FAILED  ] ") && line.find(" ms)") != std::string::npos)
      failed.insert(line.substr(13, line.find_first_of(", (", 13) - 13));
  }
  return failed;
}

TEST(Long, ThePreviousReleasesOwnTestsOfWholeSitesPassOnTheDataOfACancelledUpgrade) {
  const fs::path root = AFLOAT_SOURCE_DIR;
  local::TempDir folder;
  ASSERT_NO_FATAL_FAILURE(dump_of_a_cancelled_upgrade(folder.path() + "/cancelled.sql"));
  ASSERT_NO_FATAL_FAILURE(prepare_cluster(folder.path() + "/pg", folder.path() + "/cancelled.sql"));

  // Its source and its program are where `./run build --release` left them.
  const auto tree =
      checked({"sh", "-c",
               fmt::format("awk '/^version/ {{ found = $3 == \"\\\"{}\\\"\" }} /^tree/ && found {{ gsub(/\"/, "
                           "\"\"); print $3 }}' {}/releases/versions.toml",
                           bundles().from, root.string())});
  const auto source = root / "build/releases" / std::string(trim(tree)) / "src";
  ASSERT_TRUE(fs::exists(source / "run")) << source;
  checked({"sh", "-c",
           fmt::format("cd {0} && cmake --preset release -B build/release && "
                       "cmake --build build/release --target upgrade_tests",
                       source.string())},
          minutes(30));

  // Databases are made from template1, and that is made by initdb: in a mount namespace of these tests alone, initdb
  // copies the prepared folder.
  const auto initdb = folder.path() + "/initdb";
  ASSERT_TRUE(local::write_file(initdb,
                                "#!/bin/sh\nwhile [ $# -gt 0 ]; do [ \"$1\" = -D ] && data=$2; shift; done\n"
                                "exec cp -a " +
                                    folder.path() + "/pg/data \"$data\"\n",
                                0755));
  local::ProcessOptions run;
  run.argv = {"unshare",
              "--mount",
              "sh",
              "-c",
              "mount --bind \"$1\" /usr/lib/postgresql/15/bin/initdb && exec \"$2\" --gtest_color=no "
              "--gtest_filter=\"$3\"",
              "sh",
              initdb,
              (source / "build/release/tests/upgrade_tests").string(),
              not_asked};
  run.env["AFLOAT_PROGRAM"] = (source / "build/bundle/afloat").string();
  // Since the console, what the nodes serve is put together below build/.
  const auto built_web = source / "build/web";
  run.env["AFLOAT_WEB"] = (fs::exists(built_web) ? built_web : source / "web").string();
  auto said = local::run_command(run, minutes(40));
  ASSERT_TRUE(said) << said.error().message();
  int passed = 0;
  const auto failed = failed_tests(said->output, passed);
  // Indented, for whoever counts the lines of this suite.
  const auto shown = replace_all(said->output, "\n", "\n  ");
  EXPECT_EQ(failed, needs_an_empty_database) << shown;
  EXPECT_GT(passed, 20) << shown;
  fmt::print(
      "| the previous release's own tests of whole sites on the data of a cancelled upgrade | {} passed, {} need "
      "an empty database |\n",
      passed, failed.size());
}

}  // namespace
}  // namespace afloat::test
