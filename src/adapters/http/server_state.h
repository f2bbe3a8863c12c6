#pragma once
#include <atomic>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <list>
#include <map>
#include <mutex>
#include <set>

#include "adapters/asio/runtime.h"
#include "adapters/http/server.h"

/// What the parts of the server share; nobody outside of this folder includes it.
namespace afloat::http {

// One socket type for TCP and unix sockets: Beast's templates are then compiled once for both.
using Protocol = boost::asio::generic::stream_protocol;
using Socket = boost::asio::basic_stream_socket<Protocol, boost::asio::io_context::executor_type>;
using PlainStream = boost::beast::basic_stream<Protocol, boost::asio::io_context::executor_type>;

struct ServerState : std::enable_shared_from_this<ServerState> {
  ServerState(boost::asio::io_context& context, ServerLimits limits, Handler handler)
      : context(context), limits(std::move(limits)), handler(std::move(handler)), closing_event(context.get_executor()) {}
  boost::asio::io_context& context;
  ServerLimits limits;
  Handler handler;
  Event closing_event;
  bool closing = false;
  bool stopped = false;
  std::set<PlainStream*> idle;  ///< of a TLS connection, what lies below
  std::atomic<int> in_flight{0}, streams{0}, connections{0};
  mutable std::mutex names_mutex;
  std::map<std::uint64_t, std::pair<std::string, SteadyTime>> names;
  std::uint64_t next_request = 0;
  SteadyTime tell_accept_error_at{};
};

/// Each serves one connection until its end, as a coroutine of its own on the state's context.
void begin_plain_session(std::shared_ptr<ServerState> state, Socket socket, std::string remote);
/// `tls` is asked for what it has now: a certificate that is replaced later does not concern this connection.
void begin_tls_session(std::shared_ptr<ServerState> state, Socket socket, std::string remote, const TlsIdentity& tls);

}  // namespace afloat::http
