#include "store/tasks/body_store.h"

#include <fmt/format.h>

#include "base/text.h"
#include "store/page_body.h"

namespace afloat::store {

namespace {

using cluster::TaskKind;

// One batch: at most about 50 ms, so that whoever waits for the fence behind it does not feel it.
constexpr std::size_t most_bytes = 200'000;  // as stored in page_version, compressed by PostgreSQL's own means

std::string bytea_array(const std::vector<StoredBody>& bodies, std::string StoredBody::* field) {
  std::string out = "{";
  for (const auto& body : bodies) {
    if (out.size() > 1) out += ',';
    out += "\"\\\\x" + to_hex(body.*field) + '"';
  }
  return out + "}";
}

template <class T, class Get>
std::string number_array(const std::vector<T>& values, Get get) {
  std::string out = "{";
  for (const auto& value : values) out += fmt::format("{}{}", out.size() > 1 ? "," : "", get(value));
  return out + "}";
}

Task<std::int64_t> move_bodies(Transaction& transaction) {
  // Rows that others hold are skipped: done means "none without the new form", so they are met again.
  auto heads = co_await transaction.run(
      {"select v.id, pg_column_size(v.body) from page_version v where v.body_hash is null"
       " order by v.id limit 32 for update skip locked", {}});
  if (!heads) co_return std::unexpected(heads.error());
  std::vector<std::int64_t> ids;
  std::size_t bytes = 0;
  for (std::size_t row = 0; row < heads->size() && (ids.empty() || bytes < most_bytes); ++row) {
    ids.push_back(heads->number(row, 0));
    bytes += static_cast<std::size_t>(heads->number(row, 1));
  }
  if (ids.empty()) co_return 0;
  auto texts = co_await transaction.run(
      {"select v.id, v.body from page_version v where v.id = any($1::bigint[]) order by v.id",
       {number_array(ids, [](std::int64_t id) { return id; })}});
  if (!texts) co_return std::unexpected(texts.error());
  std::vector<std::int64_t> found;
  std::vector<StoredBody> bodies;
  for (std::size_t row = 0; row < texts->size(); ++row) {
    found.push_back(texts->number(row, 0));
    bodies.push_back(store_body(texts->text(row, 1)));
  }
  const auto hashes = bytea_array(bodies, &StoredBody::hash);
  auto stored = co_await transaction.run(
      {"insert into page_body (hash, size, data) select distinct on (t.hash) t.hash, t.size, t.data"
       " from unnest($1::bytea[], $2::bigint[], $3::bytea[]) as t(hash, size, data) order by t.hash"
       " on conflict (hash) do update set doomed_at = null where page_body.doomed_at is not null",
       {hashes, number_array(bodies, [](const StoredBody& body) { return body.size; }),
        bytea_array(bodies, &StoredBody::data)}});
  if (!stored) co_return std::unexpected(stored.error());
  auto linked = co_await transaction.run(
      {"update page_version v set body_hash = t.hash from unnest($1::bigint[], $2::bytea[]) as t(id, hash)"
       " where v.id = t.id",
       {number_array(found, [](std::int64_t id) { return id; }), hashes}});
  if (!linked) co_return std::unexpected(linked.error());
  co_return linked->affected;
}

}  // namespace

std::vector<UpgradeTask> body_store_tasks() {
  auto expand = UpgradeTask::make("1.1.0", "body_store", TaskKind::expand, 1);
  expand.steps = {
      {.sql = "create table if not exists page_body (hash bytea primary key, size bigint not null, data bytea not null,"
              " created_at timestamptz not null default now(), doomed_at timestamptz)"},
      // zstd has compressed it: PostgreSQL need not try.
      {.sql = "alter table page_body alter column data set storage external"},
      {.sql = "alter table page_version add column if not exists body_hash bytea"},
      // Whoever changes the old form alone makes the new one stale: reading goes back to the old form until
      // backfill has met the row again. 1.0.0 only inserts versions, and leaves body_hash null by itself.
      {.sql = "create or replace function page_version_body_changed() returns trigger language plpgsql as $$"
              " begin"
              "  if new.body is distinct from old.body and new.body_hash is not distinct from old.body_hash then"
              "   new.body_hash := null;"
              "  end if;"
              "  return new;"
              " end $$"},
      {.sql = "create or replace trigger page_version_body_changed before update of body on page_version"
              " for each row execute function page_version_body_changed()"},
      {.sql = "alter table page_version drop constraint if exists page_version_body_hash_fkey,"
              " add constraint page_version_body_hash_fkey foreign key (body_hash) references page_body (hash) not valid"},
      {.sql = "alter table page_version validate constraint page_version_body_hash_fkey"},
      {.sql = "create index concurrently if not exists page_version_body_hash on page_version (body_hash)",
       .concurrent_index = "page_version_body_hash",
       .fresh_sql = "create index page_version_body_hash on page_version (body_hash)"},
      {.sql = "create index concurrently if not exists page_version_body_missing on page_version (id)"
              " where body_hash is null",
       .concurrent_index = "page_version_body_missing",
       .fresh_sql = "create index page_version_body_missing on page_version (id) where body_hash is null"}};
  expand.seal();

  auto backfill = UpgradeTask::make("1.1.0", "body_store", TaskKind::backfill, 2);
  backfill.batch = move_bodies;
  backfill.remaining_sql = "select count(*) from page_version v where v.body_hash is null";
  backfill.seal();

  auto contract = UpgradeTask::make("1.1.0", "body_store", TaskKind::contract, 3);
  // The valid check spares SET NOT NULL its scan of the table under an exclusive lock.
  contract.relax = {"alter table page_version alter column body drop not null",
                    "alter table page_version drop constraint if exists page_version_has_body,"
                    " add constraint page_version_has_body check (body_hash is not null) not valid",
                    "alter table page_version validate constraint page_version_has_body"};
  contract.steps = {{.sql = "alter table page_version alter column body_hash set not null"},
                    {.sql = "alter table page_version drop constraint page_version_has_body"},
                    {.sql = "drop trigger page_version_body_changed on page_version"},
                    {.sql = "drop function page_version_body_changed()"},
                    {.sql = "drop index page_version_body_missing"},
                    {.sql = "alter table page_version drop column body"}};
  contract.seal();
  return {std::move(expand), std::move(backfill), std::move(contract)};
}

}  // namespace afloat::store
