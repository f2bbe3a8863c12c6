#include "store/page_tree.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "store/page_rows.h"

namespace afloat::store {

namespace {

Task<std::vector<PageSummary>> summaries(Database& database, Statement statement, Deadline deadline) {
  auto rows = co_await database.read(std::move(statement), deadline);
  if (!rows) co_return std::unexpected(rows.error());
  co_return page_summaries(*rows);
}

/// Runs one statement whose rows are the space keys to tell; no row: not found.
Task<bool> change_tree(Database& database, Gates gates, Statement statement, std::int64_t id, Deadline deadline) {
  auto space = co_await database.read(
      {"select s.key from page p join space s on s.id = p.space_id where p.id = $1::bigint", {id}}, deadline);
  if (!space) co_return std::unexpected(space.error());
  if (space->empty()) co_return std::unexpected(no_such_page(id));
  std::vector<Statement> statements;
  statements.push_back(std::move(statement));
  auto done = co_await database.write(gates, std::move(statements),
                                      {{"page", std::to_string(id)}, {"space", space->text(0, 0)}}, deadline);
  if (!done) {
    // Each of these may be repeated without harm, and its outcome is plain to see: it was carried out.
    if (done.error().code() == "COMMITTED") co_return true;
    co_return std::unexpected(done.error());
  }
  co_return !done->front().empty();
}

}  // namespace

Task<std::vector<PageSummary>> list_children(Database& database, std::int64_t parent_id, int start, int limit,
                                             Deadline deadline) {
  static const std::string sql = fmt::format(
      "select {} from {} where p.parent_id = $1::bigint and p.status = 'current'"
      " order by p.position, p.id offset $2::bigint limit $3::bigint",
      page_columns, page_tables);
  co_return co_await summaries(database, {sql, {parent_id, start, limit}}, deadline);
}

Task<std::vector<TreeEntry>> list_branch(Database& database, std::int64_t parent_id, int start, int limit,
                                         Deadline deadline) {
  auto rows = co_await database.read({"select p.id, p.title,"
                                      " exists (select 1 from page c where c.parent_id = p.id and c.status = 'current')"
                                      " from page p where p.parent_id = $1::bigint and p.status = 'current'"
                                      " order by p.position, p.id offset $2::bigint limit $3::bigint",
                                      {parent_id, start, limit}},
                                     deadline);
  if (!rows) co_return std::unexpected(rows.error());
  std::vector<TreeEntry> entries;
  for (std::size_t row = 0; row < rows->size(); ++row)
    entries.push_back({rows->number(row, 0), rows->text(row, 1), rows->flag(row, 2)});
  co_return entries;
}

Task<std::vector<PageSummary>> list_descendants(Database& database, std::int64_t ancestor_id, int start, int limit,
                                                Deadline deadline) {
  static const std::string sql = fmt::format(
      "with recursive below as ("
      "  select c.id, 1 as depth from page c where c.parent_id = $1::bigint and c.status = 'current'"
      "  union all"
      "  select c.id, below.depth + 1 from below join page c on c.parent_id = below.id"
      "   where c.status = 'current' and below.depth < 100)"
      " select {} from {} where p.id in (select below.id from below)"
      " order by lower(p.title), p.id offset $2::bigint limit $3::bigint",
      page_columns, page_tables);
  auto rows = co_await database.slow_read({sql, {ancestor_id, start, limit}}, deadline);
  if (!rows) co_return std::unexpected(rows.error());
  co_return page_summaries(*rows);
}

Task<std::vector<PageSummary>> list_recent(Database& database, std::string space_key, int start, int limit,
                                           Deadline deadline) {
  // Two statements, each with its own index.
  static const std::string everywhere = fmt::format(
      "select {} from {} where p.status = 'current' order by p.updated_at desc, p.id desc"
      " offset $1::bigint limit $2::bigint",
      page_columns, page_tables);
  static const std::string in_space = fmt::format(
      "select {} from {} where p.space_id = (select k.id from space k where lower(k.key) = lower($3))"
      " and p.status = 'current' order by p.updated_at desc, p.id desc offset $1::bigint limit $2::bigint",
      page_columns, page_tables);
  if (space_key.empty()) co_return co_await summaries(database, {everywhere, {start, limit}}, deadline);
  co_return co_await summaries(database, {in_space, {start, limit, std::move(space_key)}}, deadline);
}

Task<std::vector<PageSummary>> list_pages(Database& database, std::string space_key, std::string title,
                                          std::string status, int start, int limit, Deadline deadline) {
  static const std::string by_id =
      fmt::format("select {} from {} where p.status = $1 order by p.id offset $2::bigint limit $3::bigint",
                  page_columns, page_tables);
  static const std::string by_space = fmt::format(
      "select {} from {} where p.space_id = (select k.id from space k where lower(k.key) = lower($4))"
      " and p.status = $1 order by p.id offset $2::bigint limit $3::bigint",
      page_columns, page_tables);
  static const std::string by_title = fmt::format(
      "select {} from {} where lower(p.title) = lower($4) and p.status = $1"
      " and ($5 = '' or lower(s.key) = lower($5)) order by p.id offset $2::bigint limit $3::bigint",
      page_columns, page_tables);
  static const std::string by_space_and_title = fmt::format(
      "select {} from {} where p.space_id = (select k.id from space k where lower(k.key) = lower($4))"
      " and lower(p.title) = lower($5) and p.status = $1 order by p.id offset $2::bigint limit $3::bigint",
      page_columns, page_tables);
  if (title.empty() && space_key.empty())
    co_return co_await summaries(database, {by_id, {status, start, limit}}, deadline);
  if (title.empty()) co_return co_await summaries(database, {by_space, {status, start, limit, space_key}}, deadline);
  if (space_key.empty()) {
    auto rows = co_await database.slow_read({by_title, {status, start, limit, title, space_key}}, deadline);
    if (!rows) co_return std::unexpected(rows.error());
    co_return page_summaries(*rows);
  }
  co_return co_await summaries(database, {by_space_and_title, {status, start, limit, space_key, title}}, deadline);
}

Task<std::vector<TitleMatch>> find_titles(Database& database, std::vector<TitleQuery> queries, Deadline deadline) {
  std::vector<TitleMatch> matches;
  if (queries.empty()) co_return matches;
  boost::json::array wanted;
  for (std::size_t i = 0; i < queries.size(); ++i)
    wanted.push_back({{"n", i}, {"k", queries[i].space_key}, {"t", queries[i].title}});
  auto rows = co_await database.read(
      {"select w.n, p.id from jsonb_to_recordset($1::jsonb) as w(n integer, k text, t text)"
       " join space s on lower(s.key) = lower(w.k)"
       " join page p on p.space_id = s.id and lower(p.title) = lower(w.t) and p.status = 'current'",
       {boost::json::serialize(wanted)}},
      deadline);
  if (!rows) co_return std::unexpected(rows.error());
  for (std::size_t row = 0; row < rows->size(); ++row) {
    auto& query = queries.at(static_cast<std::size_t>(rows->number(row, 0)));
    matches.push_back({query.space_key, query.title, rows->number(row, 1)});
  }
  co_return matches;
}

Task<void> trash_page(Database& database, Gates gates, std::int64_t id, std::int64_t actor, Deadline deadline) {
  auto done = co_await change_tree(
      database, gates,
      {"with trashed as ("
       "  update page set status = 'trashed', updated_by = $2::bigint, updated_at = now()"
       "   where id = $1::bigint and status = 'current'"
       "     and not exists (select 1 from space where space.homepage_id = $1::bigint)"
       "  returning id, parent_id),"
       " lifted as (update page set parent_id = trashed.parent_id from trashed where page.parent_id = trashed.id)"
       " select trashed.id from trashed",
       {id, actor}},
      id, deadline);
  if (!done) co_return std::unexpected(done.error());
  if (*done) co_return Result<void>();
  auto home = co_await database.read({"select key from space where homepage_id = $1::bigint", {id}}, deadline);
  if (!home) co_return std::unexpected(home.error());
  if (home->empty()) co_return std::unexpected(no_such_page(id));
  co_return fail(ErrorKind::failed_precondition,
                 fmt::format("Page {} is the home page of the space {}: give the space another home page first.", id,
                             home->text(0, 0)));
}

Task<void> restore_page(Database& database, Gates gates, std::int64_t id, std::int64_t actor, Deadline deadline) {
  // Its parent may be gone by now: the page then comes back below the home page.
  auto done = co_await change_tree(
      database, gates,
      {"update page set status = 'current', updated_by = $2::bigint, updated_at = now(),"
       " parent_id = coalesce((select q.id from page q where q.id = page.parent_id and q.status = 'current'),"
       "   (select s.homepage_id from space s where s.id = page.space_id))"
       " where id = $1::bigint and status = 'trashed' returning id",
       {id, actor}},
      id, deadline);
  if (!done) co_return std::unexpected(explain_write_error(done.error(), fmt::format("page {}", id)));
  if (!*done) co_return fail(ErrorKind::not_found, fmt::format("There is no page {} in the trash.", id));
  co_return Result<void>();
}

Task<void> purge_page(Database& database, Gates gates, std::int64_t id, Deadline deadline) {
  auto done = co_await change_tree(database, gates,
                                   {"delete from page where id = $1::bigint and status = 'trashed' returning id", {id}},
                                   id, deadline);
  if (!done) co_return std::unexpected(done.error());
  if (!*done) co_return fail(ErrorKind::not_found, fmt::format("There is no page {} in the trash.", id));
  co_return Result<void>();
}

Task<void> move_page(Database& database, Gates gates, std::int64_t id, MovePlace place, std::int64_t target,
                     Deadline deadline) {
  // `place` is where it goes: parent and position. Later siblings make room; gaps in positions do no harm.
  constexpr std::string_view sql = R"(
with recursive place as (
  select case when $3 = 'append' then q.id else q.parent_id end as parent_id,
         case $3 when 'append' then
                coalesce((select max(c.position) + 1 from page c where c.parent_id = q.id), 0)
              when 'before' then q.position else q.position + 1 end as position
    from page q join page me on me.id = $1::bigint and me.space_id = q.space_id
   where q.id = $2::bigint and q.status = 'current' and q.id <> me.id),
up as (
  select q.id, q.parent_id, 1 as depth from page q join place on place.parent_id = q.id
  union all
  select q.id, q.parent_id, up.depth + 1 from up join page q on q.id = up.parent_id where up.depth < 200),
moved as (
  update page set parent_id = place.parent_id, position = place.position from place
   where page.id = $1::bigint and page.status = 'current' and place.parent_id is not null
     and not exists (select 1 from up where up.id = $1::bigint)
     and not exists (select 1 from space s where s.homepage_id = $1::bigint)
  returning page.id, page.parent_id, page.position),
shifted as (
  update page set position = page.position + 1 from moved
   where page.parent_id = moved.parent_id and page.id <> moved.id
     and (page.position > moved.position
          or (page.position = moved.position and not ($3 = 'before' and page.id < $2::bigint)
              and ($3 <> 'after' or page.id <> $2::bigint))))
select moved.id from moved)";
  const auto* place_name = place == MovePlace::append ? "append" : place == MovePlace::before ? "before" : "after";
  auto done = co_await change_tree(database, gates, {sql, {id, target, place_name}}, id, deadline);
  if (!done) co_return std::unexpected(done.error());
  if (!*done)
    co_return fail(ErrorKind::invalid_argument,
                   fmt::format("Page {} cannot be moved to page {}: one of them is not there, they are in different "
                               "spaces, the target is below the page, or the page is its space's home page.",
                               id, target));
  co_return Result<void>();
}

