#include "adapters/postgres/database.h"

#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "adapters/asio/runtime.h"
#include "adapters/postgres/pool.h"
#include "base/hash.h"
#include "base/text.h"

namespace afloat {

std::int64_t Rows::number(std::size_t row, std::size_t column) const {
  const auto& cell = at(row, column);
  return cell ? parse_int(*cell).value_or(0) : 0;
}

std::string Rows::bytes(std::size_t row, std::size_t column) const {
  const auto& cell = at(row, column);
  if (!cell || !cell->starts_with("\\x")) return {};
  return from_hex(std::string_view(*cell).substr(2)).value_or(std::string());
}

}  // namespace afloat

namespace afloat::postgres {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

// Gates above the site's own are as wrong as stale ones: the node has seen a database that went back in time since
// (failed over, restored), and would write a form that the site does not read. AF003 makes it read them anew.
constexpr std::string_view fence_sql =
    "select afloat_write($1::int, case when $2::int <= (select gates from cluster_state) then $2::int else -1 end)";
constexpr std::string_view change_sql =
    "insert into change_log (write_id, kind, key) "
    "select $1::uuid, t.kind, t.key from unnest($2::text[], $3::text[]) as t(kind, key)";

std::string text_array(const std::vector<Database::Change>& changes, std::string Database::Change::* field) {
  std::string out = "{";
  for (const auto& change : changes) {
    if (out.size() > 1) out += ',';
    out += '"';
    for (char c : change.*field) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  return out + "}";
}

// Session settings that hold from the first statement on. The role has the same ones (bootstrap), so
// that they hold through a pooler too.
std::string with_settings(const Options& options) {
  return options.connection + fmt::format(" application_name='{}' connect_timeout=5 keepalives_idle=30 "
                                          "client_encoding=UTF8 options='-c default_transaction_isolation=read\\\\ committed "
                                          "-c statement_timeout={}ms -c idle_in_transaction_session_timeout=2s "
                                          "-c client_min_messages=warning -c synchronous_commit=on'",
                                          options.application_name, options.statement_timeout_ms);
}

bool is_lost(const Error& error) { return error.code() == lost_code; }

class PipelinedDatabase;

class OpenTransaction final : public Transaction {
 public:
  OpenTransaction(Connection& connection, Deadline deadline) : connection_(connection), deadline_(deadline) {}
  Task<Rows> run(Statement statement) override {
    std::vector<Statement> batch;
    batch.push_back(std::move(statement));
    auto rows = co_await connection_.batch(std::move(batch), Connection::Prepare::no, deadline_);
    if (!rows) co_return std::unexpected(rows.error());
    co_return std::move((*rows)[0]);
  }

 private:
  Connection& connection_;
  Deadline deadline_;
};

class PipelinedDatabase final : public Database {
 public:
  PipelinedDatabase(asio::io_context& context, asio::thread_pool& blocking, Options options)
      : context_(context),
        blocking_(blocking),
        options_(std::move(options)),
        conninfo_(with_settings(options_)),
        writers_(context, conninfo_, options_.write_connections),
        exclusive_(context, conninfo_, options_.exclusive_connections),
        reader_ready_(context.get_executor()) {}

  ~PipelinedDatabase() override {
    if (reader_) reader_->close("the database adapter is closed");
  }

  Task<Rows> read(Statement statement, Deadline deadline) override {
    // Reads may be sent again: once after a lost connection, once after 0A000 (a plan made stale by DDL).
    for (int attempt = 0;; ++attempt) {
      auto connection = co_await reader(deadline);
      if (!connection) co_return std::unexpected(connection.error());
      std::vector<Statement> batch{statement};
      auto rows = co_await (*connection)->batch(std::move(batch), Connection::Prepare::yes, deadline);
      if (rows) co_return std::move((*rows)[0]);
      const bool in_time = std::chrono::steady_clock::now() < deadline;
      if (is_lost(rows.error()) && !in_time) {
        // Nothing came for the whole deadline: the connection may be dead without a word. Others behind us retry.
        (*connection)->close("a read was not answered in time");
        co_return fail(ErrorKind::unavailable, "The database did not answer in time.");
      }
      if (attempt < 2 && in_time && (is_lost(rows.error()) || rows.error().code() == "0A000")) {
        (*connection)->forget(statement.sql);
        continue;
      }
      co_return as_read_error(rows.error());
    }
  }

  Task<Rows> slow_read(Statement statement, Deadline deadline) override {
    auto lease = co_await exclusive_.acquire(deadline);
    if (!lease) co_return std::unexpected(lease.error());
    std::vector<Statement> batch{std::move(statement)};
    auto rows = co_await (*lease)->batch(std::move(batch), Connection::Prepare::no, deadline);
    if (rows) co_return std::move((*rows)[0]);
    if (is_lost(rows.error())) co_await give_up((*lease).shared());
    co_return as_read_error(rows.error());
  }

  Task<std::vector<Rows>> write(Gates gates, std::vector<Statement> statements, std::vector<Change> changes,
                                Deadline deadline) override {
    const std::string write_id = changes.empty() ? std::string() : random_uuid();
    for (int attempt = 0;; ++attempt) {
      auto lease = co_await writers_.acquire(deadline);
      if (!lease) co_return std::unexpected(lease.error());
      std::vector<Statement> batch;
      batch.reserve(statements.size() + 2);
      batch.push_back({fence_sql, {options_.build, gates.number}});
      for (const auto& statement : statements) batch.push_back(statement);
      if (!changes.empty())
        batch.push_back({change_sql, {write_id, text_array(changes, &Change::kind), text_array(changes, &Change::key)}});
      auto rows = co_await (*lease)->batch(std::move(batch), Connection::Prepare::yes, deadline);
      if (rows) {
        rows->erase(rows->begin());
        rows->resize(statements.size());
        co_return std::move(*rows);
      }
      const Error& error = rows.error();
      if (error.code() == "AF001" && options_.on_shut_out) options_.on_shut_out(error.message());
      if (error.code() == "0A000" && attempt < 2) {
        for (const auto& statement : statements) (*lease)->forget(statement.sql);
        continue;  // the batch is atomic, so nothing of it happened
      }
      if (is_lost(error)) {
        const int pid = (*lease)->backend_pid();
        const std::string started = (*lease)->backend_start();
        co_await give_up((*lease).shared());
        co_return co_await settle(pid, started, write_id, deadline);
      }
      co_return std::unexpected(error);
    }
  }

  Task<void> transaction(std::optional<Gates> gates, std::move_only_function<Task<void>(Transaction&)> work,
                         Deadline deadline) override {
    for (int attempt = 0;; ++attempt) {
      auto lease = co_await exclusive_.acquire(deadline);
      if (!lease) co_return std::unexpected(lease.error());
      auto outcome = co_await run_transaction((*lease).shared(), gates, work, deadline);
      // Control transactions (without gates) are made to be repeated: their work reads everything anew.
      const bool conflict = !outcome && (outcome.error().code() == "40001" || outcome.error().code() == "40P01");
      if (conflict && !gates && attempt < 5) continue;
      if (!outcome && outcome.error().code() == "AF001" && options_.on_shut_out) options_.on_shut_out(outcome.error().message());
      co_return outcome;
    }
  }

 private:
  static Result<Rows> as_read_error(const Error& error) {
    // A read has no effect, so an unknown outcome is just "not carried out".
    if (error.kind() == ErrorKind::deadline_exceeded) return fail(ErrorKind::unavailable, error.message(), error.code());
    return std::unexpected(error);
  }

  Task<std::shared_ptr<Connection>> reader(Deadline deadline) {
    while (!reader_ || !reader_->usable()) {
      if (reader_connecting_) {
        co_await reader_ready_.wait_until(deadline);
        if (std::chrono::steady_clock::now() >= deadline)
          co_return fail(ErrorKind::unavailable, "No connection to the database.");
        continue;
      }
      reader_connecting_ = true;
      auto connection = std::make_shared<Connection>(context_, conninfo_);
      auto connected = co_await connection->connect(deadline);
      reader_connecting_ = false;
      if (connected) reader_ = connection;
      reader_ready_.notify_all();
      if (!connected) co_return std::unexpected(connected.error());
    }
    co_return reader_;
  }

  Async<Result<void>> run_transaction(std::shared_ptr<Connection> connection, std::optional<Gates> gates,
                                      std::move_only_function<Task<void>(Transaction&)>& work, Deadline deadline) {
    std::vector<Statement> begin{{"begin isolation level read committed", {}}};
    if (gates) begin.push_back({fence_sql, {options_.build, gates->number}});
    auto begun = co_await connection->batch(std::move(begin), Connection::Prepare::no, deadline);
    Result<void> outcome;
    if (begun) {
      OpenTransaction open(*connection, deadline);
      outcome = co_await work(open);
    } else {
      outcome = std::unexpected(begun.error());
    }
    const bool commit = outcome.has_value();
    if (connection->usable()) {
      std::vector<Statement> end{{commit ? std::string_view("commit") : std::string_view("rollback"), {}}};
      auto ended = co_await connection->batch(std::move(end), Connection::Prepare::no,
                                              commit ? deadline : std::chrono::steady_clock::now() + milliseconds(500));
      if (!ended) {
        co_await give_up(connection);
        if (commit) outcome = std::unexpected(ended.error());
      }
    }
    // A broken connection before commit means that nothing happened.
    if (!commit && is_lost(outcome.error()))
      outcome = fail(ErrorKind::unavailable, outcome.error().message(), outcome.error().code());
    co_return outcome;
  }

  // Cancels what runs on a connection that we no longer wait for, and ends it.
  Async<void> give_up(std::shared_ptr<Connection> connection) {
    if (PGcancel* cancel = connection->cancel_handle()) {
      auto done = co_await offload(blocking_, [cancel] {
        char buffer[256];
        PQcancel(cancel, buffer, sizeof buffer);
        PQfreeCancel(cancel);
      });
      (void)done;
    }
    connection->close("the caller has left");
  }

  // The answer to a batch was lost. First makes sure that its backend is gone (it may still commit),
  // then looks for the write's row in the change log. Found: it happened (code COMMITTED, and the
  // client's connection is closed without an answer); not found: it did not (503, may be sent again).
  Task<std::vector<Rows>> settle(int pid, std::string started, std::string write_id, Deadline deadline) {
    if (write_id.empty())
      co_return fail(ErrorKind::deadline_exceeded, "The database connection broke during a write; its outcome is unknown.",
                     std::string(lost_code));
    const auto limit = std::max<SteadyTime>(deadline, std::chrono::steady_clock::now() + milliseconds(2000));
    while (std::chrono::steady_clock::now() < limit) {
      auto lease = co_await writers_.acquire(limit);
      if (lease) {
        std::vector<Statement> gone{{"select pg_terminate_backend(pid, 1000) from pg_stat_activity "
                                     "where pid = $1::int and backend_start::text = $2",
                                     {pid, started}}};
        auto ended = co_await (*lease)->batch(std::move(gone), Connection::Prepare::no, limit);
        std::vector<Statement> look{{"select 1 from change_log where write_id = $1::uuid limit 1", {write_id}}};
        if (ended) {
          auto found = co_await (*lease)->batch(std::move(look), Connection::Prepare::no, limit);
          if (found && (*found)[0].empty())
            co_return fail(ErrorKind::unavailable, "The database connection broke and the change was not made; send it again.");
          if (found)
            co_return fail(ErrorKind::deadline_exceeded, "The change was made, but its answer was lost.", "COMMITTED");
        }
      }
      asio::steady_timer pause(context_, milliseconds(100));
      co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    co_return fail(ErrorKind::deadline_exceeded, "The database connection broke during a write; its outcome is unknown.",
                   std::string(lost_code));
  }

  asio::io_context& context_;
  asio::thread_pool& blocking_;
  Options options_;
  std::string conninfo_;
  std::shared_ptr<Connection> reader_;
  bool reader_connecting_ = false;
  Pool writers_;
  Pool exclusive_;
  Event reader_ready_;
};

}  // namespace

std::unique_ptr<Database> make_database(asio::io_context& context, asio::thread_pool& blocking, Options options) {
  return std::make_unique<PipelinedDatabase>(context, blocking, std::move(options));
}

struct Listener::State : std::enable_shared_from_this<Listener::State> {
  State(asio::io_context& context, Options options, std::string channel, std::function<void()> wake)
      : context(context), options(std::move(options)), channel(std::move(channel)), wake(std::move(wake)),
        closed(context.get_executor()) {}
  asio::io_context& context;
  Options options;
  std::string channel;
  std::function<void()> wake;
  bool stopped = false;
  Event closed;
  std::shared_ptr<Connection> connection;

  static Async<void> run(std::shared_ptr<State> self) {
    while (!self->stopped) {
      auto connection = std::make_shared<Connection>(self->context, with_settings(self->options));
      auto connected = co_await connection->connect(std::chrono::steady_clock::now() + milliseconds(5000));
      bool listening = false;
      if (connected) {
        const std::string sql = "listen " + self->channel;
        std::vector<Statement> listen{{sql, {}}};
        connection->on_notify = [weak = std::weak_ptr(self)] {
          if (auto state = weak.lock(); state && !state->stopped) state->wake();
        };
        connection->on_closed = [weak = std::weak_ptr(self)] {
          if (auto state = weak.lock()) state->closed.notify_all();
        };
        listening = (co_await connection->batch(std::move(listen), Connection::Prepare::no,
                                                std::chrono::steady_clock::now() + milliseconds(5000)))
                        .has_value();
      }
      if (self->stopped) {
        connection->close("stopped");
        co_return;
      }
      if (listening) {
        self->connection = connection;
        self->wake();  // something may have been said while we were away
        while (!self->stopped && connection->usable()) co_await self->closed.wait_until(SteadyTime::max());
        self->connection.reset();
      } else {
        asio::steady_timer pause(self->context, milliseconds(300));
        co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
      }
    }
  }
};

Listener::Listener(asio::io_context& context, Options options, std::string channel, std::function<void()> wake)
    : state_(std::make_shared<State>(context, std::move(options), std::move(channel), std::move(wake))) {
  spawn(context.get_executor(), "the notification listener", [state = state_] { return State::run(state); });
}

Listener::~Listener() { stop(); }

void Listener::stop() {
  state_->stopped = true;
  if (state_->connection) state_->connection->close("stopped");
  state_->closed.notify_all();
}

}  // namespace afloat::postgres
