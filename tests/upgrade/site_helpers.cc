#include "upgrade/site_helpers.h"

#include <fmt/format.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>

#include "base/json_fields.h"
#include "cli/load.h"

namespace afloat::test {

namespace fs = std::filesystem;
namespace json = boost::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

SiteSetup without_conductor() {
  SiteSetup setup;
  setup.conductor = false;
  return setup;
}

std::string message_of(const http::Response& response) {
  auto body = parse_json_object(*response.body, "the answer");
  return body ? string_or(*body, "message") : *response.body;
}

std::string page_json(const std::string& title, const std::string& text, int version) {
  json::object page{{"type", "page"},
                    {"title", title},
                    {"space", {{"key", "T"}}},
                    {"body", {{"storage", {{"value", "<p>" + text + "</p>"}, {"representation", "storage"}}}}}};
  if (version > 0) page["version"] = {{"number", version}};
  return json::serialize(page);
}

void sign_bundle(const std::string& bundle) {
  // The secret key lies beside the public one that the site trusts.
  if (const char* key = getenv("AFLOAT_TEST_KEY")) {
    local::ProcessOptions sign;
    sign.argv = {
        bundles().program, "releases", "sign", bundle, "--key", fs::path(key).replace_extension(".key").string()};
    auto sealed = local::run_checked(sign);
    EXPECT_TRUE(sealed) << sealed.error().message();
  }
}

namespace {

std::string catalogue_of(const std::string& folder, const std::string& linked, const std::string& packed,
                         const std::string& program, const std::string& web, const std::string& fault_profile) {
  EXPECT_TRUE(local::make_folders(folder));
  fs::create_directory_symlink(bundles().catalogue + "/" + linked, folder + "/" + linked);
  const auto bundle = folder + "/" + packed;
  local::ProcessOptions pack;
  pack.argv = {bundles().program, "releases", "pack", "--version", packed, "--binary",
               program,           "--web",    web,    "--out",     bundle, "--fault-profile",
               fault_profile};
  auto done = local::run_checked(pack);
  EXPECT_TRUE(done) << done.error().message();
  sign_bundle(bundle);
  return folder;
}

}  // namespace

std::string catalogue_with(const std::string& folder, const std::string& program, const std::string& web,
                           const std::string& fault_profile) {
  return catalogue_of(folder, bundles().from, bundles().to, program, web, fault_profile);
}

std::string catalogue_behind_target(const std::string& folder, const std::string& version, const std::string& program,
                                    const std::string& web) {
  return catalogue_of(folder, bundles().to, version, program, web, "none");
}

void make_space(SiteFixture& site) {
  const auto made = site.admin("node1").post("/rest/api/space", R"({"key":"T","name":"Test"})");
  ASSERT_EQ(made.status, 200) << *made.body;
}

std::string make_page(HttpClient client, const std::string& title, const std::string& text) {
  const auto made = client.post("/rest/api/content", page_json(title, text));
  EXPECT_EQ(made.status, 200) << *made.body;
  auto page = parse_json_object(*made.body, "the page");
  return page ? string_or(*page, "id") : std::string();
}

http::ClientRequest request_to(SiteFixture& site, const std::string& node, const std::string& method,
                               const std::string& path, const std::string& body) {
  http::ClientRequest request;
  request.method = method;
  request.url = site->node(node).url() + path;
  request.user = "admin";
  request.password = site->admin_password();
  if (!body.empty()) request.headers.set("Content-Type", "application/json");
  request.body = body;
  return request;
}

std::map<std::string, std::string> nodes_by(HttpClient client, const char* field) {
  std::map<std::string, std::string> found;
  const auto cluster = client.get_json("/rest/zdu/cluster");
  if (const auto* nodes = array_at(cluster, "nodes"))
    for (const auto& node : *nodes) found[string_or(node.as_object(), "name")] = string_or(node.as_object(), field);
  return found;
}

namespace {

std::map<std::string, std::string> each(const std::set<std::string>& nodes, const std::string& value) {
  std::map<std::string, std::string> all;
  for (const auto& node : nodes) all[node] = value;
  return all;
}

}  // namespace

std::map<std::string, std::string> all_on(const std::string& version) {
  return each({"node1", "node2", "node3"}, version);
}

void expect_settled(SiteFixture& site, const std::string& version, const std::set<std::string>& nodes) {
  for (const auto& node : nodes) {
    auto client = site.admin(node);
    const auto cluster = client.get_json("/rest/afloat/1/cluster");
    EXPECT_EQ(string_or(cluster, "phase"), "STABLE") << node << ": " << json::serialize(cluster);
    EXPECT_EQ(string_or(cluster, "upgradeMode"), "off") << node;
    EXPECT_EQ(string_or(cluster, "clusterVersion"), version) << node;
    EXPECT_EQ(nodes_by(client, "version"), each(nodes, version)) << node;
    EXPECT_EQ(nodes_by(client, "state"), each(nodes, "ACTIVE")) << node;
  }
}

void replace(SiteFixture& site, const std::string& node, const std::string& version) {
  auto stopped = site->stop_node(node);
  ASSERT_TRUE(stopped) << stopped.error().message();
  auto started = site->start_node(node, version);
  ASSERT_TRUE(started) << started.error().message();
  auto ready = site->wait_ready(node, seconds(20));
  ASSERT_TRUE(ready) << ready.error().message();
}

json::object latest_run(SiteFixture& site) {
  const auto list = site.admin().get_json("/rest/afloat/1/runs?limit=1");
  const auto* runs = array_at(list, "runs");
  if (!runs || runs->empty()) return {};
  return site.admin().get_json("/rest/afloat/1/runs/" + std::to_string(int_or(runs->front().as_object(), "id")));
}

json::object agent_node(SiteFixture& site, const std::string& name) {
  http::ClientRequest request;
  request.url = "http://agent/agent/1/report";
  request.unix_socket = site->dir() + "/hosts/" + site->node(name).host + "/agent.sock";
  auto answer = site->client().send_blocking(std::move(request), seconds(5));
  auto report = answer ? parse_json_object(*answer->body, "the agent's report") : Result<json::object>();
  const auto* nodes = report ? array_at(*report, "nodes") : nullptr;
  if (nodes)
    for (const auto& node : *nodes)
      if (string_or(node.as_object(), "name") == name) return node.as_object();
  return {};
}

ProcessEntry process_entry(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(file, line);
  const auto name_end = line.rfind(')');  // the name in front of it may hold anything
  ProcessEntry entry;
  if (name_end == std::string::npos) return entry;
  std::istringstream(line.substr(name_end + 1)) >> entry.state >> entry.parent;
  return entry;
}

bool ended(pid_t pid) {
  const auto state = process_entry(pid).state;
  return state.empty() || state == "Z" || state == "X";
}

namespace {
constexpr int late_writes = 6;
}

void wake_with_late_writes(SiteFixture& site, const std::string& node, pid_t sleeper, const std::string& title,
                           const std::string& id, int version) {
  // These lie in its socket before it wakes up, so they are the first thing that it sees.
  http::Client client(late_writes);
  std::vector<std::future<Result<http::Response>>> answers;
  for (int i = 0; i < late_writes; ++i) {
    auto late = i == 0 ? request_to(site, node, "PUT", "/rest/api/content/" + id, page_json(title, "too late", version))
                       : request_to(site, node, "POST", "/rest/api/content",
                                    page_json("Too late " + std::to_string(i), "too late"));
    answers.push_back(std::async(std::launch::async,
                                 [&client, late = std::move(late)] { return client.send_blocking(late, seconds(8)); }));
  }
  for (auto& answer : answers) EXPECT_EQ(answer.wait_for(milliseconds(50)), std::future_status::timeout);
  ASSERT_EQ(kill(sleeper, SIGCONT), 0);
  for (auto& answer : answers) {
    const auto said = answer.get();
    EXPECT_TRUE(!said || said->status >= 400) << said->status << " " << *said->body;
  }

  // It ends; the agent may start it again, and that one must not get in either: a removed id never comes back.
  json::object told;
  EXPECT_TRUE(eventually(seconds(15), [&] {
    told = agent_node(site, node);
    return !told.empty() && !bool_or(told, "running", true);
  })) << json::serialize(told);
  const auto code = int_or(told, "last_exit_code");
  EXPECT_TRUE(code == 78 || code == 1) << json::serialize(told);
}

void expect_no_late_write(HttpClient client, const std::string& id) {
  const auto page = client.get("/rest/api/content/" + id + "?expand=body.storage,version");
  EXPECT_EQ(page.body->find("too late"), std::string::npos) << *page.body;
  for (int i = 1; i < late_writes; ++i) {
    const auto list = client.get_json("/rest/api/content?spaceKey=T&title=Too%20late%20" + std::to_string(i));
    const auto* results = array_at(list, "results");
    EXPECT_TRUE(results && results->empty()) << json::serialize(list);
  }
}

Users::Users(SiteFixture& site, int rate) {
  local::ProcessOptions load;
  load.argv = {bundles().program,    "load",         "--site",     site->url(), "--rate",
               std::to_string(rate), "--users",      "10",         "--space",   "T",
               "--ledger",           ledger(),       "--seconds",  "900",       "--until-file",
               stop_file(),          "--ready-file", ready_file(), "--quiet"};
  load.env = site->credentials();
  load.log = folder_.path() + "/load.log";
  auto started = local::Process::start(load);
  if (started)
    process_ = std::move(*started);
  else
    ADD_FAILURE() << started.error().message();
}

bool Users::begin() {
  return eventually(seconds(20), [&] { return fs::exists(ready_file()) || !process_.running(); }) && process_.running();
}

bool Users::work(milliseconds time) {
  return !eventually(time, [&] { return !process_.running(); });
}

std::optional<int> Users::go_home() {
  if (!local::write_file(stop_file(), "")) return std::nullopt;
  return process_.wait(seconds(20));
}

namespace {

struct AtHome {
  std::set<std::string> answered;
  std::vector<std::string> failed;
};

AtHome come_home(SiteFixture& site, Users& users, std::size_t at_least) {
  AtHome home;
  const auto code = users.go_home();
  EXPECT_TRUE(code) << users.words();
  auto ledger = cli::read_ledger(users.ledger());
  EXPECT_TRUE(ledger) << ledger.error().message();
  if (!ledger) return home;
  EXPECT_TRUE(ledger->ended);
  EXPECT_GT(ledger->outcomes.size(), at_least);
  for (const auto& outcome : ledger->outcomes) {
    home.answered.insert(outcome.node);
    if (!outcome.failure.empty())
      home.failed.push_back(
          fmt::format("{} at {} by {}: {}", outcome.kind, outcome.at_ms, outcome.node, outcome.failure));
  }
  cli::VerifyOptions verify;
  // The read-back speaks no TLS: nodes that do are read through the balancer.
  for (const auto& node : site->nodes())
    if (!node.tls) verify.nodes.push_back(node.url());
  if (verify.nodes.empty()) verify.nodes.push_back(site->url());
  verify.admin_password = site->admin_password();
  auto verified = cli::verify_ledger(*ledger, verify);
  EXPECT_TRUE(verified) << verified.error().message();
  if (!verified) return home;
  EXPECT_GT(verified->acknowledged, static_cast<std::int64_t>(at_least / 10));
  EXPECT_TRUE(verified->good()) << cli::to_json(*verified);
  return home;
}

}  // namespace

std::set<std::string> expect_nothing_failed_or_lost(SiteFixture& site, Users& users, std::size_t at_least) {
  auto home = come_home(site, users, at_least);
  for (const auto& failed : home.failed) ADD_FAILURE() << failed;
  return std::move(home.answered);
}

int expect_nothing_lost(SiteFixture& site, Users& users, std::size_t at_least) {
  return static_cast<int>(come_home(site, users, at_least).failed.size());
}

}  // namespace afloat::test
