#pragma once
#include <libpq-fe.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ports/database.h"

namespace afloat::postgres {

/// The code of an Error whose statement may or may not have happened: the connection broke after it was sent.
inline constexpr std::string_view lost_code = "LOST";

/// One libpq connection in pipeline mode, driven by an io_context. Batches queue behind one another in
/// order; everything sent during one turn of the event loop leaves in one write.
/// Thread-safety: one context's thread. Ownership: shared, since libpq callbacks outlive callers.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(boost::asio::io_context& context, std::string conninfo);
  ~Connection();
  Connection(const Connection&) = delete;

  Task<void> connect(Deadline deadline);
  bool usable() const { return connection_ != nullptr && connected_; }
  bool idle() const { return queue_.empty(); }

  enum class Prepare { yes, no };
  /// Statements up to one Sync: atomic when they are outside an explicit transaction. A caller that
  /// leaves at the deadline gets deadline_exceeded with lost_code; its slot stays in the queue.
  Task<std::vector<Rows>> batch(std::vector<Statement> statements, Prepare prepare, Deadline deadline);
  /// Forgets a prepared statement whose plan no longer fits (0A000); it is parsed anew under a new name.
  void forget(std::string_view sql);

  int backend_pid() const { return pid_; }
  const std::string& backend_start() const { return backend_start_; }
  /// A cancel handle for the statement that runs now; freed by the caller with PQfreeCancel. May be null.
  PGcancel* cancel_handle() { return connection_ ? PQgetCancel(connection_) : nullptr; }
  /// Ends the connection; everything queued completes with lost_code.
  void close(std::string reason);
  /// LISTEN support: called for each notification.
  std::function<void()> on_notify;
  std::function<void()> on_closed;

 private:
  struct Operation;
  struct Prepared {
    std::string name;
    std::optional<Error> error;
  };
  void enqueue(std::shared_ptr<Operation> operation);
  void schedule_flush();
  void flush();
  void wait_readable();
  void read_results();
  void take_result(PGresult* result);
  void take_notice(const PGresult* notice);

  boost::asio::io_context& context_;
  std::string conninfo_;
  PGconn* connection_ = nullptr;
  bool connected_ = false;
  std::optional<boost::asio::posix::stream_descriptor> descriptor_;
  std::deque<std::shared_ptr<Operation>> queue_;
  std::map<std::string, Prepared, std::less<>> prepared_;
  std::uint64_t next_name_ = 0;
  bool flush_scheduled_ = false;
  bool waiting_writable_ = false;
  int pid_ = 0;
  std::string backend_start_;
};

/// What an SQLSTATE asks the caller to do.
Error error_from(std::string_view sqlstate, std::string_view message);

}  // namespace afloat::postgres
