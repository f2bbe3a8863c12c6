#include "store/run_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/json_fields.h"
#include "store/cluster_store.h"
#include "version/version.h"

namespace afloat::store {
namespace {

namespace json = boost::json;
using rollout::Run;
using rollout::StepRecord;

// One list of columns, in the order in which run_from() reads them.
#define AFLOAT_RUN_COLUMNS                                                                                          \
  "id, from_version, to_version, state, turned_back, cancel_requested, resume_requested, finalize_begun, outcome, " \
  "reason, actor, options, current, message, evidence, checks, "                                                    \
  "(extract(epoch from started_at) * 1000)::bigint, (extract(epoch from ended_at) * 1000)::bigint, "                \
  "(extract(epoch from mode_on_at) * 1000)::bigint, (extract(epoch from stable_at) * 1000)::bigint, journal_build"

#define AFLOAT_STEP_COLUMNS                                                                                  \
  "seq, kind, node, back, state, attempt, (extract(epoch from started_at) * 1000)::bigint, "                 \
  "(extract(epoch from attempt_at) * 1000)::bigint, (extract(epoch from ended_at) * 1000)::bigint, detail, " \
  "metric_ms, hop"

// Arguments: run, which request, what is asked for.
#define AFLOAT_REQUEST                                                                               \
  "update upgrade_run set options = (options::jsonb || jsonb_build_object('requests', "              \
  "coalesce(options::jsonb -> 'requests', '{}') || jsonb_build_object($2::text, $3::text)))::text, " \
  "changed = nextval('upgrade_change') where id = $1::bigint and ended_at is null "

int build_of(const std::string& text) {
  const auto parsed = version::parse_version(text);
  return parsed ? version::build_number(*parsed) : 0;
}

/// Beside people's wishes, the column `options` carries what they ask of the run under way and what the conductor
/// keeps in mind: its JSON can take more without a change of the schema, which a conductor that is newer than the
/// site could not count on.
json::object part_of(const std::string& options, std::string_view key) {
  boost::system::error_code fault;
  const auto value = json::parse(options, fault);
  const auto* all = fault ? nullptr : value.if_object();
  const auto* part = all ? object_at(*all, key) : nullptr;
  return part ? *part : json::object();
}

rollout::Requests requests_in(const std::string& options) {
  const auto part = part_of(options, "requests");
  return {.pause_by = string_or(part, "pause"), .rollback_node = string_or(part, "rollback")};
}

rollout::Memory memory_in(const std::string& options) {
  const auto part = part_of(options, "memory");
  rollout::Memory memory{.failures = int_or(part, "failures"),
                         .past_not_after = bool_or(part, "past_not_after"),
                         .config_differs_on = string_or(part, "config_differs_on")};
  if (const auto* config = object_at(part, "config"))
    for (const auto& [host, hash] : *config)
      if (hash.is_string()) memory.config[host] = hash.as_string();
  return memory;
}

std::string memory_json(const rollout::Memory& memory) {
  json::object config;
  for (const auto& [host, hash] : memory.config) config[host] = hash;
  return json::serialize(json::object{{"failures", memory.failures},
                                      {"past_not_after", memory.past_not_after},
                                      {"config", std::move(config)},
                                      {"config_differs_on", memory.config_differs_on}});
}

Run run_from(const Rows& rows, std::size_t row) {
  Run run;
  run.id = rows.number(row, 0);
  run.from = rows.text(row, 1);
  run.to = rows.text(row, 2);
  run.from_build = build_of(run.from);
  run.to_build = build_of(run.to);
  run.state = rollout::run_state_from(rows.text(row, 3));
  run.back = rows.flag(row, 4);
  run.cancel_requested = rows.flag(row, 5);
  run.resume_requested = rows.flag(row, 6);
  run.finalize_begun = rows.flag(row, 7);
  run.outcome = rows.text(row, 8);
  run.reason = rows.text(row, 9);
  run.actor = rows.text(row, 10);
  // An option that a newer release wrote is not ours to refuse here; journal_build keeps us off its run.
  run.options = rollout::stored_options(rows.text(row, 11));
  run.requests = requests_in(rows.text(row, 11));
  run.memory = memory_in(rows.text(row, 11));
  run.current = rows.text(row, 12);
  run.message = rows.text(row, 13);
  run.evidence = rows.text(row, 14);
  run.checks = rows.text(row, 15);
  run.started_at_ms = rows.number(row, 16);
  run.ended_at_ms = rows.number(row, 17);
  run.mode_on_at_ms = rows.number(row, 18);
  run.stable_at_ms = rows.number(row, 19);
  run.journal_build = static_cast<int>(rows.number(row, 20));
  return run;
}

/// nullopt for a kind that only a newer release knows.
std::optional<StepRecord> step_from(const Rows& rows, std::size_t row) {
  const auto kind = rollout::step_kind_from(rows.text(row, 1));
  if (!kind) return std::nullopt;
  StepRecord step;
  step.seq = rows.number(row, 0);
  step.kind = *kind;
  step.node = rows.text(row, 2);
  step.back = rows.flag(row, 3);
  step.state = rollout::step_state_from(rows.text(row, 4));
  step.attempt = static_cast<int>(rows.number(row, 5));
  step.started_at_ms = rows.number(row, 6);
  step.attempt_at_ms = rows.number(row, 7);
  step.ended_at_ms = rows.number(row, 8);
  step.detail = rows.text(row, 9);
  step.metric_ms = rows.number(row, 10);
  step.hop = static_cast<int>(rows.number(row, 11)) - 1;
  return step;
}

Value time_or_null(std::int64_t ms) { return ms > 0 ? Value(ms) : Value(std::nullopt); }

/// No run leads to where the site is, or below: that is known before anybody conducts it.
Result<void> is_higher(const std::string& to, const std::string& site) {
  const auto target = version::parse_version(to), now = version::parse_version(site);
  if (!target || !now || *target > *now) return {};
  if (*target == *now) return fail(ErrorKind::invalid_argument, fmt::format("The site is on {} already.", site));
  return fail(ErrorKind::invalid_argument,
              fmt::format("The site is on {}, and no run leads to an older release: its data may be in a form that {} "
                          "does not know. Until an upgrade is finalized, `afloat upgrade cancel` leads back.",
                          site, to));
}

Error no_such_run(std::int64_t id) {
  return Error(ErrorKind::not_found,
               fmt::format("There is no upgrade run {}; `afloat upgrade status` shows the latest.", id));
}

class SqlRunStore final : public RunStore {
 public:
  explicit SqlRunStore(Database& database) : database_(database) {}

