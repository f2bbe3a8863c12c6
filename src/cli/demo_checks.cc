#include "cli/demo_checks.h"

#include <fmt/format.h>
#include <glob.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <memory>

#include "base/hash.h"
#include "base/json_fields.h"
#include "base/text.h"
#include "cli/check_view.h"
#include "cli/stage.h"
#include "local/site.h"
#include "version/version.h"

namespace afloat::cli {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using namespace std::chrono_literals;

constexpr auto role = "wiki", database_name = "wiki";

/// A small file system of its own; unmounted with the object. Needs root.
class SmallDisk {
 public:
  explicit SmallDisk(std::string folder) : folder_(std::move(folder)) {
    mounted_ = ::mount("afloat-demo", folder_.c_str(), "tmpfs", 0, "size=2m") == 0;
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk() {
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }

 private:
  std::string folder_;
  bool mounted_ = false;
};

std::string first_match(const char* pattern) {
  glob_t found{};
  std::string path;
  if (glob(pattern, 0, nullptr, &found) == 0) path = found.gl_pathv[0];
  globfree(&found);
  return path;
}

class ChecksDemo {
 public:
  explicit ChecksDemo(const ChecksDemoOptions& options) : options_(options) {
    const auto version = version::parse_version(options_.version);
    if (version) to_ = fmt::format("{}.{}.0", version->major, version->minor + 2);
  }

  Result<bool> run() {
    if (auto done = start_database(); !done) return std::unexpected(done.error());
    if (auto done = start_site(); !done) return std::unexpected(done.error());
    stages_.begin("Make much wrong with it", "5 s");
    for (const auto step : {&ChecksDemo::start_odd_node, &ChecksDemo::damage_attachment, &ChecksDemo::spoil_database,
                            &ChecksDemo::spoil_hosts, &ChecksDemo::take_connections}) {
      if (auto done = (this->*step)(); !done) return std::unexpected(done.error());
      if (interrupted()) return fail(ErrorKind::unavailable, "interrupted");
    }
    stages_.end();
    return look();
  }

 private:
  /// A role that owns its database and no more, as on a server of one's own; and a transaction that nobody ends.
  Result<void> start_database() {
    stages_.begin("Start a PostgreSQL, and a session that forgets to commit", "3 s");
    auto started = local::Postgres::start(
        {.folder = folder_.path() + "/pg", .log = folder_.path() + "/pg.log", .fsync = false, .max_connections = 80});
    if (!started) return std::unexpected(started.error());
    postgres_ = std::move(*started);
    for (const auto& sql :
         {fmt::format("create role {} login", role), fmt::format("create database {} owner {}", database_name, role)})
      if (auto done = postgres_.execute("postgres", sql); !done) return done;
    if (auto done = postgres_.execute(database_name, fmt::format("alter schema public owner to {}", role)); !done)
      return done;
    connection_ = replace_all(postgres_.connection(database_name), "user=afloat", std::string("user=") + role);
    if (auto done = session("psql -X -q \"$1\" -c \"$2\"",
                            "set statement_timeout = 0; begin; select 1; select pg_sleep(3600)", 1);
        !done)
      return done;
    expect("long_transactions", "a session has begun something and goes on holding it");
    expect("database_embedded", "its PostgreSQL is that of a trial");
    stages_.end();
    return {};
  }

  Result<void> start_site() {
    stages_.begin(fmt::format("Start a site of 2 nodes with {}", options_.version), "5 s");
    local::SiteOptions site;
    site.dir = options_.data;
    site.catalogue = options_.catalogue;
    site.nodes = 2;
    site.conductor = true;
    site.trusted_keys = options_.trusted_keys;
    site.database = connection_;
    site.say = [this](const std::string& text) { stages_.passing(text); };
    auto made = local::Site::create(std::move(site));
    if (!made) return std::unexpected(made.error());
    site_ = std::move(*made);
    if (auto started = site_->start_nodes(options_.version); !started) return started;
    stages_.good(fmt::format("{}   user admin, password {}", site_->url(), site_->admin_password()));
    stages_.end();
    return {};
  }

