#include "store/attachment_store.h"

#include <fmt/format.h>

#include "base/text.h"
#include "store/page_rows.h"

namespace afloat::store {

namespace {

constexpr std::string_view attachment_columns =
    " a.id, a.page_id, s.key, a.file_name, v.number, v.digest, v.size, v.media_type, v.comment, u.name, u.full_name,"
    " (extract(epoch from v.created_at) * 1000)::bigint ";
constexpr std::string_view attachment_tables =
    " attachment a join page p on p.id = a.page_id join space s on s.id = p.space_id"
    " join attachment_version v on v.attachment_id = a.id left join app_user u on u.id = v.author ";

Attachment attachment_from(const Rows& rows, std::size_t row) {
  Attachment attachment;
  attachment.id = rows.number(row, 0);
  attachment.page_id = rows.number(row, 1);
  attachment.space_key = rows.text(row, 2);
  attachment.file_name = rows.text(row, 3);
  attachment.version = static_cast<int>(rows.number(row, 4));
  attachment.digest = rows.text(row, 5);
  attachment.size = rows.number(row, 6);
  attachment.media_type = rows.text(row, 7);
  attachment.comment = rows.text(row, 8);
  attachment.author = user_name(rows, row, 9);
  attachment.created_at_ms = rows.number(row, 11);
  return attachment;
}

Result<void> check_name(std::string_view name) {
  if (name.empty() || name.size() > 255 || !is_utf8(name) || name.find_first_of("/\\") != std::string_view::npos ||
      name == "." || name == "..")
    return fail(ErrorKind::invalid_argument,
                "The attachment's file name is empty, longer than 255 bytes, or has a slash in it; rename the file.");
  return {};
}

// The blob's row first: clean-up of unused blobs takes its lock and looks for references, so a digest that
// is being uploaded again stays. Arguments: page, name, digest, size, media type, comment, author, may update.
constexpr std::string_view upload_sql = R"(
with stored as (
  insert into blob (digest, size) values ($3, $4::bigint)
  on conflict (digest) do update set state = 'live'
  returning digest),
named as (
  insert into attachment (page_id, file_name, created_by)
  select p.id, $2, $7::bigint from page p where p.id = $1::bigint and p.status = 'current'
  on conflict (page_id, file_name) where status = 'current'
  do update set version = attachment.version + 1 where $8::boolean
  returning id, version)
insert into attachment_version (attachment_id, number, digest, size, media_type, comment, author)
select named.id, named.version, stored.digest, $4::bigint, $5, $6, $7::bigint from named, stored
returning attachment_id)";

// Arguments: attachment, digest, size, media type, comment, author.
constexpr std::string_view replace_sql = R"(
with stored as (
  insert into blob (digest, size) values ($2, $3::bigint)
  on conflict (digest) do update set state = 'live'
  returning digest),
raised as (
  update attachment set version = version + 1 where id = $1::bigint and status = 'current' returning id, version)
insert into attachment_version (attachment_id, number, digest, size, media_type, comment, author)
select raised.id, raised.version, stored.digest, $3::bigint, $4, $5, $6::bigint from raised, stored
returning attachment_id)";

Statement upload_statement(const UploadedFile& file, bool may_update) {
  return {
      upload_sql,
      {file.page_id, file.file_name, file.digest, file.size, file.media_type, file.comment, file.author, may_update}};
}

Error no_such_attachment(std::int64_t id) {
  return {ErrorKind::not_found, fmt::format("There is no attachment with the id att{}.", id)};
}

}  // namespace

Task<std::vector<Attachment>> list_attachments(Database& database, std::int64_t page_id, std::string file_name,
                                               int start, int limit, Deadline deadline) {
  static const std::string sql = fmt::format(
      "select {} from {} where a.page_id = $1::bigint and a.status = 'current' and v.number = a.version"
      " and ($2 = '' or a.file_name = $2) order by a.file_name offset $3::bigint limit $4::bigint",
      attachment_columns, attachment_tables);
  auto rows = co_await database.read({sql, {page_id, file_name, start, limit}}, deadline);
  if (!rows) co_return std::unexpected(rows.error());
  std::vector<Attachment> attachments;
  for (std::size_t row = 0; row < rows->size(); ++row) attachments.push_back(attachment_from(*rows, row));
  co_return attachments;
}

