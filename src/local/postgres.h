#pragma once
#include <string>

#include "local/process.h"

namespace afloat::local {

/// A private PostgreSQL 15: data and socket below one folder, unix socket only, never a system service.
/// Runs as ourselves, or as user `postgres` where we are root (PostgreSQL refuses root). The superuser
/// `afloat` needs no password: the socket's folder lets in only its owner and root.
class Postgres {
 public:
  struct Options {
    std::string folder;  ///< made where missing; every parent must let user postgres through
    std::string log;     ///< "" = <folder>/postgres.log
    bool fsync = true;   ///< off only in tests
    int max_connections = 200;
  };
  Postgres() = default;
  /// initdb where needed, start, wait until it answers. An existing folder goes on with its data.
  static Result<Postgres> start(Options options);
  Postgres(Postgres&&) = default;
  Postgres& operator=(Postgres&&) = default;
  ~Postgres();  ///< immediate stop

  /// A libpq connection string.
  std::string connection(const std::string& database = "postgres") const;
  /// Errors: conflict when it exists.
  Result<void> create_database(const std::string& name, const std::string& from_template = "template1");
  Result<void> drop_database(const std::string& name);
  /// Runs SQL and returns the first column of the first row ("" where there is none).
  Result<std::string> query(const std::string& database, const std::string& sql);
  Result<void> execute(const std::string& database, const std::string& sql);
  /// Clean ("fast") stop; `immediate` as a crash. start_again() goes on with the same data.
  void stop(bool immediate = false);
  Result<void> start_again();
  bool running() { return process_.running(); }
  Process& process() { return process_; }

 private:
  Options options_;
  std::string user_;
  Process process_;
};

}  // namespace afloat::local
