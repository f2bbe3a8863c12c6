#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "adapters/http/message.h"
#include "ports/blob_store.h"
#include "ports/database.h"
#include "ports/time.h"
#include "server/config.h"
#include "store/change_log.h"

namespace afloat::server {

class Auth;       // auth.h
class PageCache;  // cache.h
class Metrics;    // metrics.h
class Templates;  // templates.h
class LongTasks;  // long_tasks.h

/// What this node is; fixed after start.
struct NodeInfo {
  std::string id, name, version, incarnation, address;
  int build = 0;
  int port = 0;
};

/// The gates that a request works with, and how many requests still use an older snapshot.
/// One per io_context; heartbeats read `lowest_in_use` across contexts through an atomic.
class GateKeeper {
 public:
  /// Counts one request in under the current gates until destroyed.
  class Use {
   public:
    Use(GateKeeper* keeper, Gates gates);
    Use(Use&&) noexcept;
    Use& operator=(Use&&) = delete;
    ~Use();
    const Gates& gates() const { return gates_; }

   private:
    GateKeeper* keeper_;
    Gates gates_;
  };
  Use use();
  Gates current() const { return current_; }
  void update(Gates gates);
  int lowest_in_use() const { return lowest_.load(); }

 private:
  void release(int number);
  void publish();
  Gates current_;
  std::vector<std::pair<int, int>> in_use_;  // gates number -> requests
  std::atomic<int> lowest_{0};
};

/// Everything a handler may use. One per io_context, and used only on that context's thread, so no
/// handler needs a lock. All references outlive every request.
struct Context {
  const SiteConfig& config;
  const NodeInfo& node;
  const Clock& clock;
  Timer& timer;
  Database& database;
  GateKeeper& gates;
  store::ChangeLog& changes;
  BlobStore& blobs;
  Auth& auth;
  PageCache& cache;
  Metrics& metrics;
  const Templates& templates;
  LongTasks& long_tasks;
  /// Runs blocking or CPU-heavy work (argon2, file reading, HTML conversion) on the node's small
  /// thread pool and completes back on this context.
  std::function<Task<void>(std::move_only_function<void()>)> offload;
  /// When the site goes away for an upgrade with downtime, Unix time; 0: not within a day. Every page says so.
  std::int64_t away_from_ms = 0;
  /// Somebody has an account (setup.h).
  bool set_up = false;
  /// Pages show administrators the way to the console: this node has one.
  bool has_console = false;
};

/// As below, for what is built before the Context is: `refresh` reads the gates again.
template <class T>
Task<T> with_gates(GateKeeper& keeper, std::function<Task<void>(Deadline)> refresh, Deadline deadline,
                   std::function<Task<T>(Gates)> work) {
  for (int attempt = 0;; ++attempt) {
    auto use = keeper.use();
    auto result = co_await work(use.gates());
    if (result || result.error().code() != "AF003" || attempt == 2) co_return result;
    if (auto fresh = co_await refresh(deadline); !fresh) co_return std::unexpected(fresh.error());
  }
}

/// Runs `work` with current gates; when the site's gates have risen meanwhile (AF003: nothing was
/// done), reads them again and runs it once more. Every content write goes through this.
template <class T>
Task<T> with_gates(Context& context, Deadline deadline, std::function<Task<T>(Gates)> work);
/// Reads gates from cluster_state into the keeper.
Task<void> refresh_gates(Context& context, Deadline deadline);

template <class T>
Task<T> with_gates(Context& context, Deadline deadline, std::function<Task<T>(Gates)> work) {
  return with_gates<T>(
      context.gates, [&context](Deadline until) { return refresh_gates(context, until); }, deadline, std::move(work));
}

}  // namespace afloat::server
