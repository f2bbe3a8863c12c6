#include <fmt/format.h>

#include "conductor/conductor.h"
#include "rollout/preflight.h"

/// Looking at the world: only what the open step needs, since it is done many times a second.
namespace afloat::conductor {
using namespace std::chrono_literals;

namespace {

/// Each time also brings some reads of known pages, so that a quiet site has something to judge by.
constexpr auto ask_soaking_every = 250ms;

std::string step_name(const rollout::StepRecord& step) { return fmt::format("{}-{}", step.seq, step.attempt); }

rollout::DrainView view_of(DrainStatus told) {
  return {told.drained, told.in_flight, told.streams, told.tasks_running, std::move(told.overdue)};
}
rollout::BalancerView view_of(BackendView told) {
  return {told.status, told.sessions, told.weight, told.full_weight, std::move(told.check)};
}

std::vector<std::string> others_active(const rollout::Observation& seen, const std::string& node) {
  std::vector<std::string> names;
  if (seen.cluster)
    for (const auto& member : seen.cluster->members)
      if (member.name != node && cluster::effective_state(member) == cluster::NodeState::ACTIVE)
        names.push_back(member.name);
  return names;
}

}  // namespace

Task<rollout::Observation> Conductor::observe(rollout::Needs needs) {
  rollout::Observation seen;
  seen.act = act_;
  seen.hosts = hosts_.hosts();
  if (settings_.surge) seen.surge = rollout::SurgeNode{settings_.surge->name, settings_.surge->host};
  seen.surge_missing = !settings_.surge && run_ && run_->options.surge == rollout::Surge::always;
  if (needs.cluster || needs.all_balancers || !needs.process.empty()) {
    auto snapshot = co_await cluster_.observe(within(3s));
    if (!snapshot) co_return std::unexpected(snapshot.error());
    if (!reached_) reached_since_ = clock_.steady_now();
    reached_ = true;
    seen.cluster = std::move(*snapshot);
    note_database_time(seen.cluster->now_ms);
  }
  seen.database_reached_ms =
      reached_ ? std::chrono::duration_cast<std::chrono::milliseconds>(clock_.steady_now() - reached_since_).count()
               : 0;

  if (needs.all_hosts) {
    for (const auto& host : seen.hosts) (void)co_await observe_host(seen, host);
  } else if (!needs.process.empty()) {
    const auto* member = rollout::find_member(seen, needs.process);
    if (member)
      (void)co_await observe_host(seen, member->host);
    else
      seen.faults.push_back(fmt::format("{} is not in the roster", needs.process));
  }
  if (needs.all_balancers && seen.cluster) {
    const auto members = seen.cluster->members;
    for (const auto& member : members) (void)co_await observe_balancer(seen, member.name);
  } else if (!needs.balancer.empty()) {
    (void)co_await observe_balancer(seen, needs.balancer);
  }
  if (!needs.surge.empty()) (void)co_await observe_surge(seen, needs.surge);
  if (!needs.drain.empty()) {
    auto status = co_await site_.drain_status(needs.drain, within(1s));
    if (status)
      seen.nodes[needs.drain].drain = view_of(std::move(*status));
    else
      seen.faults.push_back(fmt::format("{}: {}", needs.drain, status.error().message()));
  }
  if (!needs.ready.empty()) {
    // A node that is starting refuses connections: not ready, and not a fault.
    auto ready = co_await site_.ready(needs.ready, within(1s));
    seen.nodes[needs.ready].ready = ready.value_or(false);
  }
  if (!needs.trial.empty() && run_)
    if (auto looked = co_await observe_trial(seen, needs.trial); !looked) co_return std::unexpected(looked.error());
  if (!needs.soak.empty() && run_)
    if (auto looked = co_await observe_soak(seen, needs.soak); !looked) co_return std::unexpected(looked.error());
  if (needs.catalogue) {
    seen.offline = run_ && run_->options.offline;
    seen.edition = settings_.edition;
    seen.conductor_build = settings_.build;
    if (encoding_.empty())
      if (auto encoding = co_await runs_.database_encoding(within(3s))) encoding_ = *encoding;
    seen.database_encoding = encoding_;
    if (auto replicas = co_await runs_.database_replicas(within(3s))) seen.replicas = std::move(*replicas);
    if (settings_.facts) {
      seen.facts = std::make_shared<const rollout::Facts>(co_await settings_.facts(within(3s)));
      if (!run_) co_return fail(ErrorKind::failed_precondition, "no longer leading", lead_lost);
    }
    if (settings_.catalogue && run_) {
      const auto entry = settings_.catalogue(run_->from, run_->to);
      seen.in_catalogue = entry.present;
      seen.catalogue_has = entry.releases;
      seen.target = entry.facts;
      seen.bundle = entry.bundle;
      if (settings_.way && !seen.offline) seen.way = settings_.way(run_->from, run_->to);
      if (settings_.notes && entry.notes) {
        auto read = co_await settings_.notes->acknowledged(within(3s));
        if (!read) co_return std::unexpected(read.error());
        if (!run_) co_return fail(ErrorKind::failed_precondition, "no longer leading", lead_lost);
        seen.notes = rollout::view_of(*entry.notes, *read, run_->options.notes_recorded);
      }
    }
  }
  seen.now_ms = database_now();
  co_return seen;
}

Task<void> Conductor::observe_trial(rollout::Observation& seen, std::string node) {
  const auto* step = run_->open_step();
  if (!step) co_return Result<void>{};
  if (const auto name = step_name(*step); !trial_ || canary_step_ != name) {
    trial_.emplace(database_now());
    trial_of_ = node;
    canary_step_ = name;
  }
  const auto others = others_active(seen, node);
  if (others.empty()) {
    trial_->note_obstacle("no other node is ACTIVE to compare it with");
  } else {
    const auto& other = others[static_cast<std::size_t>(database_now() / 100) % others.size()];
    const auto lost = [this] { return !run_ || !trial_; };
    // One that its agent is just starting again fails no request: nobody would be sent to it.
    auto ready = co_await site_.ready(node, within(1s));
    if (lost()) co_return fail(ErrorKind::failed_precondition, "no longer leading", lead_lost);
    if (ready && !*ready) {
      trial_->note_obstacle(node + " is not ready");
      seen.canary = trial_->view(database_now());
      co_return Result<void>{};
    }
    auto sample = co_await site_.metrics(node, within(1s));
    if (lost()) co_return fail(ErrorKind::failed_precondition, "no longer leading", lead_lost);
    if (sample && sample->memory_bytes) trial_->note_memory(*sample->memory_bytes);
    auto reads = co_await site_.try_out(node, other, within(5s));
    if (lost()) co_return fail(ErrorKind::failed_precondition, "no longer leading", lead_lost);
    if (reads) trial_->add(*reads);
    trial_->note_obstacle(reads ? std::string() : reads.error().message());
  }
  seen.canary = trial_->view(database_now());
  co_return Result<void>{};
}

Task<void> Conductor::observe_soak(rollout::Observation& seen, std::string node) {
  const auto* step = run_->open_step();
  if (!step) co_return Result<void>{};
  const auto now = database_now();
  const auto name = step_name(*step);
  if (!canary_ || canary_step_ != name) {
    // The soak of a leader that has just taken over is as long as any: it knows only what it has seen itself.
    canary_.emplace(node, now, run_->options.soak_ms,
                    trial_ && trial_of_ == node ? trial_->fresh_bytes() : std::nullopt);
    canary_step_ = name;
    canary_asked_ = {};
  }
  if (clock_.steady_now() - canary_asked_ > ask_soaking_every) {
    canary_asked_ = clock_.steady_now();
    const auto others = others_active(seen, node);
    auto names = others;
    names.push_back(node);
    std::map<std::string, rollout::NodeSample> samples;
    for (const auto& member : names) {
      auto sample = co_await site_.metrics(member, within(1s));
      if (!sample) continue;  // silence is judged, too
      sample->at_ms = database_now();
      samples.emplace(member, std::move(*sample));
    }
    // The lead may be lost, and all of this with it, at each await.
    const auto lost = [this] { return !run_ || !canary_; };
    if (lost()) co_return fail(ErrorKind::failed_precondition, "no longer leading", lead_lost);
    canary_->add(samples);
    if (!others.empty()) {
      const auto& other = others[static_cast<std::size_t>(now / 1000) % others.size()];
      auto answers = co_await site_.compare(node, other, within(2s));
      if (lost()) co_return fail(ErrorKind::failed_precondition, "no longer leading", lead_lost);
      if (answers) canary_->add(*answers);
    }
  }
  if (const auto* view = rollout::find_node(seen, node); view && view->process)
    canary_->seen_process(view->process->incarnation);
  seen.canary = canary_->view(database_now());
  co_return Result<void>{};
}

// It may be no member, and no server of the balancer: that is not a fault.
Task<void> Conductor::observe_surge(rollout::Observation& seen, std::string node) {
  auto view = co_await balancer_.view(node, within(1s));
  if (view)
    seen.nodes[node].balancer = view_of(*view);
  else if (view.error().kind() != ErrorKind::not_found)
    seen.faults.push_back(fmt::format("load balancer, {}: {}", node, view.error().message()));
  const auto* seen_node = rollout::find_node(seen, node);
  if (!seen_node || !seen_node->process || !seen_node->process->running || !view) co_return Result<void>{};
  if (auto status = co_await site_.drain_status(node, within(1s))) seen.nodes[node].drain = view_of(std::move(*status));
  co_return Result<void>{};
}

Task<void> Conductor::observe_host(rollout::Observation& seen, std::string host) {
  auto report = co_await hosts_.report(host, within(2s));
  if (!report) {
    seen.faults.push_back(fmt::format("agent {}: {}", host, report.error().message()));
    co_return std::unexpected(report.error());
  }
  seen.host_releases[host] = report->releases;
  if (!report->config_hash.empty()) seen.host_config[host] = report->config_hash;
  for (auto& node : report->nodes) {
    auto& process = seen.nodes[node.name].process.emplace();
    process.version = node.version;
    process.running = node.running;
    process.wanted = node.wanted;
    process.incarnation = node.incarnation;
    process.last_exit_code = node.last_exit_code;
    process.restarts = node.restarts;
    process.last_lines = node.last_lines;
  }
  co_return Result<void>{};
}

Task<void> Conductor::observe_balancer(rollout::Observation& seen, std::string node) {
  auto view = co_await balancer_.view(node, within(1s));
  const bool forgotten = !view && view.error().kind() == ErrorKind::not_found;
  if (forgotten && settings_.surge && node == settings_.surge->name) co_return Result<void>{};  // after a reload
  if (!view) {
    seen.faults.push_back(fmt::format("load balancer, {}: {}", node, view.error().message()));
    co_return std::unexpected(view.error());
  }
  seen.nodes[node].balancer = view_of(std::move(*view));
  co_return Result<void>{};
}

}  // namespace afloat::conductor
