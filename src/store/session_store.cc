#include "store/session_store.h"

namespace afloat::store {

namespace {

User owner(const Rows& rows) {
  User user;
  user.id = rows.number(0, 0);
  user.name = rows.text(0, 1);
  user.full_name = rows.text(0, 2);
  user.email = rows.text(0, 3);
  user.administrator = rows.flag(0, 4);
  return user;
}

// No change-log entry: sessions and tokens are read from the database each time. Without one the adapter
// cannot settle a lost answer, but each of these statements may be sent again without harm.
Task<void> write_one(Database& database, Gates gates, Statement statement, Deadline deadline) {
  for (bool again = true;; again = false) {
    std::vector<Statement> statements{statement};
    auto done = co_await database.write(gates, std::move(statements), {}, deadline);
    if (done) co_return Result<void>();
    if (!again || done.error().kind() != ErrorKind::deadline_exceeded || std::chrono::steady_clock::now() >= deadline)
      co_return std::unexpected(done.error());
  }
}

}  // namespace

Task<std::optional<Session>> read_session(Database& database, std::string id_hash, Deadline deadline) {
  auto rows = co_await database.read(
      {"select u.id, u.name, u.full_name, u.email, u.administrator, s.csrf, s.last_seen < now() - interval '1 minute'"
       " from session s join app_user u on u.id = s.user_id where s.id_hash = $1::bytea and s.expires_at > now()",
       {Value::bytes(std::move(id_hash))}},
      deadline);
  if (!rows) co_return std::unexpected(rows.error());
  if (rows->empty()) co_return std::nullopt;
  co_return Session{owner(*rows), rows->text(0, 5), rows->flag(0, 6)};
}

Task<void> create_session(Database& database, Gates gates, std::string id_hash, std::int64_t user_id, std::string csrf,
                          std::chrono::seconds lifetime, Deadline deadline) {
  co_return co_await write_one(
      database, gates,
      {"with ended as (delete from session where user_id = $2::bigint and expires_at < now())"
       " insert into session (id_hash, user_id, csrf, expires_at)"
       " values ($1::bytea, $2::bigint, $3, now() + make_interval(secs => $4::double precision)) on conflict do "
       "nothing",
       {Value::bytes(std::move(id_hash)), user_id, std::move(csrf), static_cast<std::int64_t>(lifetime.count())}},
      deadline);
}

Task<void> touch_session(Database& database, Gates gates, std::string id_hash, Deadline deadline) {
  co_return co_await write_one(database, gates,
                               {"update session set last_seen = now() where id_hash = $1::bytea"
                                " and last_seen < now() - interval '1 minute'",
                                {Value::bytes(std::move(id_hash))}},
                               deadline);
}

Task<void> remove_session(Database& database, Gates gates, std::string id_hash, Deadline deadline) {
  co_return co_await write_one(
      database, gates, {"delete from session where id_hash = $1::bytea", {Value::bytes(std::move(id_hash))}}, deadline);
}

Task<std::optional<User>> read_token(Database& database, std::string token_hash, Deadline deadline) {
  auto rows =
      co_await database.read({"select u.id, u.name, u.full_name, u.email, u.administrator"
                              " from access_token t join app_user u on u.id = t.user_id"
                              " where t.token_hash = $1::bytea and (t.expires_at is null or t.expires_at > now())",
                              {Value::bytes(std::move(token_hash))}},
                             deadline);
  if (!rows) co_return std::unexpected(rows.error());
  if (rows->empty()) co_return std::nullopt;
  co_return owner(*rows);
}

Task<void> create_token(Database& database, Gates gates, std::string token_hash, std::int64_t user_id, std::string name,
                        std::optional<std::chrono::seconds> lifetime, Deadline deadline) {
  std::optional<std::int64_t> seconds;
  if (lifetime) seconds = lifetime->count();
  co_return co_await write_one(
      database, gates,
      {"insert into access_token (token_hash, user_id, name, expires_at) values ($1::bytea, $2::bigint, $3,"
       " now() + make_interval(secs => $4::double precision)) on conflict do nothing",
       {Value::bytes(std::move(token_hash)), user_id, std::move(name), seconds}},
      deadline);
}

}  // namespace afloat::store
