#include "store/page_store.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/json_fields.h"
#include "base/text.h"
#include "store/page_body.h"
#include "store/page_index.h"
#include "store/page_rows.h"

namespace afloat::store {

namespace {

constexpr std::string_view unique_violation = "23505";
constexpr std::string_view not_null_violation = "23502";
// Database::write: the change was made, but the connection broke before its rows arrived.
constexpr std::string_view committed_unseen = "COMMITTED";

/// `condition` closes the statement; the columns after page_columns are those of the body, message, ancestors, labels.
std::string read_sql(std::string_view condition) {
  return fmt::format(
      "select {}, {}, v.message,"
      " (with recursive up as ("
      "    select a.id, a.parent_id, a.title, 1 as depth from page a where a.id = p.parent_id"
      "    union all"
      "    select a.id, a.parent_id, a.title, up.depth + 1 from up join page a on a.id = up.parent_id"
      "     where up.depth < 100)"
      "  select json_agg(json_build_object('id', up.id, 'title', up.title) order by up.depth desc) from up),"
      " (select json_agg(json_build_object('prefix', l.prefix, 'name', l.name) order by l.name, l.prefix)"
      "    from label l where l.page_id = p.id)"
      " from {} join page_version v on v.page_id = p.id and v.number = p.version {} where {}",
      page_columns, body_columns, page_tables, body_join, condition);
}

boost::json::array json_array(const Rows& rows, std::size_t row, std::size_t column) {
  if (rows.is_null(row, column)) return {};
  boost::system::error_code error;
  auto value = boost::json::parse(*rows.at(row, column), error);
  return !error && value.is_array() ? std::move(value.get_array()) : boost::json::array();
}

Result<Page> page_from(const Rows& rows, std::size_t row) {
  Page page;
  static_cast<PageSummary&>(page) = page_summary(rows, row);
  auto body = body_from(rows, row, page_column_count);
  if (!body) return std::unexpected(body.error());
  page.body = std::move(*body);
  constexpr auto after_body = page_column_count + body_column_count;
  page.message = rows.text(row, after_body);
  for (const auto& entry : json_array(rows, row, after_body + 1))
    if (const auto* ancestor = entry.if_object())
      page.ancestors.push_back({int_or(*ancestor, "id"), string_or(*ancestor, "title")});
  for (const auto& entry : json_array(rows, row, after_body + 2))
    if (const auto* label = entry.if_object())
      page.labels.push_back({string_or(*label, "prefix"), string_or(*label, "name")});
  return page;
}

Result<void> check_title(std::string_view title) {
  if (trim(title).empty()) return fail(ErrorKind::invalid_argument, "The page has no title; give it one.");
  if (title.size() > 255 * 4 || !is_utf8(title))
    return fail(ErrorKind::invalid_argument, "The title is not text of at most 255 characters; shorten it.");
  return {};
}

/// The statements that write a page end with the arguments of write_body(), whose first one has this number.
std::string with_body(std::string_view sql, std::size_t first) {
  // Only what is really written is stored: the row that the statement creates or saves.
  const std::string_view row = sql.contains("saved as (") ? "saved" : "created";
  auto out = replace_all(
      std::string(sql), "{store_body}",
      fmt::format("insert into page_body (hash, size, data) select ${}::bytea, ${}::bigint, ${}::bytea from {}"
                  " on conflict (hash) do update set doomed_at = null where page_body.doomed_at is not null",
                  first, first + 1, first + 2, row));
  out = replace_all(std::move(out), "{body_hash}", fmt::format("${}::bytea", first));
  out = replace_all(std::move(out), "{change}", fmt::format("${}::integer, ${}::integer", first + 6, first + 7));
  return replace_all(std::move(out), "{index_page}", index_sql(row, first + 3));
}

void write_body(std::vector<Value>& args, std::string_view title, std::string_view body, wiki::ChangeSize change,
                std::size_t text_limit) {
  auto stored = store_body(body);
  args.push_back(Value::bytes(std::move(stored.hash)));
  args.emplace_back(stored.size);
  args.push_back(Value::bytes(std::move(stored.data)));
  index_args(args, indexed_page(title, body, text_limit));
  args.emplace_back(change.added_words);
  args.emplace_back(change.removed_words);
}

// A space that is not there makes space_id null, a parent that is not there makes position null: both raise
// 23502, so that no page of a batch is created. Arguments: id, key, parent, title, message, author, body.
constexpr std::string_view create_sql = R"(
with place as (
  select s.id as space_id, q.id as parent_id,
         case when $3::bigint is not null and q.id is null then null
              else coalesce((select max(c.position) + 1 from page c where c.parent_id = q.id), 0) end as position
    from (select 1) one
    left join space s on lower(s.key) = lower($2::text)
    left join page q on q.id = coalesce($3::bigint, s.homepage_id) and q.space_id = s.id and q.status = 'current'),
created as (
  insert into page (id, space_id, parent_id, position, title, version, status, created_by, updated_by)
  select coalesce($1::bigint, nextval(pg_get_serial_sequence('page', 'id'))), place.space_id, place.parent_id,
         place.position, $4::text, 1, 'current', $6::bigint, $6::bigint
    from place
  returning id, title, version),
stored as ({store_body}),
written as (
  insert into page_version (page_id, number, title, body_hash, message, author, words_added, words_removed)
  select created.id, 1, created.title, {body_hash}, $5::text, $6::bigint, {change} from created),
indexed as ({index_page})
select created.id, 1 from created)";

Statement create_statement(const NewPage& page, std::size_t text_limit) {
  static const auto sql = with_body(create_sql, 7);
  Statement statement{
      sql,
      {page.id, page.space_key, page.parent_id, std::string(trim(page.title)), page.message, page.author}};
  write_body(statement.args, page.title, page.body, wiki::change_size("", page.body), text_limit);
  return statement;
}

// Nothing is written unless the page is at the expected version: no row comes back then.
// Arguments: id, expected version, title, message, author, then the parent of save_and_move_sql, then the body.
constexpr std::string_view save_sql = R"(
with saved as (
  update page set title = $3::text, version = version + 1, updated_by = $5::bigint, updated_at = now()
   where id = $1::bigint and version = $2::integer and status = 'current'
  returning id, version, title),
stored as ({store_body}),
written as (
  insert into page_version (page_id, number, title, body_hash, message, author, words_added, words_removed)
  select saved.id, saved.version, saved.title, {body_hash}, $4::text, $5::bigint, {change} from saved),
indexed as ({index_page})
select saved.id, saved.version from saved)";

