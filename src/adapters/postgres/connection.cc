#include "adapters/postgres/connection.h"

#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "adapters/postgres/database.h"
#include "base/text.h"

namespace afloat::postgres {

namespace asio = boost::asio;

struct Connection::Operation {
  explicit Operation(asio::io_context& context) : done_timer(context, SteadyTime::max()) {}
  std::size_t statements = 0;
  std::size_t current = 0;
  std::vector<Rows> rows;
  std::optional<Error> error;
  bool done = false;
  std::string prepares;               // the SQL that this operation parses, for prepare operations
  std::vector<std::string> executes;  // the SQL of each statement, to find a failed Parse
  asio::steady_timer done_timer;      // its expiry is the waiter's deadline; cancelled when done
};

Error error_from(std::string_view state, std::string_view message) {
  const std::string text(trim(message));
  const std::string code(state);
  auto starts = [&](std::string_view prefix) { return state.starts_with(prefix); };
  if (state == "AF001") return {ErrorKind::failed_precondition, text, code};
  if (state == "AF003" || starts("40") || state == "23505") return {ErrorKind::conflict, text, code};
  if (starts("57P") || starts("08")) return {ErrorKind::deadline_exceeded, text, std::string(lost_code)};
  // 25006: the server has become a standby that only reads; a fail-over ends that.
  if (state == "57014" || state == "55P03" || state == "25006" || starts("53")) return {ErrorKind::unavailable, text, code};
  if (state == "23503") return {ErrorKind::failed_precondition, text, code};
  if (starts("22")) return {ErrorKind::invalid_argument, text, code};
  return {ErrorKind::internal, fmt::format("the database answered: {} ({})", text, state), code};
}

namespace {

// libpq tells no SQLSTATE for a connection that was refused, so the words have to do; where the server speaks
// another language than English, we go on waiting, which is slower but not wrong.
Error connect_error(PGconn* connection) {
  const std::string message(trim(PQerrorMessage(connection)));
  const auto says = [&](std::string_view words) { return message.find(words) != std::string::npos; };
  std::string advice;
  if (says("authentication failed") || says("no password supplied") || PQconnectionNeedsPassword(connection))
    advice = " Correct user and password in `database` of the site's configuration.";
  else if (says("no pg_hba.conf entry"))
    advice = " Let this host in: add a line for it to the server's pg_hba.conf and reload it.";
  else if (says("does not exist") || says("permission denied for database") || says("is not permitted to log in"))
    advice = " Make it (createuser, createdb --encoding UTF8), grant the right, or correct `database` in the site's configuration.";
  else if (says("connection info string") || says("invalid connection option") || says("invalid integer value") || says("invalid port number"))
    advice = " Correct `database` in the site's configuration: it is a libpq connection string, such as host=db dbname=wiki user=wiki password=...";
  return {ErrorKind::unavailable, fmt::format("Can't connect to the database: {}.{}", message, advice),
          std::string(advice.empty() ? database_away : database_refuses)};
}

Rows rows_of(const PGresult* result) {
  Rows rows;
  const int count = PQntuples(result);
  const int columns = PQnfields(result);
  rows.cells.resize(static_cast<std::size_t>(count));
  for (int r = 0; r < count; ++r) {
    auto& row = rows.cells[static_cast<std::size_t>(r)];
    row.reserve(static_cast<std::size_t>(columns));
    for (int c = 0; c < columns; ++c) {
      if (PQgetisnull(result, r, c))
        row.emplace_back(std::nullopt);
      else
        row.emplace_back(std::string(PQgetvalue(result, r, c), static_cast<std::size_t>(PQgetlength(result, r, c))));
    }
  }
  const char* affected = PQcmdTuples(const_cast<PGresult*>(result));
  rows.affected = parse_int(affected).value_or(0);
  return rows;
}

Error error_of(const PGresult* result) {
  const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char* primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  return error_from(state ? state : "08006", primary ? primary : PQresultErrorMessage(result));
}

}  // namespace

Connection::Connection(asio::io_context& context, std::string conninfo)
    : context_(context), conninfo_(std::move(conninfo)) {}

Connection::~Connection() { close("the connection object is gone"); }

Task<void> Connection::connect(Deadline deadline) {
  auto self = shared_from_this();
  connection_ = PQconnectStart(conninfo_.c_str());
  if (connection_ == nullptr) co_return fail(ErrorKind::internal, "libpq could not allocate a connection");
  PQsetNoticeReceiver(connection_, [](void* self, const PGresult* notice) { static_cast<Connection*>(self)->take_notice(notice); }, this);
  asio::steady_timer limit(context_, deadline);
  PostgresPollingStatusType status = PGRES_POLLING_WRITING;
  while (PQstatus(connection_) != CONNECTION_BAD && status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED) {
    // The socket may change between polls (several addresses), so it is wrapped anew each time.
    auto descriptor = std::make_shared<asio::posix::stream_descriptor>(context_, PQsocket(connection_));
    const auto direction =
        status == PGRES_POLLING_READING ? asio::posix::descriptor_base::wait_read : asio::posix::descriptor_base::wait_write;
    limit.expires_at(deadline);
    limit.async_wait([descriptor](boost::system::error_code error) {
      if (!error && descriptor->is_open()) descriptor->cancel();
    });
    auto [error] = co_await descriptor->async_wait(direction, asio::as_tuple(asio::use_awaitable));
    limit.cancel();
    descriptor->release();
    if (error) {
      close("timed out");
      co_return fail(ErrorKind::unavailable, "The database did not answer a connection attempt in time.");
    }
    status = PQconnectPoll(connection_);
  }
  if (PQstatus(connection_) != CONNECTION_OK) {
    auto error = connect_error(connection_);
    close(error.message());
    co_return std::unexpected(std::move(error));
  }
  pid_ = PQbackendPID(connection_);
  PQsetnonblocking(connection_, 1);
  if (PQenterPipelineMode(connection_) != 1) co_return fail(ErrorKind::internal, "libpq refused pipeline mode");
  descriptor_.emplace(context_, PQsocket(connection_));
  connected_ = true;
  wait_readable();
  auto started = co_await batch({{"select backend_start::text from pg_stat_activity where pid = pg_backend_pid()", {}}},
                                Prepare::no, deadline);
  if (!started) co_return std::unexpected(started.error());
  if (!(*started)[0].empty()) backend_start_ = (*started)[0].text(0, 0);
  co_return Result<void>{};
}

void Connection::enqueue(std::shared_ptr<Operation> operation) {
  PQpipelineSync(connection_);
  queue_.push_back(std::move(operation));
  schedule_flush();
}

Task<std::vector<Rows>> Connection::batch(std::vector<Statement> statements, Prepare prepare, Deadline deadline) {
  auto self = shared_from_this();
  if (!usable()) co_return fail(ErrorKind::unavailable, "The connection to the database is closed.");
  // Values are handed over as C strings: what follows a NUL would be cut off without a word.
  for (const auto& statement : statements)
    for (const auto& value : statement.args)
      if (!value.is_binary() && value.data().find('\0') != std::string::npos)
        co_return fail(ErrorKind::invalid_argument, "A text has the character NUL in it, which can't be stored; leave it out.");
  if (prepare == Prepare::yes) {
    for (const auto& statement : statements) {
      if (prepared_.find(statement.sql) != prepared_.end()) continue;
      // A Parse has a Sync of its own: an error elsewhere must not skip it, and its own must not take others with it.
      Prepared entry{fmt::format("s{}", next_name_++), std::nullopt};
      const std::string sql(statement.sql);
      if (PQsendPrepare(connection_, entry.name.c_str(), sql.c_str(), 0, nullptr) != 1) {
        close(PQerrorMessage(connection_));
        co_return fail(ErrorKind::unavailable, "The connection to the database is closed.");
      }
      auto parse = std::make_shared<Operation>(context_);
      parse->statements = 1;
      parse->prepares = sql;
      prepared_.emplace(sql, std::move(entry));
      enqueue(std::move(parse));
    }
  }
  auto operation = std::make_shared<Operation>(context_);
  operation->statements = statements.size();
  operation->rows.resize(statements.size());
  for (const auto& statement : statements) {
    std::vector<const char*> values;
    std::vector<int> lengths, formats;
    for (const auto& value : statement.args) {
      values.push_back(value.is_null() ? nullptr : value.data().c_str());
      lengths.push_back(static_cast<int>(value.data().size()));
      formats.push_back(value.is_binary() ? 1 : 0);
    }
    const int count = static_cast<int>(values.size());
    int sent = 0;
    if (prepare == Prepare::yes) {
      const auto& entry = prepared_.find(statement.sql)->second;
      sent = PQsendQueryPrepared(connection_, entry.name.c_str(), count, values.data(), lengths.data(), formats.data(), 0);
      operation->executes.emplace_back(statement.sql);
    } else {
      const std::string sql(statement.sql);
      sent = PQsendQueryParams(connection_, sql.c_str(), count, nullptr, values.data(), lengths.data(), formats.data(), 0);
    }
    if (sent != 1) {
      close(PQerrorMessage(connection_));
      co_return fail(ErrorKind::unavailable, "The connection to the database is closed.");
    }
  }
  operation->done_timer.expires_at(deadline);
  enqueue(operation);
  if (!operation->done) co_await operation->done_timer.async_wait(asio::as_tuple(asio::use_awaitable));
  if (!operation->done)
    co_return fail(ErrorKind::deadline_exceeded, "The database did not answer in time.", std::string(lost_code));
  if (operation->error) {
    if (operation->error->code() == "26000") {
      // "prepared statement does not exist": its Parse failed; tell that error, and let the next try parse again.
      for (const auto& sql : operation->executes) {
        auto entry = prepared_.find(sql);
        if (entry == prepared_.end() || !entry->second.error) continue;
        Error cause = *entry->second.error;
        prepared_.erase(entry);
        co_return std::unexpected(cause);
      }
    }
    co_return std::unexpected(*operation->error);
  }
  co_return std::move(operation->rows);
}

void Connection::forget(std::string_view sql) {
  // The old name is never used again on this connection; the statement costs the server little.
  auto entry = prepared_.find(sql);
  if (entry != prepared_.end()) prepared_.erase(entry);
}

void Connection::schedule_flush() {
  if (flush_scheduled_) return;
  flush_scheduled_ = true;
  asio::post(context_, [self = shared_from_this()] {
    self->flush_scheduled_ = false;
    self->flush();
  });
}

void Connection::flush() {
  if (!usable() || waiting_writable_) return;
  const int outcome = PQflush(connection_);
  if (outcome < 0) return close(PQerrorMessage(connection_));
  if (outcome == 0) return;
  waiting_writable_ = true;
  descriptor_->async_wait(asio::posix::descriptor_base::wait_write,
                          [self = shared_from_this()](boost::system::error_code error) {
                            self->waiting_writable_ = false;
                            if (!error) self->flush();
                          });
}

void Connection::wait_readable() {
  descriptor_->async_wait(asio::posix::descriptor_base::wait_read,
                          [weak = weak_from_this()](boost::system::error_code error) {
                            auto self = weak.lock();
                            if (error || !self || !self->usable()) return;
                            self->read_results();
                            if (self->usable()) self->wait_readable();
                          });
}

void Connection::read_results() {
  if (PQconsumeInput(connection_) != 1) return close(PQerrorMessage(connection_));
  while (usable() && !queue_.empty() && !PQisBusy(connection_)) take_result(PQgetResult(connection_));
  if (!usable()) return;
  if (PQstatus(connection_) == CONNECTION_BAD) return close(PQerrorMessage(connection_));
  bool notified = false;
  while (PGnotify* notification = PQnotifies(connection_)) {
    PQfreemem(notification);
    notified = true;
  }
  if (notified && on_notify) on_notify();
  // Consuming input may have made room in the send buffer.
  flush();
}

void Connection::take_result(PGresult* result) {
  auto operation = queue_.front();
  if (result == nullptr) {
    ++operation->current;  // the end of one statement's results
    return;
  }
  const auto status = PQresultStatus(result);
  if (status == PGRES_PIPELINE_SYNC) {
    queue_.pop_front();
    if (!operation->prepares.empty() && operation->error) {
      auto entry = prepared_.find(operation->prepares);
      if (entry != prepared_.end()) entry->second.error = operation->error;
    }
    operation->done = true;
    operation->done_timer.cancel();
  } else if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
    if (operation->current < operation->rows.size()) operation->rows[operation->current] = rows_of(result);
  } else if (status != PGRES_PIPELINE_ABORTED && !operation->error) {
    operation->error = error_of(result);
  }
  PQclear(result);
  if (PQstatus(connection_) == CONNECTION_BAD) close(PQerrorMessage(connection_));
}