  Task<std::int64_t> create(NewRun run, Deadline deadline) override {
    std::int64_t id = 0;
    auto done = co_await database_.transaction(
        std::nullopt, [this, &run, &id](Transaction& t) { return create_in(&t, &run, &id); }, deadline);
    if (!done) co_return std::unexpected(done.error());
    co_return id;
  }

  Task<void> request_cancel(std::int64_t id, std::string actor, Deadline deadline) override {
    return set_flag({"update upgrade_run set cancel_requested = true, changed = nextval('upgrade_change') "
                     "where id = $1::bigint and ended_at is null and not finalize_begun returning id",
                     {id}},
                    {id, "cancelled", "run_cancel", std::move(actor)}, deadline);
  }

  Task<void> request_resume(std::int64_t id, std::string actor, Deadline deadline) override {
    return set_flag({"update upgrade_run set resume_requested = true, changed = nextval('upgrade_change') "
                     "where id = $1::bigint and ended_at is null and state = 'paused' returning id",
                     {id}},
                    {id, "resumed", "run_resume", std::move(actor)}, deadline);
  }

  Task<void> request_pause(std::int64_t id, std::string actor, Deadline deadline) override {
    return set_flag({AFLOAT_REQUEST "and state <> 'paused' and not finalize_begun returning id", {id, "pause", actor}},
                    {id, "paused", "run_pause", actor}, deadline);
  }

