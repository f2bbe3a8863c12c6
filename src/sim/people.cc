#include <fmt/format.h>

#include "sim/scenario.h"

/// Administrators: they ask for the upgrade, answer pauses, change their minds, and try commands at wrong moments.
namespace afloat::sim {

using rollout::RunState;

namespace {
constexpr Micros patience = 5 * second;
}

void Scenario::ask_for_run() {
  NewRun run;
  run.to = new_version;
  run.options = options_;
  if (engine_.chance.one_in(4)) run.options.not_before_ms = engine_.unix_ms() + engine_.chance.in(500, 3'000);
  site_.ask_database<std::int64_t>(
      site_.people, [run](Database& database) { return database.create_run(run); }, patience,
      [this](Result<std::int64_t> made) {
        if (made) --runs_wanted_;
      });
}

void Scenario::people_look() {
  engine_.after(engine_.chance.in(800, 1'500) * ms, [this] { people_look(); });
  const auto run = site_.database.active_run();
  if (!run) {
    const auto& state = site_.database.state();
    // One that was cancelled or refused is asked for again, sometimes.
    const bool upgraded = state && state->cluster_build == new_build;
    if (!upgraded && state && state->mode == cluster::Mode::off && runs_wanted_ > 0 && engine_.now() > 2 * second)
      ask_for_run();
    // Somebody began by hand and thought better of it.
    if (state && state->mode == cluster::Mode::on && !state->run_id && (calm_ || engine_.chance.one_in(4)))
      command(cluster::Command::cancel);
    return;
  }
  if (run->state == RunState::paused) answer_pause(*run);
}

void Scenario::answer_pause(const rollout::Run& run) {
  if (!calm_) {
    if (engine_.chance.one_in(5)) return resume_run();
    if (engine_.chance.one_in(25)) cancel_run();
    return;
  }
  if (resumes_left_ > 0 && !run.resume_requested) {
    --resumes_left_;
    return resume_run();
  }
  if (run.resume_requested || (run.cancel_requested && !run.back)) return;
  if (!run.back && !run.finalize_begun) return cancel_run();
  if (++hopeless_ > 3) {
    outcome_ = "paused";
    reason_ = run.message;
    over_ = true;
    return;
  }
  resume_run();
}

void Scenario::cancel_run() {
  site_.ask_database<void>(
      site_.people,
      [](Database& database) -> Result<void> {
        const auto run = database.active_run();
        return run ? database.request_cancel(run->id) : Result<void>{};
      },
      patience, [](Result<void>) {});
}

void Scenario::resume_run() {
  site_.ask_database<void>(
      site_.people,
      [](Database& database) -> Result<void> {
        const auto run = database.active_run();
        return run ? database.request_resume(run->id) : Result<void>{};
      },
      patience, [](Result<void>) {});
}

void Scenario::pause_run() {
  site_.ask_database<void>(
      site_.people,
      [](Database& database) -> Result<void> {
        const auto run = database.active_run();
        return run ? database.request_pause(run->id) : Result<void>{};
      },
      patience, [](Result<void>) {});
}

void Scenario::roll_back(int node) {
  site_.ask_database<void>(
      site_.people,
      [node](Database& database) -> Result<void> {
        const auto run = database.active_run();
        return run ? database.request_rollback(run->id, fmt::format("node{}", node)) : Result<void>{};
      },
      patience, [](Result<void>) {});
}

void Scenario::command_by_hand() { command(static_cast<cluster::Command>(engine_.chance.in(0, 3))); }

void Scenario::command(cluster::Command command) {
  // Sometimes in the name of a run that is long over: its message comes late.
  const bool late = command != cluster::Command::start && engine_.chance.one_in(3);
  const auto run = late ? std::optional<std::int64_t>(99) : std::nullopt;
  site_.ask_database<void>(
      site_.people, [=](Database& database) { return database.apply(command, "people", std::nullopt, run); }, patience,
      [](Result<void>) {});
}

void Scenario::remove_node(int node, int tries) {
  if (tries == 0) return;
  site_.ask_database<void>(
      site_.people, [node](Database& database) { return database.remove(fmt::format("node{}", node)); }, patience,
      [this, node, tries](Result<void> done) {
        if (done || done.error().kind() == ErrorKind::not_found) return;
        engine_.after(second, [this, node, tries] { remove_node(node, tries - 1); });
      });
}

}  // namespace afloat::sim
