#include <fmt/format.h>

#include <future>

#include "base/json_fields.h"
#include "base/text.h"
#include "faults/connections.h"
#include "faults/fault_site.h"

namespace afloat::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Nodes before 1.2.0, which drain in the first of them, let a body take 60 s in all.
struct Hop {
  std::string name;
  bool from_this_tree;
  seconds transfer;
};

class DrainRaces : public testing::TestWithParam<Hop> {};

TEST_P(DrainRaces, IdleConnectionsSlowTransfersAndEventStreamsLiveThroughAWholeUpgrade) {
  const auto transfer = GetParam().transfer;
  constexpr int idle = 1000, streams = 200;
  const local::TempDir folder;
  SiteSetup setup;
  const auto target = GetParam().from_this_tree ? std::string(AFLOAT_NEXT_VERSION) : bundles().to;
  if (GetParam().from_this_tree) {
    setup.version = bundles().to;
    setup.settings["catalogue"] =
        "\"" +
        catalogue_behind_target(folder.path() + "/catalogue", target, AFLOAT_NEXT_PROGRAM, getenv("AFLOAT_WEB")) + "\"";
  }
  FaultSite site(setup, 40);
  const auto page = make_page(site.fixture().admin("node1"), "Files");
  const auto attach = "/rest/api/content/" + page + "/child/attachment";
  const auto form = [](const std::string& name, std::size_t bytes) {
    return "--limit\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + name +
           "\"\r\nContent-Type: application/octet-stream\r\n\r\n" + std::string(bytes, 'x') + "\r\n--limit--\r\n";
  };
  const std::map<std::string, std::string> multipart{{"Content-Type", "multipart/form-data; boundary=limit"},
                                                     {"X-Atlassian-Token", "nocheck"}};
  constexpr std::size_t big = 40'000'000;
  const auto stored = site.fixture().admin("node1").send("POST", attach, form("big.bin", big), multipart);
  ASSERT_EQ(stored.status, 200) << *stored.body;

  ASSERT_NO_FATAL_FAILURE(site.users_come());
  const auto authorization = "Basic " + to_base64("admin:" + site->admin_password());
  const auto port = site->haproxy().port();
  const auto head = [&](const std::string& what) {
    return what + " HTTP/1.1\r\nHost: wiki\r\nConnection: close\r\nAuthorization: " + authorization + "\r\n";
  };
  const auto body = form("slow.bin", 2'000'000);
  auto upload = std::async(std::launch::async, [&] {
    return slow_upload(port,
                       head("POST " + attach) + "X-Atlassian-Token: nocheck\r\nContent-Type: multipart/form-data; " +
                           fmt::format("boundary=limit\r\nContent-Length: {}\r\n\r\n", body.size()),
                       body, transfer);
  });
  auto download = std::async(std::launch::async, [&] {
    return slow_download(port, head("GET /download/attachments/" + page + "/big.bin") + "\r\n", big, transfer);
  });
  // Without a conductor the run waits, so that everybody is there from its first step on.
  ASSERT_NO_FATAL_FAILURE(
      site.begin_run(R"({"drain_deadline_ms":90000})", target));
  PatientClients clients(port, idle, streams, authorization, "/rest/afloat/1/runs/1/events");
  ASSERT_TRUE(eventually(seconds(20),
                         [&] {
                           const auto seen = clients.seen();
                           return seen.connected == idle && seen.streams == streams;
                         }))
      << clients.seen().connected << " connections, " << clients.seen().streams << " streams";
  site.start_conductor();
  EXPECT_EQ(site.await_end(seconds(240)), "done") << site.run_message();
  EXPECT_TRUE(eventually(seconds(20), [&] { return clients.seen().finished == streams; }));
  // A node waited for them: they were under way, and not in some buffer.
  const auto longest =
      site.sql("select max(extract(epoch from ended_at - started_at))::int from upgrade_step where kind = 'drain'");
  EXPECT_GE(parse_int(longest).value_or(0), 15) << "no node's drain had to wait for the transfers";
  // Each idle connection is used once more.
  EXPECT_TRUE(site.users().work(seconds(21)));

  const auto sent = upload.get();
  EXPECT_TRUE(sent.starts_with("HTTP/1.1 200")) << sent.substr(0, 300);
  const auto got = download.get();
  EXPECT_TRUE(got.starts_with("HTTP/1.1 200")) << got.substr(0, 300);
  const auto text = got.find("\r\n\r\n");
  ASSERT_NE(text, std::string::npos);
  EXPECT_EQ(got.size() - text - 4, big);
  for (const char* node : node_names) {
    const auto file = site.fixture().admin(node).get("/download/attachments/" + page + "/slow.bin");
    EXPECT_EQ(file.status, 200) << node;
    EXPECT_EQ(file.body->size(), 2'000'000U) << node;
  }
  const auto seen = clients.seen();
  EXPECT_EQ(seen.cut, 0) << seen.first;
  EXPECT_EQ(seen.wrong, 0) << seen.first;
  EXPECT_EQ(seen.finished, streams);
  EXPECT_GE(seen.told_to_return, streams) << "each stream meets at least one node that goes";
  EXPECT_GE(seen.answers, 2 * idle);
  expect_settled(site.fixture(), target);
  const auto figures = site.figures();
  EXPECT_EQ(figures.failed, 0U) << figures.text;
  FaultSite::print_row(fmt::format("{} idle keep-alive connections, {} event streams, an upload and a download of {} s",
                                   idle, streams, transfer.count()),
                       figures,
                       fmt::format("done; {} cut, {} answers on idle ones, streams told {} times to come back",
                                   seen.cut, seen.answers, seen.told_to_return));
}

INSTANTIATE_TEST_SUITE_P(Long, DrainRaces,
                         testing::Values(Hop{"FromTheReleaseBefore", false, seconds(55)},
                                         Hop{"FromThisTree", true, seconds(60)}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace afloat::test
