#pragma once
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "adapters/http/message.h"
#include "adapters/http/progress.h"
#include "adapters/http/router.h"

namespace afloat::http {

class TlsIdentity;
struct ServerState;

struct ServerLimits {
  std::size_t header_bytes = 16 * 1024;
  std::size_t body_bytes = 64 * 1024 * 1024;
  std::chrono::milliseconds header_timeout{10'000};  ///< from the first byte of a request
  std::chrono::milliseconds idle_timeout{75'000};    ///< keep-alive; must be above the balancer's
  std::chrono::milliseconds request_timeout{8'000};  ///< Request::deadline; body transfer not counted
  BodyPace body_pace;                                ///< of requests and of answers; no limit to their total time
  /// Told at most every ten seconds while connections can't be accepted, as when no file handle is left.
  std::function<void(std::string message)> on_accept_error;
};

/// Whether nobody listens there. Asked once per process before its threads listen: they share the port
/// (SO_REUSEPORT), and so would another process of the same user, without a word.
/// Errors: failed_precondition (taken), invalid_argument (no IP address).
Result<void> check_port_free(const std::string& address, int port);

/// An HTTP/1.1 server on one io_context (one per thread, SO_REUSEPORT). TCP, with or without TLS, or unix socket.
///
/// Drain: `set_closing(true)` makes every response carry Connection: close and tells streams to end;
/// connections are still accepted until `stop_accepting()`.
/// Thread-safety: all calls on the context's thread, but in_flight(), streams(), connections().
class Server {
 public:
  Server(boost::asio::io_context& context, ServerLimits limits, Handler handler);
  ~Server();
  /// With `tls`: HTTPS, TLS 1.2 or newer, and nothing else on that port.
  Result<void> listen_tcp(const std::string& address, int port, std::shared_ptr<TlsIdentity> tls = nullptr);
  Result<void> listen_unix(const std::string& path);  ///< mode 0600; replaces a stale socket file
  void stop_accepting();
  void set_closing(bool closing);
  /// Closes idle connections at once; those in flight finish their response first.
  void close_idle();
  int in_flight() const;    ///< requests whose answer is not yet written, streams not counted
  int streams() const;
  int connections() const;
  /// What is in flight now: "PUT /rest/api/content/12, 1.2 s".
  std::vector<std::string> in_flight_names() const;

 private:
  struct Acceptors;
  std::shared_ptr<ServerState> state_;
  std::shared_ptr<Acceptors> acceptors_;
};

}  // namespace afloat::http