// Somebody cancelled the wait for a synchronous replica: the server reports success, though a fail-over may take the
// change back. It warns with an SQLSTATE that says little (01000) and words of any language; the function's name is exact.
void Connection::take_notice(const PGresult* notice) {
  const char* function = PQresultErrorField(notice, PG_DIAG_SOURCE_FUNCTION);
  if (function == nullptr || std::string_view(function) != "SyncRepWaitForLSN" || queue_.empty()) return;
  auto& operation = *queue_.front();
  if (!operation.error)
    operation.error = Error(ErrorKind::deadline_exceeded,
                            "The change was made, but the database was told not to wait for its replica: a fail-over "
                            "to that replica may take it back.",
                            std::string(lost_code));
}

void Connection::close(std::string reason) {
  if (connection_ == nullptr) return;
  const std::string why(trim(reason));
  connected_ = false;
  if (descriptor_) {
    boost::system::error_code ignored;
    descriptor_->cancel(ignored);
    descriptor_->release();  // libpq closes the socket
    descriptor_.reset();
  }
  PQfinish(connection_);
  connection_ = nullptr;
  auto queue = std::move(queue_);
  queue_.clear();
  prepared_.clear();
  for (auto& operation : queue) {
    operation->error = Error(ErrorKind::deadline_exceeded,
                             fmt::format("The connection to the database broke while a statement was under way: {}", why),
                             std::string(lost_code));
    operation->done = true;
    operation->done_timer.cancel();
  }
  if (on_closed) on_closed();
}

}  // namespace afloat::postgres
