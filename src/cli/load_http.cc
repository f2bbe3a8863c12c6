#include "cli/load_http.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>

#include "base/text.h"

namespace afloat::cli {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
namespace {
constexpr auto await = asio::as_tuple(asio::use_awaitable);
constexpr std::uint64_t body_limit_bytes = 64u << 20;
}  // namespace

struct ConnectionPool::Connection {
  beast::tcp_stream stream;
  beast::flat_buffer buffer;
  bool reused = false;
  explicit Connection(const asio::any_io_executor& executor) : stream(executor) {}

  /// False when the server has closed it, or sent something that nobody asked for.
  bool still_open() {
    char byte;
    const auto got = ::recv(stream.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }
};

struct ConnectionPool::Waiter {
  asio::steady_timer timer;
  bool called = false;
};

struct ConnectionPool::Endpoint {
  asio::ip::tcp::endpoint value;
};

Result<SiteAddress> parse_site_address(std::string_view url) {
  const std::string text(url);
  constexpr std::string_view scheme = "http://";
  if (!url.starts_with(scheme))
    return fail(ErrorKind::invalid_argument,
                fmt::format("\"{}\" is not an address the load can use; give http://HOST:PORT.", text));
  url.remove_prefix(scheme.size());
  SiteAddress address;
  const auto slash = url.find('/');
  address.authority = std::string(url.substr(0, slash));
  if (slash != std::string_view::npos) address.prefix = std::string(url.substr(slash));
  while (address.prefix.ends_with('/')) address.prefix.pop_back();
  const auto colon = address.authority.rfind(':');
  address.host = address.authority.substr(0, colon);
  address.port = colon == std::string::npos ? "80" : address.authority.substr(colon + 1);
  if (address.host.empty() || !parse_int(address.port))
    return fail(ErrorKind::invalid_argument,
                fmt::format("\"{}\" is not an address the load can use; give http://HOST:PORT.", text));
  return address;
}

std::string request_bytes(const SiteAddress& address, std::string_view method, std::string_view target,
                          std::string_view headers, std::string_view content_type, std::string_view body) {
  std::string bytes;
  bytes.reserve(256 + headers.size() + body.size());
  fmt::format_to(std::back_inserter(bytes), "{} {}{} HTTP/1.1\r\nHost: {}\r\nUser-Agent: afloat-load\r\n{}", method,
                 address.prefix, target, address.authority, headers);
  if (!content_type.empty())
    fmt::format_to(std::back_inserter(bytes), "Content-Type: {}\r\nContent-Length: {}\r\n", content_type, body.size());
  bytes += "\r\n";
  bytes += body;
  return bytes;
}

ConnectionPool::ConnectionPool(asio::any_io_executor executor, SiteAddress address, int limit)
    : executor_(std::move(executor)), address_(std::move(address)), limit_(limit) {}
ConnectionPool::~ConnectionPool() = default;

Result<void> ConnectionPool::resolve() {
  asio::ip::tcp::resolver resolver(executor_);
  boost::system::error_code error;
  const auto found = resolver.resolve(address_.host, address_.port, error);
  if (error || found.empty())
    return fail(ErrorKind::unavailable,
                fmt::format("The host of {} is not known: {}.", address_.authority, error.message()));
  endpoint_ = std::make_unique<Endpoint>(found.begin()->endpoint());
  for (const auto& entry : found)  // "localhost" may name ::1 first, where HAProxy often does not listen
    if (entry.endpoint().address().is_v4()) {
      endpoint_->value = entry.endpoint();
      break;
    }
  return {};
}

void ConnectionPool::wake_one() {
  while (!waiters_.empty()) {
    Waiter* waiter = waiters_.front();
    waiters_.pop_front();
    waiter->called = true;
    waiter->timer.cancel();
    return;
  }
}

void ConnectionPool::give_back(std::unique_ptr<Connection> connection) {
  if (connection)
    idle_.push_back(std::move(connection));
  else
    --open_;
  wake_one();
}

Async<std::unique_ptr<ConnectionPool::Connection>> ConnectionPool::take(Deadline deadline, std::string* failure) {
  for (;;) {
    while (!idle_.empty()) {
      auto connection = std::move(idle_.back());
      idle_.pop_back();
      if (connection->still_open()) {
        connection->reused = true;
        co_return connection;
      }
      --open_;
    }
    if (open_ < limit_) break;
    Waiter waiter{asio::steady_timer(executor_, deadline)};
    waiters_.push_back(&waiter);
    co_await waiter.timer.async_wait(await);
    if (!waiter.called) {
      std::erase(waiters_, &waiter);
      *failure = "timeout: no connection became free in time";
      co_return nullptr;
    }
  }
  ++open_;
  auto connection = std::make_unique<Connection>(executor_);
  connection->stream.expires_at(deadline);
  const auto [error] = co_await connection->stream.async_connect(endpoint_->value, await);
  if (error) {
    *failure = fmt::format("connect: {}", error.message());
    give_back(nullptr);
    co_return nullptr;
  }
  boost::system::error_code ignored;
  connection->stream.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
  co_return connection;
}

Async<Answer> ConnectionPool::exchange(std::string request, Deadline deadline) {
  Answer answer;
  auto connection = co_await take(deadline, &answer.failure);
  if (!connection) {
    answer.ended_at = std::chrono::steady_clock::now();
    co_return answer;
  }
  answer.sent = true;
  answer.sent_at = std::chrono::steady_clock::now();
  connection->stream.expires_at(deadline);
  const auto [write_error, written] = co_await asio::async_write(connection->stream, asio::buffer(request), await);
  bhttp::response_parser<bhttp::string_body> parser;
  parser.body_limit(body_limit_bytes);
  if (request.starts_with("HEAD ")) parser.skip(true);
  // Also after a failed write: a server may answer (413, 503) and close before it has read everything.
  auto [error, size] = co_await bhttp::async_read(connection->stream, connection->buffer, parser, await);
  answer.ended_at = std::chrono::steady_clock::now();
  if (error) {
    const auto sent_what = connection->reused ? "on a kept connection" : "on a new connection";
    if (error == beast::error::timeout)
      answer.failure = "timeout: no complete answer in time";
    else if (parser.got_some())
      answer.failure = fmt::format("truncated: the answer broke off ({})", error.message());
    else if (error == bhttp::error::end_of_stream || error == asio::error::connection_reset ||
             error == asio::error::broken_pipe || error == asio::error::eof)
      answer.failure = fmt::format("reset: the connection was closed without an answer, {}", sent_what);
    else
      answer.failure = fmt::format("reset: {}, {}", write_error ? write_error.message() : error.message(), sent_what);
    give_back(nullptr);
    co_return answer;
  }
  const bool keep = parser.get().keep_alive() && !write_error && connection->buffer.size() == 0;
  auto message = parser.release();
  answer.status = message.result_int();
  answer.content_type = std::string(message[bhttp::field::content_type]);
  answer.location = std::string(message[bhttp::field::location]);
  answer.set_cookie = std::string(message[bhttp::field::set_cookie]);
  for (const auto& field : message)
    if (field.name() == bhttp::field::set_cookie && std::string_view(field.value()).starts_with("afloat_session="))
      answer.set_cookie = std::string(field.value());
  answer.node = std::string(message["X-Afloat-Node"]);
  answer.body = std::move(message.body());
  if (!keep) {
    connection.reset();
  } else {
    connection->stream.expires_never();
  }
  give_back(std::move(connection));
  co_return answer;
}

}  // namespace afloat::cli
