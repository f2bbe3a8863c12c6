#include "store/cluster_store.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/json_fields.h"
#include "store/schema.h"
#include "store/upgrade_task.h"
#include "version/version.h"

namespace afloat::store {

namespace json = boost::json;
using namespace cluster;
using std::chrono::milliseconds;

namespace {

constexpr auto fence_patience = std::chrono::seconds(10);

std::optional<std::int64_t> maybe_int(const json::object& o, std::string_view field) {
  const auto* value = o.if_contains(field);
  if (value == nullptr || value->is_null()) return std::nullopt;
  return int_or(o, field);
}

ClusterState state_from(const json::object& o) {
  ClusterState s;
  s.cluster_version = string_or(o, "cluster_version");
  if (auto parsed = version::parse_version(s.cluster_version)) s.cluster_build = version::build_number(*parsed);
  s.min_build = static_cast<int>(int_or(o, "min_build"));
  s.max_build = static_cast<int>(int_or(o, "max_build"));
  s.gates = static_cast<int>(int_or(o, "gates"));
  s.min_gates = static_cast<int>(int_or(o, "min_gates"));
  s.mode = string_or(o, "mode") == "on" ? Mode::on : Mode::off;
  if (auto v = maybe_int(o, "original_build")) s.original_build = static_cast<int>(*v);
  if (auto v = maybe_int(o, "target_build")) s.target_build = static_cast<int>(*v);
  s.expand_done = bool_or(o, "expand_done");
  s.finalize_requested_ms = maybe_int(o, "finalize_requested_ms");
  s.run_id = maybe_int(o, "run_id");
  s.epoch = int_or(o, "epoch", 1);
  s.format = static_cast<int>(int_or(o, "format", 1));
  return s;
}

Member member_from(const json::object& o) {
  Member m;
  m.id = string_or(o, "id");
  m.name = string_or(o, "name");
  m.host = string_or(o, "host");
  m.address = string_or(o, "address");
  m.port = static_cast<int>(int_or(o, "port"));
  m.version = string_or(o, "version");
  m.build = static_cast<int>(int_or(o, "build"));
  m.digest = string_or(o, "digest");
  m.incarnation = string_or(o, "incarnation");
  m.state_text = string_or(o, "state");
  m.state = node_state_from(m.state_text);
  m.lease_live = bool_or(o, "lease_live");
  m.lease_ms_left = int_or(o, "lease_ms_left");
  m.closed = bool_or(o, "closed");
  m.ephemeral = bool_or(o, "ephemeral");
  m.gates_in_use = static_cast<int>(int_or(o, "gates"));
  m.tasks_running = static_cast<int>(int_or(o, "tasks_running"));
  m.active_users = static_cast<int>(int_or(o, "active_users"));
  m.load = double_or(o, "busy");
  m.config_hash = string_or(o, "config_hash");
  m.started_at_ms = int_or(o, "started_at_ms");
  m.active_at_ms = int_or(o, "active_at_ms");
  return m;
}

TaskRecord task_from(const json::object& o) {
  TaskRecord t;
  t.id = string_or(o, "id");
  t.version = string_or(o, "version");
  t.build = static_cast<int>(int_or(o, "build"));
  t.kind_text = string_or(o, "kind");
  t.kind = task_kind_from(t.kind_text).value_or(TaskKind::expand);
  t.ordinal = static_cast<int>(int_or(o, "ordinal"));
  t.checksum = string_or(o, "checksum");
  t.state_text = string_or(o, "state");
  t.state = task_state_from(t.state_text);
  t.attempts = static_cast<int>(int_or(o, "attempts"));
  t.runner = string_or(o, "runner");
  t.lease_live = bool_or(o, "lease_live");
  t.checkpoint = string_or(o, "checkpoint");
  t.done = int_or(o, "done");
  t.total = int_or(o, "total");
  t.error = string_or(o, "error");
  return t;
}

class PostgresClusterStore final : public ClusterStore {
 public:
  PostgresClusterStore(Database& database, const Clock& clock, Timer& timer, std::span<const UpgradeTask> tasks)
      : database_(database), clock_(clock), timer_(timer), tasks_(tasks) {}