  Task<void> request_rollback(std::int64_t id, std::string node, std::string actor, Deadline deadline) override {
    return set_flag({AFLOAT_REQUEST "and not finalize_begun returning id", {id, "rollback", node}},
                    {id, "turned back for one node", "run_rollback", std::move(actor), node}, deadline);
  }

  Task<rollout::Durations> durations(Deadline deadline) override {
    auto rows = co_await database_.read(
        {"select kind, percentile_disc(0.5) within group (order by (extract(epoch from ended_at - started_at) * 1000)"
         "::bigint) from (select kind, started_at, ended_at from upgrade_step where state = 'done' and attempt = 1 "
         "and ended_at is not null order by seq desc limit 500) s group by kind",
         {}},
        deadline);
    if (!rows) co_return std::unexpected(rows.error());
    rollout::Durations durations;
    for (std::size_t row = 0; row < rows->size(); ++row)
      if (const auto kind = rollout::step_kind_from(rows->text(row, 0))) durations[*kind] = rows->number(row, 1);
    co_return durations;
  }

  Task<Run> load(std::int64_t id, Deadline deadline) override {
    auto rows = co_await database_.read({"select " AFLOAT_RUN_COLUMNS " from upgrade_run where id = $1::bigint", {id}},
                                        deadline);
    if (!rows) co_return std::unexpected(rows.error());
    if (rows->empty()) co_return std::unexpected(no_such_run(id));
    co_return co_await with_steps(run_from(*rows, 0), deadline);
  }

  Task<std::vector<Run>> list(int limit, Deadline deadline) override {
    auto rows = co_await database_.read(
        {"select " AFLOAT_RUN_COLUMNS " from upgrade_run order by id desc limit $1::int", {limit}}, deadline);
    if (!rows) co_return std::unexpected(rows.error());
    std::vector<Run> runs;
    for (std::size_t row = 0; row < rows->size(); ++row) runs.push_back(run_from(*rows, row));
    co_return runs;
  }

  Task<std::int64_t> last_change(std::int64_t id, Deadline deadline) override {
    auto rows = co_await database_.read({"select changed from upgrade_run where id = $1::bigint", {id}}, deadline);
    if (!rows) co_return std::unexpected(rows.error());
    if (rows->empty()) co_return std::unexpected(no_such_run(id));
    co_return rows->number(0, 0);
  }

  Task<std::vector<std::pair<std::int64_t, StepRecord>>> changes(std::int64_t id, std::int64_t after,
                                                                 Deadline deadline) override {
    auto rows = co_await database_.read(
        {"select " AFLOAT_STEP_COLUMNS ", changed from upgrade_step where run_id = $1::bigint and changed > $2::bigint "
         "order by changed",
         {id, after}},
        deadline);
    if (!rows) co_return std::unexpected(rows.error());
    std::vector<std::pair<std::int64_t, StepRecord>> steps;
    for (std::size_t row = 0; row < rows->size(); ++row)
      if (auto step = step_from(*rows, row)) steps.emplace_back(rows->number(row, 12), std::move(*step));
    co_return steps;
  }

  Task<Leadership> leadership(Deadline deadline) override {
    // One that declines says so every two seconds; older words are of one that has gone.
    auto rows = co_await database_.read(
        {"select coalesce((select holder from conductor_lease where lease_until > clock_timestamp()), ''), "
         "coalesce((select declined from upgrade_run where ended_at is null "
         "and declined_at > clock_timestamp() - interval '5 s'), ''), "
         "coalesce((select (extract(epoch from renewed) * 1000)::bigint from conductor_lease "
         "where lease_until <= clock_timestamp()), 0)",
         {}},
        deadline);
    if (!rows) co_return std::unexpected(rows.error());
    co_return Leadership{rows->text(0, 0), rows->text(0, 1), rows->number(0, 2)};
  }