Task<std::vector<Label>> list_labels(Database& database, std::int64_t page_id, Deadline deadline) {
  auto rows = co_await database.read(
      {"select prefix, name from label where page_id = $1::bigint order by name, prefix", {page_id}}, deadline);
  if (!rows) co_return std::unexpected(rows.error());
  std::vector<Label> labels;
  for (std::size_t row = 0; row < rows->size(); ++row) labels.push_back({rows->text(row, 0), rows->text(row, 1)});
  co_return labels;
}

Task<std::vector<Label>> add_labels(Database& database, Gates gates, std::int64_t page_id, std::vector<Label> labels,
                                    Deadline deadline) {
  boost::json::array wanted;
  for (const auto& label : labels) wanted.push_back({{"p", label.prefix}, {"n", label.name}});
  std::vector<Statement> statements;
  statements.push_back(
      {"insert into label (page_id, prefix, name)"
       " select p.id, w.p, w.n from page p, jsonb_to_recordset($2::jsonb) as w(p text, n text)"
       " where p.id = $1::bigint and p.status = 'current' on conflict do nothing",
       {page_id, boost::json::serialize(wanted)}});
  statements.push_back({"select p.id from page p where p.id = $1::bigint and p.status = 'current'", {page_id}});
  statements.push_back({"select prefix, name from label where page_id = $1::bigint order by name, prefix", {page_id}});
  auto done = co_await database.write(gates, std::move(statements), {{"page", std::to_string(page_id)}}, deadline);
  if (!done && done.error().code() == "COMMITTED") co_return co_await list_labels(database, page_id, deadline);
  if (!done) co_return std::unexpected(done.error());
  if ((*done)[1].empty()) co_return std::unexpected(no_such_page(page_id));
  const auto& rows = (*done)[2];
  std::vector<Label> all;
  for (std::size_t row = 0; row < rows.size(); ++row) all.push_back({rows.text(row, 0), rows.text(row, 1)});
  co_return all;
}

Task<void> remove_label(Database& database, Gates gates, std::int64_t page_id, std::string name, Deadline deadline) {
  std::vector<Statement> statements;
  statements.push_back({"delete from label where page_id = $1::bigint and name = $2", {page_id, std::move(name)}});
  auto done = co_await database.write(gates, std::move(statements), {{"page", std::to_string(page_id)}}, deadline);
  if (!done && done.error().code() != "COMMITTED") co_return std::unexpected(done.error());
  co_return Result<void>();
}

}  // namespace afloat::store
