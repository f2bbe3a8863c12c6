#include "adapters/sqlite/database.h"

#include <fmt/format.h>

#include <boost/asio/thread_pool.hpp>
#include <mutex>

#include "adapters/asio/runtime.h"

namespace afloat::sqlite {

namespace asio = boost::asio;

namespace {

constexpr std::string_view change_sql = "insert into change_log (kind, key) values ($1, $2)";
// "AFLT": tells our files from those of others.
constexpr std::int64_t application_id = 0x41464C54;
constexpr int changes_kept = 100'000;

// An id that was given away is not given again, though its page may be gone or was never written.
constexpr const char* last_page_id_sql =
    "select max(coalesce((select seq from sqlite_sequence where name = 'page'), 0),"
    " coalesce((select max(homepage_id) from space), 0))";

class FileDatabase final : public Database {
 public:
  FileDatabase(asio::io_context& context, Options options)
      : options_(std::move(options)), free_again_(context.get_executor()) {}

  ~FileDatabase() override {
    reading_.join();
    writing_.join();
  }

  SqlDialect dialect() const override { return SqlDialect::sqlite; }

  Task<Rows> read(Statement statement, Deadline deadline) override {
    co_return co_await read_with(std::move(statement), Connection::Keep::yes, deadline);
  }
  Task<Rows> slow_read(Statement statement, Deadline deadline) override {
    co_return co_await read_with(std::move(statement), Connection::Keep::no, deadline);
  }

  Task<std::vector<Rows>> write(Gates, std::vector<Statement> statements, std::vector<Change> changes,
                                Deadline deadline) override {
    while (in_transaction_)
      if (!co_await free_again_.wait_until(deadline)) co_return std::unexpected(late());
    Result<std::vector<Rows>> outcome;
    auto done = co_await offload(writing_, [&] { outcome = write_now(statements, changes, deadline); });
    if (!done) co_return std::unexpected(done.error());
    co_return outcome;
  }

  Task<void> transaction(std::optional<Gates>, std::move_only_function<Task<void>(Transaction&)> work,
                         Deadline deadline) override {
    while (in_transaction_)
      if (!co_await free_again_.wait_until(deadline)) co_return std::unexpected(late());
    in_transaction_ = true;
    auto outcome = co_await run_transaction(work, deadline);
    in_transaction_ = false;
    free_again_.notify_all();
    co_return outcome;
  }

 private:
  static Error late() { return {ErrorKind::unavailable, "The database was busy for too long; try again."}; }

  Task<Rows> read_with(Statement statement, Connection::Keep keep, Deadline deadline) {
    Result<Rows> outcome;
    auto done = co_await offload(reading_, [&] {
      auto* connection = opened(reader_, deadline, outcome);
      if (connection == nullptr) return;
      connection->take_time();
      outcome = connection->run(statement, keep);
    });
    if (!done) co_return std::unexpected(done.error());
    co_return outcome;
  }

  // On its thread. Null: `outcome` says why.
  template <class T>
  Connection* opened(std::unique_ptr<Connection>& connection, Deadline deadline, Result<T>& outcome) {
    if (std::chrono::steady_clock::now() >= deadline) {
      outcome = std::unexpected(late());
      return nullptr;
    }
    if (!connection) {
      auto made = Connection::open(options_.file, options_.dialect, last_page_id_);
      auto ready = made ? (*made)->make_durable() : Result<void>(std::unexpected(made.error()));
      if (ready) ready = find_last_page_id(**made);
      if (!ready) {
        outcome = std::unexpected(ready.error());
        return nullptr;
      }
      connection = std::move(*made);
    }
    connection->set_deadline(deadline);
    return connection.get();
  }

  Result<std::vector<Rows>> write_now(const std::vector<Statement>& statements, const std::vector<Change>& changes,
                                      Deadline deadline) {
    Result<std::vector<Rows>> outcome;
    auto* connection = opened(writer_, deadline, outcome);
    if (connection == nullptr) return outcome;
    if (auto begun = begin(*connection); !begun) return std::unexpected(begun.error());
    for (const auto& statement : statements) {
      auto rows = connection->run(statement, Connection::Keep::yes);
      if (!rows) {
        roll_back(*connection);
        return std::unexpected(rows.error());
      }
      outcome->push_back(std::move(*rows));
    }
    for (const auto& change : changes)
      if (auto told = connection->run({change_sql, {change.kind, change.key}}, Connection::Keep::yes); !told) {
        roll_back(*connection);
        return std::unexpected(told.error());
      }
    if (auto committed = commit(*connection); !committed) return std::unexpected(committed.error());
    return outcome;
  }

  static Result<void> begin(Connection& connection) {
    connection.take_time();
    auto begun = connection.run_plain("begin immediate");
    if (!begun) return std::unexpected(begun.error());
    return {};
  }

