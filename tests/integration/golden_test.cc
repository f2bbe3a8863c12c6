#include "formats/golden.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <filesystem>
#include <thread>

#include "adapters/agent/host_client.h"
#include "adapters/http/router.h"
#include "adapters/http/server.h"
#include "adapters/site/afloat_client.h"
#include "agent/agent.h"
#include "agent/api.h"
#include "agent/leadership.h"
#include "agent/supervisor.h"
#include "base/hash.h"
#include "base/json_fields.h"
#include "cli/run_task.h"
#include "local/workplace.h"
#include "support/support.h"

/// This tree's conductor and agent, given what those of each release said and left behind: tests/formats/golden.
namespace afloat::agent {
namespace {

namespace json = boost::json;
using std::chrono::seconds;

Deadline soon() { return std::chrono::steady_clock::now() + seconds(5); }
json::object read(const std::string& version, const std::string& name) {
  auto document = formats::golden(version, name);
  EXPECT_TRUE(document) << document.error().message();
  return document ? document->as_object() : json::object();
}
template <class T>
Result<T> wait(std::function<Task<T>()> call) {
  return cli::run_task<T>([&](boost::asio::io_context&) { return call(); });
}

/// Answers on a unix socket and on a port, as the handler says.
class Answering {
 public:
  explicit Answering(http::Handler handler)
      : ports(local::PortBlock::take().value()), server_(context_, {}, std::move(handler)) {
    init_crypto();
    EXPECT_TRUE(server_.listen_unix(socket()));
    EXPECT_TRUE(server_.listen_tcp("127.0.0.1", ports.first()));
    thread_ = std::thread([this] { context_.run(); });
  }
  ~Answering() {
    context_.stop();
    thread_.join();
  }
  std::string socket() const { return folder_.path() + "/socket"; }
  http::Client client{2};
  local::PortBlock ports;