// As save_sql, and moves the page below argument 6, the last of its children.
constexpr std::string_view save_and_move_sql = R"(
with recursive up as (
  select q.id, q.parent_id, 1 as depth from page q join page me on me.id = $1::bigint and me.space_id = q.space_id
   where q.id = $6::bigint and q.status = 'current'
  union all
  select q.id, q.parent_id, up.depth + 1 from up join page q on q.id = up.parent_id where up.depth < 200),
saved as (
  update page set title = $3::text, version = version + 1, updated_by = $5::bigint, updated_at = now(),
         parent_id = $6::bigint,
         position = coalesce((select max(c.position) + 1 from page c where c.parent_id = $6::bigint), 0)
   where id = $1::bigint and version = $2::integer and status = 'current'
     and exists (select 1 from up) and not exists (select 1 from up where up.id = $1::bigint)
  returning id, version, title),
stored as ({store_body}),
written as (
  insert into page_version (page_id, number, title, body_hash, message, author, words_added, words_removed)
  select saved.id, saved.version, saved.title, {body_hash}, $4::text, $5::bigint, {change} from saved),
indexed as ({index_page})
select saved.id, saved.version from saved)";

// Arguments: key, title, author, body.
constexpr std::string_view homepage_sql = R"(
with created as (
  insert into page (id, space_id, position, title, version, status, created_by, updated_by)
  select s.homepage_id, s.id, 0, $2::text, 1, 'current', $3::bigint, $3::bigint
    from space s where lower(s.key) = lower($1::text)
  returning id, title, version),
