#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "adapters/asio/runtime.h"
#include "adapters/http/server.h"
#include "ports/cluster_store.h"
#include "server/assets.h"
#include "server/auth.h"
#include "server/cache.h"
#include "server/context.h"
#include "server/long_tasks.h"
#include "server/metrics.h"
#include "server/node_control.h"
#include "server/templates.h"

namespace afloat::server {

/// What all shards of a node share. Outlives them.
struct NodeParts {
  const SiteConfig& config;
  const NodeConfig& node_config;
  const NodeInfo& info;
  std::string web;  ///< folder with templates/ and assets/
  std::function<std::unique_ptr<Database>(boost::asio::io_context&)> make_database;
  SystemClock& clock;
  boost::asio::thread_pool& pool;
  boost::asio::thread_pool& hashing;  ///< one thread of low priority, for passwords
  std::string site_key;
  BlobStore& blobs;
  Metrics& metrics;
  NodeControl& control;
  std::shared_ptr<AuthShared> auth_shared;
  std::shared_ptr<std::atomic<int>> tasks_running;
  bool clustered = true;  ///< false: no route of a cluster or an upgrade but one that refuses (a trial)
};

/// One thread of a node: an io_context with everything that its requests use. Nothing in it is shared
/// with other threads but what NodeParts names.
class Shard {
 public:
  static Result<std::unique_ptr<Shard>> make(NodeParts parts);
  ~Shard();
  Result<void> listen(const std::string& address, int port, std::shared_ptr<http::TlsIdentity> tls);
  void start();                 ///< runs the thread
  void stop_and_join();
  /// Runs `work` on the shard's thread soon.
  void post(std::function<void()> work);
  /// Loads and renders what a first visitor would: fails when this node could not serve.
  Task<void> warm_up(Deadline deadline);
  Context& context() { return *context_; }
  http::Server& server() { return *server_; }
  boost::asio::io_context& io() { return io_; }
  /// CPU time of the shard's thread.
  std::chrono::nanoseconds cpu_time() const;
  int lowest_gates() const { return gates_.lowest_in_use(); }

 private:
  explicit Shard(NodeParts parts);
  Async<http::Response> handle(http::Request request);
  void note_fault(const std::string& target, const http::Response& response);

  NodeParts parts_;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{io_.get_executor()};
  AsioTimer timer_{io_.get_executor()};
  std::unique_ptr<Database> database_;
  GateKeeper gates_;
  std::unique_ptr<store::ChangeLog> changes_;
  PageCache cache_;
  std::unique_ptr<Assets> assets_;
  std::unique_ptr<Templates> templates_;
  std::unique_ptr<Auth> auth_;
  std::unique_ptr<LongTasks> long_tasks_;
  std::unique_ptr<Context> context_;
  std::unique_ptr<ClusterStore> cluster_;
  http::Router router_;
  std::unique_ptr<http::Server> server_;
  std::thread thread_;
  std::atomic<bool> started_{false};
  SteadyTime next_fault_{};
};

}  // namespace afloat::server
