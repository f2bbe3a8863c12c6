#include "adapters/http/server.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <list>

#include "adapters/http/server_state.h"
#include "adapters/http/tls.h"

namespace afloat::http {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

using TcpAcceptor = asio::basic_socket_acceptor<asio::ip::tcp, asio::io_context::executor_type>;
using UnixAcceptor = asio::basic_socket_acceptor<asio::local::stream_protocol, asio::io_context::executor_type>;
constexpr auto awaiting = asio::as_tuple(asio::use_awaitable_t<asio::any_io_executor>{});

// Apart from the state, so that a session's templates know nothing of acceptors.
struct Server::Acceptors {
  std::list<TcpAcceptor> tcp;
  std::list<UnixAcceptor> local;
};

namespace {

// `keep` owns the acceptor: it must be there when a cancelled accept comes back.
template <class Acceptor>
Async<void> accept(std::shared_ptr<ServerState> self, [[maybe_unused]] std::shared_ptr<void> keep, Acceptor* acceptor, std::shared_ptr<TlsIdentity> tls) {
  while (acceptor->is_open()) {
    auto [error, socket] = co_await acceptor->async_accept(awaiting);
    if (error == asio::error::operation_aborted || !acceptor->is_open()) co_return;
    if (error) {
      // Out of descriptors and the like: give others a moment instead of spinning.
      if (self->limits.on_accept_error && steady_clock::now() >= self->tell_accept_error_at) {
        self->tell_accept_error_at = steady_clock::now() + milliseconds(10'000);
        self->limits.on_accept_error(fmt::format(
            "Can't accept connections: {}. {} are open. If no file handle is left, raise the limit (ulimit -n, LimitNOFILE).",
            error.message(), self->connections.load()));
      }
      asio::steady_timer pause(self->context, milliseconds(20));
      co_await pause.async_wait(awaiting);
      continue;
    }
    std::string remote = "unix";
    boost::system::error_code ignored;
    if constexpr (std::is_same_v<Acceptor, TcpAcceptor>) {
      socket.set_option(asio::ip::tcp::no_delay(true), ignored);
      remote = socket.remote_endpoint(ignored).address().to_string();
    }
    if (tls) begin_tls_session(self, Socket(std::move(socket)), std::move(remote), *tls);
    else begin_plain_session(self, Socket(std::move(socket)), std::move(remote));
  }
}

}  // namespace

Server::Server(asio::io_context& context, ServerLimits limits, Handler handler)
    : state_(std::make_shared<ServerState>(context, std::move(limits), std::move(handler))),
      acceptors_(std::make_shared<Acceptors>()) {}

Server::~Server() {
  stop_accepting();
  close_idle();
}

namespace {

std::unexpected<Error> port_error(const std::string& address, int port, const boost::system::error_code& error) {
  const bool taken = error.value() == EADDRINUSE;
  return fail(ErrorKind::failed_precondition,
              fmt::format("Can't listen on {}:{}: {}. {}", address, port, error.message(),
                          taken ? "Another program uses this port: stop it (`ss -ltnp` names it), or give the node another port in the site's configuration."
                          : error.value() == EACCES ? "Ports below 1024 are for root: give the node a higher one."
                          : error.value() == EADDRNOTAVAIL ? "This machine does not have that address: correct `address` in the site's configuration."
                                : "Give the node another address or port in the site's configuration."));
}

}  // namespace

Result<void> check_port_free(const std::string& address, int port) {
  boost::system::error_code error;
  const auto ip = asio::ip::make_address(address, error);
  if (error) return fail(ErrorKind::invalid_argument, fmt::format("'{}' is not an IP address.", address));
  const asio::ip::tcp::endpoint endpoint(ip, static_cast<unsigned short>(port));
  asio::io_context context;
  asio::ip::tcp::acceptor probe(context);
  probe.open(endpoint.protocol(), error);
  if (!error) probe.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) probe.bind(endpoint, error);
  if (error) return port_error(address, port, error);
  return {};
}

Result<void> Server::listen_tcp(const std::string& address, int port, std::shared_ptr<TlsIdentity> tls) {
  boost::system::error_code error;
  const auto ip = asio::ip::make_address(address, error);
  if (error) return fail(ErrorKind::invalid_argument, fmt::format("'{}' is not an IP address.", address));
  const asio::ip::tcp::endpoint endpoint(ip, static_cast<unsigned short>(port));
  auto& acceptor = acceptors_->tcp.emplace_back(state_->context);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) {
    // Each thread of this process has its own acceptor on the port; the kernel shares connections out.
    const int on = 1;
    if (setsockopt(acceptor.native_handle(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
      error = boost::system::error_code(errno, boost::system::system_category());
  }
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(1024, error);
  if (error) {
    acceptors_->tcp.pop_back();
    return port_error(address, port, error);
  }
  spawn(state_->context.get_executor(), "the TCP acceptor",
        [state = state_, keep = acceptors_, &acceptor, tls = std::move(tls)] { return accept(state, keep, &acceptor, tls); });
  return {};
}

Result<void> Server::listen_unix(const std::string& path) {
  boost::system::error_code error;
  ::unlink(path.c_str());
  auto& acceptor = acceptors_->local.emplace_back(state_->context);
  acceptor.open(asio::local::stream_protocol(), error);
  const auto old_mask = ::umask(0177);
  if (!error) {
    if (path.size() > 107) error = boost::system::error_code(ENAMETOOLONG, boost::system::system_category());
    else acceptor.bind(asio::local::stream_protocol::endpoint(path), error);
  }
  ::umask(old_mask);
  if (!error) acceptor.listen(128, error);
  if (error) {
    acceptors_->local.pop_back();
    return fail(ErrorKind::failed_precondition, fmt::format("Can't listen on the socket {}: {}.", path, error.message()));
  }
  spawn(state_->context.get_executor(), "the unix socket acceptor",
        [state = state_, keep = acceptors_, &acceptor] { return accept(state, keep, &acceptor, nullptr); });
  return {};
}

void Server::stop_accepting() {
  boost::system::error_code ignored;
  for (auto& acceptor : acceptors_->tcp) acceptor.close(ignored);
  for (auto& acceptor : acceptors_->local) acceptor.close(ignored);
  state_->stopped = true;
}

void Server::set_closing(bool closing) {
  state_->closing = closing;
  if (closing) state_->closing_event.notify_all();
}

void Server::close_idle() {
  for (auto* stream : state_->idle) stream->cancel();
}

int Server::in_flight() const { return state_->in_flight; }
int Server::streams() const { return state_->streams; }
int Server::connections() const { return state_->connections; }

std::vector<std::string> Server::in_flight_names() const {
  std::lock_guard lock(state_->names_mutex);
  std::vector<std::string> names;
  for (const auto& [id, entry] : state_->names) {
    const auto age = std::chrono::duration_cast<milliseconds>(steady_clock::now() - entry.second);
    names.push_back(fmt::format("{}, {:.1f} s", entry.first, static_cast<double>(age.count()) / 1000));
  }
  return names;
}

}  // namespace afloat::http
