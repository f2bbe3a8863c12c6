#include "adapters/sqlite/connection.h"

#include <fmt/format.h>

#include "base/text.h"

namespace afloat::sqlite {

namespace {

// In between two looks at the clock: some 0.1 ms.
constexpr int steps_between_looks = 10'000;

int past_deadline(void* deadline) {
  return std::chrono::steady_clock::now() >= *static_cast<const Deadline*>(deadline) ? 1 : 0;
}

Rows::Cell cell_of(sqlite3_stmt* statement, int column) {
  const auto type = sqlite3_column_type(statement, column);
  if (type == SQLITE_NULL) return std::nullopt;
  const auto* data =
      static_cast<const char*>(type == SQLITE_BLOB ? sqlite3_column_blob(statement, column)
                                                   : static_cast<const void*>(sqlite3_column_text(statement, column)));
  const std::string_view bytes(data ? data : "", static_cast<std::size_t>(sqlite3_column_bytes(statement, column)));
  return type == SQLITE_BLOB ? "\\x" + to_hex(bytes) : std::string(bytes);
}

int bind_value(sqlite3_stmt* statement, int index, const Value& value) {
  if (value.is_null()) return sqlite3_bind_null(statement, index);
  const auto& data = value.data();
  if (value.is_binary()) return sqlite3_bind_blob64(statement, index, data.data(), data.size(), SQLITE_STATIC);
  return sqlite3_bind_text64(statement, index, data.data(), data.size(), SQLITE_STATIC, SQLITE_UTF8);
}

}  // namespace

Result<std::unique_ptr<Connection>> Connection::open(const std::string& file, Dialect dialect,
                                                     std::atomic<std::int64_t>& last_page_id) {
  std::unique_ptr<Connection> connection(new Connection(std::move(dialect)));
  constexpr int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  if (sqlite3_open_v2(file.c_str(), &connection->handle_, flags, nullptr) != SQLITE_OK)
    return fail(ErrorKind::unavailable, fmt::format("Can't open the database {}: {}. Check the folder and its rights.",
                                                    file, sqlite3_errmsg(connection->handle_)));
  connection->functions_.last_page_id = &last_page_id;
  if (add_functions(connection->handle_, connection->functions_) != SQLITE_OK)
    return std::unexpected(connection->error());
  sqlite3_busy_timeout(connection->handle_, 5'000);
  sqlite3_progress_handler(connection->handle_, steps_between_looks, past_deadline, &connection->deadline_);
  connection->take_time();
  return connection;
}

Result<void> Connection::make_durable() {
  for (const auto* sql : {"pragma journal_mode = wal", "pragma synchronous = full", "pragma foreign_keys = on"})
    if (auto done = run_plain(sql); !done) return std::unexpected(done.error());
  return {};
}

Connection::~Connection() {
  kept_.clear();
  sqlite3_close_v2(handle_);
}

void Connection::take_time() {
  functions_.now_us =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
}

Error Connection::error() const {
  const int code = sqlite3_extended_errcode(handle_);
  const std::string text = sqlite3_errmsg(handle_);
  switch (code) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
      return {ErrorKind::conflict, text, "23505"};
    case SQLITE_CONSTRAINT_NOTNULL:
      return {ErrorKind::internal, text, "23502"};
    case SQLITE_CONSTRAINT_FOREIGNKEY:
      return {ErrorKind::failed_precondition, text, "23503"};
    default:
      break;
  }
  switch (code & 0xFF) {
    case SQLITE_INTERRUPT:
      return {ErrorKind::unavailable, "The database did not finish in time; try again."};
    case SQLITE_BUSY:
      return {ErrorKind::unavailable, "The database is held by somebody else; try again."};
    case SQLITE_FULL:
      return {ErrorKind::unavailable, "The disk of the database is full: make room."};
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
      return {ErrorKind::unavailable,
              fmt::format("The database can't be read or written ({}). Check disk, folder and rights.", text)};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {ErrorKind::data_corrupted,
              fmt::format("The database is damaged ({}). Restore the folder from a copy.", text)};
    default:
      return {ErrorKind::internal, fmt::format("the database answered: {} ({})", text, code)};
  }
}

Result<Connection::Prepared> Connection::prepare(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(handle_, sql.c_str(), static_cast<int>(sql.size()) + 1, SQLITE_PREPARE_PERSISTENT, &statement,
                         nullptr) != SQLITE_OK)
    return fail(ErrorKind::internal, fmt::format("{}, in: {}", sqlite3_errmsg(handle_), sql));
  return Prepared(statement);
}