  /// A third node that somebody has set up by hand, and not well.
  Result<void> start_odd_node() {
    const auto folder = site_->dir() + "/node3", home = folder + "/home";
    if (auto made = local::make_folders(home); !made) return made;
    if (auto made = local::make_folders(folder + "/data"); !made) return made;
    disk_ = std::make_unique<SmallDisk>(home);
    if (disk_->mounted())
      expect("disk_space", "the disk of node3's shared home has 2 MB");
    else
      left_out_.push_back("disk_space: a small file system can be mounted by root only");
    auto nodes = site_->nodes();
    nodes.push_back({.name = "node3", .host = nodes.front().host, .port = site_->spare_port(), .data = folder});
    auto text = replace_all(site_->site_toml(nodes), site_->dir() + "/home", home);
    text = replace_all(std::move(text), "site_name = \"Afloat\"", "site_name = \"Another wiki\"");
    expect("configuration", "node3 has another site_name");
    expect("shared_home", "node3 has a shared home of its own");
    expect("agents_answer", "the host's agent knows nothing of node3");
    expect("balancer", "nor does the balancer");
    if (auto certificate = local::run_checked(
            {.argv = {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-keyout", folder + "/key.pem", "-out", folder + "/certificate.pem", "-days", "5", "-subj",
                      "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"}});
        certificate) {
      text += fmt::format("tls_certificate = \"{0}/certificate.pem\"\ntls_key = \"{0}/key.pem\"\n", folder);
      expect("certificates", "node3's certificate ends in five days");
    } else {
      left_out_.push_back("certificates: " + certificate.error().message());
    }
    if (auto written = local::write_file(folder + "/site.toml", text, 0600); !written) return written;
    local::ProcessOptions node;
    node.argv = {"prlimit",
                 "--nproc=1000:1000",
                 site_->program_of(options_.version),
                 "serve",
                 "--config",
                 folder + "/site.toml",
                 "--node",
                 "node3"};
    node.env = {{"AFLOAT_ADMIN_PASSWORD", site_->admin_password()}};
    node.without = {"AFLOAT_WEB"};
    node.log = folder + "/log";
    expect("process_limit", "node3 may start 1,000 processes");
    const auto library = first_match("/usr/lib/*/faketime/libfaketime.so.1");
    if (library.empty()) {
      left_out_.push_back("clocks: libfaketime is not installed");
    } else {
      node.env.insert({{"LD_PRELOAD", library}, {"FAKETIME", "+3s"}, {"DONT_FAKE_MONOTONIC", "1"}});
      expect("clocks", "node3's clock is three seconds ahead");
    }
    auto started = local::Process::start(std::move(node));
    if (!started) return std::unexpected(started.error());
    odd_node_ = std::move(*started);
    return wait("node3 to join", 20s, [this] {
      if (!odd_node_.running()) return true;
      const auto states = postgres_.query(database_name, "select count(*) from member where state = 'ACTIVE'");
      return states && *states == "3";
    });
  }

