#include "store/health_store.h"

#include <fmt/format.h>

namespace afloat::store {

using namespace rollout;

namespace {

constexpr std::string_view undefined_table = "42P01", undefined_column = "42703";

/// Why, for people: what breaks inside a database is not told to them, it names hosts and users.
std::string reason(const Error& error) {
  if (error.code() == undefined_table || error.code() == undefined_column)
    return "the schema is not yet that of 1.2.0; an upgrade to it brings it";
  if (error.kind() == ErrorKind::deadline_exceeded || error.code() == "57014")
    return "the database took too long to answer";
  if (error.kind() == ErrorKind::unavailable) return "the database does not answer";
  return "the database could not tell" +
         (error.code().empty() ? std::string() : fmt::format(" (SQLSTATE {})", error.code()));
}

/// No host may call itself that: names of nodes have no slash.
bool is_conductor(const std::string& source) { return source == conductor_source; }

Task<void> read_reports(Database& database, Facts* facts, Deadline deadline) {
  auto rows = co_await database.slow_read(
      {"select source, (extract(epoch from at) * 1000)::bigint, build, facts::text from health_report", {}}, deadline);
  if (!rows) co_return std::unexpected(rows.error());
  for (std::size_t row = 0; row < rows->size(); ++row) {
    const auto source = rows->text(row, 0);
    if (is_conductor(source)) {
      facts->conductor = conductor_facts_from(rows->text(row, 3));
      facts->conductor->at_ms = rows->number(row, 1);
      facts->conductor->build = static_cast<int>(rows->number(row, 2));
      continue;
    }
    auto& node = facts->nodes[source] = node_facts_from(rows->text(row, 3));
    node.at_ms = rows->number(row, 1);
    node.build = static_cast<int>(rows->number(row, 2));
  }
  co_return Result<void>{};
}

Task<DatabaseFacts> read_database(Database& database, Deadline deadline) {
  // statement_timeout is among what every session of ours asks for when it begins (adapters/postgres).
  auto about = co_await database.slow_read(
      {"select current_setting('server_version_num')::int, current_setting('server_version'), current_database(), "
       "current_user, has_schema_privilege(current_schema(), 'create'), "
       "(select coalesce(min(c.relname), '') from pg_class c where c.relnamespace = current_schema()::regnamespace "
       "  and c.relkind in ('r', 'p') and not pg_has_role(c.relowner, 'usage')), "
       "(select source = 'client' from pg_settings where name = 'statement_timeout'), "
       "coalesce(current_setting('afloat.embedded', true), '') = 'on', "
       "(select count(*) from pg_stat_activity where backend_type = 'client backend' or backend_type is null), "
       "current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int, "
       "(select count(*) from pg_stat_activity where datname = current_database() and usename is not null "
       "  and query = '<insufficient privilege>')",
       {}},
      deadline);
  if (!about) co_return std::unexpected(about.error());
  DatabaseFacts facts;
  facts.version_number = static_cast<int>(about->number(0, 0));
  facts.version = about->text(0, 1);
  facts.name = about->text(0, 2);
  facts.user = about->text(0, 3);
  facts.may_create = about->flag(0, 4);
  facts.not_owned = about->text(0, 5);
  facts.settings_arrive = about->flag(0, 6);
  facts.embedded = about->flag(0, 7);
  facts.connections = static_cast<int>(about->number(0, 8));
  facts.connections_limit = static_cast<int>(about->number(0, 9));
  facts.hidden_sessions = static_cast<int>(about->number(0, 10));
  auto open = co_await database.slow_read(
      {"select pid, application_name, coalesce(usename, ''), coalesce(state, ''), "
       "  (extract(epoch from clock_timestamp() - xact_start) * 1000)::bigint as age from pg_stat_activity "
       "where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid() "
       "  and xact_start < clock_timestamp() - interval '10 s' "
       "union all select 0, gid, owner, 'prepared', (extract(epoch from clock_timestamp() - prepared) * 1000)::bigint "
       "from pg_prepared_xacts where database = current_database() and prepared < clock_timestamp() - interval '10 s' "
       "order by age desc limit 20",
       {}},
      deadline);
  if (!open) co_return std::unexpected(open.error());
  for (std::size_t row = 0; row < open->size(); ++row)
    facts.long_transactions.push_back({.pid = open->number(row, 0),
                                       .application = open->text(row, 1),
                                       .user = open->text(row, 2),
                                       .state = open->text(row, 3),
                                       .age_ms = open->number(row, 4)});
  auto tasks = co_await database.slow_read(
      {"select title, node, (extract(epoch from clock_timestamp() - updated_at) * 1000)::bigint from long_task "
       "where state = 'running' and updated_at < clock_timestamp() - interval '20 s' order by updated_at limit 20",
       {}},
      deadline);
  if (!tasks) co_return std::unexpected(tasks.error());
  for (std::size_t row = 0; row < tasks->size(); ++row)
    facts.silent_tasks.push_back(
        {.title = tasks->text(row, 0), .node = tasks->text(row, 1), .silent_ms = tasks->number(row, 2)});
  co_return facts;
}

Task<SearchIndexFacts> read_search_index(Database& database, Deadline deadline) {
  // A row whose version is not the page's was written by a node that knows the old form alone.
  auto rows = co_await database.slow_read(
      {"select count(*), count(*) filter (where f.page_id is null), "
       "count(*) filter (where f.page_id is not null and (f.words is null or f.version is distinct from p.version)), "
       "(select min_build >= 10020000 and mode = 'off' from cluster_state) "
       "from page p left join page_search f on f.page_id = p.id where p.status = 'current'",
       {}},
      deadline);
  if (!rows) co_return std::unexpected(rows.error());
  co_return SearchIndexFacts{.pages = rows->number(0, 0),
                             .missing = rows->number(0, 1),
                             .old_form = rows->number(0, 2),
                             .finalized = rows->flag(0, 3)};
}

}  // namespace

Task<void> publish_facts(Database& database, std::string source, int build, std::string facts, Deadline deadline) {
  // A site that has not begun its upgrade to 1.2.0 has no place for it, and each try would be an error in its log.
  auto place = co_await database.read({"select to_regclass('health_report') is not null", {}}, deadline);
  if (!place) co_return std::unexpected(place.error());
  if (!place->flag(0, 0)) co_return fail(ErrorKind::failed_precondition, "the table health_report is not there yet");
  auto done = co_await database.read(
      {"with gone as (delete from health_report where at < clock_timestamp() - interval '1 day' and source <> $1) "
       "insert into health_report (source, at, build, facts) values ($1, clock_timestamp(), $2::int, $3::jsonb) "
       "on conflict (source) do update set at = excluded.at, build = excluded.build, facts = excluded.facts",
       {std::move(source), build, std::move(facts)}},
      deadline);
  if (!done) co_return std::unexpected(done.error());
  co_return Result<void>{};
}

Async<Facts> gather_reports(Database& database, Deadline deadline) {
  Facts facts;
  if (auto read = co_await read_reports(database, &facts, deadline); !read)
    facts.reports_problem = reason(read.error());
  co_return facts;
}

Async<Facts> gather_facts(Database& database, Deadline deadline) {
  auto facts = co_await gather_reports(database, deadline);
  if (auto told = co_await read_database(database, deadline))
    facts.database = std::move(*told);
  else
    facts.database_problem = reason(told.error());
  if (auto index = co_await read_search_index(database, deadline))
    facts.search_index = *index;
  else
    facts.search_index_problem = reason(index.error());
  co_return facts;
}

}  // namespace afloat::store
