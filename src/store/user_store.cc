#include "store/user_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/text.h"
#include "store/event_store.h"

namespace afloat::store {

namespace {

User user_from(const Rows& rows, std::size_t row) {
  User user;
  user.id = rows.number(row, 0);
  user.name = rows.text(row, 1);
  user.full_name = rows.text(row, 2);
  user.email = rows.text(row, 3);
  user.administrator = rows.flag(row, 4);
  return user;
}

/// A trial has no audit log.
bool tells(const Database& database, const std::string& actor) {
  return !actor.empty() && database.dialect() == SqlDialect::postgresql;
}
std::string named(const std::string& user) { return boost::json::serialize(boost::json::object{{"user", user}}); }

Result<void> check_user(const NewUser& user) {
  // Basic credentials end the name at the first colon.
  const bool name_fits = !user.name.empty() && user.name.size() <= 255 && is_utf8(user.name) &&
                         std::ranges::none_of(user.name, [](char c) {
                           return c == ':' || c == ' ' || c == '<' || c == '>' || static_cast<unsigned char>(c) < 32;
                         });
  if (!name_fits)
    return fail(ErrorKind::invalid_argument,
                "The user name is empty, too long, or has a blank, colon, < or > in it; choose another.");
  if (!is_utf8(user.full_name) || !is_utf8(user.email))
    return fail(ErrorKind::invalid_argument, "Full name and e-mail address must be UTF-8 text.");
  return {};
}

}  // namespace

Task<User> find_user(Database& database, std::string name, Deadline deadline) {
  auto rows = co_await database.read(
      {"select id, name, full_name, email, administrator, password_hash from app_user where lower(name) = lower($1)",
       {name}},
      deadline);
  if (!rows) co_return std::unexpected(rows.error());
  if (rows->empty()) co_return fail(ErrorKind::not_found, fmt::format("There is no user {}.", name));
  auto user = user_from(*rows, 0);
  user.password_hash = rows->text(0, 5);
  co_return user;
}

Task<User> read_user(Database& database, std::int64_t id, Deadline deadline) {
  auto rows = co_await database.read(
      {"select id, name, full_name, email, administrator from app_user where id = $1::bigint", {id}}, deadline);
  if (!rows) co_return std::unexpected(rows.error());
  if (rows->empty()) co_return fail(ErrorKind::not_found, fmt::format("There is no user with the id {}.", id));
  co_return user_from(*rows, 0);
}

Task<std::vector<User>> list_users(Database& database, int start, int limit, Deadline deadline) {
  auto rows = co_await database.read({"select id, name, full_name, email, administrator from app_user"
                                      " order by lower(name) offset $1::bigint limit $2::bigint",
                                      {start, limit}},
                                     deadline);
  if (!rows) co_return std::unexpected(rows.error());
  std::vector<User> users;
  for (std::size_t row = 0; row < rows->size(); ++row) users.push_back(user_from(*rows, row));
  co_return users;
}

Task<User> create_user(Database& database, Gates gates, NewUser user, Deadline deadline) {
  if (auto fit = check_user(user); !fit) co_return std::unexpected(fit.error());
  std::vector<Statement> statements;
  statements.push_back(
      {"insert into app_user (name, full_name, email, password_hash, administrator)"
       " values ($1, $2, $3, $4, $5::boolean)",
       {user.name, user.full_name, user.email, user.password_hash, user.administrator}});
  if (tells(database, user.created_by))
    statements.push_back(event_statement(user.created_by, "user_created", named(user.name)));
  auto done = co_await database.write(gates, std::move(statements), {{"user", "0"}}, deadline);
  if (!done && done.error().code() == "23505")
    co_return fail(ErrorKind::invalid_argument,
                   fmt::format("A user with the name {} already exists; choose another.", user.name));
  if (!done && done.error().code() != "COMMITTED") co_return std::unexpected(done.error());
  co_return co_await find_user(database, user.name, deadline);
}

Task<bool> create_first_user(Database& database, Gates gates, NewUser user, Deadline deadline) {
  if (auto fit = check_user(user); !fit) co_return std::unexpected(fit.error());
  std::vector<Statement> statements;
  // Two nodes may start at once: the second one's insert meets the first one's row.
  statements.push_back(
      {"insert into app_user (name, full_name, email, password_hash, administrator)"
       " select $1, $2, $3, $4, $5::boolean where not exists (select 1 from app_user)"
       " on conflict do nothing returning id",
       {user.name, user.full_name, user.email, user.password_hash, user.administrator}});
  auto done = co_await database.write(gates, std::move(statements), {{"user", "0"}}, deadline);
  if (!done && done.error().code() == "COMMITTED") co_return true;
  if (!done) co_return std::unexpected(done.error());
  co_return !done->front().empty();
}

Task<FoundUsers> find_users(Database& database, UserQuery query, Deadline deadline) {
  std::string pattern;
  for (const char c : query.text) {
    if (c == '%' || c == '_' || c == '\\') pattern += '\\';
    pattern += c;
  }
  if (!pattern.empty()) pattern = "%" + pattern + "%";
  auto rows = co_await database.read(
      {"select id, name, full_name, email, administrator, count(*) over (),"
       // Null until backfill has seen it; an account that was never used has the time when it was made.
       " (extract(epoch from coalesce(last_seen, created_at)) * 1000)::bigint,"
       " coalesce(last_seen, created_at) > created_at from app_user"
       " where ($1 = '' or lower(name) like lower($1) escape '\\' or lower(full_name) like lower($1) escape '\\'"
       "  or lower(email) like lower($1) escape '\\') and (not $2::boolean or administrator)"
       " order by lower(name) offset $3::bigint limit $4::bigint",
       {pattern, query.administrators, query.start, query.limit}},
      deadline);
  if (!rows) co_return std::unexpected(rows.error());
  FoundUsers found;
  for (std::size_t row = 0; row < rows->size(); ++row) {
    auto& user = found.users.emplace_back(user_from(*rows, row));
    if (rows->flag(row, 7)) user.last_seen_ms = rows->number(row, 6);
  }
  if (!rows->empty()) found.total = rows->number(0, 5);
  co_return found;
}

Result<void> check_password(std::string_view password) {
  if (password.size() >= shortest_password && password.size() <= longest_password) return {};
  return fail(ErrorKind::invalid_argument,
              fmt::format("The password is shorter than {} or longer than {} bytes; choose another.", shortest_password,
                          longest_password));
}

Task<void> change_user(Database& database, Gates gates, User before, User after, std::string actor, Deadline deadline) {
  NewUser checked{.name = after.name, .full_name = after.full_name, .email = after.email, .password_hash = {}};
  if (auto fit = check_user(checked); !fit) co_return std::unexpected(fit.error());
  std::vector<Statement> statements;
  // The rows of all administrators are locked in one order: of two that take the right from each other, one fails.
  statements.push_back(
      {"with administrators as (select id from app_user where administrator order by id for update)"
       " update app_user set full_name = $2, email = $3, administrator = $4::boolean where id = $1::bigint"
       " and ($4::boolean or not administrator or exists (select 1 from administrators a where a.id <> $1::bigint))"
       " returning id",
       {after.id, after.full_name, after.email, after.administrator}});
  const auto kind = before.administrator == after.administrator ? "user_changed"
                    : after.administrator                       ? "administrator_made"
                                                                : "administrator_revoked";
  if (tells(database, actor))
    statements.push_back(
        {"insert into cluster_event (actor, kind, detail) select $1, $2, $3::jsonb"
         " where exists (select 1 from app_user where id = $4::bigint and administrator = $5::boolean)",
         {actor, kind, named(after.name), after.id, after.administrator}});
  auto done = co_await database.write(gates, std::move(statements), {{"user", std::to_string(after.id)}}, deadline);
  if (!done && done.error().code() != "COMMITTED") co_return std::unexpected(done.error());
  if (done && !done->front().empty()) co_return Result<void>();
  auto now = co_await read_user(database, after.id, deadline);
  if (!now) co_return std::unexpected(now.error());
  if (now->administrator == after.administrator) co_return Result<void>();
  co_return fail(ErrorKind::failed_precondition,
                 fmt::format("{} is the only system administrator, and without one nobody could manage this site. Make "
                             "another user administrator first.",
                             after.name));
}

Task<void> reset_password(Database& database, Gates gates, User user, PasswordReset reset, Deadline deadline) {
  std::vector<Statement> statements;
  statements.push_back(
      {"update app_user set password_hash = $2 where id = $1::bigint", {user.id, std::move(user.password_hash)}});
  statements.push_back(
      {"delete from session where user_id = $1::bigint and csrf <> $2", {user.id, std::move(reset.kept_csrf)}});
  if (tells(database, reset.actor))
    statements.push_back(event_statement(std::move(reset.actor), "password_reset", named(user.name)));
  auto done = co_await database.write(gates, std::move(statements), {{"user", std::to_string(user.id)}}, deadline);
  if (!done && done.error().code() != "COMMITTED") co_return std::unexpected(done.error());
  co_return Result<void>();
}

}  // namespace afloat::store