  Task<std::optional<Run>> active(Deadline deadline) override {
    auto rows = co_await database_.read({"select " AFLOAT_RUN_COLUMNS " from upgrade_run where ended_at is null", {}},
                                        deadline);
    if (!rows) co_return std::unexpected(rows.error());
    if (rows->empty()) co_return std::optional<Run>();
    auto run = co_await with_steps(run_from(*rows, 0), deadline);
    if (!run) co_return std::unexpected(run.error());
    co_return std::optional<Run>(std::move(*run));
  }

  Task<RunSignals> signals(std::int64_t id, Deadline deadline) override {
    auto rows = co_await database_.read(
        {"select cancel_requested, resume_requested, options from upgrade_run where id = $1::bigint", {id}}, deadline);
    if (!rows) co_return std::unexpected(rows.error());
    if (rows->empty()) co_return std::unexpected(no_such_run(id));
    co_return RunSignals{rows->flag(0, 0), rows->flag(0, 1), requests_in(rows->text(0, 2))};
  }

  Task<std::optional<LeaderLease>> take_lead(std::string holder, std::int64_t at_least, int build,
                                             Deadline deadline) override {
    Taken taken;
    auto done = co_await database_.transaction(
        std::nullopt,
        [this, &holder, at_least, build, &taken](Transaction& t) {
          return take_lead_in(&t, &holder, at_least, build, &taken);
        },
        deadline);
    if (!done && done.error().code() == "42P01")
      co_return fail(ErrorKind::failed_precondition, "waiting for the first node, which makes the tables", site_is_new);
    if (!done) co_return std::unexpected(done.error());
    if (!taken.declined.empty()) co_return fail(ErrorKind::failed_precondition, taken.declined, journal_is_newer);
    co_return taken.lead;
  }

  Task<void> renew_lead(LeaderLease lead, Deadline deadline) override {
    Rows rows;
    auto done = co_await control(fence(lead), rows, deadline);
    if (!done) co_return std::unexpected(done.error());
    if (rows.empty()) co_return std::unexpected(lost(lead));
    co_return Result<void>{};
  }

  Task<void> release_lead(LeaderLease lead, Deadline deadline) override {
    // Without its holder, so that a renewal that is still under way cannot take it back.
    Rows rows;
    co_return co_await control({"update conductor_lease set holder = '', lease_until = clock_timestamp() "
                                "where epoch = $1::bigint and holder = $2 returning epoch",
                                {lead.epoch, lead.holder}},
                               rows, deadline);
  }

  Task<Run> record(Run run, LeaderLease lead, int build, Deadline deadline) override {
    // The transaction may be repeated, so what it fills in goes into a copy.
    Run recorded;
    auto done = co_await database_.transaction(
        std::nullopt,
        [this, &run, &recorded, &lead, build](Transaction& t) {
          recorded = run;
          return record_in(&t, &recorded, &lead, build);
        },
        deadline);
    if (!done) co_return std::unexpected(done.error());
    co_return recorded;
  }

  Task<std::int64_t> database_time(Deadline deadline) override {
    auto rows =
        co_await database_.read({"select (extract(epoch from clock_timestamp()) * 1000)::bigint", {}}, deadline);
    if (!rows) co_return std::unexpected(rows.error());
    co_return rows->number(0, 0);
  }

  Task<std::string> database_encoding(Deadline deadline) override {
    auto rows = co_await database_.read({"select current_setting('server_encoding')", {}}, deadline);
    if (!rows) co_return std::unexpected(rows.error());
    co_return rows->text(0, 0);
  }

