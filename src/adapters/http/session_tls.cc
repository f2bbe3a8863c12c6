#include <openssl/sslerr.h>

#include <boost/asio/ssl/context.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>

#include "adapters/http/session.h"
#include "adapters/http/tls.h"

namespace afloat::http {

namespace {

namespace asio = boost::asio;

using TlsStream = boost::beast::ssl_stream<PlainStream>;

// Somebody typed http:// for a port that speaks https://: told in words that the client can read.
std::string wrong_scheme() {
  constexpr std::string_view words = "This port speaks HTTPS: begin the address with https://\n";
  return fmt::format("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
                     "Content-Length: {}\r\n\r\n{}", words.size(), words);
}

Async<bool> shake_hands(std::shared_ptr<ServerState> state, std::shared_ptr<TlsStream> stream) {
  auto& below = boost::beast::get_lowest_layer(*stream);
  below.expires_after(state->limits.header_timeout);  // in all: as for a header, a byte now and then does not extend it
  auto [error] = co_await stream->async_handshake(asio::ssl::stream_base::server, awaiting);
  if (!error) co_return true;
  if (error.category() == asio::error::get_ssl_category() && ERR_GET_REASON(static_cast<unsigned long>(error.value())) == SSL_R_HTTP_REQUEST) {
    below.expires_after(std::chrono::milliseconds(2'000));
    const std::string answer = wrong_scheme();
    co_await asio::async_write(below, asio::buffer(answer), awaiting);
  }
  co_return false;
}

Async<void> serve_tls(std::shared_ptr<ServerState> state, std::shared_ptr<TlsStream> stream, std::string remote) {
  ++state->connections;
  auto& below = boost::beast::get_lowest_layer(*stream);
  if (co_await shake_hands(state, stream)) {
    {
      Session<TlsStream> session(state, stream, std::move(remote));
      co_await session.serve();
    }
    // Says goodbye, so that the client knows the answer for whole, and does not wait long for its own.
    below.expires_after(std::chrono::milliseconds(500));
    co_await stream->async_shutdown(awaiting);
  }
  boost::system::error_code ignored;
  below.socket().shutdown(asio::socket_base::shutdown_send, ignored);
  below.close();
  --state->connections;
}

}  // namespace

void begin_tls_session(std::shared_ptr<ServerState> state, Socket socket, std::string remote, const TlsIdentity& tls) {
  auto executor = state->context.get_executor();
  // The connection holds what it needs of the context by OpenSSL's own count.
  auto context = tls.context();
  auto stream = std::make_shared<TlsStream>(PlainStream(std::move(socket)), *context);
  spawn(executor, "an HTTPS connection", [state = std::move(state), stream, remote = std::move(remote)] {
    return serve_tls(state, stream, remote);
  });
}

}  // namespace afloat::http
