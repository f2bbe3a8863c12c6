#pragma once
#include <string>

#include "adapters/http/client.h"
#include "ports/cluster_store.h"
#include "server/context.h"

namespace afloat::server {

/// Drain and return are a node's own affair, and a balancer brings the administrator's request to any node: it is
/// passed on to the one that is meant, with the caller's own credentials, as a person would send it to that address.
/// This is the one thing that a node asks of another; nothing rests on it. Thread-safety: as Context. `context` and
/// `cluster` outlive it.
class NodeCalls {
 public:
  NodeCalls(Context& context, ClusterStore& cluster);
  /// The other node's answer, whatever it is. Errors: not_found for a name that no member has; failed_precondition
  /// where that node does not run, or where the request was passed on already; unavailable when it does not answer.
  Task<http::Response> pass_on(http::Request request, std::string name);

 private:
  Context& context_;
  ClusterStore& cluster_;
  http::Client client_{1};
};

}  // namespace afloat::server
