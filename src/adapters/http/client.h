#pragma once
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "adapters/http/message.h"

namespace afloat::http {

struct ClientRequest {
  std::string method = "GET";
  std::string url;          ///< "http://host:port/path" or https; with unix_socket the host is only the Host header
  std::string unix_socket;  ///< path of a socket to use instead of TCP; "" = TCP
  Headers headers;
  std::string body;
  std::string user;  ///< basic authentication when not empty
  std::string password;
  std::string token_file;  ///< bearer token: the first of read_tokens(); read with each request, for it may be replaced
};

/// HTTP/1.1 by libcurl. Blocking easy handles, kept with their connections, on threads: the conductor, the
/// CLI and tests make few requests at a time, so a thread per request in flight is simple and enough.
///
/// Redirects are not followed and proxies of the environment are ignored: calls go where they are sent.
/// https: TLS 1.2 or newer; the certificate must be signed by an authority of trust()'s file, or of the system's, and
/// name the URL's host.
/// Any HTTP status is a Response, not an error. Errors: unavailable (no connection: never sent), failed_precondition
/// (CA or token file can't be used: never sent),
/// deadline_exceeded (time over or connection lost after sending: it may have happened), invalid_argument
/// (the URL), resource_exhausted (answer above 64 MiB).
/// Thread-safety: all methods, from any thread. Lifetime: outlives its requests, and the contexts of
/// coroutines that wait in send() outlive it; the destructor waits for requests in flight.
class Client {
 public:
  /// With `threads` threads of its own.
  explicit Client(int threads = 4);
  /// On a pool that outlives it.
  explicit Client(boost::asio::thread_pool& pool);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// For https, only authorities of this PEM file count; "" = the system's. Before the first request.
  void trust(std::string ca_file);

  /// Completes on the caller's executor.
  Task<Response> send(ClientRequest request, Deadline deadline);
  /// On the calling thread.
  Result<Response> send_blocking(ClientRequest request, std::chrono::milliseconds timeout);

 private:
  struct Handles;
  std::unique_ptr<boost::asio::thread_pool> own_pool_;
  boost::asio::thread_pool& pool_;
  std::shared_ptr<Handles> handles_;
};

}  // namespace afloat::http
