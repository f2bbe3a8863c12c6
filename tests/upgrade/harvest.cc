#include "upgrade/harvest.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <mutex>
#include <regex>
#include <thread>

#include "adapters/http/server.h"
#include "base/json_fields.h"
#include "base/text.h"
#include "upgrade/site_helpers.h"

namespace afloat::test {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Documents = std::map<std::string, json::value>;

/// Stands between the conductor and an agent, and keeps what the conductor asks: verb -> the last command's body.
class AgentRelay {
 public:
  AgentRelay(const std::string& socket, std::string agent) : agent_(std::move(agent)) {
    if (auto listening = server_.listen_unix(socket); !listening) throw std::runtime_error(listening.error().message());
    thread_ = std::thread([this] { context_.run(); });
  }
  ~AgentRelay() {
    context_.stop();
    thread_.join();
  }
  json::object commands() {
    const std::lock_guard lock(mutex_);
    return commands_;
  }

 private:
  Async<http::Response> pass(http::Request request) {
    http::ClientRequest out;
    out.method = request.method;
    out.url = "http://agent" + request.target;
    out.unix_socket = agent_;
    out.body = request.body;
    if (!out.body.empty()) {
      out.headers.set("Content-Type", "application/json");
      const std::lock_guard lock(mutex_);
      commands_[request.path.substr(request.path.rfind('/') + 1)] = json::parse(request.body);
    }
    auto answer = co_await client_.send(std::move(out), request.deadline);
    co_return answer ? http::json_response(answer->status, *answer->body) : http::error_response(answer.error());
  }

  const std::string agent_;
  std::mutex mutex_;
  json::object commands_;
  http::Client client_{4};
  boost::asio::io_context context_{1};
  http::Server server_{
      context_, {.request_timeout = seconds(60)}, [this](http::Request request) { return pass(std::move(request)); }};
  std::thread thread_;
};

/// What is sent on the channels of a database from now on.
class Channels {
 public:
  explicit Channels(const std::string& database) : link_(PQconnectdb(database.c_str()), &PQfinish) {
    // LISTEN names its channel, so what nobody here knows is not heard: a test over the sources keeps the list whole.
    answer("listen afloat_cluster");
  }
  /// channel -> payloads, each once.
  json::object heard() {
    answer("select 1");
    PQconsumeInput(link_.get());
    std::map<std::string, std::set<std::string>> all;
    while (PGnotify* each = PQnotifies(link_.get())) {
      all[each->relname].insert(each->extra);
      PQfreemem(each);
    }
    json::object out;
    for (const auto& [channel, payloads] : all) out[channel] = json::value_from(payloads);
    return out;
  }

 private:
  void answer(const char* sql) {
    std::unique_ptr<PGresult, decltype(&PQclear)> done(PQexec(link_.get(), sql), &PQclear);
    EXPECT_NE(PQresultStatus(done.get()), PGRES_FATAL_ERROR) << PQerrorMessage(link_.get());
  }
  std::unique_ptr<PGconn, decltype(&PQfinish)> link_;
};

constexpr std::int64_t fixed_ms = 1'767'225'600'000;  // 2026-01-01

/// Without what differs from one run to the next and means nothing to a reader.
void settle(json::value& value, const std::string& folder) {
  static const std::regex iso_time(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*)");
  if (auto* array = value.if_array())
    for (auto& each : *array) settle(each, folder);
  if (auto* object = value.if_object())
    for (auto& [name, each] : *object) settle(each, folder);
  if (auto* text = value.if_string()) {
    auto out = std::regex_replace(std::string(*text), iso_time, "2026-01-01T00:00:00.000");
    for (auto at = out.find(folder); at != std::string::npos; at = out.find(folder))
      out.replace(at, folder.size(), "/site");
    *text = out;
  }
  if (value.is_double()) value = 0.5;
  if (value.is_int64() && value.get_int64() > 1'500'000'000'000) value = fixed_ms;
}

json::object parsed(const std::string& text, std::string_view what) {
  auto object = parse_json_object(text, what);
  EXPECT_TRUE(object) << object.error().message();
  return object.value_or(json::object());
}

json::value cookie(SiteFixture& site) {
  HttpClient browser(site->url());
  const auto answer = browser.send("POST", "/login", "next=/&user=admin&password=" + url_encode(site->admin_password()),
                                   {{"Content-Type", "application/x-www-form-urlencoded"}});
  const std::string set(answer.headers.get("Set-Cookie"));
  const auto parts = split(set, ';');
  const auto equals = parts.empty() ? std::string::npos : parts[0].find('=');
  EXPECT_NE(equals, std::string::npos) << "no cookie in " << answer.status << ' ' << *answer.body;
  if (equals == std::string::npos) return nullptr;
  json::object attributes;
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const auto part = std::string(trim(parts[i]));
    const auto at = part.find('=');
    attributes[part.substr(0, at)] = at == std::string::npos ? json::value(true) : json::value(part.substr(at + 1));
  }
  const auto page = browser.send("GET", "/", "", {{"Cookie", parts[0]}});
  static const std::regex field(R"re(<input[^>]*name="(csrf)"[^>]*value="([0-9a-f]+)")re");
  std::smatch found;
  EXPECT_TRUE(std::regex_search(*page.body, found, field)) << *page.body;
  // Names are what a reader looks for, so they are names here too.
  return json::object{
      {"cookie",
       {{parts[0].substr(0, equals), {{"value", parts[0].substr(equals + 1)}, {"attributes", std::move(attributes)}}}}},
      {"form", {{found[1].str(), found[2].str()}}},
      {"password", site->admin_password()}};
}

