#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ports/task.h"
#include "ports/time.h"

/// What handlers see of HTTP: plain structs, no Beast. A handler's file then
/// compiles in a second or two.
namespace afloat::http {

/// In order of arrival; names compare without case.
class Headers {
 public:
  void set(std::string name, std::string value);  ///< replaces
  void add(std::string name, std::string value);  ///< for Set-Cookie
  /// "" when absent.
  std::string_view get(std::string_view name) const;
  bool has(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& all() const { return entries_; }

 private:
  std::vector<std::pair<std::string, std::string>> entries_;
};

struct Request {
  std::string method;                                          ///< upper case
  std::string target;                                          ///< as sent
  std::string path;                                            ///< decoded, without the query
  std::vector<std::pair<std::string, std::string>> query;      ///< decoded, in order
  std::vector<std::pair<std::string, std::string>> captures;   ///< filled by the router: {id} -> value
  Headers headers;
  std::string body;
  std::string remote;    ///< peer address
  SteadyTime arrived{};  ///< when the header was complete
  Deadline deadline{};   ///< when the answer must be there

  std::optional<std::string> query_value(std::string_view name) const;
  std::string query_or(std::string_view name, std::string_view fallback) const;
  std::string capture(std::string_view name) const;
  std::optional<std::string> cookie(std::string_view name) const;
};

/// Writes a body of unknown length (server-sent events) chunk by chunk.
struct StreamWriter {
  virtual ~StreamWriter() = default;
  /// Errors: unavailable when the client or the node is going: end the stream.
  virtual Task<void> write(std::string bytes) = 0;
  /// True once the node drains: write a last retry hint and return.
  virtual bool closing() const = 0;
  virtual Task<void> sleep(std::chrono::milliseconds time) = 0;
};

struct Response {
  int status = 200;
  Headers headers;
  /// Never null where no stream is set; shared so that cached pages are not copied.
  std::shared_ptr<const std::string> body = std::make_shared<const std::string>();
  std::function<Async<void>(StreamWriter&)> stream;
  bool close = false;            ///< adds Connection: close
  bool drop_connection = false;  ///< outcome unknown: close without any status (protocol, unknown outcomes)
  std::string fault;  ///< for the node's log: what went wrong inside, where the body does not say it
};

Response text_response(int status, std::string body, std::string_view content_type = "text/plain; charset=utf-8");
Response html_response(int status, std::string body);
Response json_response(int status, std::string body);
Response redirect(std::string location, int status = 303);
/// JSON {"statusCode":..,"message":..}; status by kind: invalid_argument 400, unauthenticated 401,
/// permission_denied 403, not_found 404, conflict and failed_precondition 409, resource_exhausted 413,
/// unavailable 503 with Retry-After: 1, deadline_exceeded -> drop_connection, others 500.
/// What broke inside the site (internal errors, a database that can't be reached) is told to the client in general
/// words: the error's own name hosts, users and tables. They are in `fault`, for the log.
Response error_response(const Error& error);
/// The same with a status that no kind stands for (408, 431, ...).
Response error_response(const Error& error, int status);
int status_of(ErrorKind kind);

using Handler = std::function<Async<Response>(Request)>;

/// One part of multipart/form-data.
struct Part {
  std::string name;
  std::optional<std::string> file_name;
  std::string content_type;
  std::string body;
};
Result<std::vector<Part>> parse_multipart(const Request& request);
/// application/x-www-form-urlencoded.
Result<std::vector<std::pair<std::string, std::string>>> parse_form(const Request& request);

}  // namespace afloat::http