stored as ({store_body}),
written as (
  insert into page_version (page_id, number, title, body_hash, author, words_added, words_removed)
  select created.id, 1, created.title, {body_hash}, $3::bigint, {change} from created)
{index_page})";

constexpr std::string_view version_columns =
    " v.number, v.title, v.message, u.name, u.full_name, (extract(epoch from v.created_at) * 1000)::bigint,"
    " v.words_added, v.words_removed ";
constexpr int version_column_count = 8;

PageVersion version_from(const Rows& rows, std::size_t row) {
  PageVersion version;
  version.number = static_cast<int>(rows.number(row, 0));
  version.title = rows.text(row, 1);
  version.message = rows.text(row, 2);
  version.author = user_name(rows, row, 3);
  version.created_at_ms = rows.number(row, 5);
  if (!rows.is_null(row, 6))
    version.change = {static_cast<int>(rows.number(row, 6)), static_cast<int>(rows.number(row, 7))};
  return version;
}

std::vector<Database::Change> created_changes(const std::vector<NewPage>& pages) {
  std::vector<Database::Change> changes;
  for (const auto& page : pages) {
    if (changes.empty() || changes.back().key != page.space_key) changes.push_back({"space", page.space_key});
  }
  for (const auto& page : pages)
    if (page.parent_id) changes.push_back({"page", std::to_string(*page.parent_id)});
  return changes;
}

Task<Error> explain_missing_place(Database& database, NewPage page, Deadline deadline) {
  auto space =
      co_await database.read({"select id from space where lower(key) = lower($1)", {page.space_key}}, deadline);
  if (!space) co_return std::unexpected(space.error());
  if (space->empty())
    co_return Error(ErrorKind::not_found, fmt::format("There is no space with the key {}.", page.space_key));
  co_return Error(ErrorKind::invalid_argument,
                  fmt::format("The parent page {} is not in the space {}; choose a page of that space.",
                              page.parent_id.value_or(0), page.space_key));
}

}  // namespace

Error explain_write_error(const Error& error, std::string_view title) {
  if (error.code() != unique_violation) return error;
  return {ErrorKind::invalid_argument,
          fmt::format("A page with this title already exists in this space: \"{}\". Choose another title.", title),
          error.code()};
}

Statement homepage_statement(std::string space_key, std::string title, std::string body, std::int64_t author) {
  static const auto sql = with_body(homepage_sql, 4);
  Statement statement{sql, {std::move(space_key), title, author}};
  write_body(statement.args, title, body, wiki::change_size("", body), searched_bytes_at_least);
  return statement;
}

Task<Page> read_page(Database& database, Gates, std::int64_t id, Deadline deadline) {
  static const auto sql = read_sql("p.id = $1::bigint");
  auto rows = co_await database.read({sql, {id}}, deadline);
  if (!rows) co_return std::unexpected(rows.error());
  if (rows->empty()) co_return std::unexpected(no_such_page(id));
  co_return page_from(*rows, 0);
}

Task<Page> read_page_by_title(Database& database, Gates, std::string space_key, std::string title,
                              Deadline deadline) {
  static const auto sql =
      read_sql("lower(s.key) = lower($1) and lower(p.title) = lower($2) and p.status = 'current'");
  auto rows = co_await database.read({sql, {space_key, title}}, deadline);
  if (!rows) co_return std::unexpected(rows.error());
  if (rows->empty())
    co_return fail(ErrorKind::not_found, fmt::format("There is no page \"{}\" in the space {}.", title, space_key));
  co_return page_from(*rows, 0);
}

Task<std::vector<Page>> read_pages(Database& database, Gates, std::vector<std::int64_t> ids,
                                   Deadline deadline) {
  static const auto sql = read_sql("p.id = any($1::bigint[])");
  std::vector<Page> pages;
  if (ids.empty()) co_return pages;
  auto rows = co_await database.read({sql, {id_array(ids)}}, deadline);
  if (!rows) co_return std::unexpected(rows.error());
  for (std::size_t row = 0; row < rows->size(); ++row) {
    auto page = page_from(*rows, row);
    if (!page) co_return std::unexpected(page.error());
    pages.push_back(std::move(*page));
  }
  co_return pages;
}

