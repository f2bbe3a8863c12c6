#include <fmt/format.h>

#include "sim/site.h"

namespace afloat::sim {

namespace {
constexpr Micros check_every = 500 * ms, check_time = 300 * ms, slowstart = 500 * ms;
constexpr int fall = 3, rise = 2, full_weight = 100;
}  // namespace

Balancer::Balancer(Site& site, int nodes)
    : Actor(site.engine, "balancer", at_balancer), site_(site), configured_(nodes) {
  for (int node = 1; node <= nodes; ++node) servers_[node];
}

void Balancer::begin() {
  for (const auto& [number, host] : site_.hosts) check_health(number);
}

void Balancer::add(int node) {
  if (!servers_.try_emplace(node, Server{.traffic = Traffic::maint}).second) return;
  engine_.note(fmt::format("balancer: node{} is added", node));
}

Result<void> Balancer::remove(int node) {
  const auto found = servers_.find(node);
  if (found == servers_.end()) return {};
  if (found->second.traffic != Traffic::maint || found->second.sessions > 0)
    return fail(ErrorKind::unavailable, "only a server in maintenance, without connections");
  engine_.note(fmt::format("balancer: node{} is forgotten", node));
  servers_.erase(found);
  return {};
}

void Balancer::check_health(int node) {
  engine_.after(check_every + engine_.chance.in(0, 20) * ms, shared_from_this(), [this, node] { check_health(node); });
  const auto found = servers_.find(node);
  if (found == servers_.end() || found->second.traffic == Traffic::maint || down) return;
  engine_.rpc<bool>(
      shared_from_this(), at_node(node),
      [this, node](Reply<bool> reply) {
        const auto& process = site_.hosts.at(node)->node();
        if (!process || !process->alive()) return reply(false);
        process->deliver([process, reply] { reply(process->status_ok()); });
      },
      engine_.now() + check_time,
      [this, node](Result<bool> good) {
        if (!servers_.contains(node)) return;
        auto& server = servers_.at(node);
        server.failed = good.value_or(false) ? 0 : server.failed + 1;
        server.passed = good.value_or(false) ? server.passed + 1 : 0;
        if (server.up && server.failed >= fall) {
          server.up = false;
          engine_.note(fmt::format("balancer: node{} is DOWN", node));
        } else if (!server.up && server.passed >= rise) {
          server.up = true;
          server.up_since = engine_.now();
          engine_.note(fmt::format("balancer: node{} is UP", node));
        }
      });
}

void Balancer::set(int node, Traffic traffic) {
  engine_.after(lag > 0 ? engine_.chance.in(0, lag) : 0, [this, node, traffic, generation = generation_] {
    if (generation != generation_ || !servers_.contains(node)) return;  // the old process was told
    auto& server = servers_.at(node);
    if (server.traffic == traffic) return;
    engine_.note(fmt::format("balancer: node{} is set to {}", node,
                             traffic == Traffic::ready   ? "ready"
                             : traffic == Traffic::drain ? "drain"
                                                         : "maint"));
    if (server.traffic == Traffic::maint) {
      // Out of maint a server counts as up until its checks say otherwise, and starts slowly.
      server.up = true;
      server.failed = fall - 1;
      server.up_since = engine_.now();
    }
    server.traffic = traffic;
  });
}

Result<BackendView> Balancer::view(int node) const {
  const auto found = servers_.find(node);
  if (found == servers_.end()) return fail(ErrorKind::not_found, fmt::format("no server is called node{}", node));
  const auto& server = found->second;
  BackendView view;
  view.status = server.traffic == Traffic::maint   ? "MAINT"
                : server.traffic == Traffic::drain ? "DRAIN"
                : server.up                        ? "UP"
                                                   : "DOWN";
  view.sessions = site_.bug == Bug::drain_does_not_wait ? 0 : server.sessions;
  view.full_weight = full_weight;
  view.weight = engine_.now() - server.up_since >= slowstart ? full_weight : full_weight / 4;
  return view;
}

int Balancer::pick() {
  if (down) return 0;
  std::vector<int> ready;
  for (const auto& [node, server] : servers_)
    if (server.traffic == Traffic::ready && server.up) ready.push_back(node);
  if (ready.empty()) return 0;
  return ready[static_cast<std::size_t>(engine_.chance.in(0, static_cast<std::int64_t>(ready.size()) - 1))];
}

void Balancer::request_ends(int node, int generation) {
  if (generation == generation_ && servers_.contains(node)) --servers_.at(node).sessions;
}

void Balancer::reload() {
  engine_.note("balancer: reloaded, drain and maint are forgotten");
  ++generation_;
  std::erase_if(servers_, [this](const auto& entry) { return entry.first > configured_; });
  for (auto& [node, server] : servers_) server = Server{};
}

}  // namespace afloat::sim
