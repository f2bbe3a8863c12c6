#pragma once
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "adapters/http/client.h"
#include "local/site.h"

/// What integration and upgrade tests stand on: a real PostgreSQL, real HAProxy, real processes.
namespace afloat::test {

/// The test program's own PostgreSQL (fsync off), started at first use, stopped at its end.
/// A test that stops or kills the server starts one of its own: local::Postgres.
local::Postgres& postgres();

/// A database of one test, dropped with it.
class Database {
 public:
  /// Empty.
  Database();
  /// A copy of template `key`, which `fill` makes once per program, given a connection string.
  Database(const std::string& key, const std::function<void(const std::string& connection)>& fill);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  const std::string& name() const { return name_; }
  std::string connection() const;
  /// First column of the first row; fails the test on an error.
  std::string query(const std::string& sql) const;

 private:
  std::string name_;
};

/// Polls (every 5 ms) until `condition` holds; false at the deadline. Never a bare sleep in a test.
bool eventually(std::chrono::milliseconds limit, const std::function<bool()>& condition);
/// The same with an error that ends the wait at once: when the thing waited for has failed.
Result<void> await(std::chrono::milliseconds limit, const std::function<Result<bool>()>& condition);

/// Blocking HTTP for tests; every answer is a Response, a broken connection fails the test and gives status 0.
class HttpClient {
 public:
  explicit HttpClient(std::string base, std::string user = {}, std::string password = {})
      : base_(std::move(base)), user_(std::move(user)), password_(std::move(password)) {}
  http::Response get(const std::string& path) { return send("GET", path); }
  http::Response post(const std::string& path, const std::string& json = {}) { return send("POST", path, json); }
  http::Response put(const std::string& path, const std::string& json) { return send("PUT", path, json); }
  http::Response del(const std::string& path) { return send("DELETE", path); }
  http::Response send(const std::string& method, const std::string& path, const std::string& body = {},
                      std::map<std::string, std::string> headers = {});
  /// GET that must answer 200 with a JSON object; an empty one (and a failed test) otherwise.
  boost::json::object get_json(const std::string& path);
  std::chrono::milliseconds timeout{10'000};
  /// For https, of all of them.
  static void trust(const std::string& ca);

 private:
  std::string base_, user_, password_;
  static http::Client& client();
};

/// Where `./run test` has put two bundles that follow one another. Empty strings when it did not run us.
struct Bundles {
  std::string program;    ///< the afloat of this tree (AFLOAT_PROGRAM)
  std::string catalogue;  ///< AFLOAT_TEST_CATALOGUE
  std::string from, to;   ///< AFLOAT_TEST_FROM, AFLOAT_TEST_TO
  std::string key;        ///< public key that signed them (AFLOAT_TEST_KEY names its file); "" = not signed
  bool there() const { return !program.empty() && !catalogue.empty(); }
};
const Bundles& bundles();

struct SiteSetup {
  int nodes = 3;
  bool host_per_node = false;  ///< otherwise one host for all
  bool own_postgres = false;  ///< for tests that stop it
  bool conductor = true;
  bool surge_node = false;    ///< SiteOptions::surge_node
  std::string version;  ///< "" = bundles().from
  std::string program, catalogue;  ///< "" = bundles()'
  bool start = true;    ///< start the nodes
  std::map<std::string, std::string> settings = {};
  std::map<std::string, std::string> env = {};
  std::optional<local::SiteTls> tls = {};
  /// Gets the database's connection string and gives the one that the site uses: for what stands in between.
  std::function<std::string(const std::string& connection)> database_through = {};
};
/// A whole site with its nodes started. Throws with the reason where it can't be had: the test fails.
class SiteFixture {
 public:
  explicit SiteFixture(SiteSetup setup = {});
  ~SiteFixture();
  local::Site& operator*() { return *site_; }
  local::Site* operator->() { return site_.get(); }
  /// As the administrator, through the balancer or straight to a node.
  HttpClient admin();
  HttpClient admin(const std::string& node);
  /// Phase that /rest/zdu tells, "" when nobody answers.
  std::string phase();
  /// Of its database, unless that is the site's own (own_postgres): as Database::query.
  std::string query(const std::string& sql) const { return database_->query(sql); }

 private:
  std::unique_ptr<Database> database_;  // after the site in the order of ending
  std::unique_ptr<local::Site> site_;
};

}  // namespace afloat::test
