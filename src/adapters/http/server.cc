#include "adapters/http/server.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <set>

#include "adapters/asio/runtime.h"
#include "base/text.h"

namespace afloat::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// One stream type for TCP and unix sockets: Beast's templates are then compiled once.
using Protocol = asio::generic::stream_protocol;
using Stream = beast::basic_stream<Protocol, asio::io_context::executor_type>;
using TcpAcceptor = asio::basic_socket_acceptor<asio::ip::tcp, asio::io_context::executor_type>;
using UnixAcceptor = asio::basic_socket_acceptor<asio::local::stream_protocol, asio::io_context::executor_type>;
constexpr auto awaiting = asio::as_tuple(asio::use_awaitable_t<asio::any_io_executor>{});

struct Server::State : std::enable_shared_from_this<Server::State> {
  State(asio::io_context& context, ServerLimits limits, Handler handler)
      : context(context), limits(limits), handler(std::move(handler)), closing_event(context.get_executor()) {}
  asio::io_context& context;
  ServerLimits limits;
  Handler handler;
  Event closing_event;
  bool closing = false;
  bool stopped = false;
  std::list<TcpAcceptor> tcp;
  std::list<UnixAcceptor> local;
  std::set<Stream*> idle;
  std::atomic<int> in_flight{0}, streams{0}, connections{0};
  mutable std::mutex names_mutex;
  std::map<std::uint64_t, std::pair<std::string, SteadyTime>> names;
  std::uint64_t next_request = 0;
  SteadyTime tell_accept_error_at{};

  template <class Acceptor>
  static Async<void> accept(std::shared_ptr<State> self, Acceptor* acceptor);
  static Async<void> serve(std::shared_ptr<State> self, std::shared_ptr<Stream> stream, std::string remote);
  Async<bool> answer(std::shared_ptr<Stream> stream, Request request, unsigned version, bool keep_alive);
  Async<bool> write_stream(std::shared_ptr<Stream> stream, Response response, unsigned version);
};

namespace {

Request request_from(const bhttp::request<bhttp::string_body>& message, std::string remote) {
  Request request;
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  const std::string_view target = request.target;
  const auto mark = target.find('?');
  request.path = url_decode(target.substr(0, mark), false).value_or(std::string(target.substr(0, mark)));
  if (mark != std::string_view::npos) {
    for (const auto& pair : split(target.substr(mark + 1), '&')) {
      if (pair.empty()) continue;
      const auto equals = pair.find('=');
      auto name = url_decode(std::string_view(pair).substr(0, equals), true);
      auto value = equals == std::string::npos ? std::optional<std::string>("")
                                               : url_decode(std::string_view(pair).substr(equals + 1), true);
      if (name && value) request.query.emplace_back(std::move(*name), std::move(*value));
    }
  }
  for (const auto& field : message) request.headers.add(std::string(field.name_string()), std::string(field.value()));
  request.remote = std::move(remote);
  return request;
}

// Bytes that are no HTTP, as opposed to a connection that broke.
bool not_http(boost::system::error_code error) {
  return error.category() == make_error_code(bhttp::error::bad_method).category() &&
         error != bhttp::error::end_of_stream && error != bhttp::error::partial_message;
}

// Ends a read that takes too long without closing the connection, as the stream's own timeout does: the client
// shall hear why. `late()` tells whether it did.
class ReadLimit {
 public:
  ReadLimit(asio::io_context& context, std::shared_ptr<Stream> stream)
      : timer_(context), state_(std::make_shared<State>()), stream_(std::move(stream)) {}
  void begin(milliseconds time) {
    state_->late = false;
    stream_->expires_never();
    timer_.expires_after(time);
    timer_.async_wait([state = state_, stream = stream_, turn = ++state_->turn](boost::system::error_code error) {
      // It may have run out in the moment in which the read ended; then it is another read's turn.
      if (error || state->turn != turn) return;
      state->late = true;
      stream->cancel();
    });
  }
  void end() {
    ++state_->turn;
    timer_.cancel();
  }
  bool late() const { return state_->late; }

