#include "conductor/conductor.h"

namespace afloat::conductor {
using namespace std::chrono_literals;

namespace {
/// A site that has not begun its upgrade to 1.2.0 has no place for it: then not so often.
constexpr std::int64_t after_refusal_ms = 30'000;
}  // namespace

Async<void> Conductor::tell() {
  while (!stopping_) {
    auto next_ms = rollout::publish_facts_every_ms;
    // Not only once every agent has been told of its lead: one that does not answer is what there is to tell.
    if (lead_ && settings_.publish) {
      rollout::ConductorFacts facts;
      for (const auto& host : hosts_.hosts()) {
        auto& seen = facts.hosts[host];
        auto report = co_await hosts_.report(host, within(1s));
        if (!report) {
          seen.problem = report.error().message();
          continue;
        }
        seen.agent_version = report->agent_version;
        for (const auto& version : report->releases) seen.releases[version] = report->digests[version];
        for (const auto& node : report->nodes) seen.nodes[node.name] = {node.version, node.running};
      }
      for (const auto& node : settings_.nodes) {
        auto& seen = facts.balancer[node];
        auto view = co_await balancer_.view(node, within(1s));
        if (view)
          seen = {.problem = {},
                  .status = view->status,
                  .check = view->check,
                  .weight = view->weight,
                  .full_weight = view->full_weight};
        else
          seen.problem = view.error().message();
      }
      if (!stopping_ && !co_await settings_.publish(std::move(facts), within(3s))) next_ms = after_refusal_ms;
    }
    // Short sleeps, so that stop() is not kept waiting.
    for (std::int64_t slept = 0; slept < next_ms && !stopping_; slept += 100) (void)co_await pause(100ms);
  }
}

}  // namespace afloat::conductor
