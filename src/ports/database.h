#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ports/task.h"
#include "ports/time.h"

/// SQL for store/. Two implementations: adapters/postgres, and adapters/sqlite for a trial. Statements are PostgreSQL's;
/// store/dialect.h has what SQLite runs for each.
namespace afloat {

/// Codes of connection errors, all of kind unavailable. `refuses`: waiting does not mend it (wrong password, no such
/// database or user, a connection string that can't be read), though a running node goes on trying all the same.
inline constexpr std::string_view database_away = "DATABASE_AWAY";
inline constexpr std::string_view database_refuses = "DATABASE_REFUSES";

/// One argument: text form, raw bytes (for bytea), or NULL.
class Value {
 public:
  Value(std::nullopt_t) : null_(true) {}
  Value(std::string text) : data_(std::move(text)) {}
  Value(std::string_view text) : data_(text) {}
  Value(const char* text) : data_(text) {}
  Value(std::int64_t number) : data_(std::to_string(number)) {}
  Value(int number) : data_(std::to_string(number)) {}
  Value(bool flag) : data_(flag ? "true" : "false") {}
  template <class T>
  Value(const std::optional<T>& maybe) : null_(!maybe) {
    if (maybe) data_ = Value(*maybe).data_;
  }
  static Value bytes(std::string raw) {
    Value v{std::move(raw)};
    v.binary_ = true;
    return v;
  }
  bool is_null() const { return null_; }
  bool is_binary() const { return binary_; }
  const std::string& data() const { return data_; }

 private:
  std::string data_;
  bool null_ = false;
  bool binary_ = false;
};

/// A text of SQL that outlives the call: a literal or a static, for it is the key of the prepared-statement cache and
/// read after the coroutine that made the statement was left. A text made on the way does not compile.
class StaticSql : public std::string_view {
 public:
  StaticSql() = default;
  StaticSql(const char* text) : std::string_view(text) {}
  StaticSql(std::string_view text) : std::string_view(text) {}
  StaticSql(const std::string& text) : std::string_view(text) {}
  StaticSql(std::string&&) = delete;
};

/// Name every column; `select *` and `returning *` are refused by a test.
struct Statement {
  StaticSql sql;
  std::vector<Value> args;
};

/// The rows of one statement, text form. bytea comes as Postgres' hex: use bytes().
class Rows {
 public:
  using Cell = std::optional<std::string>;
  std::vector<std::vector<Cell>> cells;
  std::int64_t affected = 0;  ///< rows written, for statements without rows

  std::size_t size() const { return cells.size(); }
  bool empty() const { return cells.empty(); }
  const Cell& at(std::size_t row, std::size_t column) const { return cells.at(row).at(column); }
  bool is_null(std::size_t row, std::size_t column) const { return !at(row, column); }
  std::string text(std::size_t row, std::size_t column) const { return at(row, column).value_or(std::string()); }
  std::int64_t number(std::size_t row, std::size_t column) const;  ///< 0 for NULL
  /// PostgreSQL says t, SQLite 1.
  bool flag(std::size_t row, std::size_t column) const { return at(row, column) == "t" || at(row, column) == "1"; }
  std::string bytes(std::size_t row, std::size_t column) const;
};

/// The feature gates that one request works with: the number from cluster_state
/// that it read, and the cluster version that number stands for. Each write
/// carries the number, so a stale one is refused (AF003, as ErrorKind::conflict
/// with code "AF003") and must be built again with fresh gates.
struct Gates {
  int number = 0;
  int cluster_build = 0;  ///< build number of the cluster version, see version/version.h
  /// On when the site is finalized at the release that brought the feature, pre-releases of it included.
  bool reached(int major, int minor, int patch) const {
    return cluster_build >= (major * 1'000'000 + minor * 1'000 + patch) * 10;
  }
};

enum class SqlDialect { postgresql, sqlite };

struct Transaction {
  virtual ~Transaction() = default;
  virtual Task<Rows> run(Statement statement) = 0;
};

/// Thread-safety: one Database per io_context; call it on that context only.
/// Errors: unavailable (never sent, or settled as not done), deadline_exceeded
/// (outcome unknown), conflict (unique violation, serialization, AF003; code =
/// SQLSTATE), failed_precondition with code AF001 when this build may not write,
/// internal otherwise (message and SQLSTATE).
struct Database {
  virtual ~Database() = default;
  /// For the one question that has no common form: full-text search.
  virtual SqlDialect dialect() const { return SqlDialect::postgresql; }
  /// One autocommit read on the shared pipeline.
  virtual Task<Rows> read(Statement statement, Deadline deadline) = 0;
  /// A read that may take long (search, reports): on an exclusive connection.
  virtual Task<Rows> slow_read(Statement statement, Deadline deadline) = 0;
  /// Atomic, one round trip: afloat_write first, then the statements, then one Sync.
  /// A change-log row with a fresh write_id is added for each entry of `changes`
  /// (kind, key), so that a lost answer can be settled and other nodes' caches told.
  struct Change {
    std::string kind;  ///< page, space, user, ... an unknown one clears every cache
    std::string key;
  };
  virtual Task<std::vector<Rows>> write(Gates gates, std::vector<Statement> statements, std::vector<Change> changes,
                                        Deadline deadline) = 0;
  /// Interactive. With gates: content, afloat_write first. Without: control tables
  /// only. An error from `work` rolls back and is returned. Commits otherwise.
  virtual Task<void> transaction(std::optional<Gates> gates, std::move_only_function<Task<void>(Transaction&)> work,
                                 Deadline deadline) = 0;
};

}  // namespace afloat