  Task<Snapshot> observe(Deadline deadline) override {
    co_return snapshot_from(co_await database_.read({observe_sql(), {}}, deadline));
  }

  Task<AdmissionDecision> admit(Candidate candidate, Deadline deadline) override {
    AdmissionDecision decision{AdmissionOutcome::refuse, "", ""};
    auto done = co_await database_.transaction(
        std::nullopt,
        [&](Transaction& transaction) { return admit_in(transaction, candidate, decision); }, deadline);
    if (!done) co_return std::unexpected(done.error());
    co_return decision;
  }

  Task<Lease> renew(Heartbeat beat, Deadline deadline) override {
    auto rows = co_await database_.read(
        {"with beat as (update member_lease l set lease_until = clock_timestamp() + interval '5 s', gates = $3::int "
         "  where l.id = $1 and l.incarnation = $2 and exists (select 1 from member m where m.id = $1 "
         "    and m.incarnation = $2 and m.closed_at is null and m.removed_at is null) returning 1 as held), "
         "loaded as (insert into member_load (id, tasks_running, active_users, busy) values ($1, $4::int, $5::int, $6::real) "
         "  on conflict (id) do update set tasks_running = excluded.tasks_running, active_users = excluded.active_users, "
         "    busy = excluded.busy "
         "  where (member_load.tasks_running, member_load.active_users) is distinct from (excluded.tasks_running, excluded.active_users) "
         "    or abs(member_load.busy - excluded.busy) > 0.05 returning 1 as changed) "
         "select (select count(*) from beat), (select count(*) from loaded), row_to_json(s)::text from "
         "(select cluster_version, min_build, max_build, gates, min_gates, mode, original_build, target_build, expand_done, "
         "  (extract(epoch from finalize_requested) * 1000)::bigint as finalize_requested_ms, run_id, epoch, format "
         "  from cluster_state) s",
         {beat.id, beat.incarnation, beat.gates_in_use, beat.tasks_running, beat.active_users,
          std::string_view(fmt::format("{:.3f}", beat.load))}},
        deadline);
    if (!rows) co_return std::unexpected(rows.error());
    if (rows->empty()) co_return fail(ErrorKind::data_corrupted, "The database has no cluster state any more; it may have been replaced by an empty one.");
    Lease lease;
    lease.held = rows->number(0, 0) == 1;
    auto state = parse_json_object(rows->text(0, 2), "cluster_state");
    if (!state) co_return std::unexpected(state.error());
    lease.state = state_from(*state);
    co_return lease;
  }

  Task<void> set_state(std::string id, std::string incarnation, NodeState state, bool close, Deadline deadline) override {
    auto rows = co_await database_.read(
        {"with m as (update member set state = $3, "
         "  active_at = case when $3 = 'ACTIVE' and active_at is null then clock_timestamp() else active_at end, "
         "  closed_at = case when $4::boolean then clock_timestamp() else closed_at end, "
         "  removed_at = case when $4::boolean and ephemeral then clock_timestamp() else removed_at end "
         "  where id = $1 and incarnation = $2 and closed_at is null returning name, id) "
         "insert into cluster_event (actor, kind, detail) "
         "select m.name, 'node_state', jsonb_build_object('node', m.name, 'state', $3::text) from m returning seq",
         {id, incarnation, to_string(state), close}},
        deadline);
    if (!rows) co_return std::unexpected(rows.error());
    if (rows->empty())
      co_return fail(ErrorKind::failed_precondition, "This start of the node is no longer a member of the cluster.");
    co_return Result<void>{};
  }