  Task<rollout::Replicas> database_replicas(Deadline deadline) override {
    // To a role without pg_monitor a replica's row is there and all but empty.
    auto rows = co_await database_.read(
        {"select (select count(*) from pg_stat_replication where state is distinct from 'backup'), "
         "current_setting('synchronous_standby_names')",
         {}},
        deadline);
    if (!rows) co_return std::unexpected(rows.error());
    co_return rollout::Replicas{static_cast<int>(rows->number(0, 0)), rows->text(0, 1)};
  }

 private:
  static Statement fence(const LeaderLease& lead) {
    return {
        "update conductor_lease set renewed = clock_timestamp(), lease_until = clock_timestamp() + interval '5 s' "
        "where epoch = $1::bigint and holder = $2 returning epoch",
        {lead.epoch, lead.holder}};
  }
  static Error lost(const LeaderLease& lead) {
    return Error(
        ErrorKind::failed_precondition,
        fmt::format("epoch {} of {} no longer leads: another conductor has taken over", lead.epoch, lead.holder),
        lead_lost);
  }

  /// What a try to take the lead came to.
  struct Taken {
    std::optional<LeaderLease> lead;
    std::string declined;
  };

  Task<void> take_lead_in(Transaction* t, const std::string* holder, std::int64_t at_least, int build, Taken* taken) {
    *taken = {};  // the transaction may be repeated
    auto newer = co_await t->run(
        {"select id, to_version, journal_build from upgrade_run where ended_at is null and journal_build > $1::int",
         {build}});
    if (!newer) co_return std::unexpected(newer.error());
    if (!newer->empty()) {
      const auto journal = static_cast<int>(newer->number(0, 2));
      auto declined = fmt::format(
          "conductor {} is {}, but {} has written the journal of upgrade run {}: start the conductor of {} or newer",
          *holder, version::describe_build(build), version::describe_build(journal), newer->number(0, 0),
          version::describe_build(journal));
      // Repeated, for one that has gone says no more; those who follow the run hear of it only once.
      auto noted = co_await t->run(
          {"update upgrade_run set declined = $2, declined_at = clock_timestamp(), "
           "changed = case when declined = $2 then changed else nextval('upgrade_change') end where id = $1::bigint "
           "and (declined <> $2 or declined_at < clock_timestamp() - interval '2 s') returning id",
           {newer->number(0, 0), declined}});
      if (!noted) co_return std::unexpected(noted.error());
      taken->declined = std::move(declined);
      co_return Result<void>{};
    }
    auto known = co_await t->run({"select coalesce((select epoch from conductor_lease), 0)", {}});
    if (!known) co_return std::unexpected(known.error());
    auto rows = co_await t->run(
        {"insert into conductor_lease (epoch, holder, lease_until) "
         "values ($2::bigint + 1, $1, clock_timestamp() + interval '5 s') "
         "on conflict (only_row) do update set epoch = greatest(conductor_lease.epoch, $2::bigint) + 1, "
         "holder = excluded.holder, renewed = clock_timestamp(), lease_until = clock_timestamp() + interval '5 s' "
         "where conductor_lease.lease_until < clock_timestamp() or conductor_lease.holder = excluded.holder "
         "returning epoch",
         {*holder, at_least}});
    if (!rows) co_return std::unexpected(rows.error());
    if (rows->empty()) co_return Result<void>{};
    taken->lead = LeaderLease{rows->number(0, 0), *holder};
    // Agents hear of an epoch after it was committed. 1 is also what orders by hand carry where nobody ever led.
    if (at_least <= std::max<std::int64_t>(known->number(0, 0), 1)) co_return Result<void>{};
    auto paused = co_await t->run(
        {"update upgrade_run set state = 'paused', message = $1, resume_requested = false, "
         "changed = nextval('upgrade_change') where ended_at is null",
         {fmt::format("The database went back in time: agents have obeyed conductor epoch {}, and it knows {}. {}",
                      at_least, known->number(0, 0), rollout::after_going_back)}});
    if (!paused) co_return std::unexpected(paused.error());
    co_return Result<void>{};
  }