  Result<void> damage_attachment() {
    auto space = call("POST", "/rest/api/space", R"({"key":"D","name":"Demo"})");
    if (!space) return std::unexpected(space.error());
    auto page = call(
        "POST", "/rest/api/content",
        R"({"type":"page","title":"Page","space":{"key":"D"},"body":{"storage":{"value":"<p>x</p>","representation":"storage"}}})");
    if (!page) return std::unexpected(page.error());
    const auto id = string_or(*page, "id");
    auto stored = call("PUT", "/rest/api/content/" + id + "/child/attachment",
                       "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n"
                       "Content-Type: text/plain\r\n\r\n" +
                           std::string(2'000, 'a') + "\r\n--b--\r\n",
                       "multipart/form-data; boundary=b");
    if (!stored) return std::unexpected(stored.error());
    for (const auto& entry : fs::recursive_directory_iterator(site_->dir() + "/home/blobs"))
      if (entry.is_regular_file()) std::fstream(entry.path(), std::ios::in | std::ios::out) << "damage";
    // Whoever opens it is told, and the node remembers.
    if (call("GET", "/download/attachments/" + id + "/a.txt", {}, {}, site_->node("node1").url()))
      return fail(ErrorKind::internal, "a damaged attachment was sent");
    expect("node_findings", "an attachment's file was damaged");
    return {};
  }

  Result<void> spoil_database() {
    const auto build = version::build_number(version::parse_version(options_.version).value());
    for (const auto& sql : {
             std::string("insert into long_task (id, kind, node, title, state, updated_at) values ('demo', 'import', "
                         "'node9', 'Import of the old wiki', 'running', clock_timestamp() - interval '1 minute')"),
             std::string("delete from page_search"),
             fmt::format("insert into upgrade_task (id, version, build, kind, ordinal, checksum, state) values "
                         "('{0}/demo/backfill', '{0}', {1}, 'backfill', 99, 'x', 'failed')",
                         options_.version, build),
             std::string("alter table label owner to afloat"),
             // Half a minute has to pass before a file that is not seen counts.
             std::string("update member set active_at = active_at - interval '1 minute'"),
             // No node starts on another encoding than UTF8, so it is changed under their feet.
             std::string("update pg_database set encoding = pg_char_to_encoding('SQL_ASCII') where datname = 'wiki'"),
             std::string("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'wiki' and "
                         "application_name like 'afloat/%'"),
         })
      if (auto done = postgres_.execute(database_name, sql); !done) return done;
    expect("long_tasks", "an import's node is gone");
    expect("search_index", "pages are missing in the search index");
    expect("tasks_finished", "a task of the last upgrade has failed");
    expect("backfill_finished", "so its data is not all in the new form");
    expect("database_privileges", "a table belongs to somebody else");
    expect("database_encoding", "the database is in SQL_ASCII");
    return {};
  }

  /// Idle sessions, so many that 85 % of the connections are in use.
  Result<void> take_connections() {
    const auto used = postgres_.query(
        "postgres",
        "select greatest(0, (current_setting('max_connections')::int - 3) * 85 / 100 - count(*)) from pg_stat_activity "
        "where backend_type = 'client backend'");
    if (!used) return std::unexpected(used.error());
    expect("database_connections", "other programs have taken most of the connections");
    return session("sleep 3600 | psql -X -q \"$1\"", {}, static_cast<int>(parse_int(*used).value_or(0)));
  }

  Result<void> spoil_hosts() {
    const auto release = fs::path(site_->program_of(options_.version)).parent_path().parent_path();
    std::ofstream(release / "share/web/assets/app.css", std::ios::app) << "/* a quick fix */\n";
    expect("release_files", "somebody has changed a file of the release");
    std::int64_t open = 0;
    std::error_code error;
    for (fs::directory_iterator files(fmt::format("/proc/{}/fd", odd_node_.pid()), error), end; !error && files != end;
         files.increment(error))
      ++open;
    const rlimit few{static_cast<rlim_t>(open + 4), static_cast<rlim_t>(open + 4)};
    if (prlimit(odd_node_.pid(), RLIMIT_NOFILE, &few, nullptr) == 0)
      expect("open_files", "node3 has four file handles left");
    else
      left_out_.push_back("open_files: the limit could not be lowered");
    if (auto stopped = site_->stop_node("node2"); !stopped) return stopped;
    expect("members_well", "node2 is stopped");
    expect("members_active", "so not every member is there");
    expect("release_present", fmt::format("nobody has got the release {}", to_));
    expect("conductor_version", "nor does the conductor know its steps");
    return {};
  }

  Result<bool> look() {
    stages_.begin("Ask: afloat check --to " + to_, "15 s");
    json::object answer;
    // Nodes tell every five seconds.
    auto found = wait("every finding", 40s, [&] {
      auto asked = call("GET", "/rest/afloat/1/checks?to=" + to_);
      if (asked) answer = std::move(*asked);
      return asked && missing(answer).empty();
    });
    fmt::print("\n{}\n", checks_text(answer));
    stages_.line(fmt::format("exit code {}", checks_code(answer)));
    const auto silent = missing(answer);
    for (const auto& id : silent) stages_.bad(fmt::format("not found: {} ({})", id, expected_.at(id)));
    for (const auto& why : left_out_) stages_.line("left out here: " + why);
    if (silent.empty()) stages_.good(fmt::format("{} things were wrong, and each was found", expected_.size()));
    stages_.end();
    if (interrupted()) return std::unexpected(found.error());
    return silent.empty();
  }

  void expect(const std::string& id, const std::string& what) {
    expected_[id] = what;
    stages_.line(what);
  }

  std::vector<std::string> missing(const json::object& answer) const {
    std::vector<std::string> ids;
    const auto* checks = array_at(answer, "checks");
    for (const auto& [id, what] : expected_) {
      const bool found = checks && std::ranges::any_of(*checks, [&](const json::value& value) {
                           const auto* check = value.if_object();
                           const auto result = check ? string_or(*check, "result") : "";
                           return check && string_or(*check, "id") == id && (result == "fail" || result == "warn");
                         });
      if (!found) ids.push_back(id);
    }
    return ids;
  }

  Result<void> wait(const std::string& what, std::chrono::milliseconds limit, const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end)
        return fail(ErrorKind::deadline_exceeded, fmt::format("waited in vain for {}", what));
      if (!pause_for(200ms)) return fail(ErrorKind::unavailable, "interrupted");
    }
    return {};
  }

