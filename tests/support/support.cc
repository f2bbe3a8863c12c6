#include "support/support.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

#include "base/hash.h"
#include "base/json_fields.h"
#include "base/minisign.h"

namespace afloat::test {
namespace {

std::string environment(const char* name) {
  const char* value = getenv(name);
  return value ? value : "";
}

std::string next_name(const std::string& prefix) {
  static std::atomic<int> count = 0;
  return prefix + "_" + std::to_string(++count);
}

template <class T>
T or_throw(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace

local::Postgres& postgres() {
  struct Server {
    local::TempDir folder;
    local::Postgres postgres;
    Server() {
      init_crypto();
      postgres = or_throw(
          local::Postgres::start({.folder = folder.path() + "/pg", .log = "", .fsync = false, .max_connections = 300}));
    }
  };
  static Server server;
  return server.postgres;
}

Database::Database() : name_(next_name("test")) { or_throw(postgres().create_database(name_)); }

Database::Database(const std::string& key, const std::function<void(const std::string&)>& fill)
    : name_(next_name("test")) {
  static std::set<std::string> made;
  const auto source = "template_" + key;
  if (!made.contains(key)) {
    or_throw(postgres().create_database(source));
    fill(postgres().connection(source));
    // Whatever still holds a connection would make the copy fail.
    or_throw(postgres().execute(
        "postgres", "select pg_terminate_backend(pid) from pg_stat_activity where datname = '" + source + "'"));
    made.insert(key);
  }
  or_throw(postgres().create_database(name_, source));
}

Database::~Database() {
  if (auto dropped = postgres().drop_database(name_); !dropped) ADD_FAILURE() << dropped.error().message();
}

std::string Database::connection() const { return postgres().connection(name_); }

std::string Database::query(const std::string& sql) const {
  auto answer = postgres().query(name_, sql);
  if (!answer) ADD_FAILURE() << answer.error().message();
  return answer.value_or("");
}

bool eventually(std::chrono::milliseconds limit, const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + limit;
  for (;;) {
    if (condition()) return true;
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

Result<void> await(std::chrono::milliseconds limit, const std::function<Result<bool>()>& condition) {
  Result<bool> seen = false;
  const bool ended = eventually(limit, [&] {
    seen = condition();
    return !seen || *seen;
  });
  if (!seen) return std::unexpected(seen.error());
  if (!ended)
    return fail(ErrorKind::deadline_exceeded, "it did not happen within " + std::to_string(limit.count()) + " ms");
  return {};
}

http::Client& HttpClient::client() {
  static http::Client shared(4);
  return shared;
}

void HttpClient::trust(const std::string& ca) { client().trust(ca); }

http::Response HttpClient::send(const std::string& method, const std::string& path, const std::string& body,
                                std::map<std::string, std::string> headers) {
  http::ClientRequest request;
  request.method = method;
  request.url = base_ + path;
  request.body = body;
  request.user = user_;
  request.password = password_;
  if (!body.empty()) headers.try_emplace("Content-Type", "application/json");
  for (auto& [name, value] : headers) request.headers.set(name, value);
  auto answer = client().send_blocking(std::move(request), timeout);
  if (answer) return std::move(*answer);
  ADD_FAILURE() << method << " " << base_ << path << ": " << answer.error().message();
  http::Response none;
  none.status = 0;
  return none;
}

boost::json::object HttpClient::get_json(const std::string& path) {
  const auto answer = get(path);
  auto parsed = parse_json_object(*answer.body, "the answer of " + path);
  if (answer.status == 200 && parsed) return std::move(*parsed);
  ADD_FAILURE() << "GET " << base_ << path << ": " << answer.status << " " << answer.body->substr(0, 500);
  return {};
}

namespace {
std::string signing_key() {
  const auto file = environment("AFLOAT_TEST_KEY");
  if (file.empty()) return {};
  auto key = minisign::read_public_key(or_throw(local::read_file(file)), file);
  return minisign::public_key_text(or_throw(std::move(key)));
}
}  // namespace

const Bundles& bundles() {
  static const Bundles found{environment("AFLOAT_PROGRAM"), environment("AFLOAT_TEST_CATALOGUE"),
                             environment("AFLOAT_TEST_FROM"), environment("AFLOAT_TEST_TO"), signing_key()};
  return found;
}

SiteFixture::SiteFixture(SiteSetup setup) {
  if (!bundles().there())
    throw std::runtime_error(
        "this test needs two release bundles: run it with ./run test, which packs them, or set "
        "AFLOAT_PROGRAM, AFLOAT_TEST_CATALOGUE, AFLOAT_TEST_FROM and AFLOAT_TEST_TO");
  init_crypto();
  local::SiteOptions options;
  options.catalogue = setup.catalogue.empty() ? bundles().catalogue : setup.catalogue;
  options.program = setup.program.empty() ? bundles().program : setup.program;
  options.nodes = setup.nodes;
  options.host_per_node = setup.host_per_node;
  options.fsync = false;
  options.conductor = setup.conductor;
  options.surge_node = setup.surge_node;
  if (!bundles().key.empty()) options.trusted_keys = {bundles().key};
  options.settings = setup.settings;
  options.env = setup.env;
  options.tls = setup.tls;
  if (!setup.own_postgres) {
    database_ = std::make_unique<Database>();
    options.database = database_->connection();
    if (setup.database_through) options.database = setup.database_through(options.database);
  }
  if (setup.tls) HttpClient::trust(setup.tls->ca);
  site_ = or_throw(local::Site::create(std::move(options)));
  if (setup.start) or_throw(site_->start_nodes(setup.version.empty() ? bundles().from : setup.version));
}

SiteFixture::~SiteFixture() {
  if (site_ && testing::Test::HasFailure()) {
    for (const auto& node : site_->nodes())
      std::cerr << "-- end of the log of " << node.name << "\n" << site_->node_log(node.name, 15);
  }
}

HttpClient SiteFixture::admin() { return HttpClient(site_->url(), "admin", site_->admin_password()); }
HttpClient SiteFixture::admin(const std::string& node) {
  return HttpClient(site_->node(node).url(), "admin", site_->admin_password());
}

std::string SiteFixture::phase() {
  const auto answer = admin().get("/rest/zdu/state");
  auto parsed = parse_json_object(*answer.body, "the state");
  return answer.status == 200 && parsed ? string_or(*parsed, "state") : std::string();
}

}  // namespace afloat::test
