#include "store/tasks/last_seen.h"

namespace afloat::store {

namespace {

using cluster::TaskKind;

Task<std::int64_t> take_from_sessions(Transaction& transaction) {
  // Rows that others hold are skipped: done means "none without the new form", so they are met again.
  auto done =
      co_await transaction.run({"update app_user u set last_seen = greatest(u.created_at,"
                                " (select max(s.last_seen) from session s where s.user_id = u.id))"
                                " where u.id in (select w.id from app_user w where w.last_seen is null"
                                "  order by w.id limit 500 for update skip locked)",
                                {}});
  if (!done) co_return std::unexpected(done.error());
  co_return done->affected;
}

}  // namespace

std::vector<UpgradeTask> last_seen_tasks() {
  auto expand = UpgradeTask::make("1.4.0", "last_seen", TaskKind::expand, 1);
  // The default comes after the column, so that it is that of new accounts alone: those that 1.3 makes, too.
  expand.steps = {{.sql = "alter table app_user add column if not exists last_seen timestamptz"},
                  {.sql = "alter table app_user alter column last_seen set default now()"}};
  expand.seal();

  auto backfill = UpgradeTask::make("1.4.0", "last_seen", TaskKind::backfill, 2);
  backfill.batch = take_from_sessions;
  backfill.remaining_sql = "select count(*) from app_user where last_seen is null";
  backfill.seal();

  auto contract = UpgradeTask::make("1.4.0", "last_seen", TaskKind::contract, 3);
  // The valid check spares SET NOT NULL its scan of the table under an exclusive lock.
  contract.relax = {
      "alter table app_user drop constraint if exists app_user_has_last_seen,"
      " add constraint app_user_has_last_seen check (last_seen is not null) not valid",
      "alter table app_user validate constraint app_user_has_last_seen"};
  contract.steps = {{.sql = "alter table app_user alter column last_seen set not null"},
                    {.sql = "alter table app_user drop constraint app_user_has_last_seen"}};
  contract.seal();
  return {std::move(expand), std::move(backfill), std::move(contract)};
}

}  // namespace afloat::store