  /// One statement on a control table.
  Task<void> control(Statement statement, Rows& rows, Deadline deadline) {
    return database_.transaction(
        std::nullopt,
        [this, statement = std::move(statement), out = &rows](Transaction& t) { return run_one(&t, statement, out); },
        deadline);
  }

  Task<void> run_one(Transaction* t, Statement statement, Rows* out) {
    auto rows = co_await t->run(std::move(statement));
    if (!rows) co_return std::unexpected(rows.error());
    *out = std::move(*rows);
    co_return Result<void>{};
  }

  Task<void> create_in(Transaction* t, NewRun* run, std::int64_t* id) {
    auto state = co_await t->run({"select cluster_version from cluster_state", {}});
    if (!state) co_return std::unexpected(state.error());
    if (state->empty())
      co_return fail(ErrorKind::failed_precondition,
                     "This site has not been started yet: there is nothing to upgrade.");
    if (auto higher = is_higher(run->to, state->text(0, 0)); !higher) co_return higher;
    auto active =
        co_await t->run({"select id, from_version, to_version, state from upgrade_run where ended_at is null", {}});
    if (!active) co_return std::unexpected(active.error());
    if (!active->empty())
      co_return fail(ErrorKind::conflict,
                     fmt::format("Upgrade run {} ({} to {}) is {}. Let it end, or cancel it: `afloat upgrade cancel`.",
                                 active->number(0, 0), active->text(0, 1), active->text(0, 2), active->text(0, 3)));
    auto rows = co_await t->run(
        {"insert into upgrade_run (from_version, to_version, reason, actor, options, message, journal_build) "
         "values ($1, $2, $3, $4, $5, 'waiting for a conductor', $6::int) returning id",
         {state->text(0, 0), run->to, run->reason, run->actor, rollout::to_json(run->options), run->build}});
    if (!rows) co_return std::unexpected(rows.error());
    *id = rows->number(0, 0);
    auto hop = co_await t->run(
        {"insert into upgrade_hop (run_id, ordinal, from_version, to_version) values ($1::bigint, 1, $2, $3)",
         {*id, state->text(0, 0), run->to}});
    if (!hop) co_return std::unexpected(hop.error());
    co_return co_await add_event(*t, run->actor, "run_create", json::serialize(json::object{{"run", *id}}));
  }

  /// What somebody asks of a run.
  struct Asked {
    std::int64_t id = 0;
    std::string_view what;   ///< "the run cannot be ..."
    std::string_view event;  ///< its kind in the audit log
    std::string actor;
    std::string node = {};
  };

  Task<void> set_flag(Statement statement, Asked asked, Deadline deadline) {
    const auto id = asked.id;
    const auto what = asked.what;
    bool taken = false;
    auto done = co_await database_.transaction(
        std::nullopt,
        [this, &statement, &asked, &taken](Transaction& t) { return set_flag_in(&t, &statement, &asked, &taken); },
        deadline);
    if (!done) co_return std::unexpected(done.error());
    if (taken) co_return Result<void>{};
    auto run = co_await load(id, deadline);
    if (!run) co_return std::unexpected(run.error());
    if (run->ended())
      co_return fail(ErrorKind::failed_precondition,
                     fmt::format("Upgrade run {} has ended ({}): it cannot be {}.", id, run->outcome, what));
    if (run->finalize_begun)
      co_return fail(
          ErrorKind::failed_precondition,
          fmt::format("Upgrade run {} has begun to finalize: {} nodes can no longer write, so there is no way "
                      "back. Let it end: `afloat upgrade status --watch`.",
                      id, run->hop_from().version));
    if (what == "paused")
      co_return fail(ErrorKind::failed_precondition,
                     fmt::format("Upgrade run {} is paused already; `afloat upgrade resume` lets it go on.", id));
    co_return fail(ErrorKind::failed_precondition,
                   fmt::format("Upgrade run {} is {}, not paused: there is nothing to resume, {}.", id,
                               rollout::to_string(run->state), asked.actor));
  }