Task<Attachment> read_attachment(Database& database, std::int64_t id, Deadline deadline) {
  static const std::string sql =
      fmt::format("select {} from {} where a.id = $1::bigint and a.status = 'current' and v.number = a.version",
                  attachment_columns, attachment_tables);
  auto rows = co_await database.read({sql, {id}}, deadline);
  if (!rows) co_return std::unexpected(rows.error());
  if (rows->empty()) co_return std::unexpected(no_such_attachment(id));
  co_return attachment_from(*rows, 0);
}

Task<Attachment> find_attachment(Database& database, std::int64_t page_id, std::string file_name, int version,
                                 Deadline deadline) {
  static const std::string sql = fmt::format(
      "select {} from {} where a.page_id = $1::bigint and a.file_name = $2 and a.status = 'current'"
      " and v.number = case when $3::integer = 0 then a.version else $3::integer end",
      attachment_columns, attachment_tables);
  auto rows = co_await database.read({sql, {page_id, file_name, version}}, deadline);
  if (!rows) co_return std::unexpected(rows.error());
  if (rows->empty())
    co_return fail(ErrorKind::not_found, fmt::format("Page {} has no attachment \"{}\".", page_id, file_name));
  co_return attachment_from(*rows, 0);
}

Task<Attachment> upload_attachment(Database& database, Gates gates, UploadedFile file, UploadMode mode,
                                   Deadline deadline) {
  if (auto fit = check_name(file.file_name); !fit) co_return std::unexpected(fit.error());
  std::vector<Statement> statements;
  statements.push_back(upload_statement(file, mode == UploadMode::create_or_update));
  auto done = co_await database.write(gates, std::move(statements), {{"page", std::to_string(file.page_id)}}, deadline);
  if (!done && done.error().code() == "COMMITTED") {
    auto found = co_await find_attachment(database, file.page_id, file.file_name, 0, deadline);
    if (found && found->digest == file.digest) co_return found;
    co_return fail(ErrorKind::deadline_exceeded, "The outcome of the upload could not be read.");
  }
  if (!done) co_return std::unexpected(done.error());
  if (!done->front().empty()) co_return co_await read_attachment(database, done->front().number(0, 0), deadline);
  auto page = co_await database.read(
      {"select id from page where id = $1::bigint and status = 'current'", {file.page_id}}, deadline);
  if (!page) co_return std::unexpected(page.error());
  if (page->empty()) co_return std::unexpected(no_such_page(file.page_id));
  co_return fail(
      ErrorKind::invalid_argument,
      fmt::format("Cannot add a new attachment with same file name as an existing attachment: {}. Send a new "
                  "version of it, or rename the file.",
                  file.file_name));
}

Task<void> upload_attachments(Database& database, Gates gates, std::vector<UploadedFile> files, Deadline deadline) {
  if (files.empty()) co_return Result<void>();
  std::vector<Statement> statements;
  std::vector<Database::Change> changes;
  for (const auto& file : files) {
    if (auto fit = check_name(file.file_name); !fit) co_return std::unexpected(fit.error());
    statements.push_back(upload_statement(file, true));
    const auto key = std::to_string(file.page_id);
    if (changes.empty() || changes.back().key != key) changes.push_back({"page", key});
  }
  auto done = co_await database.write(gates, std::move(statements), std::move(changes), deadline);
  if (!done && done.error().code() != "COMMITTED") co_return std::unexpected(done.error());
  co_return Result<void>();
}

Task<Attachment> replace_attachment(Database& database, Gates gates, std::int64_t id, UploadedFile file,
                                    Deadline deadline) {
  auto before = co_await read_attachment(database, id, deadline);
  if (!before) co_return before;
  std::vector<Statement> statements;
  statements.push_back({replace_sql, {id, file.digest, file.size, file.media_type, file.comment, file.author}});
  auto done =
      co_await database.write(gates, std::move(statements), {{"page", std::to_string(before->page_id)}}, deadline);
  if (!done && done.error().code() != "COMMITTED") co_return std::unexpected(done.error());
  if (done && done->front().empty()) co_return std::unexpected(no_such_attachment(id));
  co_return co_await read_attachment(database, id, deadline);
}

Task<void> trash_attachment(Database& database, Gates gates, std::int64_t id, Deadline deadline) {
  auto before = co_await read_attachment(database, id, deadline);
  if (!before) co_return std::unexpected(before.error());
  std::vector<Statement> statements;
  statements.push_back({"update attachment set status = 'trashed' where id = $1::bigint", {id}});
  auto done =
      co_await database.write(gates, std::move(statements), {{"page", std::to_string(before->page_id)}}, deadline);
  if (!done && done.error().code() != "COMMITTED") co_return std::unexpected(done.error());
  co_return Result<void>();
}

}  // namespace afloat::store