  /// So many times a line of shell with the site's connection string as $1 and `sql` as $2, as long as the demo lasts.
  Result<void> session(const std::string& line, const std::string& sql, int count) {
    local::ProcessOptions run;
    run.argv = {"sh", "-c",        fmt::format("i=0; while [ $i -lt {} ]; do {} & i=$((i+1)); done; wait", count, line),
                "sh", connection_, sql};
    run.log = folder_.path() + "/sessions.log";
    auto started = local::Process::start(std::move(run));
    if (!started) return std::unexpected(started.error());
    started->grace = 100ms;
    sessions_.push_back(std::move(*started));
    return {};
  }

  /// The body of a 200 answer as JSON. 503 is asked again: connections were cut on purpose.
  Result<json::object> call(const std::string& method, const std::string& path, std::string body = {},
                            const std::string& type = "application/json", const std::string& node = {}) {
    for (int attempt = 0;; ++attempt) {
      http::ClientRequest request;
      request.method = method;
      request.url = (node.empty() ? site_->url() : node) + path;
      request.user = "admin";
      request.password = site_->admin_password();
      request.headers.set("Content-Type", type);
      request.headers.set("X-Atlassian-Token", "no-check");
      request.body = body;
      auto answer = site_->client().send_blocking(std::move(request), 10s);
      if (!answer) return std::unexpected(answer.error());
      if (answer->status == 503 && attempt < 20 && pause_for(200ms)) continue;
      if (answer->status != 200)
        return fail(ErrorKind::internal, fmt::format("{} {} answers {}", method, path, answer->status));
      return parse_json_object(*answer->body, path);
    }
  }

  const ChecksDemoOptions options_;
  std::string to_, connection_;
  std::map<std::string, std::string> expected_;  ///< check -> what is wrong
  std::vector<std::string> left_out_;
  Stages stages_;
  local::TempDir folder_;
  local::Postgres postgres_;
  std::vector<local::Process> sessions_;
  std::unique_ptr<local::Site> site_;
  std::unique_ptr<SmallDisk> disk_;
  local::Process odd_node_;
};

}  // namespace

Result<bool> show_checks(const ChecksDemoOptions& options) { return ChecksDemo(options).run(); }

}  // namespace afloat::cli