  /// With who asked: whoever reads the events later finds it there, whatever the conductor made of it.
  Task<void> set_flag_in(Transaction* t, const Statement* statement, const Asked* asked, bool* taken) {
    auto rows = co_await t->run(*statement);
    if (!rows) co_return std::unexpected(rows.error());
    *taken = !rows->empty();
    if (!*taken) co_return Result<void>{};
    json::object detail{{"run", asked->id}};
    if (!asked->node.empty()) detail["node"] = asked->node;
    co_return co_await add_event(*t, asked->actor, std::string(asked->event), json::serialize(detail));
  }

  Task<Run> with_steps(Run run, Deadline deadline) {
    auto rows = co_await database_.read(
        {"select " AFLOAT_STEP_COLUMNS " from upgrade_step where run_id = $1::bigint order by seq", {run.id}},
        deadline);
    if (!rows) co_return std::unexpected(rows.error());
    for (std::size_t row = 0; row < rows->size(); ++row)
      if (auto step = step_from(*rows, row)) run.steps.push_back(std::move(*step));
    // Until preflight has chosen the way there is one row, straight to the target.
    auto hops = co_await database_.read(
        {"select to_version from upgrade_hop where run_id = $1::bigint order by ordinal", {run.id}}, deadline);
    if (!hops) co_return std::unexpected(hops.error());
    for (std::size_t row = 0; row < hops->size(); ++row)
      run.hops.push_back({hops->text(row, 0), build_of(hops->text(row, 0))});
    co_return run;
  }

  Task<void> record_in(Transaction* t, Run* run, const LeaderLease* lead, int build) {
    auto fenced = co_await t->run(fence(*lead));
    if (!fenced) co_return std::unexpected(fenced.error());
    if (fenced->empty()) co_return std::unexpected(lost(*lead));

    // A cancel that came in meanwhile wins over beginning to finalize: then no row matches. A resume
    // that came in meanwhile is kept: only a conductor that has seen it clears it.
    auto header = co_await t->run(
        {"update upgrade_run set state = $2, turned_back = $3::boolean, finalize_begun = $4::boolean, outcome = $5, "
         "resume_requested = case when $2 = 'paused' then resume_requested and state = 'paused' else false end, "
         "current = $6, message = $7, evidence = $8, checks = $9, "
         "mode_on_at = to_timestamp($10::bigint / 1000.0), stable_at = to_timestamp($11::bigint / 1000.0), "
         "ended_at = case when $12::boolean then coalesce(ended_at, clock_timestamp()) end, "
         "journal_build = greatest(journal_build, $13::int), changed = nextval('upgrade_change'), "
         // Only what this decision has taken up is cleared: more may have been asked for meanwhile.
         "options = (options::jsonb #- $15::text[] #- $16::text[] || jsonb_build_object('memory', $14::jsonb))::text "
         "where id = $1::bigint and ended_at is null and not ($4::boolean and not finalize_begun and cancel_requested) "
         "returning (extract(epoch from ended_at) * 1000)::bigint",
         {run->id, rollout::to_string(run->state), run->back, run->finalize_begun, run->outcome, run->current,
          run->message, run->evidence, run->checks, time_or_null(run->mode_on_at_ms), time_or_null(run->stable_at_ms),
          run->ended(), build, memory_json(run->memory), run->taken.pause_by.empty() ? "{}" : "{requests,pause}",
          run->taken.rollback_node.empty() ? "{}" : "{requests,rollback}"}});
    if (!header) co_return std::unexpected(header.error());
    if (header->empty())
      co_return fail(ErrorKind::conflict, fmt::format("run {} was changed by somebody else meanwhile", run->id));
    run->ended_at_ms = header->number(0, 0);
    run->journal_build = std::max(run->journal_build, build);
    run->taken = {};
    if (run->hops_chosen)
      if (auto written = co_await write_hops(t, *run); !written) co_return written;
    run->hops_chosen = false;

    for (auto& step : run->steps) {
      if (!step.changed) continue;
      auto written = co_await write_step(t, run->id, step);
      if (!written) co_return std::unexpected(written.error());
      step = std::move(*written);
    }
    if (run->ended()) {
      auto hop = co_await t->run(
          {"update upgrade_hop set ended_at = clock_timestamp() where run_id = $1::bigint and ended_at is null",
           {run->id}});
      if (!hop) co_return std::unexpected(hop.error());
    }
    co_return Result<void>{};
  }

