#include <fmt/format.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "base/json_fields.h"
#include "faults/fault_site.h"
#include "support/replica.h"

namespace afloat::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Makes pages through the balancer, all the time, and remembers which were acknowledged.
class Writer {
 public:
  explicit Writer(SiteFixture& site) : site_(site), thread_([this] { work(); }) {}
  ~Writer() { stop(); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  void stop() {
    quit_ = true;
    if (thread_.joinable()) thread_.join();
  }
  /// Titles, in the order of their answers.
  std::vector<std::string> acknowledged() const {
    const std::scoped_lock lock(mutex_);
    return acknowledged_;
  }
  int refused() const { return refused_; }

 private:
  void work() {
    http::Client client(1);
    for (int number = 1; !quit_; ++number) {
      const auto title = fmt::format("Log entry {}", number);
      http::ClientRequest request;
      request.method = "POST";
      request.url = site_->url() + "/rest/api/content";
      request.user = "admin";
      request.password = site_->admin_password();
      request.headers.set("Content-Type", "application/json");
      request.body = page_json(title, "text of " + title);
      const auto answer = client.send_blocking(std::move(request), seconds(15));
      if (answer && answer->status == 200) {
        const std::scoped_lock lock(mutex_);
        acknowledged_.push_back(title);
      } else {
        ++refused_;
      }
      std::this_thread::sleep_for(milliseconds(20));
    }
  }
  SiteFixture& site_;
  mutable std::mutex mutex_;
  std::vector<std::string> acknowledged_;
  std::atomic<int> refused_ = 0;
  std::atomic<bool> quit_ = false;
  std::thread thread_;
};

/// Whether that node shows the page as it was written.
bool shows(HttpClient client, const std::string& title) {
  std::string name;
  for (char c : title) name += c == ' ' ? std::string("%20") : std::string(1, c);
  const auto list = client.get_json("/rest/api/content?spaceKey=T&expand=body.storage&title=" + name);
  const auto* results = array_at(list, "results");
  if (!results || results->size() != 1) return false;
  return boost::json::serialize(results->front()).find("text of " + title + "<") != std::string::npos;
}

TEST(Faults, AFailOverThatLosesTheApprovalStopsTheNodesAndPausesTheRunUntilAPersonConfirms) {
  ReplicatedPostgres servers;
  ASSERT_TRUE(servers.primary().create_database("afloat"));
  SiteSetup setup;
  setup.database_through = [&](const std::string&) { return servers.connection("afloat"); };
  FaultSite site(setup);
  Writer writer(site.fixture());
  site.start_conductor();
  ASSERT_NO_FATAL_FAILURE(site.begin_run(R"({"hold_before_finalize":true})"));
  ASSERT_EQ(site.await_end(), "paused") << site.run_message();
  ASSERT_EQ(site.newest_step().kind, "hold_before_finalize") << site.run_message();
  EXPECT_NE(site.sql("select checks from upgrade_run").find("1 replica(s) connected, none synchronous"),
            std::string::npos);
  ASSERT_TRUE(eventually(seconds(10), [&] { return servers.caught_up(); }));

  // From here on the primary alone knows what happens: a new conductor, its epoch, the approval.
  servers.cut_off();
  site.kill_conductor();
  const auto epoch = site.sql("select epoch from conductor_lease");
  site.end_conductors_lease();
  site.start_conductor();
  ASSERT_TRUE(eventually(seconds(20), [&] { return site.sql("select epoch from conductor_lease") > epoch; }));
  site.ask("resume");
  ASSERT_EQ(site.await_end(), "done") << site.run_message();
  ASSERT_TRUE(eventually(seconds(5), [&] {  // each node has heard of it
    for (const auto* node : node_names)
      if (string_or(site.fixture().admin(node).get_json("/rest/afloat/1/cluster"), "phase") != "STABLE") return false;
    return true;
  }));
  const auto pids = [&] {
    std::map<std::string, pid_t> found;
    for (const auto& node : site->nodes()) found[node.name] = site->node_pid(node.name);
    return found;
  };
  const auto before = pids();

  servers.kill_primary();
  servers.promote();
  const auto known =
      servers.replica().query("afloat", "select string_agg(title, '|') from page where title like 'Log entry %'");
  ASSERT_TRUE(known) << known.error().message();
  const auto at_the_kill = writer.acknowledged().size();
  servers.fail_over();

  // Nodes: each says so and ends; its agent starts it again, and it obeys what the database says.
  for (const auto& node : site->nodes())
    EXPECT_TRUE(eventually(
        seconds(30),
        [&] { return site->node_log(node.name, 400).find("The database went back in time") != std::string::npos; }))
        << node.name << ": " << site->node_log(node.name, 20);
  for (const auto& node : site->nodes()) {
    EXPECT_TRUE(site->wait_ready(node.name, seconds(30))) << node.name;
    EXPECT_NE(site->node_pid(node.name), before.at(node.name)) << node.name << " went on as it was";
  }
  // The conductor: the run is as the replica knew it, and waits for a person.
  EXPECT_TRUE(eventually(seconds(20), [&] {
    return site.run_message().find("The database went back in time: agents have obeyed conductor epoch") !=
           std::string::npos;
  })) << site.run_message();
  EXPECT_EQ(site.run_state(), "paused");
  EXPECT_EQ(site.fixture().phase(), "READY_TO_RUN_UPGRADE_TASKS");
  std::printf("%s\n", site.run_message().c_str());
  EXPECT_FALSE(eventually(seconds(2), [&] { return site.run_state() != "paused"; })) << "nobody has confirmed";

  site.ask("resume");
  EXPECT_EQ(site.await_end(), "done") << site.run_message();
  expect_settled(site.fixture(), bundles().to);
  writer.stop();

  // What the promoted database had, and what was acknowledged since, is there on every node.
  const auto titles = "|" + *known + "|";
  const auto acknowledged = writer.acknowledged();
  std::size_t gone = 0, checked = 0;
  for (std::size_t i = 0; i < acknowledged.size(); ++i) {
    if (i < at_the_kill && titles.find("|" + acknowledged[i] + "|") == std::string::npos) {
      ++gone;
      continue;
    }
    ++checked;
    for (const auto* node : node_names)
      EXPECT_TRUE(shows(site.fixture().admin(node), acknowledged[i])) << acknowledged[i] << " on " << node;
  }
  EXPECT_GT(at_the_kill, gone);
  EXPECT_GT(acknowledged.size(), at_the_kill) << "nothing was written after the fail-over";
  fmt::print(
      "| fail-over to an asynchronous replica that lacks the approval | {} refused | 0 of {}; {} more died with the "
      "primary | nodes stopped and came back, the run paused; resumed, done |\n",
      writer.refused(), checked, gone);
}

}  // namespace
}  // namespace afloat::test
