#include "support/replica.h"

#include <signal.h>

#include <filesystem>
#include <stdexcept>

#include "base/hash.h"
#include "local/process.h"
#include "support/support.h"

namespace afloat::test {

namespace fs = std::filesystem;
using std::chrono::seconds;

namespace {

template <class T>
T or_throw(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

local::Postgres started(const std::string& folder) {
  return or_throw(local::Postgres::start({.folder = folder, .log = "", .fsync = false}));
}

void copy_of(const std::string& primary, const std::string& folder) {
  const auto user = local::unprivileged("postgres");
  or_throw(local::make_folders(folder));
  fs::permissions(folder, fs::perms::owner_all);
  or_throw(local::give_to(folder, user));
  local::ProcessOptions backup;
  backup.argv = {"/usr/lib/postgresql/15/bin/pg_basebackup",
                 "--pgdata=" + folder + "/data",
                 "--dbname=host=" + primary + " user=afloat application_name=replica",
                 "--write-recovery-conf",
                 "--wal-method=stream",
                 "--checkpoint=fast",
                 "--no-sync"};
  backup.user = user;
  or_throw(local::run_checked(backup));
  // The copy has the primary's settings, its socket's folder among them.
  const auto file = folder + "/data/postgresql.auto.conf";
  or_throw(
      local::write_file(file, or_throw(local::read_file(file)) + "unix_socket_directories = '" + folder + "'\n", 0600));
  or_throw(local::give_to(file, user));
}

}  // namespace

ReplicatedPostgres::ReplicatedPostgres() {
  init_crypto();
  primary_ = started(folder_.path() + "/one");
  copy_of(folder_.path() + "/one", folder_.path() + "/two");
  replica_ = started(folder_.path() + "/two");
  fs::create_directory_symlink("one", folder_.path() + "/now");
  if (!eventually(seconds(20), [&] { return caught_up(); })) throw std::runtime_error("the replica does not follow");
}

std::string ReplicatedPostgres::connection(const std::string& database) const {
  return "host=" + folder_.path() + "/now user=afloat dbname=" + database;
}

void ReplicatedPostgres::wait_for_replica() {
  or_throw(primary_.execute("postgres", "alter system set synchronous_standby_names = '*'"));
  or_throw(primary_.execute("postgres", "select pg_reload_conf()"));
  if (!eventually(seconds(10), [&] {
        return primary_.query("postgres", "select sync_state from pg_stat_replication").value_or("") == "sync";
      }))
    throw std::runtime_error("the replica did not become synchronous");
}

bool ReplicatedPostgres::caught_up() {
  auto position = primary_.query("postgres", "select pg_current_wal_lsn()");
  return position &&
         replica_.query("postgres", "select pg_last_wal_replay_lsn() >= '" + *position + "'").value_or("") == "t";
}

void ReplicatedPostgres::pause_replay() {
  or_throw(replica_.execute("postgres", "select pg_wal_replay_pause()"));
  if (!eventually(seconds(5), [&] {
        return replica_.query("postgres", "select pg_get_wal_replay_pause_state()").value_or("") == "paused";
      }))
    throw std::runtime_error("the replica goes on replaying");
}

void ReplicatedPostgres::resume_replay() { or_throw(replica_.execute("postgres", "select pg_wal_replay_resume()")); }

void ReplicatedPostgres::cut_off() {
  or_throw(replica_.execute("postgres", "alter system set primary_conninfo = ''"));
  or_throw(replica_.execute("postgres", "select pg_reload_conf()"));
  if (!eventually(seconds(10), [&] {
        return replica_.query("postgres", "select count(*) from pg_stat_wal_receiver").value_or("") == "0";
      }))
    throw std::runtime_error("the replica goes on receiving");
}

void ReplicatedPostgres::kill_primary() { primary_.process().stop(seconds(10), SIGKILL); }

void ReplicatedPostgres::promote() {
  if (replica_.query("postgres", "select pg_promote(true, 20)").value_or("") != "t")
    throw std::runtime_error("the replica was not promoted");
}

void ReplicatedPostgres::fail_over() {
  fs::create_directory_symlink("two", folder_.path() + "/next");
  fs::rename(folder_.path() + "/next", folder_.path() + "/now");
}

}  // namespace afloat::test