  Task<void> write_hops(Transaction* t, Run run) {
    auto old = co_await t->run({"delete from upgrade_hop where run_id = $1::bigint", {run.id}});
    if (!old) co_return std::unexpected(old.error());
    auto from = run.from;
    for (std::size_t i = 0; i < run.hops.size(); ++i) {
      auto hop = co_await t->run(
          {"insert into upgrade_hop (run_id, ordinal, from_version, to_version) values ($1::bigint, $2::int, $3, $4)",
           {run.id, static_cast<int>(i + 1), from, run.hops[i].version}});
      if (!hop) co_return std::unexpected(hop.error());
      from = run.hops[i].version;
    }
    co_return Result<void>{};
  }

  Task<StepRecord> write_step(Transaction* t, std::int64_t run_id, StepRecord step) {
    Statement statement;
    if (step.seq == 0) {
      statement = {
          "insert into upgrade_step (run_id, kind, node, back, state, attempt, detail, metric_ms, hop) "
          "values ($1::bigint, $2, $3, $4::boolean, $5, $6::int, $7, $8::bigint, $9::int) "
          "returning " AFLOAT_STEP_COLUMNS,
          {run_id, rollout::to_string(step.kind), step.node, step.back, rollout::to_string(step.state), step.attempt,
           step.detail, step.metric_ms, step.hop + 1}};
    } else {
      statement = {
          "update upgrade_step set state = $2, attempt = $3::int, detail = $4, metric_ms = $5::bigint, "
          "attempt_at = case when attempt <> $3::int then clock_timestamp() else attempt_at end, "
          "ended_at = case when $6::boolean then null else coalesce(ended_at, clock_timestamp()) end, "
          "changed = nextval('upgrade_change') where seq = $1::bigint returning " AFLOAT_STEP_COLUMNS,
          {step.seq, rollout::to_string(step.state), step.attempt, step.detail, step.metric_ms, step.open()}};
    }
    auto rows = co_await t->run(std::move(statement));
    if (!rows) co_return std::unexpected(rows.error());
    auto written = rows->empty() ? std::nullopt : step_from(*rows, 0);
    if (!written)
      co_return fail(ErrorKind::internal, fmt::format("step {} of run {} is gone from the journal", step.seq, run_id));
    co_return std::move(*written);
  }

  Database& database_;
};

}  // namespace

Task<std::optional<std::int64_t>> planned_downtime(Database& database, Deadline deadline) {
  // A run is written by conductors newer than this node too, so of its options only what is needed is read.
  auto rows = co_await database.read(
      {"select (extract(epoch from started_at) * 1000)::bigint, options from upgrade_run where ended_at is null "
       "and not turned_back and not cancel_requested",
       {}},
      deadline);
  if (!rows) co_return std::unexpected(rows.error());
  if (rows->empty()) co_return std::optional<std::int64_t>();
  const auto options = parse_json_object(rows->text(0, 1), "the run's options");
  if (!options || !bool_or(*options, "offline")) co_return std::optional<std::int64_t>();
  co_return std::max(rows->number(0, 0), int_or(*options, "not_before_ms"));
}

std::unique_ptr<RunStore> make_run_store(Database& database) { return std::make_unique<SqlRunStore>(database); }

}  // namespace afloat::store
