#include "store/user_store.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

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

Task<void> set_password(Database& database, Gates gates, std::int64_t user_id, std::string password_hash,
                        Deadline deadline) {
  std::vector<Statement> statements;
  statements.push_back(
      {"update app_user set password_hash = $2 where id = $1::bigint", {user_id, std::move(password_hash)}});
  auto done = co_await database.write(gates, std::move(statements), {{"user", std::to_string(user_id)}}, deadline);
  if (!done && done.error().code() != "COMMITTED") co_return std::unexpected(done.error());
  co_return Result<void>();
}

}  // namespace afloat::store
