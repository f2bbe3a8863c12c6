#include "cli/load.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/hash.h"
#include "base/json_fields.h"
#include "cli/load_checks.h"
#include "cli/load_test_site.h"
#include "cli/report.h"

namespace afloat::cli {
namespace {
namespace json = boost::json;
using test::Fault;
using test::MisbehavingSite;

struct Folder {
  std::string path =
      (std::filesystem::temp_directory_path() / fmt::format("afloat-load-{}-{}", getpid(), random_hex(4))).string();
  ~Folder() { std::filesystem::remove_all(path); }
};

LoadOptions options_for(const MisbehavingSite& site, const Folder& folder, int seconds) {
  LoadOptions options;
  options.site = site.url();
  options.rate = 300;
  options.seconds = seconds;
  options.users = 4;
  options.space = "READ";
  options.ledger = folder.path;
  options.connections = 16;
  options.quiet = true;
  return options;
}

/// A run of one node that lasted as long as the load.
json::object run_over(const LedgerContents& ledger) {
  const auto start = ledger.meta.started_at_ms;
  const auto step = [&](const char* name, std::int64_t at, double seconds) {
    return json::object{{"seq", at},          {"name", name},   {"node", "n1"}, {"started_at_ms", start + at},
                        {"seconds", seconds}, {"state", "done"}};
  };
  return {{"id", 1},
          {"from", "1.0.0"},
          {"to", "1.1.0"},
          {"state", "done"},
          {"mode_on_at_ms", start + 500},
          {"stable_at_ms", start + 2500},
          {"nodes", json::array{json::object{{"name", "n1"}, {"start_to_active_ms", 200}, {"drain_ms", 300}}}},
          {"steps", json::array{step("mode_on", 500, 0.1), step("drain", 600, 0.3), step("stop", 900, 0.1),
                                step("switch", 1000, 0.1), step("start", 1100, 0.2), step("await_active", 1300, 0.2),
                                step("finalize", 1500, 0.5)}}};
}

json::object verified(const MisbehavingSite& site, const LedgerContents& ledger) {
  VerifyOptions options;
  options.nodes = {site.url(0), site.url(1)};
  auto report = verify_ledger(ledger, options);
  EXPECT_TRUE(report) << (report ? "" : report.error().message());
  return report ? json::parse(to_json(*report)).as_object() : json::object();
}

TEST(Load, ASiteThatDoesEverythingRightGetsAReportWithoutAFault) {
  init_crypto();
  MisbehavingSite site(2);
  Folder folder;
  rusage before{}, after{};
  getrusage(RUSAGE_THREAD, &before);
  auto summary = run_load(options_for(site, folder, 3));
  getrusage(RUSAGE_THREAD, &after);
  ASSERT_TRUE(summary) << summary.error().message();
  EXPECT_TRUE(summary->reasons.empty());
  EXPECT_NEAR(static_cast<double>(summary->counters.offered), 900, 60);
  EXPECT_EQ(summary->counters.sent, summary->counters.offered);
  auto ledger = read_ledger(folder.path);
  ASSERT_TRUE(ledger) << ledger.error().message();
  EXPECT_TRUE(ledger->ended);
  EXPECT_EQ(static_cast<std::int64_t>(ledger->outcomes.size()), summary->total);
  EXPECT_EQ(ledger->acknowledged(), summary->acknowledged);
  const auto report = make_report(run_over(*ledger), *ledger, verified(site, *ledger));
  EXPECT_EQ(string_or(report, "outcome"), "succeeded") << json::serialize(report.at("reasons"));
  EXPECT_EQ(int_or(report.at("writes").as_object(), "verified"), summary->acknowledged);
  EXPECT_EQ(int_or(report.at("requests").as_object(), "failed"), 0);
  const auto cpu = [](const rusage& u) {
    return static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
  };
  RecordProperty("cpu_us_per_request",
                 static_cast<int>((cpu(after) - cpu(before)) * 1e6 / static_cast<double>(summary->total)));
}

TEST(Load, EachPlantedFaultIsInTheReportAndNothingElse) {
  init_crypto();
  MisbehavingSite site(2);
  Folder folder;
  auto options = options_for(site, folder, 4);
  options.ready_file = folder.path + "/ready";
  std::thread planter([&] {
    while (!std::filesystem::exists(options.ready_file)) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    site.arm("view", Fault::answer_500);
    site.arm("search", Fault::answer_404);
    site.arm("home", Fault::redirect);
    site.arm("labels", Fault::close);
    site.arm("download", Fault::truncate);
    site.arm("view", Fault::wrong_body);
    site.arm("edit", Fault::commit_then_close);
  });
  auto summary = run_load(options);
  planter.join();
  ASSERT_TRUE(summary) << summary.error().message();
  ASSERT_EQ(site.armed(), 0u);
  EXPECT_EQ(summary->failed, 7);
  ASSERT_FALSE(site.lose_page().empty());
  ASSERT_FALSE(site.change_version().empty());
  ASSERT_FALSE(site.duplicate_page().empty());
  ASSERT_FALSE(site.make_stale(1).empty());
  ASSERT_FALSE(site.lose_file().empty());

  auto ledger = read_ledger(folder.path);
  ASSERT_TRUE(ledger) << ledger.error().message();
  const auto report = make_report(run_over(*ledger), *ledger, verified(site, *ledger));
  EXPECT_EQ(string_or(report, "outcome"), "failed");
  const auto& requests = report.at("requests").as_object();
  EXPECT_EQ(int_or(requests, "failed"), 7);
  const auto& kinds = requests.at("by_failure").as_object();
  EXPECT_EQ(json::serialize(kinds), R"({"content":1,"redirect":1,"reset":2,"status":2,"truncated":1})");
  const auto failed_of = [&](const char* kind) {
    return int_or(requests.at("by_kind").at(kind).as_object(), "failed");
  };
  EXPECT_EQ(failed_of("view"), 2);
  EXPECT_EQ(failed_of("search"), 1);
  EXPECT_EQ(failed_of("home"), 1);
  EXPECT_EQ(failed_of("labels"), 1);
  EXPECT_EQ(failed_of("download"), 1);
  EXPECT_EQ(failed_of("edit"), 1);
  const auto& writes = report.at("writes").as_object();
  EXPECT_EQ(int_or(writes, "lost"), 3);  // the page, the changed version, the file
  EXPECT_EQ(int_or(writes, "altered"), 1);
  EXPECT_EQ(int_or(writes, "duplicated"), 1);
  EXPECT_EQ(int_or(writes, "stale"), 1);
  EXPECT_EQ(int_or(writes, "verified"), ledger->acknowledged() - 4);
  EXPECT_EQ(report.at("failures").as_array().size(), 7u);
  EXPECT_EQ(report.at("offenders").as_array().size(), 5u);
  if (const char* keep = std::getenv("AFLOAT_TEST_REPORT")) {
    std::ofstream(std::string(keep) + ".html") << report_html(report);
    std::ofstream(std::string(keep) + ".svg") << timeline_svg(report, 1000, true);
    fmt::print("{}", report_text(report, true));
  }
}

TEST(Load, AConnectionThatTheServerClosesWhileItIsIdleIsReplacedBeforeAnythingIsSent) {
  init_crypto();
  MisbehavingSite site(1);
  Folder folder;
  for (int i = 0; i < 20; ++i) site.arm("view", Fault::answer_then_close);
  auto options = options_for(site, folder, 2);
  options.rate = 60;
  options.connections = 2;
  auto summary = run_load(options);
  ASSERT_TRUE(summary) << summary.error().message();
  EXPECT_EQ(site.armed(), 0u);
  EXPECT_EQ(summary->failed, 0);
}

TEST(Load, OnlyPlainHttpAddressesAreTaken) {
  EXPECT_FALSE(parse_site_address("https://x"));
  EXPECT_FALSE(parse_site_address("http://x:port"));
  EXPECT_EQ(parse_site_address("http://h:81/wiki/")->prefix, "/wiki");
}

TEST(Load, AMissingSpaceIsSaidBeforeTheLoadBegins) {
  init_crypto();
  MisbehavingSite site(1);
  Folder folder;
  auto options = options_for(site, folder, 1);
  options.space = "NOPE";
  auto summary = run_load(options);
  ASSERT_FALSE(summary);
  EXPECT_NE(summary.error().message().find("space NOPE"), std::string::npos);
}

TEST(LoadChecks, AMarkerIsFoundByItsHighestWrite) {
  EXPECT_EQ(find_marker("x afl1p1v3z y afl1p1v12z afl1p12v99z", "afl1p1"), 12);
  EXPECT_EQ(find_marker("afl1p1v", "afl1p1"), std::nullopt);
  EXPECT_EQ(check_marker("afl1p1v3z", "afl1p1", 3), "");
  EXPECT_TRUE(check_marker("afl1p1v3z", "afl1p1", 4).starts_with("content:"));
  EXPECT_EQ(plain_word("14.3. Controlling & Planning"), "Controlling");
}

TEST(ProbeLedger, ATornLastLineIsIgnoredAndASecondLoadIsRefused) {
  Folder folder;
  {
    auto writer = LedgerWriter::create(folder.path);
    ASSERT_TRUE(writer);
    (*writer)->meta({"r", "http://x", "READ", "W", 10, 1, 1000});
    (*writer)->outcome({1001, "view", 2.5, "", "n1"});
    (*writer)->outcome({1002, "edit", 2.5, "status: \"500\"", ""});
    (*writer)->write(
        {1003, WriteTarget::attachment, Certainty::unknown, "att1", "7", 1, "d", "f.bin", "", "/download/1"});
  }
  EXPECT_FALSE(LedgerWriter::create(folder.path));
  std::ofstream(folder.path + "/ledger.jsonl", std::ios::app) << "{\"at\":10";
  auto ledger = read_ledger(folder.path);
  ASSERT_TRUE(ledger) << ledger.error().message();
  EXPECT_FALSE(ledger->ended);
  ASSERT_EQ(ledger->outcomes.size(), 2u);
  EXPECT_EQ(failure_kind(ledger->outcomes[1].failure), "status");
  ASSERT_EQ(ledger->writes.size(), 1u);
  EXPECT_EQ(ledger->writes[0].page_id, "7");
  EXPECT_EQ(ledger->acknowledged(), 0);
  std::ofstream(folder.path + "/ledger.jsonl", std::ios::app) << "\n";
  EXPECT_FALSE(read_ledger(folder.path));
}

}  // namespace
}  // namespace afloat::cli
