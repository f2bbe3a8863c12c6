#include <array>

#include "store/schema.h"

namespace afloat::store {
namespace {

// States and names are text without checks, so that a newer release can add some. `changed` comes from
// one sequence: whoever follows a run asks for what changed after the number that he has seen. All
// writers update the run's row first, so the numbers of one run are committed in their order.
constexpr auto statements = std::to_array<std::string_view>({
    "create sequence upgrade_change",

    R"(create table upgrade_run (
      id               bigint generated always as identity primary key,
      from_version     text not null,
      to_version       text not null,
      state            text not null default 'running',
      turned_back      boolean not null default false,
      cancel_requested boolean not null default false,
      resume_requested boolean not null default false,
      finalize_begun   boolean not null default false,
      outcome          text not null default '',
      reason           text not null default '',
      actor            text not null default '',
      options          text not null default '{}',
      current          text not null default '',
      message          text not null default '',
      evidence         text not null default '',
      checks           text not null default '',
      started_at       timestamptz not null default clock_timestamp(),
      ended_at         timestamptz,
      mode_on_at       timestamptz,
      stable_at        timestamptz,
      journal_build    int not null default 0,
      declined         text not null default '',
      declined_at      timestamptz,
      changed          bigint not null default nextval('upgrade_change')))",
    // One active run.
    "create unique index upgrade_run_active on upgrade_run ((true)) where ended_at is null",

    R"(create table upgrade_hop (
      run_id       bigint not null references upgrade_run (id),
      ordinal      int not null,
      from_version text not null,
      to_version   text not null,
      started_at   timestamptz not null default clock_timestamp(),
      ended_at     timestamptz,
      primary key (run_id, ordinal)))",

    R"(create table upgrade_step (
      seq        bigint generated always as identity primary key,
      run_id     bigint not null references upgrade_run (id),
      hop        int not null default 1,
      kind       text not null,
      node       text not null default '',
      back       boolean not null default false,
      state      text not null,
      attempt    int not null default 1,
      started_at timestamptz not null default clock_timestamp(),
      attempt_at timestamptz not null default clock_timestamp(),
      ended_at   timestamptz,
      detail     text not null default '',
      metric_ms  bigint not null default 0,
      changed    bigint not null default nextval('upgrade_change')))",
    "create index upgrade_step_run on upgrade_step (run_id, seq)",
    "create index upgrade_step_changed on upgrade_step (run_id, changed)",

    R"(create table conductor_lease (
      only_row    boolean primary key default true check (only_row),
      epoch       bigint not null,
      holder      text not null,
      renewed     timestamptz not null default clock_timestamp(),
      lease_until timestamptz not null))",
});

}  // namespace

std::span<const std::string_view> run_schema() { return statements; }

}  // namespace afloat::store