 private:
  local::TempDir folder_;
  boost::asio::io_context context_{1};
  http::Server server_;
  std::thread thread_;
};

Async<http::Response> give(int status, std::string body) { co_return http::json_response(status, std::move(body)); }

TEST(GoldenDocuments, AConductorReadsWhatAgentsOfEveryReleaseAnswer) {
  for (const auto& version : formats::golden_versions()) {
    SCOPED_TRACE(version);
    const auto report = read(version, "agent_report"), refusal = read(version, "agent_refusal");
    Answering agent([&](http::Request request) {
      return request.method == "GET" ? give(200, json::serialize(report)) : give(409, json::serialize(refusal));
    });
    auto hosts = make_agent_hosts({{"host1", agent.socket()}}, agent.client);
    const auto told = wait<HostReport>([&] { return hosts->report("host1", soon()); });
    ASSERT_TRUE(told) << told.error().message();
    EXPECT_EQ(told->agent_version, version);
    EXPECT_EQ(told->highest_epoch, int_or(report, "highest_epoch"));
    EXPECT_EQ(told->epoch_holder, string_or(report, "epoch_holder"));
    EXPECT_FALSE(told->epoch_holder.empty());
    EXPECT_EQ(told->releases.size(), 2U);
    ASSERT_EQ(told->nodes.size(), 2U);
    for (const auto& node : told->nodes) {
      EXPECT_TRUE(node.running && node.wanted) << node.name;
      EXPECT_EQ(node.version, told->releases.back());
      EXPECT_NE(node.incarnation.find('-'), std::string::npos) << node.incarnation;
    }
    const auto refused = wait<void>(
        [&] { return hosts->start("host1", "node1", {{1, "me"}, 1, "1", {}}, Membership::lasting, soon()); });
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::conflict);
    EXPECT_EQ(refused.error().code(), "stale_epoch");
  }
}

TEST(GoldenDocuments, AConductorReadsWhatNodesOfEveryReleaseAnswer) {
  for (const auto& version : formats::golden_versions()) {
    SCOPED_TRACE(version);
    const auto drain = read(version, "drain"), metrics = read(version, "metrics");
    std::string lines;
    for (const auto& [name, value] : metrics) lines += std::string(name) + ' ' + json::serialize(value) + '\n';
    Answering node(
        [&](http::Request request) { return give(200, request.path == "/metrics" ? lines : json::serialize(drain)); });
    auto site = site::make_site_client({{"node2", "http://127.0.0.1:" + std::to_string(node.ports.first())}},
                                       {"admin", "x"}, node.client);
    const auto status = wait<DrainStatus>([&] { return site->drain_status("node2", soon()); });
    ASSERT_TRUE(status) << status.error().message();
    EXPECT_EQ(status->state, "DRAINING");
    EXPECT_TRUE(status->drained);
    EXPECT_EQ(status->in_flight, int_or(drain, "inFlight"));
    const auto sample = wait<rollout::NodeSample>([&] { return site->metrics("node2", soon()); });
    ASSERT_TRUE(sample) << sample.error().message();
    EXPECT_GT(sample->requests, 0);
    EXPECT_EQ(sample->errors, int_or(metrics, "afloat_responses_total{class=\"5xx\"}"));
    EXPECT_EQ(sample->within_seconds.size(), 10U);
  }
}

TEST(GoldenDocuments, AnAgentReadsTheCommandsOfEveryReleasesConductor) {
  for (const auto& version : formats::golden_versions()) {
    SCOPED_TRACE(version);
    local::TempDir folder;
    ASSERT_TRUE(local::make_folders(folder.path() + "/catalogue"));
    Agent host(AgentConfig{"host1",
                           folder.path(),
                           folder.path() + "/site.toml",
                           folder.path() + "/catalogue",
                           version,
                           {"node1", "node2"},
                           [](std::string) {}});
    ASSERT_TRUE(host.begin());
    boost::asio::thread_pool pool(2);
    http::Router router;
    add_agent_routes(router, host, pool);
    const auto commands = read(version, "agent_commands");
    EXPECT_EQ(commands.size(), 6U);
    {
      Answering agent([&](http::Request request) { return router.route(std::move(request)); });
      for (const auto& [verb, command] : commands) {
        SCOPED_TRACE(std::string(verb));
        http::ClientRequest request{"POST", "http://agent/agent/1/" + std::string(verb), agent.socket()};
        request.body = json::serialize(command);
        const auto answer = agent.client.send_blocking(request, seconds(5));
        ASSERT_TRUE(answer) << answer.error().message();
        const auto body = parse_json_object(*answer->body, "the answer");
        ASSERT_TRUE(body) << *answer->body;
        EXPECT_EQ(host.leader().holder, string_or(command.as_object(), "holder"));
        // There is no such release here, and the node that is to be stopped does not run: each answer shows what was
        // read.
        const auto message = string_or(*body, "message");
        if (verb == "announce")
          EXPECT_EQ(answer->status, 200) << *answer->body;
        else if (verb == "stop")
          EXPECT_EQ(string_or(*body, "code"), "other_incarnation") << *answer->body;
        else if (verb == "start")
          EXPECT_NE(message.find("node2"), std::string::npos) << *answer->body;
        else
          EXPECT_NE(message.find(string_or(command.as_object(), "version")), std::string::npos) << *answer->body;
      }
    }
    pool.join();
  }
}

TEST(GoldenDocuments, AnAgentGoesOnWithTheFilesOfEveryReleasesAgent) {
  for (const auto& version : formats::golden_versions()) {
    SCOPED_TRACE(version);
    const auto files = read(version, "agent_files");
    local::TempDir folder;
    const auto path = [&](const char* name) { return folder.path() + '/' + name; };
    ASSERT_TRUE(local::write_file(path("epoch.json"), json::serialize(files.at("epoch.json")) + '\n'));
    ASSERT_TRUE(local::write_file(path("state.json"), json::serialize(files.at("state.json")) + '\n'));
    std::string lines;
    for (const auto& entry : files.at("journal.jsonl").as_array()) lines += json::serialize(entry) + '\n';
    ASSERT_TRUE(local::write_file(path("journal.jsonl"), lines));

    EpochGuard guard(path("epoch.json"));
    ASSERT_TRUE(guard.load());
    EXPECT_EQ(guard.known().epoch, files.at("epoch.json").at("epoch").as_int64());
    EXPECT_EQ(guard.known().holder, files.at("epoch.json").at("holder").as_string());
    CommandJournal journal(path("journal.jsonl"));
    ASSERT_TRUE(journal.load());
    int done = 0;
    for (const auto& each : files.at("journal.jsonl").as_array()) {
      const auto& entry = each.as_object();
      // The incarnation stands in the key alone.
      const std::string incarnation(json::parse(entry.at("key").as_string()).at(5).as_string());
      AgentCommand command;
      command.kind = string_or(entry, "kind");
      command.node = string_or(entry, "node");
      command.version = string_or(entry, "version");
      command.order.run = int_or(entry, "run");
      command.order.step = string_or(entry, "step");
      if (!incarnation.empty()) command.order.expected_incarnation = incarnation;
      EXPECT_TRUE(journal.is_done(command)) << "it would be carried out once more: " << json::serialize(entry);
      if (string_or(entry, "outcome") == "done") ++done;
    }
    EXPECT_GT(done, 10);

    Supervisor supervisor({{.name = "node1", .argv = {"/bin/sleep", "60"}, .folder = folder.path()}},
                          [](std::string) {});
    ASSERT_TRUE(supervisor.begin());
    const auto node = supervisor.status("node1");
    ASSERT_TRUE(node);
    EXPECT_TRUE(node->wanted && node->running) << "a node that was wanted is started again after a restart of the host";
    supervisor.stop_all(seconds(5));
  }
}

}  // namespace
}  // namespace afloat::agent
