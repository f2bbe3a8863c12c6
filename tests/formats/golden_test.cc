#include "formats/golden.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>

#include "base/json_fields.h"
#include "base/text.h"
#include "cli/upgrade_view.h"
#include "formats/json_shape.h"
#include "rollout/options.h"
#include "version/index.h"
#include "version/manifest.h"

/// Documents that a release wrote, beside those of the release before it: whatever that one reads in them is still
/// there. tests/upgrade/formats_test.cc sees that the last release's files are what this tree writes.
namespace afloat::formats {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

json::object read(std::string_view version, std::string_view name) {
  auto document = golden(version, name);
  EXPECT_TRUE(document) << document.error().message();
  return document && document->is_object() ? document->get_object() : json::object();
}

TEST(Golden, NoReleaseTakesAwayWhatTheOneBeforeItReads) {
  const auto versions = golden_versions();
  ASSERT_GE(versions.size(), 3U);
  std::set<std::string> met;
  for (std::size_t i = 1; i < versions.size(); ++i)
    for (const auto& document : documents()) {
      const auto before = golden(versions[i - 1], document.name), after = golden(versions[i], document.name);
      if (!before && before.error().kind() == ErrorKind::not_found) continue;
      ASSERT_TRUE(before) << before.error().message();
      ASSERT_TRUE(after) << document.what << ": " << after.error().message();
      for (const auto& line : shape_breaks(shape_of(*before, document.maps), shape_of(*after, document.maps))) {
        const auto known = std::ranges::find_if(allowed(), [&](const Allowed& a) {
          return a.version == versions[i] && a.document == document.name && a.line == line;
        });
        if (known != allowed().end())
          met.insert(versions[i] + std::string(document.name) + line);
        else
          ADD_FAILURE() << document.name << " of " << versions[i] << ": " << line << ", and " << versions[i - 1]
                        << " reads it (" << document.what
                        << "). Go on writing it, or say in allowed() why nobody of that release meets it.";
      }
    }
  EXPECT_EQ(met.size(), allowed().size()) << "an entry of allowed() is about no difference any more";
}

struct Planted {
  const char* document;
  const char* written;  ///< in the document's text
  const char* instead;
  const char* said;
};

TEST(Golden, WhatIsPlantedIntoARealDocumentIsFound) {
  constexpr Planted plants[] = {
      {"cookie", R"("afloat_session")", R"("wiki_session")", "cookie.afloat_session (object) is gone"},
      {"cookie", R"("csrf")", R"("token")", "form.csrf (string) is gone"},
      {"rows", R"("password_hash")", R"("secret")", "app_user[].password_hash (string) is gone"},
      {"rows", R"("target_pinned":{"build":)", R"("target_pinned":{"to":)",
       "cluster_event.target_pinned.build (integer) is gone"},
      {"notify", R"("afloat_cluster")", R"("afloat_site")", "afloat_cluster (array) is gone"},
      {"notify", R"([""])", "[1]", "afloat_cluster[] was string and is integer"},
      {"drain", R"("inFlight":1)", R"("inFlight":"1")", "inFlight was integer and is string"},
      {"metrics", "process_open_fds", "open_fds", "process_open_fds (integer) is gone"},
      {"agent_report", R"("running":true)", R"("running":"yes")",
       "nodes[].running was boolean and is boolean or string"},
      {"agent_commands", R"("expected_incarnation")", R"("incarnation")", "stop.expected_incarnation (string) is gone"},
      {"agent_files", R"({"epoch":2,)", R"({"epoch":2.5,)", "epoch.json.epoch was integer and is number"},
      {"manifest", R"("archive_sha256")", R"("archive_sha512")", "archive_sha256 (string) is gone"},
  };
  const auto version = golden_versions().back();
  for (const auto& [name, written, instead, said] : plants) {
    SCOPED_TRACE(said);
    const auto document = golden(version, name);
    ASSERT_TRUE(document) << document.error().message();
    auto changed = json::serialize(*document);
    const auto at = changed.find(written);
    ASSERT_NE(at, std::string::npos) << written;
    changed.replace(at, std::string_view(written).size(), instead);
    EXPECT_NE(join(shape_breaks(shape_of(*document), shape_of(json::parse(changed))), "\n").find(said),
              std::string::npos);
  }
}

TEST(Golden, EveryFileIsOfADocumentThatIsListed) {
  std::size_t files = 0;
  for (const auto& version : golden_versions())
    for (const auto& entry : fs::directory_iterator(fs::path(golden_file(version, "x")).parent_path())) {
      const auto name = entry.path().stem().string();
      EXPECT_NE(std::ranges::find(documents(), name, &Document::name), documents().end()) << entry.path();
      ++files;
    }
  EXPECT_GT(files, 30U);
}

TEST(Golden, ThisTreeReadsTheDocumentsOfEveryRelease) {
  for (const auto& version : golden_versions()) {
    SCOPED_TRACE(version);
    const auto manifest = version::parse_manifest(json::serialize(read(version, "manifest")));
    ASSERT_TRUE(manifest) << manifest.error().message();
    EXPECT_EQ(manifest->version, version);
    EXPECT_GT(manifest->files.size(), 5U);
    EXPECT_EQ(manifest->upgrade_from_min, string_or(read(version, "manifest"), "upgrade_from_min"));

    if (const auto text = golden(version, "index")) {
      const auto index = version::parse_index(json::serialize(*text));
      ASSERT_TRUE(index) << index.error().message();
      EXPECT_NE(version::find_entry(*index, version), nullptr);
    }

    const auto run = read(version, "run");
    EXPECT_NE(cli::status_text(run).find("finalize"), std::string::npos) << cli::status_text(run);
    const auto report = cli::report_text(run);
    for (const auto& word : {string_or(run, "from"), string_or(run, "to"), std::string("node2")})
      EXPECT_NE(report.find(word), std::string::npos) << word << " is not in " << report;

    const auto rows = read(version, "rows");
    for (const auto& row : rows.at("upgrade_run").as_array()) {
      const auto options = rollout::parse_options(json::serialize(row.at("options")));
      ASSERT_TRUE(options) << options.error().message();
      EXPECT_FALSE(options->hold_before_finalize) << "it was said so when the run was begun";
      EXPECT_EQ(options->drain_deadline_ms, 30'000);
    }
  }
}

// LISTEN takes no pattern, so a new channel would be missed where the documents are made.
TEST(Golden, NoChannelOfPostgresIsUsedThatIsNotListed) {
  std::set<std::string> used;
  static const std::regex channel(R"re(pg_notify\('(\w+)'|\bnotify (\w+)[ ,;"]|Listener>\([^"]*"(\w+)")re");
  for (const auto& entry : fs::recursive_directory_iterator(AFLOAT_SOURCE_DIR "/src")) {
    if (entry.path().extension() != ".cc" && entry.path().extension() != ".h") continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      if (trim(line).starts_with("//") || (!line.contains("notify") && !line.contains("Listener>("))) continue;
      for (std::sregex_iterator found(line.begin(), line.end(), channel), end; found != end; ++found)
        for (std::size_t group = 1; group < found->size(); ++group)
          if ((*found)[group].matched) used.insert((*found)[group]);
    }
  }
  std::set<std::string> listed;
  for (const auto& [name, payloads] : read(golden_versions().back(), "notify")) listed.emplace(name);
  EXPECT_EQ(used, listed) << "add the channel to tests/upgrade/harvest.cc";
}

}  // namespace
}  // namespace afloat::formats