  Task<void> apply(Command command, std::string actor, std::optional<int> target_build,
                   std::optional<std::int64_t> run_id, Deadline deadline) override {
    const bool narrows = command == Command::cancel || command == Command::approve;
    const auto patience = std::min<SteadyTime>(deadline, clock_.steady_now() + fence_patience);
    for (;;) {
      auto done = co_await database_.transaction(
          std::nullopt,
          [&](Transaction& transaction) {
            return apply_in(transaction, command, actor, target_build, run_id, narrows);
          },
          deadline);
      if (done) {
        auto woken = co_await wake_cluster(database_, deadline);
        (void)woken;  // nodes hear of it with their next heartbeat anyway
        co_return done;
      }
      if (!narrows || done.error().code() != "55P03") co_return done;
      auto in_the_way = co_await free_fence(deadline);
      if (clock_.steady_now() >= patience)
        co_return fail(ErrorKind::unavailable,
                       fmt::format("Could not shut out the other version's writes within 10 s: {}. Nothing was changed; "
                                   "look at these sessions, then try again.",
                                   in_the_way ? *in_the_way : in_the_way.error().message()));
      auto slept = co_await timer_.sleep_until(clock_.steady_now() + milliseconds(20));
      if (!slept) co_return slept;
    }
  }

  Task<void> remove(std::string id_or_name, std::string actor, Deadline deadline) override {
    co_return co_await database_.transaction(
        std::nullopt, [&](Transaction& transaction) { return remove_in(transaction, id_or_name, actor); }, deadline);
  }

 private:
  Task<void> admit_in(Transaction& transaction, Candidate candidate, AdmissionDecision& decision) {
    // The lock also makes the bootstrap of an empty database safe: two first nodes can't both find it empty.
    auto locked = co_await transaction.run({"select pg_advisory_xact_lock(4117, 2)", {}});
    if (!locked) co_return std::unexpected(locked.error());
    auto exists = co_await transaction.run({"select to_regclass('cluster_state') is not null", {}});
    if (!exists) co_return std::unexpected(exists.error());
    Snapshot snapshot;
    if (exists->flag(0, 0)) {
      auto row = co_await lock_cluster_state(transaction);
      if (!row) co_return row;
      // A further statement: in the same one the roster would be older than the lock.
      auto observed = snapshot_from(co_await transaction.run({observe_sql(), {}}));
      if (!observed) co_return std::unexpected(observed.error());
      snapshot = std::move(*observed);
    }
    decision = cluster::admit(snapshot, candidate);
    switch (decision.outcome) {
      case AdmissionOutcome::refuse:
      case AdmissionOutcome::wait:
      case AdmissionOutcome::await_expand: co_return Result<void>{};
      case AdmissionOutcome::bootstrap: {
        auto created = co_await bootstrap(transaction, candidate);
        if (!created) co_return created;
        break;
      }
      case AdmissionOutcome::admit_as_target: {
        auto pinned = co_await transaction.run(
            {"update cluster_state set target_build = $1::int, epoch = epoch + 1 where target_build is null", {candidate.build}});
        if (!pinned) co_return std::unexpected(pinned.error());
        break;
      }
      case AdmissionOutcome::admit: break;
    }
    auto member = co_await transaction.run(
        {"insert into member (id, name, host, address, port, version, build, digest, incarnation, state, ephemeral, "
         "config_hash, started_at) values ($1, $2, $3, $4, $5::int, $6, $7::int, $8, $9, 'STARTING', $10::boolean, $11, "
         "to_timestamp($12::bigint / 1000.0)) "
         "on conflict (id) do update set name = excluded.name, host = excluded.host, address = excluded.address, "
         "port = excluded.port, version = excluded.version, build = excluded.build, digest = excluded.digest, "
         "incarnation = excluded.incarnation, state = excluded.state, config_hash = excluded.config_hash, "
         "started_at = excluded.started_at, active_at = null, closed_at = null",
         {candidate.id, candidate.name, candidate.host, candidate.address, candidate.port,
          version::to_string(candidate.version), candidate.build, candidate.digest, candidate.incarnation,
          candidate.ephemeral, candidate.config_hash, candidate.started_at_ms}});
    if (!member && member.error().code() == "23505") {
      decision = {AdmissionOutcome::refuse, "name_in_use",
                  fmt::format("A member of the cluster is already called {}: two nodes can't share a name. Give this node another "
                              "name, or remove the old one first: afloat nodes remove {}.",
                              candidate.name, candidate.name)};
      co_return fail(ErrorKind::failed_precondition, decision.message, "refused");
    }
    if (!member) co_return std::unexpected(member.error());
    auto lease = co_await transaction.run(
        {"insert into member_lease (id, incarnation, lease_until, gates) "
         "select $1, $2, clock_timestamp() + interval '5 s', gates from cluster_state "
         "on conflict (id) do update set incarnation = excluded.incarnation, lease_until = excluded.lease_until, gates = excluded.gates",
         {candidate.id, candidate.incarnation}});
    if (!lease) co_return std::unexpected(lease.error());
    co_return co_await add_event(
        transaction, candidate.name, "admitted",
        json::serialize(json::object{{"node", candidate.name}, {"version", version::to_string(candidate.version)},
                                     {"build", candidate.build}, {"outcome", std::string(to_string(decision.outcome))}}));
  }