 private:
  struct State {
    std::uint64_t turn = 0;
    bool late = false;
  };
  asio::steady_timer timer_;
  std::shared_ptr<State> state_;
  std::shared_ptr<Stream> stream_;
};

class ChunkWriter final : public StreamWriter {
 public:
  ChunkWriter(Stream& stream, const bool& closing, Event& event) : stream_(stream), closing_(closing), event_(event) {}
  Task<void> write(std::string bytes) override {
    if (bytes.empty()) co_return Result<void>{};
    stream_.expires_after(milliseconds(10'000));
    auto [error, size] = co_await asio::async_write(stream_, bhttp::make_chunk(asio::buffer(bytes)), awaiting);
    if (error) co_return fail(ErrorKind::unavailable, "the client has gone");
    co_return Result<void>{};
  }
  bool closing() const override { return closing_; }
  Task<void> sleep(milliseconds time) override {
    if (!closing_) co_await event_.wait_until(steady_clock::now() + time);
    co_return Result<void>{};
  }

 private:
  Stream& stream_;
  const bool& closing_;
  Event& event_;
};

}  // namespace

Async<bool> Server::State::write_stream(std::shared_ptr<Stream> stream, Response response, unsigned version) {
  bhttp::response<bhttp::empty_body> message(static_cast<bhttp::status>(response.status), version);
  for (const auto& [name, value] : response.headers.all()) message.insert(name, value);
  message.chunked(true);
  message.keep_alive(false);
  bhttp::response_serializer<bhttp::empty_body> serializer(message);
  stream->expires_after(milliseconds(10'000));
  auto [error, size] = co_await bhttp::async_write_header(*stream, serializer, awaiting);
  if (error) co_return false;
  ++streams;
  ChunkWriter writer(*stream, closing, closing_event);
  co_await response.stream(writer);
  --streams;
  stream->expires_after(milliseconds(5'000));
  co_await asio::async_write(*stream, bhttp::make_chunk_last(), awaiting);
  co_return false;
}

// Returns true when the connection may carry another request.
Async<bool> Server::State::answer(std::shared_ptr<Stream> stream, Request request, unsigned version, bool keep_alive) {
  const auto id = next_request++;
  const bool head = request.method == "HEAD";
  {
    std::lock_guard lock(names_mutex);
    names.emplace(id, std::pair(request.method + " " + request.path, steady_clock::now()));
  }
  ++in_flight;
  struct Leave {
    State& state;
    std::uint64_t id;
    bool done = false;
    void now() {
      if (done) return;
      done = true;
      --state.in_flight;
      std::lock_guard lock(state.names_mutex);
      state.names.erase(id);
    }
    ~Leave() { now(); }
  } leave{*this, id};

  Response response;
  bool failed = false;
  try {
    response = co_await handler(std::move(request));
  } catch (const std::exception& failure) {
    failed = true;
    std::fprintf(stderr, "afloat: a request handler threw: %s\n", failure.what());
  }
  if (failed) response = error_response(Error(ErrorKind::internal, "An internal error has been logged."));
  if (response.drop_connection) co_return false;
  if (response.stream) {
    leave.now();
    co_return co_await write_stream(std::move(stream), std::move(response), version);
  }
  const bool keep = keep_alive && !closing && !response.close;
  bhttp::response<bhttp::span_body<char const>> message(static_cast<bhttp::status>(response.status), version);
  for (const auto& [name, value] : response.headers.all()) message.insert(name, value);
  message.keep_alive(keep);
  if (!head) message.body() = bhttp::span_body<char const>::value_type(response.body->data(), response.body->size());
  if (response.status != 304 && response.status != 204) message.content_length(response.body->size());
  stream->expires_after(limits.body_timeout);
  auto [error, size] = co_await bhttp::async_write(*stream, message, awaiting);
  co_return !error && keep;
}

Async<void> Server::State::serve(std::shared_ptr<State> self, std::shared_ptr<Stream> stream, std::string remote) {
  ++self->connections;
  beast::flat_buffer buffer;
  ReadLimit limit(self->context, stream);
  for (;;) {
    // Waits for the first byte apart from reading the header, so that an idle connection can be told from a slow one.
    if (buffer.size() == 0) {
      if (self->stopped) break;
      self->idle.insert(stream.get());
      stream->expires_after(self->limits.idle_timeout);
      auto [error, size] = co_await stream->async_read_some(buffer.prepare(8192), awaiting);
      self->idle.erase(stream.get());
      if (error || size == 0) break;
      buffer.commit(size);
    }
    bhttp::request_parser<bhttp::string_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(self->limits.header_bytes));
    parser.body_limit(self->limits.body_bytes);
    limit.begin(self->limits.header_timeout);
    auto [header_error, header_size] = co_await bhttp::async_read_header(*stream, buffer, parser, awaiting);
    limit.end();
    int refused = 0;
    if (header_error) {
      if (limit.late()) refused = 408;
      else if (header_error == bhttp::error::header_limit) refused = 431;
      else if (header_error == bhttp::error::body_limit) refused = 413;
      else if (not_http(header_error)) refused = 400;
      else break;
    } else {
      if (beast::iequals(parser.get()[bhttp::field::expect], "100-continue")) {
        bhttp::response<bhttp::empty_body> go_on(bhttp::status::continue_, parser.get().version());
        auto [error, size] = co_await bhttp::async_write(*stream, go_on, awaiting);
        if (error) break;
      }
      boost::system::error_code body_error;
      if (!parser.is_done()) {
        limit.begin(self->limits.body_timeout);
        std::tie(body_error, std::ignore) = co_await bhttp::async_read(*stream, buffer, parser, awaiting);
        limit.end();
      }
      if (body_error && limit.late()) refused = 408;
      else if (body_error == bhttp::error::body_limit) refused = 413;
      else if (not_http(body_error)) refused = 400;
      else if (body_error) break;
    }
    if (refused != 0) {
      Response response = error_response(Error(ErrorKind::invalid_argument,
          refused == 413   ? fmt::format("The request's body is larger than the {} that this site accepts.",
                                         human_bytes(self->limits.body_bytes))
          : refused == 431 ? "The request's header is too large."
          : refused == 408 ? "The request did not arrive in time."
                           : "The request is not well-formed HTTP."), refused);
      bhttp::response<bhttp::string_body> message(static_cast<bhttp::status>(refused), 11);
      message.set(bhttp::field::content_type, "application/json");
      message.body() = *response.body;
      message.keep_alive(false);
      message.prepare_payload();
      stream->expires_after(milliseconds(5'000));
      co_await bhttp::async_write(*stream, message, awaiting);
      break;
    }
    auto message = parser.release();
    Request request = request_from(message, remote);
    request.arrived = steady_clock::now();
    request.deadline = request.arrived + self->limits.request_timeout;
    const unsigned version = message.version();
    const bool keep_alive = message.keep_alive();
    request.body = std::move(message.body());
    stream->expires_never();
    if (!co_await self->answer(stream, std::move(request), version, keep_alive)) break;
  }
  boost::system::error_code ignored;
  stream->socket().shutdown(asio::socket_base::shutdown_send, ignored);
  stream->close();
  --self->connections;
}

template <class Acceptor>
Async<void> Server::State::accept(std::shared_ptr<State> self, Acceptor* acceptor) {
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
    auto stream = std::make_shared<Stream>(
        asio::basic_stream_socket<Protocol, asio::io_context::executor_type>(std::move(socket)));
    spawn(self->context.get_executor(), "an HTTP connection",
          [self, stream, remote = std::move(remote)] { return serve(self, stream, remote); });
  }
}

Server::Server(asio::io_context& context, ServerLimits limits, Handler handler)
    : state_(std::make_shared<State>(context, limits, std::move(handler))) {}

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

Result<void> Server::listen_tcp(const std::string& address, int port) {
  boost::system::error_code error;
  const auto ip = asio::ip::make_address(address, error);
  if (error) return fail(ErrorKind::invalid_argument, fmt::format("'{}' is not an IP address.", address));
  const asio::ip::tcp::endpoint endpoint(ip, static_cast<unsigned short>(port));
  auto& acceptor = state_->tcp.emplace_back(state_->context);
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
    state_->tcp.pop_back();
    return port_error(address, port, error);
  }
  spawn(state_->context.get_executor(), "the TCP acceptor",
        [state = state_, &acceptor] { return State::accept<TcpAcceptor>(state, &acceptor); });
  return {};
}

Result<void> Server::listen_unix(const std::string& path) {
  boost::system::error_code error;
  ::unlink(path.c_str());
  auto& acceptor = state_->local.emplace_back(state_->context);
  acceptor.open(asio::local::stream_protocol(), error);
  const auto old_mask = ::umask(0177);
  if (!error) {
    if (path.size() > 107) error = boost::system::error_code(ENAMETOOLONG, boost::system::system_category());
    else acceptor.bind(asio::local::stream_protocol::endpoint(path), error);
  }
  ::umask(old_mask);
  if (!error) acceptor.listen(128, error);
  if (error) {
    state_->local.pop_back();
    return fail(ErrorKind::failed_precondition, fmt::format("Can't listen on the socket {}: {}.", path, error.message()));
  }
  spawn(state_->context.get_executor(), "the unix socket acceptor",
        [state = state_, &acceptor] { return State::accept<UnixAcceptor>(state, &acceptor); });
  return {};
}

void Server::stop_accepting() {
  boost::system::error_code ignored;
  for (auto& acceptor : state_->tcp) acceptor.close(ignored);
  for (auto& acceptor : state_->local) acceptor.close(ignored);
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
