#pragma once
#include <libpq-fe.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include "adapters/asio/runtime.h"
#include "adapters/postgres/database.h"
#include "cluster/admission.h"
#include "store/cluster_store.h"
#include "support/support.h"

/// What tests of the cluster protocol are written with: database sessions whose every step the test decides,
/// and nodes that are no more than their way to the database.
namespace afloat::test {

/// 1.0.0, 1.0.1 and 1.1.0.
inline constexpr int old_build = 10000009, bugfix_build = 10000019, new_build = 10010009;

inline Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(8); }

/// One database session of which the test says when it does what. Every answer is a SQLSTATE, "" for success.
class Session {
 public:
  explicit Session(const Database& database) : Session(database.connection()) {}
  explicit Session(const std::string& connection);
  ~Session() { PQfinish(connection_); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  void send(const std::string& sql) { ASSERT_EQ(PQsendQuery(connection_, sql.c_str()), 1); }
  /// The first error among the answers. Ends early, with "", where the server waits for COPY data.
  std::string finish();
  std::string run(const std::string& sql) {
    send(sql);
    return finish();
  }
  /// First column of the first row; fails the test on an error. test::Database::query connects each time.
  std::string value(const std::string& sql);
  /// Sends COPY data and ends it, once the server waits for it; then as finish().
  std::string copy(const std::string& data);
  /// A batch half sent: in pipeline mode, `statement` is sent and answered, and no Sync follows. Its SQLSTATE.
  std::string begin_batch(const std::string& statement);
  /// The rest of that batch, with its Sync. "lost" when the session has been ended.
  std::string end_batch(const std::string& statement);
  PGconn* connection() { return connection_; }

 private:
  PGconn* connection_;
};

/// An event loop with a database connection on it. Not run any more, it is a frozen process. One thread at a time.
struct Loop {
  boost::asio::io_context context{1};
  boost::asio::thread_pool blocking{1};
  SystemClock clock;
  AsioTimer timer{context.get_executor()};
  std::unique_ptr<afloat::Database> database;

  Loop(const std::string& connection, const std::string& name, int build = 0);
  /// Runs it until `done` or the limit; true when done.
  bool run_until(std::chrono::milliseconds limit, const std::function<bool()>& done);
  /// Runs one call to its end.
  template <class T>
  Result<T> run(Task<T> task) {
    std::optional<Result<T>> outcome;
    boost::asio::co_spawn(context, std::move(task), [&](std::exception_ptr failure, Result<T> result) {
      if (failure) std::rethrow_exception(failure);
      outcome.emplace(std::move(result));
    });
    context.restart();
    while (!outcome)
      if (context.run_one_for(std::chrono::seconds(15)) == 0) throw std::runtime_error("the call never ended");
    return std::move(*outcome);
  }
};

/// One node's way to the database.
struct Node : Loop {
  std::unique_ptr<ClusterStore> cluster;
  explicit Node(const Database& site, int build = old_build, std::span<const store::UpgradeTask> tasks = {})
      : Node(site.connection(), build, tasks) {}
  explicit Node(const std::string& connection, int build = old_build, std::span<const store::UpgradeTask> tasks = {});
};

/// A node that asks to join; its version follows from the build.
cluster::Candidate candidate(const std::string& name, int build, const std::string& incarnation = "1-1");

/// The cluster's tables at 1.0.0, and a table `doc` with one row for content. For test::Database's template.
void fill_cluster(const std::string& connection);

/// Makes a site ready for approve: n1 ACTIVE on 1.1.0, while 1.0.0 may still join. `site` is empty before.
void make_ready(Node& node, const Database& site);

/// Number of sessions of this database that wait for a lock.
int waiting_sessions(const Database& database);

/// Raises AF004 on each statement that writes content without afloat_write in its transaction: on every table
/// of the content schema. For test databases only: it finds the writes that go round the fence.
void install_fence_check(const std::string& connection);

}  // namespace afloat::test