json::value rows(const SiteFixture& site, const json::object& requests) {
  const auto of = [&](const std::string& sql) { return json::parse(site.query(sql)); };
  json::object all;
  for (const char* table : {"app_user", "session", "verified_credential", "long_task", "upgrade_run", "upgrade_step"})
    all[table] = of(fmt::format("select coalesce(jsonb_agg(t), '[]') from (select * from {0} order by 1) t", table));
  // Text that holds JSON; what was asked is taken out of it once it is done.
  for (auto& run : all["upgrade_run"].as_array()) {
    for (const char* column : {"options", "checks", "evidence"}) {
      const std::string text(run.at(column).as_string());
      if (!text.empty()) run.as_object()[column] = json::parse(text);
    }
    if (!requests.empty()) run.at("options").as_object()["requests"] = requests;
  }
  all["cluster_event"] = of("select jsonb_object_agg(kind, detail order by seq) from cluster_event");
  return all;
}

json::value agent_files(local::Site& site) {
  const auto data = site.dir() + "/hosts/host1/";
  const auto text = [&](const std::string& name) {
    auto found = local::read_file(data + name);
    EXPECT_TRUE(found) << name;
    return found.value_or("");
  };
  json::array journal;
  for (const auto& line : split(text("journal.jsonl"), '\n'))
    if (!line.empty()) journal.push_back(parsed(line, "the journal"));
  return json::object{{"epoch.json", parsed(text("epoch.json"), "the epoch")},
                      {"journal.jsonl", std::move(journal)},
                      {"state.json", parsed(text("nodes/node1/state.json"), "the node's state")}};
}

json::value metrics(const std::string& text) {
  json::object all;
  for (const auto& line : split(text, '\n')) {
    const auto space = line.rfind(' ');
    if (line.empty() || line[0] == '#' || space == std::string::npos) continue;
    static const std::regex version(R"(version="[^"]*")");
    all[std::regex_replace(line.substr(0, space), version, "version=\"\"")] = json::parse(line.substr(space + 1));
  }
  return all;
}

http::Response ask_agent(local::Site& site, const std::string& verb, const std::string& body) {
  http::ClientRequest request;
  request.method = body.empty() ? "GET" : "POST";
  request.url = "http://agent/agent/1/" + verb;
  request.unix_socket = site.dir() + "/hosts/host1/agent.sock";
  if (!body.empty()) request.headers.set("Content-Type", "application/json");
  request.body = body;
  auto answer = site.client().send_blocking(std::move(request), seconds(5));
  EXPECT_TRUE(answer) << answer.error().message();
  return answer.value_or(http::Response{});
}

void import_pages(SiteFixture& site, const std::string& program) {
  local::TempDir folder;
  // A link that leads nowhere, so that the task has something to note.
  ASSERT_TRUE(local::write_file(folder.path() + "/index.html",
                                "<html><head><title>Handbook</title></head><body><p>One <a href=\"gone.html\">two</a>"
                                "<img src=\"gone.png\"></p></body></html>"));
  auto imported =
      site->afloat_of(program, {"import", "html", folder.path(), "--space", "I", "--site", site->url()}, seconds(20));
  ASSERT_TRUE(imported) << imported.error().message();
  ASSERT_EQ(imported->exit_code, 0) << imported->output;
}

/// By REST, whose words have been the same since 1.0.0. Gives what people asked of the run, as long as nobody carries
/// it out: {} where a release knows no such verb.
json::object begin_run(SiteFixture& site, const std::string& to) {
  json::object wanted{
      {"to", to}, {"reason", "harvest"}, {"acknowledge_notes", true}, {"options", {{"hold_before_finalize", false}}}};
  const auto created = site.admin().post("/rest/afloat/1/runs", json::serialize(wanted));
  EXPECT_EQ(created.status, 201) << *created.body;
  (void)site.admin().post("/rest/afloat/1/runs/1/pause");
  const auto options = parsed(site.query("select options from upgrade_run"), "the options");
  const auto* requests = object_at(options, "requests");
  return requests ? *requests : json::object();
}

void finish_run(SiteFixture& site) {
  auto admin = site.admin();
  ASSERT_TRUE(eventually(seconds(60), [&] {
    const auto run = admin.get_json("/rest/afloat/1/runs/1");
    if (string_or(run, "state") == "paused") (void)admin.post("/rest/afloat/1/runs/1/resume");
    return string_or(run, "outcome") == "done";
  })) << json::serialize(admin.get_json("/rest/afloat/1/runs/1"));
}

/// What only an upgrade by hand tells the audit log, and a cancel.
void begin_by_hand_and_cancel(SiteFixture& site, const std::string& to) {
  ASSERT_EQ(site.admin().post("/rest/zdu/start").status, 200);
  ASSERT_TRUE(site->distribute(to));
  const auto expanded = site->afloat_of(site->program_of(to), {"upgrade", "expand"}, seconds(20));
  ASSERT_TRUE(expanded) << expanded.error().message();
  ASSERT_EQ(expanded->exit_code, 0) << expanded->output;
  ASSERT_EQ(site.admin().post("/rest/zdu/cancel").status, 200);
  // So that the conductor distributes it again: 1.0 does so only where it is not there.
  fs::remove_all(site->dir() + "/hosts/host1/releases/" + to);
}

}  // namespace

