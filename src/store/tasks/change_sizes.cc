#include "store/tasks/change_sizes.h"

#include <fmt/format.h>

#include "store/page_body.h"
#include "store/page_rows.h"
#include "wiki/diff.h"

namespace afloat::store {

namespace {

using cluster::TaskKind;

// One batch: at most about 50 ms, so that whoever waits for the fence behind it does not feel it. Of text, both bodies
// of each version are read, parsed and compared.
constexpr std::int64_t most_bytes = 200'000;

Task<std::int64_t> measure_changes(Transaction& transaction) {
  // Rows that others hold are skipped: done means "none without the new form", so they are met again.
  auto heads = co_await transaction.run(
      {"select v.id, coalesce(b.size, 0) from page_version v left join page_body b on b.hash = v.body_hash"
       " where v.words_added is null order by v.id limit 64 for update of v skip locked",
       {}});
  if (!heads) co_return std::unexpected(heads.error());
  std::vector<std::int64_t> ids;
  std::int64_t bytes = 0;
  for (std::size_t row = 0; row < heads->size(); ++row) {
    bytes += 2 * heads->number(row, 1);
    if (!ids.empty() && bytes > most_bytes) break;
    ids.push_back(heads->number(row, 0));
  }
  if (ids.empty()) co_return 0;
  static const auto sql = fmt::format(
      "select v.id, {}, before.body_hash, before.data from page_version v {} left join lateral ("
      " select w.body_hash, c.data from page_version w left join page_body c on c.hash = w.body_hash"
      " where w.page_id = v.page_id and w.number < v.number order by w.number desc limit 1) before on true"
      " where v.id = any($1::bigint[])",
      body_columns, body_join);
  auto versions = co_await transaction.run({sql, {id_array(ids)}});
  if (!versions) co_return std::unexpected(versions.error());
  std::string added = "{", removed = "{", found = "{";
  for (std::size_t row = 0; row < versions->size(); ++row) {
    // A damaged body does not stop an upgrade: it counts as an empty one. The first version has none before it.
    const auto text = body_from(*versions, row, 1).value_or("");
    const auto before = versions->is_null(row, 1 + body_column_count)
                            ? std::string()
                            : body_from(*versions, row, 1 + body_column_count).value_or("");
    const auto change = wiki::change_size(before, text);
    const std::string_view comma = row > 0 ? "," : "";
    found += fmt::format("{}{}", comma, versions->number(row, 0));
    added += fmt::format("{}{}", comma, change.added_words);
    removed += fmt::format("{}{}", comma, change.removed_words);
  }
  auto done = co_await transaction.run(
      {"update page_version v set words_added = t.added, words_removed = t.removed"
       " from unnest($1::bigint[], $2::integer[], $3::integer[]) as t(id, added, removed) where v.id = t.id",
       {found + "}", added + "}", removed + "}"}});
  if (!done) co_return std::unexpected(done.error());
  co_return done->affected;
}

}  // namespace

std::vector<UpgradeTask> change_sizes_tasks() {
  auto expand = UpgradeTask::make("1.3.0", "change_sizes", TaskKind::expand, 1);
  // 1.2 only inserts versions and names its columns, so they are null in what it writes.
  expand.steps = {{.sql = "alter table page_version add column if not exists words_added integer,"
                          " add column if not exists words_removed integer"},
                  {.sql = "create index concurrently if not exists page_version_size_missing on page_version (id)"
                          " where words_added is null",
                   .concurrent_index = "page_version_size_missing",
                   .fresh_sql = "create index page_version_size_missing on page_version (id)"
                                " where words_added is null"}};
  expand.seal();

  auto backfill = UpgradeTask::make("1.3.0", "change_sizes", TaskKind::backfill, 2);
  backfill.batch = measure_changes;
  backfill.remaining_sql = "select count(*) from page_version v where v.words_added is null";
  backfill.seal();

  auto contract = UpgradeTask::make("1.3.0", "change_sizes", TaskKind::contract, 3);
  // The valid check spares SET NOT NULL its scan of the table under an exclusive lock.
  contract.relax = {"alter table page_version drop constraint if exists page_version_has_size,"
                    " add constraint page_version_has_size check (words_added is not null"
                    " and words_removed is not null) not valid",
                    "alter table page_version validate constraint page_version_has_size"};
  contract.steps = {{.sql = "alter table page_version alter column words_added set not null,"
                            " alter column words_removed set not null"},
                    {.sql = "alter table page_version drop constraint page_version_has_size"},
                    {.sql = "drop index page_version_size_missing"}};
  contract.seal();
  return {std::move(expand), std::move(backfill), std::move(contract)};
}

}  // namespace afloat::store
