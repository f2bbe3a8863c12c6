#pragma once
#include <memory>
#include <string>

/// Stands between the load balancer and one node and misbehaves when told to.
namespace afloat::test {

enum class NodeFault { answer_500, answer_404, redirect, close, truncate, wrong_body, commit_then_close };

/// HTTP/1.1 on a loopback port of its own. Thread-safe; a thread of its own does the work.
class FaultyProxy {
 public:
  /// `node_port`: of the node that really answers.
  explicit FaultyProxy(int node_port);
  ~FaultyProxy();
  FaultyProxy(const FaultyProxy&) = delete;
  FaultyProxy& operator=(const FaultyProxy&) = delete;
  int port() const;
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port()); }

  /// The next request of this method whose path begins and ends like this gets the fault, once. "" matches all.
  void arm(const std::string& method, const std::string& begins, const std::string& ends, NodeFault fault);
  std::size_t armed() const;
  /// From now on this page is shown as it was in an earlier version.
  void show_old(const std::string& page_id, int version);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace afloat::test