void harvest(const HarvestedRelease& release, Documents& documents) {
  auto setup = without_conductor();
  setup.nodes = 2;
  setup.program = release.program;
  setup.catalogue = release.catalogue;
  setup.version = release.version;
  SiteFixture site(setup);
  Channels channels(site->database());
  const auto node2 = site.admin("node2");

  documents["cookie"] = cookie(site);
  ASSERT_NO_FATAL_FAILURE(import_pages(site, release.program));
  const auto drained = HttpClient(node2).post("/rest/afloat/1/nodes/node2/drain", R"({"balanced": true})");
  ASSERT_EQ(drained.status, 200) << *drained.body;
  documents["drain"] = parsed(*drained.body, "the drain");
  ASSERT_EQ(HttpClient(node2).post("/rest/afloat/1/nodes/node2/return").status, 200);
  documents["metrics"] = metrics(*site.admin("node1").get("/metrics").body);

  ASSERT_NO_FATAL_FAILURE(begin_by_hand_and_cancel(site, release.next));

  const auto requests = begin_run(site, release.next);
  const auto& folder = site->dir();
  AgentRelay relay(folder + "/relay.sock", folder + "/hosts/host1/agent.sock");
  auto config = *local::read_file(site->config());
  config.replace(config.find(folder + "/hosts/host1/agent.sock"), (folder + "/hosts/host1/agent.sock").size(),
                 folder + "/relay.sock");
  ASSERT_TRUE(local::write_file(folder + "/conductor.toml", config, 0600));
  local::ProcessOptions run;
  run.argv = {release.program, "conductor", "--config", folder + "/conductor.toml"};
  // Releases that can compare a new node with the others do it for half a minute, unless they are told not to.
  const auto help = site->afloat_of(release.program, {"conductor", "--help"});
  ASSERT_TRUE(help) << help.error().message();
  if (help->output.contains("--soak")) run.argv.insert(run.argv.end(), {"--soak", "0"});
  run.env = site->credentials();
  run.log = folder + "/logs/conductor.log";
  auto conductor = local::Process::start(run);
  ASSERT_TRUE(conductor) << conductor.error().message();
  ASSERT_NO_FATAL_FAILURE(finish_run(site)) << conductor->last_lines(10);
  conductor->stop();
  // The report is asked for first: it is of two nodes that run.
  documents["agent_report"] = parsed(*ask_agent(*site, "report", "").body, "the report");
  ASSERT_TRUE(site->stop_node("node2"));
  const auto removed = site.admin("node1").del("/rest/afloat/1/nodes/node2");
  ASSERT_EQ(removed.status, 204) << *removed.body;

  documents["run"] = site.admin().get_json("/rest/afloat/1/runs/1");
  documents["rows"] = rows(site, requests);
  documents["notify"] = channels.heard();
  documents["agent_commands"] = relay.commands();
  documents["agent_refusal"] = parsed(
      *ask_agent(*site, "stop", R"({"epoch": 1, "holder": "replaced", "run": 1, "step": "1", "node": "node1"})").body,
      "the refusal");
  documents["agent_files"] = agent_files(*site);
  const auto key = local::read_file(folder + "/home/site.key");
  ASSERT_TRUE(key);
  documents["cookie"].as_object()["site_key"] = *key;
  const auto manifest = local::read_file(release.catalogue + "/" + release.version + "/manifest.json");
  ASSERT_TRUE(manifest) << manifest.error().message();
  documents["manifest"] = parsed(*manifest, "the manifest");
  if (const char* signer = getenv("AFLOAT_TEST_KEY")) {
    const auto secret = fs::path(signer).replace_extension(".key").string();
    local::ProcessOptions index;
    index.argv = {release.program, "releases", "index", "--catalogue", release.catalogue, "--key", secret};
    if (local::run_checked(index))
      documents["index"] = parsed(*local::read_file(release.catalogue + "/index.json"), "the index");
  }
  for (auto& [name, document] : documents) settle(document, folder);
}

}  // namespace afloat::test
