#include "store/session_store.h"

#include "store/unlogged_write.h"

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

Task<void> write_all(Database& database, Gates gates, std::vector<Statement> statements, Deadline deadline) {
  auto done = co_await write_unlogged(database, gates, std::move(statements), deadline);
  if (!done) co_return std::unexpected(done.error());
  co_return Result<void>();
}
Task<void> write_one(Database& database, Gates gates, Statement statement, Deadline deadline) {
  std::vector<Statement> statements;
  statements.push_back(std::move(statement));
  co_return co_await write_all(database, gates, std::move(statements), deadline);
}

/// To be locked before a session of the user, as a change of the password locks them.
Statement seen(std::int64_t user_id) {
  return {
      "update app_user set last_seen = now() where id = $1::bigint"
      " and (last_seen is null or last_seen <= created_at or last_seen < now() - interval '1 minute')",
      {user_id}};
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
  std::vector<Statement> statements{seen(user_id)};
  statements.push_back(
      {"with ended as (delete from session where user_id = $2::bigint and expires_at < now())"
       " insert into session (id_hash, user_id, csrf, expires_at)"
       " values ($1::bytea, $2::bigint, $3, now() + make_interval(secs => $4::double precision)) on conflict do "
       "nothing",
       {Value::bytes(std::move(id_hash)), user_id, std::move(csrf), static_cast<std::int64_t>(lifetime.count())}});
  co_return co_await write_all(database, gates, std::move(statements), deadline);
}

Task<void> touch_session(Database& database, Gates gates, std::string id_hash, std::int64_t user_id,
                         Deadline deadline) {
  std::vector<Statement> statements{seen(user_id)};
  statements.push_back(
      {"update session set last_seen = now() where id_hash = $1::bytea and last_seen < now() - interval '1 minute'",
       {Value::bytes(std::move(id_hash))}});
  co_return co_await write_all(database, gates, std::move(statements), deadline);
}
Task<void> touch_user(Database& database, Gates gates, std::int64_t user_id, Deadline deadline) {
  co_return co_await write_one(database, gates, seen(user_id), deadline);
}

Task<void> remove_session(Database& database, Gates gates, std::string id_hash, Deadline deadline) {
  co_return co_await write_one(
      database, gates, {"delete from session where id_hash = $1::bytea", {Value::bytes(std::move(id_hash))}}, deadline);
}

Task<Candidate> find_candidate(Database& database, std::string name, std::string digest, Deadline deadline) {
  auto rows = co_await database.read(
      {"select u.id, u.name, u.full_name, u.email, u.administrator, u.password_hash,"
       " (extract(epoch from c.expires_at - now()) * 1000)::bigint"
       " from app_user u left join verified_credential c on c.digest = $2::bytea and c.user_id = u.id"
       "  and c.expires_at > now() and c.password_digest = encode(sha256(convert_to(u.password_hash, 'UTF8')), 'hex')"
       " where lower(u.name) = lower($1)",
       {name, Value::bytes(std::move(digest))}},
      deadline);
  if (!rows) co_return std::unexpected(rows.error());
  if (rows->empty()) co_return fail(ErrorKind::not_found, "There is no user " + name + ".");
  Candidate candidate;
  candidate.user = owner(*rows);
  candidate.user.password_hash = rows->text(0, 5);
  candidate.verified = !rows->is_null(0, 6);
  candidate.remaining = std::chrono::milliseconds(rows->number(0, 6));
  co_return candidate;
}

Task<void> note_verified(Database& database, Gates gates, std::string digest, std::int64_t user_id,
                         std::string password_hash, std::chrono::seconds lifetime, Deadline deadline) {
  co_return co_await write_one(
      database, gates,
      {"with expired as (delete from verified_credential where expires_at < now() and digest <> $1::bytea)"
       " insert into verified_credential (digest, user_id, password_digest, expires_at)"
       " values ($1::bytea, $2::bigint, encode(sha256(convert_to($3, 'UTF8')), 'hex'),"
       " now() + make_interval(secs => $4::double precision))"
       " on conflict (digest) do update set user_id = excluded.user_id, password_digest = excluded.password_digest,"
       " expires_at = excluded.expires_at",
       {Value::bytes(std::move(digest)), user_id, std::move(password_hash),
        static_cast<std::int64_t>(lifetime.count())}},
      deadline);
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
