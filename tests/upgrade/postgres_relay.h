#pragma once
#include <memory>
#include <string>

/// Stands between nodes and PostgreSQL, and breaks the connection of one write at a chosen moment.
namespace afloat::test {

enum class Break {
  before_commit,  ///< the write never reaches the server
  after_commit,   ///< the server has carried it out and answered; the answer is not passed on
  while_running,  ///< the server has the write and still works on it, and hears nothing of the broken connection
};

/// Listens on a unix socket of its own; relays everything, and knows the messages' borders.
/// Thread-safe; a thread of its own does the work.
class PostgresRelay {
 public:
  /// `connection`: of the real server (libpq, by folder of its unix socket).
  explicit PostgresRelay(const std::string& connection);
  ~PostgresRelay();
  PostgresRelay(const PostgresRelay&) = delete;
  PostgresRelay& operator=(const PostgresRelay&) = delete;

  /// The connection string that leads through here.
  std::string connection() const;
  /// The next batch with a parameter or text that contains `marker` is broken like this, once.
  void break_at(const std::string& marker, Break how);
  /// True once that has happened.
  bool broken() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace afloat::test
