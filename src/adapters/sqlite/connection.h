#pragma once
#include <sqlite3.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "adapters/sqlite/functions.h"
#include "ports/database.h"

namespace afloat::sqlite {

/// A statement of the stores as the statements that SQLite runs for it, in order. Arguments are :p1, :p2, ...; @1, @2,
/// ... are the columns of the row that the first of them gave. The rows of the first one are the answer; where
/// it can give rows and gives none, the rest is not run.
using Dialect = std::function<Result<std::vector<std::string>>(std::string_view sql)>;

/// One connection to the file. Blocks; used by one thread at a time.
/// Errors carry SQLSTATEs like those of PostgreSQL where stores ask for them (23505, 23502, 23503).
class Connection {
 public:
  /// Changes nothing in a file that is there.
  static Result<std::unique_ptr<Connection>> open(const std::string& file, Dialect dialect,
                                                  std::atomic<std::int64_t>& last_page_id);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  /// To be called before anything is written: what a commit has acknowledged survives a killed process and a power cut.
  Result<void> make_durable();
  /// What runs longer is interrupted, and fails as unavailable: nothing of it happened.
  void set_deadline(Deadline deadline) { deadline_ = deadline; }
  /// now() stands still from here on.
  void take_time();
  enum class Keep { yes, no };  ///< the prepared form, for the next time
  Result<Rows> run(const Statement& statement, Keep keep);
  /// SQLite's own text, without arguments: begin, commit, schema, pragmas.
  Result<Rows> run_plain(const std::string& sql);
  /// Whether SQLite understands it, without running it.
  Result<void> check(const std::string& sql);
  bool in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }

 private:
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  using Prepared = std::unique_ptr<sqlite3_stmt, Finalizer>;
  explicit Connection(Dialect dialect) : dialect_(std::move(dialect)) {}
  Result<Prepared> prepare(const std::string& sql);
  Result<std::vector<Prepared>> prepare_all(std::string_view sql);
  Result<Rows> step(sqlite3_stmt* statement, const std::vector<Value>& args, const Rows* first);
  Error error() const;

  sqlite3* handle_ = nullptr;
  Dialect dialect_;
  FunctionState functions_;
  Deadline deadline_ = Deadline::max();
  std::map<std::string, std::vector<Prepared>, std::less<>> kept_;
};

}  // namespace afloat::sqlite
