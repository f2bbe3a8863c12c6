#include "agent/api.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "adapters/agent/host_client.h"
#include "adapters/http/client.h"
#include "adapters/http/router.h"
#include "adapters/http/server.h"
#include "agent/catalogue.h"
#include "base/hash.h"
#include "cli/run_task.h"

namespace afloat::agent {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

Deadline in(milliseconds time) { return std::chrono::steady_clock::now() + time; }

/// The conductor's client and the agent, joined by a real socket.
class AgentApiTest : public ::testing::Test {
 protected:
  void SetUp() override {
    init_crypto();
    root_ = fs::temp_directory_path() / ("afloat-api-" + random_hex(6));
    fs::create_directories(root_ / "web");
    std::ofstream(root_ / "web/site.css") << "p{}";
    std::ofstream(root_ / "node") << "#!/bin/sh\n[ \"$1\" = --version ] && echo 1.1.0 && exit 0\n[ \"$1\" = selfcheck ] && exit 0\ntrap 'exit 0' TERM; while :; do sleep 0.01; done\n";
    ASSERT_TRUE(pack_bundle({"1.1.0", path("node"), path("web"), "", path("catalogue/1.1.0")}));
    agent_ = std::make_unique<Agent>(
        AgentConfig{"h1", path("host"), path("site.toml"), path("catalogue"), "1.1.0", {"n1"}, [](std::string) {}});
    ASSERT_TRUE(agent_->begin());
    add_agent_routes(router_, *agent_, pool_);
    server_ = std::make_unique<http::Server>(
        context_, http::ServerLimits{}, [this](http::Request request) { return router_.route(std::move(request)); });
    ASSERT_TRUE(server_->listen_unix(path("agent.sock")));
    thread_ = std::thread([this] { context_.run(); });
    hosts_ = make_agent_hosts({{"h1", path("agent.sock")}, {"h2", path("nobody.sock")}}, client_);
  }
  void TearDown() override {
    context_.stop();
    thread_.join();
    agent_->stop_nodes(milliseconds(2000));
    pool_.join();
    server_.reset();
    agent_.reset();
    fs::remove_all(root_);
  }
  std::string path(const std::string& name) const { return (root_ / name).string(); }
  template <class T>
  static Result<T> wait(std::function<Task<T>()> call) {
    return cli::run_task<T>([&](boost::asio::io_context&) { return call(); });
  }
  Order order(std::string step) { return {{7, "conductor-a"}, 3, std::move(step), std::nullopt}; }

  fs::path root_;
  boost::asio::io_context context_{1};
  boost::asio::thread_pool pool_{4};
  std::unique_ptr<Agent> agent_;
  http::Router router_;
  std::unique_ptr<http::Server> server_;
  std::thread thread_;
  http::Client client_{2};
  std::unique_ptr<NodeHost> hosts_;
};

TEST_F(AgentApiTest, CarriesCommandsAndErrorsThere) {
  auto announced = wait<HostReport>([&] { return hosts_->announce("h1", {7, "conductor-a"}, in(milliseconds(5000))); });
  ASSERT_TRUE(announced) << announced.error().message();
  EXPECT_EQ(announced->highest_epoch, 7);
  EXPECT_EQ(announced->nodes.size(), 1u);
  auto call = [&](auto member) { return wait<void>(member); };
  EXPECT_TRUE(call([&] { return hosts_->distribute("h1", "1.1.0", order("a"), in(milliseconds(5000))); }));
  EXPECT_TRUE(call([&] { return hosts_->switch_to("h1", "n1", "1.1.0", order("b"), in(milliseconds(5000))); }));
  EXPECT_TRUE(call([&] { return hosts_->start("h1", "n1", order("c"), Membership::lasting, in(milliseconds(5000))); }));
  auto report = wait<HostReport>([&] { return hosts_->report("h1", in(milliseconds(5000))); });
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->nodes.at(0).running);
  EXPECT_TRUE(report->nodes.at(0).wanted);
  EXPECT_EQ(report->nodes.at(0).version, "1.1.0");
  EXPECT_EQ(report->releases, std::vector<std::string>{"1.1.0"});

  auto other = order("d");
  other.expected_incarnation = "1-1";
  auto missed = call([&] { return hosts_->stop("h1", "n1", other, in(milliseconds(5000))); });
  ASSERT_FALSE(missed);
  EXPECT_EQ(missed.error().kind(), ErrorKind::conflict);
  EXPECT_EQ(missed.error().code(), "other_incarnation");
  auto stale = order("e");
  stale.lead = {6, "conductor-z"};
  auto refused = call([&] { return hosts_->stop("h1", "n1", stale, in(milliseconds(5000))); });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), "stale_epoch");
  auto missing = call([&] { return hosts_->distribute("h1", "9.9.9", order("f"), in(milliseconds(5000))); });
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::not_found);
  EXPECT_TRUE(call([&] { return hosts_->stop("h1", "n1", order("g"), in(milliseconds(5000))); }));
}

TEST_F(AgentApiTest, AnAbsentAgentIsUnavailable) {
  auto report = wait<HostReport>([&] { return hosts_->report("h2", in(milliseconds(1000))); });
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind(), ErrorKind::unavailable) << report.error().message();
  EXPECT_EQ(wait<HostReport>([&] { return hosts_->report("h3", in(milliseconds(1000))); }).error().kind(),
            ErrorKind::not_found);
}

TEST_F(AgentApiTest, BadRequestsAreRefusedWithTheField) {
  for (const char* body :
       {"", "[1]", "{\"epoch\":1}", "{\"epoch\":\"x\",\"holder\":\"a\"}", "{\"epoch\":1,\"holder\":\"a\"}"}) {
    SCOPED_TRACE(body);
    http::ClientRequest request{"POST", "http://agent/agent/1/stop", path("agent.sock")};
    request.body = body;
    auto answer = client_.send_blocking(request, milliseconds(2000));
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(answer->status, 400) << *answer->body;
  }
}

}  // namespace
}  // namespace afloat::agent