  static void roll_back(Connection& connection) {
    connection.set_deadline(Deadline::max());
    // Some errors have rolled back already.
    if (!connection.in_transaction()) return;
    auto done = connection.run_plain("rollback");
    (void)done;
  }

  static Result<void> commit(Connection& connection) {
    // Once begun it goes to its end: the outcome is known then.
    connection.set_deadline(Deadline::max());
    auto done = connection.run_plain("commit");
    if (done) return {};
    roll_back(connection);
    return fail(ErrorKind::deadline_exceeded,
                fmt::format("A change could not be written to the disk, and may be lost: {}", done.error().message()));
  }

  class OpenTransaction final : public Transaction {
   public:
    OpenTransaction(asio::thread_pool& pool, Connection& connection) : pool_(pool), connection_(connection) {}
    Task<Rows> run(Statement statement) override {
      Result<Rows> outcome;
      auto done = co_await offload(pool_, [&] { outcome = connection_.run(statement, Connection::Keep::no); });
      if (!done) co_return std::unexpected(done.error());
      co_return outcome;
    }

   private:
    asio::thread_pool& pool_;
    Connection& connection_;
  };

  Task<void> run_transaction(std::move_only_function<Task<void>(Transaction&)>& work, Deadline deadline) {
    Result<void> outcome;
    auto begun = co_await offload(writing_, [&] {
      if (auto* connection = opened(writer_, deadline, outcome)) outcome = begin(*connection);
    });
    if (!begun || !outcome) co_return begun ? outcome : begun;
    OpenTransaction open(writing_, *writer_);
    const auto worked = co_await work(open);
    auto ended = co_await offload(writing_, [&] {
      if (worked)
        outcome = commit(*writer_);
      else
        roll_back(*writer_);
    });
    if (!worked) co_return worked;
    co_return ended ? outcome : ended;
  }

  // Once, by the connection that is opened first.
  Result<void> find_last_page_id(Connection& connection) {
    const std::lock_guard lock(seeding_);
    if (seeded_) return {};
    auto last = connection.run_plain(last_page_id_sql);
    if (!last) return std::unexpected(last.error());
    last_page_id_ = last->number(0, 0);
    seeded_ = true;
    return {};
  }

  Options options_;
  std::mutex seeding_;
  bool seeded_ = false;
  std::atomic<std::int64_t> last_page_id_ = 0;
  std::unique_ptr<Connection> reader_, writer_;
  asio::thread_pool reading_{1}, writing_{1};
  bool in_transaction_ = false;
  Event free_again_;
};

}  // namespace

Result<void> prepare_file(const Options& options) {
  std::atomic<std::int64_t> none = 0;
  auto opened = Connection::open(options.file, options.dialect, none);
  if (!opened) return std::unexpected(opened.error());
  auto& connection = **opened;
  const auto number = [&](const char* sql) -> Result<std::int64_t> {
    auto rows = connection.run_plain(sql);
    if (!rows) return std::unexpected(rows.error());
    return rows->empty() ? 0 : rows->number(0, 0);
  };
  auto tables = number("select count(*) from sqlite_schema");
  auto owner = number("pragma application_id");
  auto version = number("pragma user_version");
  for (const auto* one : {&tables, &owner, &version})
    if (!*one) return std::unexpected(one->error());
  if (*tables > 0 && *owner != application_id)
    return fail(ErrorKind::failed_precondition,
                fmt::format("{} is the database of another program. Choose another folder.", options.file));
  const int newest = options.changes.empty() ? 1 : options.changes.back().first;
  if (*version > newest)
    return fail(ErrorKind::failed_precondition,
                fmt::format("{} has the schema version {}, and this release knows {} at most: a later release has "
                            "written it. Start that release or a newer one, or choose another folder.",
                            options.file, *version, newest),
                std::string(newer_schema));
  if (auto durable = connection.make_durable(); !durable) return durable;
  std::vector<std::string> steps;
  if (*tables == 0) {
    steps.assign(options.schema.begin(), options.schema.end());
    steps.push_back(fmt::format("pragma application_id = {}", application_id));
  } else {
    // What nobody waits for any more: caches begin empty.
    steps.push_back(
        fmt::format("delete from change_log where seq <= (select max(seq) from change_log) - {}", changes_kept));
  }
  for (const auto& [brings, sql] : options.changes)
    if (brings > *version) steps.emplace_back(sql);
  steps.push_back(fmt::format("pragma user_version = {}", newest));
  steps.insert(steps.begin(), "begin immediate");
  steps.push_back("commit");
  for (const auto& sql : steps)
    if (auto done = connection.run_plain(sql); !done) return std::unexpected(done.error());
  return {};
}

std::unique_ptr<Database> make_database(asio::io_context& context, Options options) {
  return std::make_unique<FileDatabase>(context, std::move(options));
}

}  // namespace afloat::sqlite