Result<std::vector<Connection::Prepared>> Connection::prepare_all(std::string_view sql) {
  auto texts = dialect_(sql);
  if (!texts) return std::unexpected(texts.error());
  std::vector<Prepared> all;
  for (const auto& text : *texts) {
    auto one = prepare(text);
    if (!one) return std::unexpected(one.error());
    all.push_back(std::move(*one));
  }
  return all;
}

Result<Rows> Connection::step(sqlite3_stmt* statement, const std::vector<Value>& args, const Rows* first) {
  sqlite3_reset(statement);
  for (int index = 1; index <= sqlite3_bind_parameter_count(statement); ++index) {
    // All have names: a number would also be given to the next name, and both be one parameter.
    const char* given = sqlite3_bind_parameter_name(statement, index);
    const std::string_view name = given ? given : "?";
    const bool of_caller = name.starts_with(":p");
    const auto number = static_cast<std::size_t>(parse_int(name.substr(of_caller ? 2 : 1)).value_or(0));
    int bound = SQLITE_RANGE;
    if (of_caller && number >= 1 && number <= args.size()) bound = bind_value(statement, index, args[number - 1]);
    if (!of_caller && first != nullptr && !first->empty() && number >= 1 && number <= first->cells[0].size())
      bound = first->is_null(0, number - 1) ? sqlite3_bind_null(statement, index)
                                            : sqlite3_bind_int64(statement, index, first->number(0, number - 1));
    if (bound != SQLITE_OK)
      return fail(ErrorKind::internal, fmt::format("there is no argument {}, in: {}", name, sqlite3_sql(statement)));
  }
  Rows rows;
  int code = SQLITE_OK;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    auto& row = rows.cells.emplace_back();
    for (int column = 0; column < sqlite3_column_count(statement); ++column) row.push_back(cell_of(statement, column));
  }
  Result<Rows> outcome = code == SQLITE_DONE ? Result<Rows>(std::move(rows)) : std::unexpected(error());
  if (outcome) outcome->affected = sqlite3_changes64(handle_);
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return outcome;
}

Result<Rows> Connection::run(const Statement& statement, Keep keep) {
  std::vector<Prepared> passing;
  auto* prepared = &passing;
  if (auto kept = kept_.find(statement.sql); keep == Keep::yes && kept != kept_.end()) {
    prepared = &kept->second;
  } else {
    auto fresh = prepare_all(statement.sql);
    if (!fresh) return std::unexpected(fresh.error());
    if (keep == Keep::yes)
      prepared = &(kept_[std::string(statement.sql)] = std::move(*fresh));
    else
      passing = std::move(*fresh);
  }
  Result<Rows> answer;
  for (std::size_t i = 0; i < prepared->size(); ++i) {
    auto* one = (*prepared)[i].get();
    auto rows = step(one, statement.args, i == 0 ? nullptr : &*answer);
    if (!rows) return rows;
    if (i > 0) continue;
    answer = std::move(rows);
    if (answer->empty() && sqlite3_column_count(one) > 0) break;
  }
  return answer;
}

Result<Rows> Connection::run_plain(const std::string& sql) {
  auto prepared = prepare(sql);
  if (!prepared) return std::unexpected(prepared.error());
  return step(prepared->get(), {}, nullptr);
}

Result<void> Connection::check(const std::string& sql) {
  auto prepared = prepare(sql);
  if (!prepared) return std::unexpected(prepared.error());
  return {};
}

}  // namespace afloat::sqlite
