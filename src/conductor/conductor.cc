#include "conductor/conductor.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "rollout/notices.h"
#include "version/version.h"

namespace afloat::conductor {
using namespace std::chrono_literals;

namespace {

/// The lease lasts 5 s; renewing each second leaves room for four misses. We stop acting a second before
/// the lease can end, so that our last act is over when another leads.
constexpr std::chrono::milliseconds renew_every = 1s;
constexpr auto lease_trusted_for = 4s;
constexpr auto database_time_limit = 3s;
/// While waiting, the run's message is written this often at most.
constexpr auto message_every = 500ms;

std::int64_t whole_ms(SteadyTime::duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

}  // namespace

Conductor::Conductor(Settings settings, Clock& clock, Timer& timer, RunStore& runs, ClusterStore& cluster,
                     NodeHost& hosts, LoadBalancer& balancer, SiteClient& site, Notifier& notifier)
    : settings_(std::move(settings)),
      clock_(clock),
      timer_(timer),
      runs_(runs),
      cluster_(cluster),
      hosts_(hosts),
      balancer_(balancer),
      site_(site),
      notifier_(notifier) {}

Async<void> Conductor::lead() {
  while (!stopping_) {
    auto wait = settings_.idle_poll;
    Result<void> done;
    if (!lead_) {
      done = co_await become_leader();
      if (!lead_) wait = 500ms;
    } else if (clock_.steady_now() - renewed_ > lease_trusted_for) {
      lose_lead("the lease could not be renewed in time");
    } else if (!announced_) {
      done = co_await announce();
      wait = announced_ ? 0ms : 500ms;
    } else {
      auto busy = co_await conduct_once();
      if (busy)
        wait = *busy ? 0ms : (run_ && run_->state != rollout::RunState::paused ? settings_.poll : settings_.idle_poll);
      else
        done = std::unexpected(busy.error());
    }
    if (!done) {
      if (done.error().code() == lead_lost) lose_lead(done.error().message());
      // Read again what we may have lost sight of; the world and the journal are the truth.
      run_.reset();
      reached_ = false;
      wait = 200ms;
      if (done.error().message() != last_fault_) {
        last_fault_ = done.error().message();
        settings_.log(done.error().code() == site_is_new ? "info" : "warning", last_fault_);
      }
    } else {
      last_fault_.clear();
    }
    if (wait > 0ms) (void)co_await pause(wait);
  }
  if (lead_) {
    (void)co_await runs_.release_lead(*lead_, within(1s));
    settings_.log("info", fmt::format("epoch {} given up", lead_->epoch));
    lead_.reset();
  }
}

Async<void> Conductor::renew() {
  while (!stopping_) {
    // Short sleeps, so that stop() is not kept waiting.
    for (int i = 0; i < 10 && !stopping_; ++i) (void)co_await pause(renew_every / 10);
    if (!lead_ || stopping_) continue;
    const auto lead = *lead_;
    const auto sent = clock_.steady_now();
    auto renewed = co_await runs_.renew_lead(lead, within(database_time_limit));
    if (!lead_ || lead_->epoch != lead.epoch) continue;
    if (renewed)
      renewed_ = std::max(renewed_, sent);
    else if (renewed.error().code() == lead_lost)
      lose_lead(renewed.error().message());
  }
}

Task<void> Conductor::become_leader() {
  // Above whatever any agent has seen: a restored database may have forgotten epochs.
  std::int64_t highest = 0;
  for (const auto& host : hosts_.hosts())
    if (auto report = co_await hosts_.report(host, within(1s))) highest = std::max(highest, report->highest_epoch);
  const auto sent = clock_.steady_now();
  auto taken = co_await runs_.take_lead(settings_.holder, highest, settings_.build, within(database_time_limit));
  if (!taken) co_return std::unexpected(taken.error());
  if (!*taken) co_return Result<void>{};
  lead_ = **taken;
  leading_since_ = clock_.steady_now();
  renewed_ = sent;
  announced_ = false;
  run_.reset();
  act_ = {};
  auto now = co_await runs_.database_time(within(database_time_limit));
  if (!now) co_return std::unexpected(now.error());
  note_database_time(*now);
  settings_.log("info", fmt::format("leading with epoch {}", lead_->epoch));
  co_return Result<void>{};
}

Task<void> Conductor::announce() {
  std::vector<std::string> missing;
  for (const auto& host : hosts_.hosts()) {
    auto report = co_await hosts_.announce(host, *lead_, within(2s));
    if (!lead_) co_return Result<void>{};
    if (report) continue;
    if (report.error().code() == "stale_epoch") {
      // An agent knows a higher epoch: take the lead again, above it.
      lose_lead(report.error().message());
      co_return Result<void>{};
    }
    missing.push_back(fmt::format("agent {}: {}", host, report.error().message()));
  }
  if (missing.empty()) {
    announced_ = true;
    co_return Result<void>{};
  }
  const auto why = join(missing, "; ");
  if (clock_.steady_now() - leading_since_ > 5s) {
    // Nothing is done while an agent may still obey another conductor. Say so where people look.
    auto active = co_await runs_.active(within(database_time_limit));
    if (!active) co_return std::unexpected(active.error());
    if (*active && (*active)->state != rollout::RunState::paused && (*active)->journal_build <= settings_.build) {
      auto run = std::move(**active);
      run.state = rollout::RunState::paused;
      run.message = fmt::format("Not every agent answers: {}. Start it, then `afloat upgrade resume`.", why);
      auto recorded = co_await record(std::move(run));
      run_.reset();
      if (!recorded) co_return std::unexpected(recorded.error());
    }
  }
  co_return fail(ErrorKind::unavailable, "not every agent answers: " + why);
}

Task<bool> Conductor::conduct_once() {
  if (!run_) {
    auto active = co_await runs_.active(within(database_time_limit));
    if (!active) co_return std::unexpected(active.error());
    if (!*active) co_return false;
    if ((*active)->journal_build > settings_.build) {
      // The lease must be free for a conductor that can read this journal; take_lead() tells people why.
      (void)co_await runs_.release_lead(*lead_, within(1s));
      co_return fail(
          ErrorKind::failed_precondition,
          fmt::format("upgrade run {} was written by {}, which is newer than this conductor ({})", (*active)->id,
                      version::describe_build((*active)->journal_build), version::describe_build(settings_.build)),
          lead_lost);
    }
    run_ = std::move(**active);
    if (run_->options.soak_ms < 0) run_->options.soak_ms = settings_.soak_ms;
    run_->options.backup = settings_.backup != nullptr;
    act_ = {};
    settings_.log(
        "info", fmt::format("run {}: {} to {}, {}{}{}", run_->id, run_->from, run_->to, rollout::to_string(run_->state),
                            run_->message.empty() ? "" : ": ", run_->message));
  } else if (auto taken = co_await take_signals(); !taken) {
    co_return std::unexpected(taken.error());
  }

  auto seen = co_await observe(rollout::needs(*run_));
  if (!seen) co_return std::unexpected(seen.error());
  if (!lead_ || clock_.steady_now() - renewed_ > lease_trusted_for) co_return true;  // lead() looks into it
  auto went_back = co_await pause_where_it_went_back(*seen);
  if (!went_back || *went_back) co_return went_back;
  auto decision = rollout::step(*run_, *seen);

  if (decision.record) {
    const bool same_step = run_->open_step() && decision.run.open_step() &&
                           run_->open_step()->seq == decision.run.open_step()->seq &&
                           run_->open_step()->attempt == decision.run.open_step()->attempt;
    auto recorded = co_await record(std::move(decision.run));
    if (!recorded) co_return std::unexpected(recorded.error());
    if (!same_step) act_ = {};
    for (auto& [kind, text] : std::exchange(notices_, {})) (void)co_await tell(kind, std::move(text));
    if (run_ && run_->ended()) run_.reset();
    co_return true;
  }
  if (decision.act) {
    act_.tried = true;
    auto done = co_await perform(std::move(*decision.act));
    act_.tried_at_ms = database_now();
    act_.error = done ? std::nullopt : std::optional<Error>(done.error());
    if (!run_) co_return fail(ErrorKind::failed_precondition, "no longer leading", lead_lost);  // renew() found out
    if (!done) settings_.log("warning", fmt::format("run {}: {}: {}", run_->id, run_->current, done.error().message()));
    // Something acted: look at once. After an error that may pass, wait one poll.
    co_return done.has_value();
  }
  if (decision.waiting != run_->message && run_->state != rollout::RunState::paused &&
      clock_.steady_now() - message_written_ > message_every) {
    // For the first half second of a step there is nothing worth a disk write.
    const auto* step = run_->open_step();
    if (step && database_now() - step->attempt_at_ms > whole_ms(message_every)) {
      message_written_ = clock_.steady_now();
      auto run = *run_;
      run.message = decision.waiting;
      if (auto recorded = co_await record(std::move(run)); !recorded) co_return std::unexpected(recorded.error());
    }
  }
  if (run_ && run_->state == rollout::RunState::paused) (void)co_await remind_of_hold();
  if (run_) (void)co_await announce_schedule();
  co_return false;
}

Task<void> Conductor::take_signals() {
  auto signals = co_await runs_.signals(run_->id, within(database_time_limit));
  if (!signals) co_return std::unexpected(signals.error());
  if (!run_) co_return fail(ErrorKind::failed_precondition, "no longer leading", lead_lost);  // renew() found out
  run_->cancel_requested = signals->cancel_requested;
  run_->resume_requested = signals->resume_requested && run_->state == rollout::RunState::paused;
  run_->requests = std::move(signals->requests);
  co_return Result<void>{};
}

Task<bool> Conductor::pause_where_it_went_back(const rollout::Observation& seen) {
  // Whoever resumes a run that says so has been told, by this conductor or by another.
  if (run_->state == rollout::RunState::paused && run_->message.ends_with(rollout::after_going_back))
    cluster_epoch_ = 0;
  if (!seen.cluster || !seen.cluster->state) co_return false;
  const auto epoch = seen.cluster->state->epoch;
  if (epoch < cluster_epoch_) {
    auto run = *run_;
    run.state = rollout::RunState::paused;
    run.message = fmt::format("The database went back in time: the cluster's state has number {}, and had {}. {}",
                              epoch, cluster_epoch_, rollout::after_going_back);
    if (auto recorded = co_await record(std::move(run)); !recorded) co_return std::unexpected(recorded.error());
    co_return true;
  }
  cluster_epoch_ = epoch;
  co_return false;
}

Task<void> Conductor::record(rollout::Run run) {
  if (!lead_) co_return fail(ErrorKind::failed_precondition, "no longer leading", lead_lost);
  const auto sent = clock_.steady_now();
  auto recorded = co_await runs_.record(std::move(run), *lead_, settings_.build, within(database_time_limit));
  if (!recorded) co_return std::unexpected(recorded.error());
  renewed_ = std::max(renewed_, sent);  // the journal's fence renews the lease
  if (run_) note_changes(*run_, *recorded);
  run_ = std::move(*recorded);
  co_return Result<void>{};
}

void Conductor::note_changes(const rollout::Run& before, const rollout::Run& after) {
  for (std::size_t i = 0; i < after.steps.size(); ++i) {
    const auto& step = after.steps[i];
    const auto title = rollout::title_of(step.kind, step.node);
    const bool known = i < before.steps.size() && before.steps[i].seq == step.seq;
    if (known && before.steps[i].state == step.state && before.steps[i].attempt == step.attempt) continue;
    if (step.state == rollout::StepState::running)
      settings_.log("info", fmt::format("run {}: {} ...", after.id, title));
    else if (step.state != rollout::StepState::paused)
      settings_.log("info",
                    fmt::format("run {}: {}: {} in {} ms{}{}", after.id, title, rollout::to_string(step.state),
                                step.ended_at_ms - step.started_at_ms, step.detail.empty() ? "" : ": ", step.detail));
  }
  if (after.state != before.state)
    settings_.log(after.state == rollout::RunState::paused ? "warning" : "info",
                  fmt::format("run {} is {}{}{}", after.id, rollout::to_string(after.state),
                              after.message.empty() ? "" : ": ", after.message));
  for (auto& notice : rollout::notices(before, after)) notices_.push_back(std::move(notice));
}

Task<void> Conductor::tell(NoticeKind kind, std::string text) {
  if (!run_) co_return Result<void>{};
  const Notice notice{.kind = kind, .run = run_->id, .from = run_->from, .to = run_->to, .text = std::move(text)};
  auto told = co_await notifier_.notify(notice, within(2s));
  if (!told)
    settings_.log("warning", fmt::format("run {}: nobody was told that it is {}: {}", notice.run, to_string(kind),
                                         told.error().message()));
  co_return told;
}

// After an hour, then each day: a cluster of two releases is not a place to stay.
Task<void> Conductor::remind_of_hold() {
  const auto* step = run_->open_step();
  if (!step || step->kind != rollout::StepKind::hold_before_finalize) {
    remind_at_ms_ = 0;
    co_return Result<void>{};
  }
  constexpr std::int64_t hour = 3'600'000, day = 24 * hour;
  const auto now = database_now();
  if (remind_at_ms_ == 0)
    remind_at_ms_ =
        step->started_at_ms + (now - step->started_at_ms < hour ? hour : ((now - step->started_at_ms) / day + 1) * day);
  if (now < remind_at_ms_) co_return Result<void>{};
  remind_at_ms_ = step->started_at_ms + ((now - step->started_at_ms) / day + 1) * day;
  co_return co_await tell(NoticeKind::held, fmt::format("Held for {}: every node runs {}. `afloat upgrade finalize` "
                                                        "ends the upgrade, `afloat upgrade cancel` leads back to {}.",
                                                        duration_text(now - step->started_at_ms),
                                                        run_->hop_to().version, run_->hop_from().version));
}

Task<void> Conductor::announce_schedule() {
  const auto* step = run_->open_step();
  if (!step || step->kind != rollout::StepKind::wait_until) {
    announce_at_ms_ = 0;
    co_return Result<void>{};
  }
  const auto begins = run_->options.not_before_ms, now = database_now();
  const auto due = std::exchange(announce_at_ms_, rollout::next_announcement(begins, now));
  if (due == 0 || now < due) co_return Result<void>{};
  co_return co_await tell(
      NoticeKind::scheduled,
      fmt::format("The upgrade from {} to {} begins in {}{}. Postpone what changes configuration or apps until it has "
                  "ended; `afloat upgrade cancel` takes it back.",
                  run_->from, run_->to, duration_text(begins - now),
                  run_->options.offline ? ", and the site is away while it lasts" : ""));
}

Order Conductor::order() const {
  Order order;
  if (lead_) order.lead = *lead_;
  if (run_) {
    order.run = run_->id;
    if (const auto* step = run_->open_step()) order.step = fmt::format("{}-{}", step->seq, step->attempt);
  }
  return order;
}

// By the steady clock: deadlines are counted with it, and a wall clock that is set would end them all at once.
void Conductor::note_database_time(std::int64_t now_ms) {
  clock_offset_ms_ = now_ms - whole_ms(clock_.steady_now().time_since_epoch());
}

std::int64_t Conductor::database_now() const {
  return whole_ms(clock_.steady_now().time_since_epoch()) + clock_offset_ms_;
}

Task<void> Conductor::pause(std::chrono::milliseconds time) { return timer_.sleep_until(clock_.steady_now() + time); }

void Conductor::lose_lead(const std::string& why) {
  if (!lead_) return;
  settings_.log("warning", fmt::format("epoch {} is over: {}", lead_->epoch, why));
  lead_.reset();
  run_.reset();
  canary_.reset();
  trial_.reset();
  notices_.clear();
  remind_at_ms_ = announce_at_ms_ = 0;
  announced_ = false;
}

}  // namespace afloat::conductor