  Task<void> bootstrap(Transaction& transaction, Candidate candidate) {
    for (auto schema : {cluster_schema(), content_schema(), run_schema()}) {
      for (auto statement : schema) {
        auto created = co_await transaction.run({statement, {}});
        if (!created) co_return std::unexpected(created.error());
      }
    }
    auto inserted = co_await transaction.run(
        {"insert into cluster_state (cluster_version, min_build, max_build) values ($1, $2::int, $2::int) "
         "returning set_config('synchronous_commit', 'remote_apply', true)",
         {version::to_string(candidate.version), candidate.build}});
    if (!inserted) co_return std::unexpected(inserted.error());
    // The role's settings in this database, so that they hold through a pooler too.
    auto settings = co_await transaction.run(
        {"do $$ begin "
         "execute format('alter role current_user in database %I set idle_in_transaction_session_timeout = ''2s''', current_database()); "
         "execute format('alter role current_user in database %I set default_transaction_isolation = ''read committed''', current_database()); "
         "end $$", {}});
    if (!settings) co_return std::unexpected(settings.error());
    co_return co_await TaskRunner::install_fresh(transaction, tasks_);
  }

  Task<void> apply_in(Transaction& transaction, Command command, std::string actor, std::optional<int> target_build,
                      std::optional<std::int64_t> run_id, bool narrows) {
    if (narrows) {
      if (auto fence = co_await take_fence_lock(transaction); !fence) co_return fence;
      auto unlimited = co_await transaction.run({"set local lock_timeout = '2s'", {}});
      if (!unlimited) co_return std::unexpected(unlimited.error());
    }
    auto row = co_await lock_cluster_state(transaction);
    if (!row) co_return row;
    auto snapshot = snapshot_from(co_await transaction.run({observe_sql(), {}}));
    if (!snapshot) co_return std::unexpected(snapshot.error());
    if (auto legal = check_command(*snapshot, command, run_id); !legal) co_return legal;
    std::string_view sql;
    std::vector<Value> args;
    switch (command) {
      case Command::start:
        sql = "update cluster_state set mode = 'on', original_build = min_build, target_build = $1::int, expand_done = false, "
              "finalize_requested = null, run_id = $2::bigint, epoch = epoch + 1";
        args = {target_build, run_id};
        break;
      case Command::cancel:
        // What backfill did stays; old nodes' writes have made parts of it stale, so the ledger says recheck. What
        // has failed is forgotten: the next upgrade begins with it, and would be refused because of it.
        sql =
            "with t as (update upgrade_task set state = case kind when 'backfill' then 'recheck' else 'pending' end, "
            "attempts = 0, total = 0, error = '', lease_until = null "
            "where (kind = 'backfill' and state <> 'pending' or state = 'failed') "
            "and build > (select original_build from cluster_state)) "
            "update cluster_state set mode = 'off', max_build = original_build, original_build = null, target_build = "
            "null, "
            "expand_done = false, run_id = null, epoch = epoch + 1";
        break;
      case Command::approve:
        sql = "update cluster_state set min_build = target_build, max_build = target_build, "
              "finalize_requested = clock_timestamp(), epoch = epoch + 1";
        break;
      case Command::retry:
        sql = "update upgrade_task set state = 'pending', attempts = 0, error = '', lease_until = null where state = 'failed'";
        break;
    }
    auto updated = co_await transaction.run({sql, std::move(args)});
    if (!updated) co_return std::unexpected(updated.error());
    json::object detail{{"phase_before", std::string(to_string(derive_phase(*snapshot).phase))}};
    if (run_id) detail["run"] = *run_id;
    if (target_build) detail["target_build"] = *target_build;
    co_return co_await add_event(transaction, actor, std::string(to_string(command)), json::serialize(detail));
  }