Task<PageVersion> read_version(Database& database, Gates, std::int64_t page_id, int number,
                               Deadline deadline) {
  static const auto sql = fmt::format(
      "select {}, {} from page_version v left join app_user u on u.id = v.author {}"
      " where v.page_id = $1::bigint and v.number = $2::integer",
      version_columns, body_columns, body_join);
  auto rows = co_await database.read({sql, {page_id, number}}, deadline);
  if (!rows) co_return std::unexpected(rows.error());
  if (rows->empty()) co_return fail(ErrorKind::not_found, fmt::format("Page {} has no version {}.", page_id, number));
  auto version = version_from(*rows, 0);
  auto body = body_from(*rows, 0, version_column_count);
  if (!body) co_return std::unexpected(body.error());
  version.body = std::move(*body);
  co_return version;
}

Task<std::vector<PageVersion>> list_versions(Database& database, std::int64_t page_id, int start, int limit,
                                             Deadline deadline) {
  static const std::string sql = fmt::format(
      "select {} from page_version v left join app_user u on u.id = v.author where v.page_id = $1::bigint"
      " order by v.number desc offset $2::bigint limit $3::bigint",
      version_columns);
  auto rows = co_await database.read({sql, {page_id, start, limit}}, deadline);
  if (!rows) co_return std::unexpected(rows.error());
  std::vector<PageVersion> versions;
  for (std::size_t row = 0; row < rows->size(); ++row) versions.push_back(version_from(*rows, row));
  co_return versions;
}

Task<std::vector<std::int64_t>> reserve_page_ids(Database& database, int count, Deadline deadline) {
  auto rows = co_await database.read(
      {"select nextval(pg_get_serial_sequence('page', 'id')) from generate_series(1, $1::integer)", {count}}, deadline);
  if (!rows) co_return std::unexpected(rows.error());
  std::vector<std::int64_t> ids;
  for (std::size_t row = 0; row < rows->size(); ++row) ids.push_back(rows->number(row, 0));
  co_return ids;
}

Task<std::vector<SavedPage>> create_pages(Database& database, Gates gates, std::vector<NewPage> pages,
                                          Deadline deadline) {
  std::vector<SavedPage> created;
  if (pages.empty()) co_return created;
  for (const auto& page : pages)
    if (auto fit = check_title(page.title); !fit) co_return std::unexpected(fit.error());

  for (const auto text_limit : {searched_bytes, searched_bytes_at_least}) {
    std::vector<Statement> statements;
    statements.reserve(pages.size());
    for (const auto& page : pages) statements.push_back(create_statement(page, text_limit));
    auto results = co_await database.write(gates, std::move(statements), created_changes(pages), deadline);
    if (results) {
      for (const auto& rows : *results) created.push_back({rows.number(0, 0), 1});
      co_return created;
    }
    const auto& error = results.error();
    if (error.code() == too_many_words && text_limit != searched_bytes_at_least) continue;
    if (error.code() == committed_unseen) break;
    if (error.code() == not_null_violation && pages.size() == 1) {
      auto reason = co_await explain_missing_place(database, pages[0], deadline);
      co_return std::unexpected(reason ? std::move(*reason) : reason.error());
    }
    co_return std::unexpected(pages.size() == 1 ? explain_write_error(error, pages[0].title) : error);
  }
  // All of them are there: titles are unique within a space, so they say which ids they got.
  for (const auto& page : pages) {
    auto found = co_await database.read(
        {"select p.id from page p join space s on s.id = p.space_id"
         " where lower(s.key) = lower($1) and lower(p.title) = lower($2) and p.status = 'current'",
         {page.space_key, std::string(trim(page.title))}},
        deadline);
    if (!found || found->empty())
      co_return fail(ErrorKind::deadline_exceeded, "The page was created, but its id could not be read.");
    created.push_back({found->number(0, 0), 1});
  }
  co_return created;
}

