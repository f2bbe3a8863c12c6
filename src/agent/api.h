#pragma once
#include <boost/asio/thread_pool.hpp>

#include "adapters/http/router.h"
#include "adapters/http/token.h"
#include "agent/agent.h"

namespace afloat::agent {

/// The agent's HTTP API, served on its unix socket (who may write to the socket commands the host), or by HTTPS to who
/// has a token (guarded()):
///   GET  /agent/1/report
///   GET  /agent/1/logs                                                    -> {logs: {node: the end of its log}}
///   POST /agent/1/announce    {epoch, holder, timeout_ms?}                -> report
///   POST /agent/1/distribute  {epoch, holder, run, step, version}         -> {done, repeated}
///   POST /agent/1/expand      {..., node, version, timeout_ms?}
///   POST /agent/1/stop        {..., node, expected_incarnation?, timeout_ms?}
///   POST /agent/1/switch      {..., node, version, expected_incarnation?}
///   POST /agent/1/start       {..., node, expected_incarnation?}
///   POST /agent/1/start_ephemeral  the same; the node leaves the cluster with its clean end. A path of its own, so
///        that an agent which does not know it says so, instead of starting a lasting member.
/// Errors: {statusCode, kind, code, message, epoch, holder}; 409 for a stale epoch or another incarnation.
/// Commands run on `pool`, off the event loop. `agent` and `pool` outlive the router.
void add_agent_routes(http::Router& router, Agent& agent, boost::asio::thread_pool& pool);

/// The same API for a TCP listener: every request, to whatever path, needs one of `guard`'s tokens, and gets 401 without.
http::Handler guarded(std::shared_ptr<const http::Router> router, std::shared_ptr<http::TokenGuard> guard);

}  // namespace afloat::agent