  Task<void> remove_in(Transaction& transaction, std::string id_or_name, std::string actor) {
    auto row = co_await lock_cluster_state(transaction);
    if (!row) co_return row;
    // The lease's row before its time is read: a renewal that is under way comes to its end, and a later one waits.
    auto lease = co_await transaction.run(
        {"select 1 from member_lease where id in (select id from member where (id = $1 or name = $1) "
         "and removed_at is null) for update", {id_or_name}});
    if (!lease) co_return std::unexpected(lease.error());
    auto found = co_await transaction.run(
        {"select m.id, m.name, l.lease_until > clock_timestamp() and m.closed_at is null, "
         "ceil(extract(epoch from l.lease_until - clock_timestamp()))::int from member m left join member_lease l on l.id = m.id "
         "where (m.id = $1 or m.name = $1) and m.removed_at is null for update of m", {id_or_name}});
    if (!found) co_return std::unexpected(found.error());
    if (found->empty())
      co_return fail(ErrorKind::not_found, fmt::format("No member of the cluster is called {}. afloat nodes list shows them.", id_or_name));
    if (found->flag(0, 2))
      co_return fail(ErrorKind::failed_precondition,
                     fmt::format("{} is alive: its lease runs for another {} s. Stop it first; then remove it.",
                                 found->text(0, 1), found->text(0, 3)));
    // Closing its incarnation here means that it can't renew, if it was only frozen. In the lease's row too: a renewal
    // that waits for that row looks at it again, and at the member as it was when it began.
    auto removed = co_await transaction.run(
        {"with l as (update member_lease set incarnation = '' where id = $1) "
         "update member set removed_at = clock_timestamp(), closed_at = coalesce(closed_at, clock_timestamp()) where id = $1",
         {found->text(0, 0)}});
    if (!removed) co_return std::unexpected(removed.error());
    co_return co_await add_event(transaction, actor, "removed", json::serialize(json::object{{"node", found->text(0, 1)}}));
  }

  // Ends sessions that hold the fence lock while they wait for their client: a frozen node. Hygiene, so
  // that approve does not wait for ever; correctness never rests on it. Returns who holds the lock.
  Task<std::string> free_fence(Deadline deadline) {
    auto rows = co_await database_.slow_read(
        {"select s.application_name, coalesce(s.client_addr::text, 'local'), "
         "case when s.wait_event_type = 'Client' and s.state_change < clock_timestamp() - interval '300 ms' "
         "then pg_terminate_backend(l.pid) else false end "
         "from pg_locks l join pg_stat_activity s using (pid) "
         "where l.locktype = 'advisory' and l.classid = 4117 and l.objid = 1 and l.objsubid = 2 and l.granted "
         "and l.database = (select oid from pg_database where datname = current_database())", {}},
        deadline);
    if (!rows) co_return std::unexpected(rows.error());
    std::string names;
    for (std::size_t i = 0; i < rows->size(); ++i)
      names += fmt::format("{}{} ({})", names.empty() ? "" : ", ", rows->text(i, 0), rows->text(i, 1));
    co_return names.empty() ? std::string("writes kept coming") : "sessions " + names;
  }

