#include "sim/site.h"

#include <fmt/format.h>

namespace afloat::sim {

namespace {
constexpr int page_count = 12;
constexpr std::int64_t first_request_value = 1'000;
}  // namespace

Site::Site(Engine& the_engine, Coverage& the_coverage, Bug the_bug, int nodes, bool with_surge)
    : surge(with_surge ? nodes + 1 : 0),
      engine(the_engine),
      coverage(the_coverage),
      bug(the_bug),
      checker(the_engine),
      database(the_engine, checker, the_coverage, the_bug),
      next_value_(first_request_value) {
  checker.watch(database);
  for (int number = 1; number <= nodes; ++number) hosts[number] = std::make_unique<Host>(*this, number);
  if (surge > 0) hosts[surge] = std::make_unique<Host>(*this, surge, Host::Serves::as_surge_node);
  balancer = std::make_shared<Balancer>(*this, nodes);
  people = std::make_shared<Actor>(engine, "people", at_operator);
  database.notify_cluster = [this] { tell_nodes([](NodeProcess& node) { node.cluster_changed(); }); };
  database.notify_page = [this](int page) { tell_nodes([page](NodeProcess& node) { node.page_changed(page); }); };
}

Site::~Site() = default;

void Site::begin() {
  // Value 0 is what was there before.
  for (int page = 0; page < page_count; ++page) database.add_page(page, 0);
  for (auto& [number, host] : hosts) host->start_agent();
  balancer->begin();
  one_request();
}

int Site::number_of(const std::string& node) const { return std::stoi(node.substr(4)); }

/// A NOTIFY is a wake-up and may be lost with its connection.
void Site::tell_nodes(std::function<void(NodeProcess&)> what) {
  for (auto& [number, host] : hosts) {
    if (!host->node_runs() || engine.chance.one_in(20)) continue;
    const auto process = host->node();
    engine.send(
        at_database, at_node(number), [process, what] { process->deliver([process, what] { what(*process); }); },
        [] {});
  }
}

void Site::one_request() {
  if (!traffic) return;
  engine.after(engine.chance.in(10, 90) * ms, [this] { one_request(); });
  const int page = static_cast<int>(engine.chance.in(0, page_count - 1));
  const bool writes = engine.chance.one_in(3);
  const auto at_least = checker.read_begins(page);
  const auto value = next_value_++;
  const int node = balancer->pick();
  ++requests;
  if (node == 0) {
    ++failed_requests;
    return;
  }
  const int generation = balancer->generation();
  balancer->request_begins(node);
  engine.rpc<std::int64_t>(
      balancer, at_node(node),
      [this, node, page, writes, value](Reply<std::int64_t> reply) {
        const auto& process = hosts.at(node)->node();
        if (!process || !process->alive()) return reply(fail(ErrorKind::unavailable, "nobody listens"));
        process->deliver([process, page, writes, value, reply] {
          if (writes)
            process->write(page, value, reply);
          else
            process->read(page, reply);
        });
      },
      engine.now() + 20 * second,
      [this, node, generation, page, writes, at_least](Result<std::int64_t> answer) {
        balancer->request_ends(node, generation);
        if (!answer)
          ++failed_requests;
        else if (writes)
          checker.acknowledged(page, *answer);
        else
          checker.read_returned(page, at_least, *answer, fmt::format("node{}", node));
      });
}

}  // namespace afloat::sim