Task<SavedPage> create_page(Database& database, Gates gates, NewPage page, Deadline deadline) {
  std::vector<NewPage> pages;
  pages.push_back(std::move(page));
  auto created = co_await create_pages(database, gates, std::move(pages), deadline);
  if (!created) co_return std::unexpected(created.error());
  co_return created->front();
}

Task<SavedPage> save_page(Database& database, Gates gates, SavePage page, Deadline deadline) {
  page.title = std::string(trim(page.title));
  if (auto fit = check_title(page.title); !fit) co_return std::unexpected(fit.error());
  // Read first: for a precise refusal, because the space's readers are told only when the tree changes, and for the
  // text that this one follows.
  static const auto head_sql = fmt::format(
      "select p.version, p.status, p.title, p.parent_id, s.key, {} from page p join space s on s.id = p.space_id"
      " left join page_version v on v.page_id = p.id and v.number = p.version {} where p.id = $1::bigint",
      body_columns, body_join);
  const Statement read_head = {head_sql, {page.id}};
  auto head = co_await database.read(read_head, deadline);
  if (!head) co_return std::unexpected(head.error());
  if (head->empty() || head->text(0, 1) != "current") co_return std::unexpected(no_such_page(page.id));
  const auto stale = [&page](std::int64_t current) {
    return Error(
        ErrorKind::conflict,
        fmt::format("Version must be incremented on update. Page {} is at version {}, and this change was made "
                    "from version {}: read the page again and redo the change.",
                    page.id, current, page.expected_version));
  };
  if (head->number(0, 0) != page.expected_version) co_return std::unexpected(stale(head->number(0, 0)));
  // A damaged text must not keep people from replacing it.
  const auto change = wiki::change_size(body_from(*head, 0, 5).value_or(""), page.body);
  const auto parent = optional_number(*head, 0, 3);
  const bool moves = page.parent_id && page.parent_id != parent;
  std::vector<Database::Change> changes{{"page", std::to_string(page.id)}};
  if (moves || head->text(0, 2) != page.title) changes.push_back({"space", head->text(0, 4)});

  for (const auto text_limit : {searched_bytes, searched_bytes_at_least}) {
    static const auto save = with_body(save_sql, 6), save_and_move = with_body(save_and_move_sql, 7);
    std::vector<Statement> statements(1);
    statements[0].sql = moves ? save_and_move : save;
    statements[0].args = {page.id, page.expected_version, page.title, page.message, page.author};
    if (moves) statements[0].args.emplace_back(page.parent_id);
    write_body(statements[0].args, page.title, page.body, change, text_limit);
    auto results = co_await database.write(gates, std::move(statements), changes, deadline);
    if (results) {
      const auto& rows = results->front();
      if (!rows.empty()) co_return SavedPage{rows.number(0, 0), static_cast<int>(rows.number(0, 1))};
      auto now = co_await database.read(read_head, deadline);
      if (!now) co_return std::unexpected(now.error());
      if (now->empty() || now->text(0, 1) != "current") co_return std::unexpected(no_such_page(page.id));
      if (now->number(0, 0) == page.expected_version)
        co_return fail(ErrorKind::invalid_argument,
                       fmt::format("Page {} cannot be moved below page {}: that page is in another space, in the "
                                   "trash, or below the page itself.",
                                   page.id, page.parent_id.value_or(0)));
      co_return std::unexpected(stale(now->number(0, 0)));
    }
    if (results.error().code() == too_many_words && text_limit != searched_bytes_at_least) continue;
    if (results.error().code() != committed_unseen)
      co_return std::unexpected(explain_write_error(results.error(), page.title));
    break;
  }
  // The batch was committed, but perhaps another save came first and ours wrote nothing: the version tells.
  auto version = co_await read_version(database, gates, page.id, page.expected_version + 1, deadline);
  if (!version && version.error().kind() != ErrorKind::not_found)
    co_return fail(ErrorKind::deadline_exceeded, "The outcome of the save could not be read.");
  if (version && version->title == page.title && version->body == page.body && version->message == page.message)
    co_return SavedPage{page.id, page.expected_version + 1};
  co_return std::unexpected(stale(page.expected_version + 1));
}

}  // namespace afloat::store
