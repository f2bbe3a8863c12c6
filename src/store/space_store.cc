#include "store/space_store.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "store/page_rows.h"

namespace afloat::store {

namespace {

constexpr std::string_view space_columns =
    " s.id, s.key, s.name, s.description, s.homepage_id, u.name, u.full_name,"
    " (extract(epoch from s.created_at) * 1000)::bigint ";
constexpr std::string_view space_tables = " space s left join app_user u on u.id = s.created_by ";

Space space_from(const Rows& rows, std::size_t row) {
  Space space;
  space.id = rows.number(row, 0);
  space.key = rows.text(row, 1);
  space.name = rows.text(row, 2);
  space.description = rows.text(row, 3);
  space.homepage_id = optional_number(rows, row, 4);
  space.created_by = user_name(rows, row, 5);
  space.created_at_ms = rows.number(row, 7);
  return space;
}

bool key_fits(std::string_view key) {
  return !key.empty() && key.size() <= 255 && std::ranges::all_of(key, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  });
}

}  // namespace

Task<std::vector<Space>> list_spaces(Database& database, int start, int limit, Deadline deadline) {
  static const std::string sql = fmt::format(
      "select {} from {} order by lower(s.name), s.id offset $1::bigint limit $2::bigint", space_columns, space_tables);
  auto rows = co_await database.read({sql, {start, limit}}, deadline);
  if (!rows) co_return std::unexpected(rows.error());
  std::vector<Space> spaces;
  for (std::size_t row = 0; row < rows->size(); ++row) spaces.push_back(space_from(*rows, row));
  co_return spaces;
}

Task<Space> read_space(Database& database, std::string key, Deadline deadline) {
  static const std::string sql =
      fmt::format("select {} from {} where lower(s.key) = lower($1)", space_columns, space_tables);
  auto rows = co_await database.read({sql, {key}}, deadline);
  if (!rows) co_return std::unexpected(rows.error());
  if (rows->empty()) co_return fail(ErrorKind::not_found, fmt::format("There is no space with the key {}.", key));
  co_return space_from(*rows, 0);
}

Task<Space> create_space(Database& database, Gates gates, NewSpace space, Deadline deadline) {
  if (!key_fits(space.key))
    co_return fail(ErrorKind::invalid_argument,
                   "The space key is not made of 1 to 255 letters and digits (a to z, 0 to 9); choose another.");
  if (trim(space.name).empty() || !is_utf8(space.name))
    co_return fail(ErrorKind::invalid_argument, "The space has no name; give it one.");
  if (space.homepage_title.empty()) space.homepage_title = space.name + " Home";
  std::vector<Statement> statements;
  statements.push_back(
      {"insert into space (key, name, description, homepage_id, created_by)"
       " values ($1, $2, $3, nextval(pg_get_serial_sequence('page', 'id')), $4::bigint)",
       {space.key, space.name, space.description, space.author}});
  statements.push_back(homepage_statement(space.key, space.homepage_title, space.homepage_body, space.author));
  auto done = co_await database.write(gates, std::move(statements), {{"space", space.key}}, deadline);
  if (!done && done.error().code() == "23505")
    co_return fail(ErrorKind::invalid_argument,
                   fmt::format("A space with the key {} already exists; choose another key.", space.key));
  if (!done && done.error().code() != "COMMITTED") co_return std::unexpected(done.error());
  co_return co_await read_space(database, space.key, deadline);
}

Task<Space> update_space(Database& database, Gates gates, std::string key, std::optional<std::string> name,
                         std::optional<std::string> description, std::optional<std::int64_t> homepage_id,
                         Deadline deadline) {
  auto space = co_await read_space(database, key, deadline);
  if (!space) co_return space;
  std::vector<Statement> statements;
  statements.push_back(
      {"update space set name = coalesce($2, name), description = coalesce($3, description),"
       " homepage_id = coalesce($4::bigint, homepage_id) where id = $1::bigint"
       " and ($4::bigint is null or exists (select 1 from page p where p.id = $4::bigint"
       "   and p.space_id = $1::bigint and p.status = 'current')) returning id",
       {space->id, name, description, homepage_id}});
  auto done = co_await database.write(gates, std::move(statements), {{"space", space->key}}, deadline);
  if (!done && done.error().code() != "COMMITTED") co_return std::unexpected(done.error());
  if (done && done->front().empty())
    co_return fail(ErrorKind::invalid_argument,
                   fmt::format("Page {} is not a page of the space {}; choose a home page inside it.",
                               homepage_id.value_or(0), space->key));
  co_return co_await read_space(database, key, deadline);
}

}  // namespace afloat::store
