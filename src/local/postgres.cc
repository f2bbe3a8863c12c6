#include "local/postgres.h"

#include <fmt/core.h>
#include <libpq-fe.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <memory>
#include <thread>

#include "local/workplace.h"

namespace afloat::local {
namespace {

namespace fs = std::filesystem;
constexpr const char* programs = "/usr/lib/postgresql/15/bin/";

using Connection = std::unique_ptr<PGconn, decltype(&PQfinish)>;
using Answer = std::unique_ptr<PGresult, decltype(&PQclear)>;

Connection connect(const std::string& text) { return Connection(PQconnectdb(text.c_str()), &PQfinish); }

/// PostgreSQL's user must be able to pass through every parent folder; /root is often closed to others.
Result<void> check_reachable(const std::string& folder, const std::string& user) {
  if (user.empty()) return {};
  for (fs::path path = fs::path(folder).parent_path(); path.has_relative_path(); path = path.parent_path()) {
    struct stat info{};
    if (stat(path.c_str(), &info) == 0 && !(info.st_mode & S_IXOTH))
      return fail(
          ErrorKind::failed_precondition,
          fmt::format(
              "{} is closed to other users, and PostgreSQL, which runs as user {}, could not reach its data in {}. "
              "Choose a folder elsewhere, for example --data /var/tmp/afloat",
              path.string(), user, folder));
  }
  return {};
}

constexpr const char* settings = R"(
# Written by afloat: a private server on a unix socket.
listen_addresses = ''
unix_socket_permissions = 0700
shared_buffers = 128MB
wal_buffers = 8MB
max_wal_size = 1GB
checkpoint_timeout = 15min
log_min_messages = warning
log_line_prefix = '%m [%p] '
log_checkpoints = off
password_encryption = 'scram-sha-256'
jit = off
# A node that freezes inside a transaction must not hold the fence for long.
idle_in_transaction_session_timeout = 2s
statement_timeout = 10s
)";

}  // namespace

Result<Postgres> Postgres::start(Options options) {
  Postgres server;
  server.user_ = unprivileged("postgres");
  options.folder = fs::absolute(options.folder).lexically_normal().string();
  if (options.log.empty()) options.log = options.folder + "/postgres.log";
  server.options_ = options;
  if (auto reachable = check_reachable(options.folder, server.user_); !reachable)
    return std::unexpected(reachable.error());
  if (options.folder.size() + sizeof "/.s.PGSQL.5432" > 107)
    return fail(ErrorKind::invalid_argument,
                fmt::format("{} is too long for a socket's path (107 bytes); choose a shorter folder", options.folder));
  if (auto made = make_folders(options.folder); !made) return std::unexpected(made.error());
  chmod(options.folder.c_str(), 0700);
  if (auto given = give_to(options.folder, server.user_); !given) return std::unexpected(given.error());

  const auto data = options.folder + "/data";
  if (!fs::exists(data + "/PG_VERSION")) {
    ProcessOptions init;
    init.argv = {std::string(programs) + "initdb",
                 "-D",
                 data,
                 "-U",
                 "afloat",
                 "--auth=trust",
                 "--encoding=UTF8",
                 "--locale=C.UTF-8",
                 "--no-sync",
                 "--no-instructions"};
    init.user = server.user_;
    if (auto done = run_checked(init); !done) return std::unexpected(done.error());
    std::string text = settings;
    text += "afloat.embedded = on\n";  // checks tell it from a server of the site's own
    text +=
        fmt::format("max_connections = {}\nunix_socket_directories = '{}'\n", options.max_connections, options.folder);
    if (!options.fsync) text += "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n";
    const auto file = data + "/afloat.conf";
    if (auto done = write_file(file, text); !done) return std::unexpected(done.error());
    if (auto done = give_to(file, server.user_); !done) return std::unexpected(done.error());
    auto main = read_file(data + "/postgresql.conf");
    if (!main) return std::unexpected(main.error());
    const auto main_file = data + "/postgresql.conf";
    if (auto done = write_file(main_file, *main + "\ninclude = 'afloat.conf'\n", 0600); !done)
      return std::unexpected(done.error());
    if (auto done = give_to(main_file, server.user_); !done) return std::unexpected(done.error());
  }
  if (auto started = server.start_again(); !started) return std::unexpected(started.error());
  return server;
}

Result<void> Postgres::start_again() {
  ProcessOptions run;
  run.argv = {std::string(programs) + "postgres", "-D", options_.folder + "/data"};
  run.user = user_;
  run.log = options_.log;
  run.signal_when_orphaned = SIGINT;
  auto process = Process::start(run);
  if (!process) return std::unexpected(process.error());
  process_ = std::move(*process);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const auto url = connection();
  while (std::chrono::steady_clock::now() < end) {
    if (PQping(url.c_str()) == PQPING_OK) return {};
    if (!process_.running())
      return fail(ErrorKind::internal, "PostgreSQL did not start; it said:\n" + last_lines_of(options_.log, 15));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return fail(ErrorKind::deadline_exceeded,
              "PostgreSQL did not answer within 60 s; it said:\n" + last_lines_of(options_.log, 15));
}

Postgres::~Postgres() {
  if (process_.pid()) stop(true);
}

void Postgres::stop(bool immediate) { process_.stop(std::chrono::seconds(20), immediate ? SIGQUIT : SIGINT); }

std::string Postgres::connection(const std::string& database) const {
  return fmt::format("host={} user=afloat dbname={}", options_.folder, database);
}

Result<std::string> Postgres::query(const std::string& database, const std::string& sql) {
  auto link = connect(connection(database));
  if (PQstatus(link.get()) != CONNECTION_OK)
    return fail(ErrorKind::unavailable,
                fmt::format("cannot connect to the private PostgreSQL: {}", PQerrorMessage(link.get())));
  Answer answer(PQexec(link.get(), sql.c_str()), &PQclear);
  const auto status = PQresultStatus(answer.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY) {
    const char* code = PQresultErrorField(answer.get(), PG_DIAG_SQLSTATE);
    return fail(code && std::string_view(code) == "42P04" ? ErrorKind::conflict : ErrorKind::internal,
                fmt::format("PostgreSQL refused `{}`: {}", sql.substr(0, 200), PQresultErrorMessage(answer.get())),
                code ? code : "");
  }
  if (PQntuples(answer.get()) == 0 || PQnfields(answer.get()) == 0) return std::string();
  return std::string(PQgetvalue(answer.get(), 0, 0));
}

Result<void> Postgres::execute(const std::string& database, const std::string& sql) {
  auto done = query(database, sql);
  if (!done) return std::unexpected(done.error());
  return {};
}

Result<void> Postgres::create_database(const std::string& name, const std::string& from_template) {
  return execute("postgres",
                 fmt::format("create database \"{}\" template \"{}\" strategy file_copy", name, from_template));
}

Result<void> Postgres::drop_database(const std::string& name) {
  return execute("postgres", fmt::format("drop database if exists \"{}\" with (force)", name));
}

}  // namespace afloat::local