  Database& database_;
  const Clock& clock_;
  Timer& timer_;
  std::span<const UpgradeTask> tasks_;
};

}  // namespace

std::string_view observe_sql() {
  return "select json_build_object("
         "'now_ms', (extract(epoch from clock_timestamp()) * 1000)::bigint, "
         "'state', (select row_to_json(s) from (select cluster_version, min_build, max_build, gates, min_gates, mode, "
         "  original_build, target_build, expand_done, (extract(epoch from finalize_requested) * 1000)::bigint as finalize_requested_ms, "
         "  run_id, epoch, format from cluster_state) s), "
         "'members', (select coalesce(json_agg(m order by m.name), '[]') from (select m.id, m.name, m.host, m.address, m.port, "
         "  m.version, m.build, m.digest, m.incarnation, m.state, m.ephemeral, m.config_hash, "
         "  (extract(epoch from m.started_at) * 1000)::bigint as started_at_ms, "
         "  (extract(epoch from m.active_at) * 1000)::bigint as active_at_ms, m.closed_at is not null as closed, "
         "  coalesce(l.lease_until > clock_timestamp(), false) and m.closed_at is null and l.incarnation = m.incarnation as lease_live, "
         "  (extract(epoch from l.lease_until - clock_timestamp()) * 1000)::bigint as lease_ms_left, l.gates, "
         "  d.tasks_running, d.active_users, d.busy "
         "  from member m left join member_lease l on l.id = m.id left join member_load d on d.id = m.id "
         "  where m.removed_at is null) m), "
         "'removed', (select coalesce(json_agg(id), '[]') from member where removed_at is not null), "
         "'tasks', (select coalesce(json_agg(t order by t.build, t.ordinal), '[]') from (select id, version, build, kind, ordinal, "
         "  checksum, state, attempts, runner, coalesce(lease_until > clock_timestamp(), false) as lease_live, checkpoint, "
         "  done, total, error from upgrade_task) t))::text";
}

Result<Snapshot> parse_snapshot(std::string_view text) {
  auto document = parse_json_object(text, "the cluster snapshot");
  if (!document) return std::unexpected(document.error());
  Snapshot snapshot;
  snapshot.now_ms = int_or(*document, "now_ms");
  if (const auto* state = object_at(*document, "state")) snapshot.state = state_from(*state);
  if (const auto* members = array_at(*document, "members"))
    for (const auto& member : *members) snapshot.members.push_back(member_from(member.as_object()));
  if (const auto* removed = array_at(*document, "removed"))
    for (const auto& id : *removed) snapshot.removed_ids.emplace_back(id.as_string());
  if (const auto* tasks = array_at(*document, "tasks"))
    for (const auto& task : *tasks) snapshot.tasks.push_back(task_from(task.as_object()));
  return snapshot;
}

Result<Snapshot> snapshot_from(const Result<Rows>& rows) {
  if (!rows) return std::unexpected(rows.error());
  if (rows->empty()) return fail(ErrorKind::internal, "the cluster snapshot came back empty");
  return parse_snapshot(rows->text(0, 0));
}

Task<void> lock_cluster_state(Transaction& transaction) {
  auto row = co_await transaction.run(
      {"select set_config('synchronous_commit', 'remote_apply', true) from cluster_state for update", {}});
  if (!row) co_return std::unexpected(row.error());
  co_return Result<void>{};
}

Task<void> take_fence_lock(Transaction& transaction) {
  auto limit = co_await transaction.run({"set local lock_timeout = '50ms'", {}});
  if (!limit) co_return std::unexpected(limit.error());
  auto fence = co_await transaction.run({"select pg_advisory_xact_lock(4117, 1)", {}});
  if (!fence) co_return std::unexpected(fence.error());
  co_return Result<void>{};
}

Task<void> add_event(Transaction& transaction, std::string actor, std::string kind, std::string detail_json) {
  auto rows = co_await transaction.run(
      {"insert into cluster_event (actor, kind, detail) values ($1, $2, $3::jsonb)", {actor, kind, detail_json}});
  if (!rows) co_return std::unexpected(rows.error());
  co_return Result<void>{};
}

Task<void> wake_cluster(Database& database, Deadline deadline) {
  auto sent = co_await database.read({"select pg_notify('afloat_cluster', '')", {}}, deadline);
  if (!sent) co_return std::unexpected(sent.error());
  co_return Result<void>{};
}

std::unique_ptr<ClusterStore> make_cluster_store(Database& database, const Clock& clock, Timer& timer,
                                                 std::span<const UpgradeTask> tasks) {
  return std::make_unique<PostgresClusterStore>(database, clock, timer, tasks);
}

}  // namespace afloat::store
