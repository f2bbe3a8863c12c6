#include <fmt/format.h>

#include "conductor/conductor.h"

/// Looking at the world: only what the open step needs, since it is done many times a second.
namespace afloat::conductor {
using namespace std::chrono_literals;

Task<rollout::Observation> Conductor::observe(rollout::Needs needs) {
  rollout::Observation seen;
  seen.act = act_;
  seen.hosts = hosts_.hosts();
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
  if (!needs.drain.empty()) {
    auto status = co_await site_.drain_status(needs.drain, within(1s));
    if (status)
      seen.nodes[needs.drain].drain = rollout::DrainView{status->drained, status->in_flight, status->streams,
                                                         status->tasks_running, std::move(status->overdue)};
    else
      seen.faults.push_back(fmt::format("{}: {}", needs.drain, status.error().message()));
  }
  if (!needs.ready.empty()) {
    // A node that is starting refuses connections: not ready, and not a fault.
    auto ready = co_await site_.ready(needs.ready, within(1s));
    seen.nodes[needs.ready].ready = ready.value_or(false);
  }
  if (needs.catalogue) {
    seen.edition = settings_.edition;
    seen.conductor_build = settings_.build;
    if (encoding_.empty())
      if (auto encoding = co_await runs_.database_encoding(within(3s))) encoding_ = *encoding;
    seen.database_encoding = encoding_;
    if (settings_.catalogue && run_) {
      const auto entry = settings_.catalogue(run_->to);
      seen.in_catalogue = entry.present;
      seen.target_rolls = entry.rolling;
      seen.bundle = entry.bundle;
    }
  }
  seen.now_ms = database_now();
  co_return seen;
}

Task<void> Conductor::observe_host(rollout::Observation& seen, std::string host) {
  auto report = co_await hosts_.report(host, within(2s));
  if (!report) {
    seen.faults.push_back(fmt::format("agent {}: {}", host, report.error().message()));
    co_return std::unexpected(report.error());
  }
  seen.host_releases[host] = report->releases;
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
  if (!view) {
    seen.faults.push_back(fmt::format("load balancer, {}: {}", node, view.error().message()));
    co_return std::unexpected(view.error());
  }
  seen.nodes[node].balancer = rollout::BalancerView{view->status, view->sessions, view->weight, view->full_weight};
  co_return Result<void>{};
}

}  // namespace afloat::conductor
