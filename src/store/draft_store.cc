#include "store/draft_store.h"

#include "store/page_rows.h"
#include "store/unlogged_write.h"

namespace afloat::store {

namespace {

Task<Rows> write_one(Database& database, Gates gates, Statement statement, Deadline deadline) {
  std::vector<Statement> statements;
  statements.push_back(std::move(statement));
  auto done = co_await write_unlogged(database, gates, std::move(statements), deadline);
  if (!done) co_return std::unexpected(done.error());
  co_return std::move(done->front());
}

std::vector<DraftSummary> summaries(const Rows& rows, std::int64_t author) {
  std::vector<DraftSummary> out;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    DraftSummary draft;
    draft.place.author = author;
    draft.title = rows.text(row, 0);
    if (const auto page = rows.number(row, 1); page != 0) draft.place.page_id = page;
    if (const auto parent = rows.number(row, 2); parent != 0) draft.place.parent_id = parent;
    draft.place.space_key = rows.text(row, 3);
    draft.space_name = rows.text(row, 4);
    draft.updated_at_ms = rows.number(row, 5);
    draft.base_version = static_cast<int>(rows.number(row, 6));
    draft.form = rows.text(row, 7);
    out.push_back(std::move(draft));
  }
  return out;
}

/// With what the list is narrowed by, `order by` and so on.
std::string offered(std::string_view rest) {
  std::string sql =
      "select d.title, coalesce(d.page_id, 0), coalesce(d.parent_id, 0), s.key, s.name,"
      " (extract(epoch from d.updated_at) * 1000)::bigint, d.base_version, d.form"
      " from draft d join space s on s.id = d.space_id left join page p on p.id = d.page_id"
      " where d.author = $1::bigint and (d.page_id is null or p.status = 'current')"
      " and not (d.page_id is null and d.title = '' and d.body in ('', '<p></p>'))"
      // One that arrived after its own save is the page as it is.
      " and not exists (select 1 from page_version v where v.page_id = p.id and v.number = p.version"
      "  and v.title = d.title and v.body_hash = sha256(convert_to(d.body, 'UTF8')))";
  sql += rest;
  return sql;
}

}  // namespace

Task<std::vector<DraftSummary>> list_drafts(Database& database, std::int64_t author, int limit, Deadline deadline) {
  static const auto sql = offered(" order by d.updated_at desc limit $2::integer");
  auto rows = co_await database.read({sql, {author, limit}}, deadline);
  if (!rows) co_return std::unexpected(rows.error());
  co_return summaries(*rows, author);
}

Task<std::vector<DraftSummary>> list_drafts(Database& database, DraftPlace place, int limit, Deadline deadline) {
  static const auto of_page = offered(" and d.page_id = $2::bigint order by d.updated_at desc limit $3::integer");
  static const auto of_new_page = offered(
      " and d.page_id is null and lower(s.key) = lower($2) and coalesce(d.parent_id, 0) = $3::bigint"
      " order by d.updated_at desc limit $4::integer");
  Statement statement;
  if (place.page_id)
    statement = {of_page, {place.author, *place.page_id, limit}};
  else
    statement = {of_new_page, {place.author, place.space_key, place.parent_id.value_or(0), limit}};
  auto rows = co_await database.read(std::move(statement), deadline);
  if (!rows) co_return std::unexpected(rows.error());
  co_return summaries(*rows, place.author);
}

Task<std::optional<Draft>> read_draft(Database& database, DraftPlace place, std::string form, Deadline deadline) {
  Statement statement;
  if (place.page_id) {
    statement = {
        "select d.title, d.body, d.message, d.base_version, (extract(epoch from d.updated_at) * 1000)::bigint"
        " from draft d where d.author = $1::bigint and d.page_id = $2::bigint and d.form = $3",
        {place.author, *place.page_id, form}};
  } else {
    statement = {
        "select d.title, d.body, d.message, d.base_version, (extract(epoch from d.updated_at) * 1000)::bigint"
        " from draft d join space s on s.id = d.space_id"
        " where d.author = $1::bigint and lower(s.key) = lower($2)"
        " and coalesce(d.parent_id, 0) = $3::bigint and d.page_id is null and d.form = $4",
        {place.author, place.space_key, place.parent_id.value_or(0), form}};
  }
  auto rows = co_await database.read(std::move(statement), deadline);
  if (!rows) co_return std::unexpected(rows.error());
  if (rows->empty()) co_return std::nullopt;
  co_return Draft{rows->text(0, 0),   rows->text(0, 1), rows->text(0, 2), static_cast<int>(rows->number(0, 3)),
                  rows->number(0, 4), std::move(form)};
}

Task<std::int64_t> save_draft(Database& database, Gates gates, DraftPlace place, Draft draft, Deadline deadline) {
  Statement statement;
  if (place.page_id) {
    statement = {
        "insert into draft (author, space_id, page_id, base_version, title, body, message, form)"
        " select $1::bigint, p.space_id, p.id, $3::integer, $4, $5, $6, $7 from page p"
        " where p.id = $2::bigint and p.status = 'current'"
        " on conflict (author, page_id, form) where page_id is not null do update set"
        "  base_version = excluded.base_version, title = excluded.title, body = excluded.body,"
        "  message = excluded.message, updated_at = now()"
        " returning (extract(epoch from updated_at) * 1000)::bigint",
        {place.author, *place.page_id, draft.base_version, draft.title, draft.body, draft.message, draft.form}};
  } else {
    statement = {
        "insert into draft (author, space_id, parent_id, base_version, title, body, message, form)"
        " select $1::bigint, s.id, $3::bigint, $4::integer, $5, $6, $7, $8 from space s"
        " where lower(s.key) = lower($2)"
        " on conflict (author, space_id, coalesce(parent_id, 0), form) where page_id is null do update set"
        "  base_version = excluded.base_version, title = excluded.title, body = excluded.body,"
        "  message = excluded.message, updated_at = now()"
        " returning (extract(epoch from updated_at) * 1000)::bigint",
        {place.author, place.space_key, place.parent_id, draft.base_version, draft.title, draft.body, draft.message,
         draft.form}};
  }
  auto rows = co_await write_one(database, gates, std::move(statement), deadline);
  if (!rows) co_return std::unexpected(rows.error());
  if (rows->empty())
    co_return place.page_id
        ? std::unexpected(no_such_page(*place.page_id))
        : std::unexpected(Error(ErrorKind::not_found, "There is no space with the key " + place.space_key + "."));
  co_return rows->number(0, 0);
}

Task<void> remove_draft(Database& database, Gates gates, DraftPlace place, std::string form, Deadline deadline) {
  Statement statement;
  if (place.page_id) {
    statement = {"delete from draft where author = $1::bigint and page_id = $2::bigint and form = $3",
                 {place.author, *place.page_id, form}};
  } else {
    statement = {
        "delete from draft where author = $1::bigint and page_id is null and coalesce(parent_id, 0) = $3::bigint"
        " and space_id = (select s.id from space s where lower(s.key) = lower($2)) and form = $4",
        {place.author, place.space_key, place.parent_id.value_or(0), form}};
  }
  auto done = co_await write_one(database, gates, std::move(statement), deadline);
  if (!done) co_return std::unexpected(done.error());
  co_return Result<void>();
}

}  // namespace afloat::store
