#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "conductor/conductor.h"

/// Changing the world. Every act is idempotent: a conductor that was killed in the middle of one leaves
/// it to the next.
namespace afloat::conductor {
using namespace std::chrono_literals;
using rollout::StepKind;

namespace {

/// Which host a node runs on, by the roster.
Task<std::string> host_of(ClusterStore& cluster, std::string node, Deadline deadline) {
  auto snapshot = co_await cluster.observe(deadline);
  if (!snapshot) co_return std::unexpected(snapshot.error());
  for (const auto& member : snapshot->members)
    if (member.name == node) co_return member.host;
  co_return fail(ErrorKind::not_found, fmt::format("{} is no longer in the roster", node));
}

/// How long a node may take to end. Drained, it has nothing left to do and ends at once; the agent kills one that does
/// not just before this is over.
std::chrono::milliseconds time_to_end(const rollout::Options& options) {
  return std::clamp<std::chrono::milliseconds>(std::chrono::milliseconds(options.drain_deadline_ms), 5s, 30s);
}

}  // namespace

Task<void> Conductor::perform(rollout::Act act) {
  const auto who = fmt::format("conductor, run {}", run_->id);
  switch (act.kind) {
    case StepKind::distribute:
      co_return co_await perform_distribute(std::move(act));
    case StepKind::backup:
      if (!settings_.backup) co_return Result<void>{};
      co_return co_await settings_.backup(run_->hop_from().version, run_->hop_to().version);
    case StepKind::mode_on:
      co_return co_await cluster_.apply(cluster::Command::start, who, run_->hop_to().build, run_->id, within(10s));
    case StepKind::finalize:
      co_return co_await cluster_.apply(cluster::Command::approve, who, std::nullopt, run_->id, within(15s));
    case StepKind::mode_off:
      co_return co_await cluster_.apply(cluster::Command::cancel, who, std::nullopt, run_->id, within(15s));
    case StepKind::await_stable:
    case StepKind::choose_node:
      if (act.retry_tasks)
        co_return co_await cluster_.apply(cluster::Command::retry, who, std::nullopt, run_->id, within(10s));
      co_return Result<void>{};
    case StepKind::drain:
      co_return co_await perform_drain(act.node);
    case StepKind::maint:
      co_return co_await set_traffic(act.node, Traffic::maint);
    case StepKind::undrain:
    case StepKind::balance:
      co_return co_await perform_balance(std::move(act));
    case StepKind::add_surge:
    case StepKind::remove_surge:
      co_return co_await perform_surge(std::move(act));
    default:
      break;
  }

  auto host = co_await host_of(cluster_, act.node, within(3s));
  if (!host) co_return std::unexpected(host.error());
  auto command = order();
  command.expected_incarnation = act.process;
  switch (act.kind) {
    case StepKind::expand:
      if (act.retry_tasks) {
        auto again = co_await cluster_.apply(cluster::Command::retry, who, std::nullopt, run_->id, within(10s));
        if (!again) co_return again;
      }
      co_return co_await hosts_.expand(*host, act.node, act.release.version, command, within(600s));
    case StepKind::stop:
      if (auto away = co_await perform_stop(act); !away) co_return away;
      co_return co_await hosts_.stop(*host, act.node, command, within(time_to_end(run_->options)));
    case StepKind::switch_release:
      co_return co_await hosts_.switch_to(*host, act.node, act.release.version, command, within(10s));
    case StepKind::start:
    case StepKind::await_active:
      co_return co_await hosts_.start(*host, act.node, command, Membership::lasting, within(10s));
    default:
      co_return Result<void>{};
  }
}

Task<void> Conductor::perform_distribute(rollout::Act act) {
  // Every host is asked, so that a person hears at once of all that is in the way.
  std::optional<Error> first;
  std::vector<std::string> refusals;
  for (const auto& version : act.releases)
    for (const auto& host : act.hosts) {
      auto done = co_await hosts_.distribute(host, version, order(), within(300s));
      if (!lead_) co_return fail(ErrorKind::failed_precondition, "no longer leading", lead_lost);
      if (done) continue;
      // What does not pass by itself decides: waiting would not help.
      if (!first || first->kind() == ErrorKind::unavailable) first = done.error();
      refusals.push_back(done.error().message());
    }
  if (!first) co_return Result<void>{};
  co_return fail(first->kind(), join(refusals, " "), first->code());
}

Task<void> Conductor::perform_surge(rollout::Act act) {
  using rollout::SurgeMove;
  if (!settings_.surge || settings_.surge->name != act.node)
    co_return fail(ErrorKind::failed_precondition,
                   fmt::format("this conductor was not told of the surge node {}: start it with --surge-node {}",
                               act.node, act.node));
  const auto node = *settings_.surge;
  switch (act.surge) {
    case SurgeMove::none:
      break;
    case SurgeMove::stop:
      if (act.kind == StepKind::remove_surge)
        if (auto away = co_await perform_stop(act); !away && away.error().kind() != ErrorKind::not_found)
          co_return away;
      co_return co_await hosts_.stop(node.host, node.name, order(), within(time_to_end(run_->options)));
    case SurgeMove::switch_release:
      co_return co_await hosts_.switch_to(node.host, node.name, act.release.version, order(), within(10s));
    case SurgeMove::start: {
      auto started = co_await hosts_.start(node.host, node.name, order(), Membership::ephemeral, within(10s));
      if (!started && started.error().kind() == ErrorKind::not_found)
        co_return fail(ErrorKind::failed_precondition,
                       fmt::format("{} (an agent older than this conductor can start no surge node: upgrade it)",
                                   started.error().message()));
      co_return started;
    }
    case SurgeMove::add_server:
      if (!lead_) co_return fail(ErrorKind::failed_precondition, "no longer leading", lead_lost);
      co_return co_await balancer_.add(node.name, node.address, node.port, within(2s));
    case SurgeMove::drain:
      co_return co_await perform_drain(node.name);
    case SurgeMove::maint:
      co_return co_await set_traffic(node.name, Traffic::maint);
    case SurgeMove::remove_member: {
      auto removed = co_await cluster_.remove(node.name, fmt::format("conductor, run {}", run_->id), within(5s));
      if (!removed && removed.error().kind() == ErrorKind::not_found) co_return Result<void>{};  // it was quicker
      co_return removed;
    }
    case SurgeMove::remove_server:
      if (!lead_) co_return fail(ErrorKind::failed_precondition, "no longer leading", lead_lost);
      co_return co_await balancer_.remove(node.name, within(2s));
  }
  co_return Result<void>{};
}

Task<void> Conductor::set_traffic(std::string node, Traffic traffic) {
  // The balancer knows no epoch, so our own lease is looked at right before.
  if (!lead_) co_return fail(ErrorKind::failed_precondition, "no longer leading", lead_lost);
  co_return co_await balancer_.set(node, traffic, within(2s));
}

Task<void> Conductor::perform_drain(std::string node) {
  // First the balancer: a node that drains answers its health check with 503, and without the balancer's
  // drain state that would count as a failure.
  if (auto set = co_await set_traffic(node, Traffic::drain); !set) co_return set;
  auto status = co_await site_.drain(node, within(3s));
  if (!status) co_return std::unexpected(status.error());
  co_return Result<void>{};
}

Task<void> Conductor::perform_stop(rollout::Act act) {
  // A reload of the balancer forgets drain and maint; a stop under traffic would fail requests.
  auto view = co_await balancer_.view(act.node, within(1s));
  if (!view) co_return std::unexpected(view.error());
  if (view->status.starts_with("MAINT")) co_return Result<void>{};
  if (auto set = co_await set_traffic(act.node, Traffic::maint); !set) co_return set;
  view = co_await balancer_.view(act.node, within(1s));
  if (!view) co_return std::unexpected(view.error());
  if (!view->status.starts_with("MAINT"))
    co_return fail(ErrorKind::unavailable,
                   fmt::format("the load balancer has {} as {} though maint was asked for", act.node, view->status));
  co_return Result<void>{};
}

Task<void> Conductor::perform_balance(rollout::Act act) {
  auto status = co_await site_.drain_status(act.node, within(1s));
  if (!status) co_return std::unexpected(status.error());
  if (status->state == "DRAINING")
    if (auto back = co_await site_.undrain(act.node, within(3s)); !back) co_return back;
  co_return co_await set_traffic(act.node, Traffic::ready);
}

}  // namespace afloat::conductor
