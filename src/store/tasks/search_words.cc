#include "store/tasks/search_words.h"

#include <fmt/format.h>

#include "store/page_body.h"
#include "store/page_index.h"
#include "store/page_rows.h"

namespace afloat::store {

namespace {

using cluster::TaskKind;

// One batch: at most about 50 ms, so that whoever waits for the fence behind it does not feel it. Of text, 4 MB/s
// are parsed and stemmed.
constexpr std::int64_t most_bytes = 100'000;
// No shorter text has more words than a tsvector holds: three and a half bytes of it for each byte of text are the worst.
constexpr std::size_t surely_fits = 250'000;

Task<void> index_page(Transaction& transaction, std::int64_t id, std::int64_t version, std::string title,
                      std::string body) {
  static const auto sql = fmt::format(
      "update page_search f set title_words = t.title_words, words = t.title_words || {}, plain = $3::text,"
      " version = $2::int from (select {} as title_words) t where f.page_id = $1::bigint",
      text_vector("$4::text"), title_vector("$5::text"));
  for (const auto limit : {searched_bytes, searched_bytes_at_least}) {
    std::vector<Value> args{id, version};
    auto page = indexed_page(title, body, limit);
    const bool may_fail = page.words.size() > surely_fits;
    index_args(args, std::move(page));
    if (may_fail) {
      auto point = co_await transaction.run({"savepoint one_page", {}});
      if (!point) co_return std::unexpected(point.error());
    }
    auto done = co_await transaction.run({sql, std::move(args)});
    if (done) co_return Result<void>{};
    if (!may_fail || done.error().code() != too_many_words) co_return std::unexpected(done.error());
    auto back = co_await transaction.run({"rollback to savepoint one_page", {}});
    if (!back) co_return std::unexpected(back.error());
  }
  co_return fail(ErrorKind::internal, fmt::format("The first words of page {} alone are too many to be indexed.", id));
}

Task<std::int64_t> index_pages(Transaction& transaction) {
  // Rows that others hold are skipped: done means "none without the new form", so they are met again.
  auto heads = co_await transaction.run(
      {"select f.page_id, coalesce(b.size, 0) from page_search f left join page p on p.id = f.page_id"
       " left join page_version v on v.page_id = p.id and v.number = p.version"
       " left join page_body b on b.hash = v.body_hash where f.words is null"
       " order by f.page_id limit 32 for update of f skip locked",
       {}});
  if (!heads) co_return std::unexpected(heads.error());
  std::vector<std::int64_t> ids;
  std::int64_t bytes = 0;
  for (std::size_t row = 0; row < heads->size(); ++row) {
    bytes += heads->number(row, 1);
    if (!ids.empty() && bytes > most_bytes) break;
    ids.push_back(heads->number(row, 0));
  }
  if (ids.empty()) co_return 0;
  // A statement of its own: what a save has committed while the first one came to its row is seen by this one only.
  static const auto sql = fmt::format(
      "select p.id, p.version, p.title, {} from page p left join page_version v on v.page_id = p.id"
      " and v.number = p.version {} where p.id = any($1::bigint[])",
      body_columns, body_join);
  auto pages = co_await transaction.run({sql, {id_array(ids)}});
  if (!pages) co_return std::unexpected(pages.error());
  for (std::size_t row = 0; row < pages->size(); ++row) {
    // A damaged body does not stop an upgrade: such a page is found by its title until it is saved again.
    auto body = body_from(*pages, row, 3);
    auto done = co_await index_page(transaction, pages->number(row, 0), pages->number(row, 1), pages->text(row, 2),
                                    body ? std::move(*body) : std::string());
    if (!done) co_return std::unexpected(done.error());
  }
  co_return static_cast<std::int64_t>(pages->size());
}

}  // namespace

std::vector<UpgradeTask> search_words_tasks() {
  auto expand = UpgradeTask::make("1.2.0", "search_words", TaskKind::expand, 1);
  expand.steps = {
      {.sql = "alter table page_search add column if not exists title_words tsvector,"
              " add column if not exists words tsvector, add column if not exists plain text,"
              " add column if not exists version integer"},
      // 1.1 writes `document` alone, and each save of 1.2 has another page version: a row whose version stays was
      // written by a node that does not know the new form. The old form can't tell, for "runs" and "running" have
      // the same one. The stale words go, and reading goes back to the old form until backfill has met the row again.
      {.sql = "create or replace function page_search_document_changed() returns trigger language plpgsql as $$"
              " begin"
              "  if new.version is not distinct from old.version then"
              "   new.title_words := null; new.words := null; new.plain := null; new.version := null;"
              "  end if;"
              "  return new;"
              " end $$"},
      {.sql = "create or replace trigger page_search_document_changed before update of document on page_search"
              " for each row execute function page_search_document_changed()"},
      {.sql = "create index concurrently if not exists page_search_words on page_search using gin (words)",
       .concurrent_index = "page_search_words",
       .fresh_sql = "create index page_search_words on page_search using gin (words)"},
      {.sql = "create index concurrently if not exists page_search_title_words on page_search using gin (title_words)",
       .concurrent_index = "page_search_title_words",
       .fresh_sql = "create index page_search_title_words on page_search using gin (title_words)"},
      // For searches among the rows that have the old form only, and for the backfill that looks for them.
      {.sql = "create index concurrently if not exists page_search_document_alone on page_search using gin (document)"
              " where words is null",
       .concurrent_index = "page_search_document_alone",
       .fresh_sql = "create index page_search_document_alone on page_search using gin (document) where words is null"},
      {.sql = "create index concurrently if not exists page_search_words_missing on page_search (page_id)"
              " where words is null",
       .concurrent_index = "page_search_words_missing",
       .fresh_sql = "create index page_search_words_missing on page_search (page_id) where words is null"}};
  expand.seal();

  auto backfill = UpgradeTask::make("1.2.0", "search_words", TaskKind::backfill, 2);
  backfill.batch = index_pages;
  backfill.remaining_sql = "select count(*) from page_search f where f.words is null";
  backfill.seal();

  auto contract = UpgradeTask::make("1.2.0", "search_words", TaskKind::contract, 3);
  // The valid check spares SET NOT NULL its scan of the table under an exclusive lock.
  contract.relax = {"alter table page_search alter column document drop not null",
                    "alter table page_search drop constraint if exists page_search_has_words,"
                    " add constraint page_search_has_words check (title_words is not null and words is not null"
                    " and plain is not null and version is not null) not valid",
                    "alter table page_search validate constraint page_search_has_words"};
  contract.steps = {{.sql = "alter table page_search alter column title_words set not null,"
                            " alter column words set not null, alter column plain set not null,"
                            " alter column version set not null"},
                    {.sql = "alter table page_search drop constraint page_search_has_words"},
                    {.sql = "drop trigger page_search_document_changed on page_search"},
                    {.sql = "drop function page_search_document_changed()"},
                    {.sql = "drop index page_search_document_alone"},
                    {.sql = "drop index page_search_words_missing"},
                    {.sql = "alter table page_search drop column document"}};
  contract.seal();
  return {std::move(expand), std::move(backfill), std::move(contract)};
}

}  // namespace afloat::store
