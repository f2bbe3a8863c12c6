#include <array>

#include "store/schema.h"

namespace afloat::store {

namespace {

// Frozen from 1.0.0 on: afloat_write(int, int) with its SQLSTATEs, and the columns that admission reads.
// Later releases only add. See docs/protocol-cluster.md for the reasons behind each line.
constexpr auto statements = std::to_array<std::string_view>({
    R"(create table cluster_state (
  only_row           boolean primary key default true check (only_row),
  cluster_version    text not null,
  min_build          int not null,
  max_build          int not null,
  gates              int not null default 1,
  min_gates          int not null default 1,
  mode               text not null default 'off',
  original_build     int,
  target_build       int,
  expand_done        boolean not null default false,
  finalize_requested timestamptz,
  run_id             bigint,
  epoch              bigint not null default 1,
  format             int not null default 1,
  check (min_build <= max_build and min_gates <= gates)))",

    // VOLATILE, two statements, READ COMMITTED: the row is read with a snapshot taken after the lock was
    // granted. Declared STABLE, or with the check in the write's own statement, a frozen old node commits.
    R"(create function afloat_write(build int, gates_seen int) returns void
language plpgsql volatile as $$
declare s record;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'afloat_write needs READ COMMITTED, found %', current_setting('transaction_isolation') using errcode = 'AF002';
  end if;
  perform pg_advisory_xact_lock_shared(4117, 1);
  select min_build, max_build, min_gates into strict s from cluster_state;
  if build < s.min_build or build > s.max_build then
    raise exception 'build % may not write: the site accepts %..%', build, s.min_build, s.max_build using errcode = 'AF001';
  end if;
  if gates_seen < s.min_gates then
    raise exception 'feature gates % are stale: at least % is needed', gates_seen, s.min_gates using errcode = 'AF003';
  end if;
  perform set_config('afloat.build', build::text, true);
end $$)",

    R"(create table member (
  id          text primary key,
  name        text not null,
  host        text not null,
  address     text not null,
  port        int not null,
  version     text not null,
  build       int not null,
  digest      text not null default '',
  incarnation text not null,
  state       text not null,
  ephemeral   boolean not null default false,
  config_hash text not null default '',
  joined_at   timestamptz not null default clock_timestamp(),
  started_at  timestamptz not null,
  active_at   timestamptz,
  closed_at   timestamptz,
  removed_at  timestamptz))",
    R"(create unique index member_name on member (name) where removed_at is null)",

    // Renewed every second by each node: narrow, with room for in-place updates.
    R"(create table member_lease (
  id          text primary key references member (id),
  incarnation text not null,
  lease_until timestamptz not null,
  gates       int not null) with (fillfactor = 50))",
    R"(create table member_load (
  id            text primary key references member (id),
  tasks_running int not null default 0,
  active_users  int not null default 0,
  busy          real not null default 0))",

    R"(create table cluster_event (
  seq    bigint generated always as identity primary key,
  at     timestamptz not null default clock_timestamp(),
  actor  text not null,
  kind   text not null,
  detail jsonb not null default '{}'))",

    R"(create table upgrade_task (
  id          text primary key,
  version     text not null,
  build       int not null,
  kind        text not null,
  ordinal     int not null,
  checksum    text not null,
  state       text not null default 'pending',
  token       int not null default 0,
  attempts    int not null default 0,
  lease_until timestamptz,
  runner      text not null default '',
  checkpoint  text not null default '',
  done        bigint not null default 0,
  total       bigint not null default 0,
  error       text not null default '',
  updated_at  timestamptz not null default clock_timestamp()))",

    R"(create table change_log (
  seq      bigint generated always as identity primary key,
  xid      xid8 not null default pg_current_xact_id(),
  at       timestamptz not null default clock_timestamp(),
  write_id uuid,
  kind     text not null,
  key      text not null))",
    R"(create index change_log_xid on change_log (xid))",
    R"(create index change_log_write on change_log (write_id))",
});

}  // namespace

std::span<const std::string_view> cluster_schema() { return statements; }

}  // namespace afloat::store
