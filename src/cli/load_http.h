#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ports/task.h"
#include "ports/time.h"

/// A measuring HTTP/1.1 client: what happened on the wire is what it reports. No retry, no redirect,
/// no pipelining. (libcurl sends a request again by itself when a kept connection dies; that would hide
/// the very failures that are being looked for.)
namespace afloat::cli {

struct SiteAddress {
  std::string host;
  std::string port;
  std::string authority;  ///< for the Host header
  std::string prefix;     ///< path of the context, "" for none
};
/// http://host[:port][/context]. Errors: invalid_argument.
Result<SiteAddress> parse_site_address(std::string_view url);

struct Answer {
  int status = 0;  ///< 0: no complete answer
  std::string content_type, location, node, set_cookie;
  std::string body;
  std::string failure;  ///< "reset: ...", "truncated: ...", "timeout: ...", "connect: ..."; "" = complete
  bool sent = false;    ///< at least a part of the request was handed to a connection
  SteadyTime sent_at{};
  SteadyTime ended_at{};
};

/// Kept connections to one address. One thread, one executor; must outlive its exchanges.
/// A connection that the server closed while it was idle is replaced before anything is sent on it: the
/// check (a read without waiting) is made at the very moment of use. What was once written is never sent again.
class ConnectionPool {
 public:
  ConnectionPool(boost::asio::any_io_executor executor, SiteAddress address, int limit);
  ~ConnectionPool();
  ConnectionPool(const ConnectionPool&) = delete;
  ConnectionPool& operator=(const ConnectionPool&) = delete;

  /// Errors: unavailable when the host name does not resolve. Blocks; call once.
  Result<void> resolve();
  /// Sends `request` (complete bytes) and reads the answer. Never fails otherwise than through Answer::failure.
  Async<Answer> exchange(std::string request, Deadline deadline);
  const SiteAddress& address() const { return address_; }

 private:
  struct Connection;
  struct Waiter;
  Async<std::unique_ptr<Connection>> take(Deadline deadline, std::string* failure);
  void give_back(std::unique_ptr<Connection> connection);
  void wake_one();

  boost::asio::any_io_executor executor_;
  SiteAddress address_;
  int limit_;
  int open_ = 0;  ///< in use and idle
  std::vector<std::unique_ptr<Connection>> idle_;
  std::deque<Waiter*> waiters_;
  struct Endpoint;
  std::unique_ptr<Endpoint> endpoint_;
};

/// Builds the bytes of a request. `headers` are complete lines, each with its CRLF.
std::string request_bytes(const SiteAddress& address, std::string_view method, std::string_view target,
                          std::string_view headers, std::string_view content_type = {}, std::string_view body = {});

}  // namespace afloat::cli
