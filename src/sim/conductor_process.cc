#include "sim/conductor_process.h"

#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "sim/conductor_ports.h"

namespace afloat::sim {

namespace asio = boost::asio;

ConductorProcess::ConductorProcess(Site& site, int number, int life, Plan plan)
    : Actor(site.engine, fmt::format("conductor{}", number), at_conductor(number)),
      site_(site),
      plan_(plan),
      holder_(fmt::format("conductor{}:{}", number, life)),
      io_(std::make_unique<asio::io_context>(1)) {}

ConductorProcess::~ConductorProcess() { io_.reset(); }

void ConductorProcess::begin() {
  engine_.note(fmt::format("{} begins", holder_));
  ports_ = std::make_unique<Ports>(*this);
  conductor::Settings settings;
  settings.holder = holder_;
  settings.edition = "data-center";
  settings.build = new_build;
  settings.catalogue = [](const std::string&, const std::string& version) {
    return conductor::CatalogueEntry{.present = version == new_version || version == old_version};
  };
  settings.log = [this](std::string_view level, const std::string& message) {
    if (engine_.on_note) engine_.on_note(fmt::format("            {} {}: {}", holder_, level, message));
  };
  settings.backup = [this](std::string, std::string) -> Task<void> {
    return ports_->sleep_until(ports_->steady_now() + std::chrono::milliseconds(300));
  };
  if (site_.surge > 0)
    settings.surge = conductor::SurgeSetting{fmt::format("node{}", site_.surge), fmt::format("host{}", site_.surge),
                                             "127.0.0.1", 8100 + site_.surge};
  settings.poll = plan_.poll;
  settings.idle_poll = std::chrono::milliseconds(200);
  conductor_ =
      std::make_unique<conductor::Conductor>(std::move(settings), *ports_, *ports_, ports_->runs, ports_->cluster,
                                             ports_->hosts, ports_->balancer, ports_->site, ports_->people);
  const auto ended = [](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
  };
  asio::co_spawn(*io_, conductor_->lead(), ended);
  asio::co_spawn(*io_, conductor_->renew(), ended);
  deliver([] {});
}

void ConductorProcess::after_delivery() {
  io_->restart();
  io_->poll();
}

void ConductorProcess::on_killed() {
  engine_.note(fmt::format("{} is killed", holder_));
  io_.reset();
  if (on_end) on_end();
}

/// Not from within its own io_context: the frames that end would be those that run.
void ConductorProcess::die() {
  engine_.after(0, [self = shared_from_this()] { self->kill(); });
}

ConductorProcess::Fate ConductorProcess::next_await(const std::string& what) {
  // Those of which a run has one or two each.
  const bool command = what.starts_with("command ") || what == "agent expand" || what == "record finalize" ||
                       what == "balancer add" || what == "balancer remove" || what == "remove member";
  const bool act = command || what.starts_with("agent ") || what.starts_with("record ") || what == "balancer set" ||
                   what == "drain" || what == "undrain";
  if (plan_.counting == Plan::Counting::commands ? !command : plan_.counting == Plan::Counting::acts && !act)
    return Fate::lives;
  if (awaits_++ != plan_.kill_at) return Fate::lives;
  const bool before = plan_.kill == Plan::Kill::before;
  ++site_.coverage[fmt::format("conductor killed {}: {}", before ? "before" : "after", what)];
  return before ? Fate::dies_before : Fate::dies_after;
}

template <class T>
Task<T> ConductorProcess::ask(std::string what, Endpoint to, Serve<T> serve, Deadline deadline) {
  struct Waiting {
    std::optional<Result<T>> result;
    asio::steady_timer* timer;
  };
  auto waiting = std::make_shared<Waiting>();
  // A timer that never expires: whoever has the answer cancels it.
  asio::steady_timer timer(*io_, SteadyTime::max());
  waiting->timer = &timer;
  const auto fate = next_await(what);
  if (fate == Fate::dies_before)
    die();
  else
    engine_.rpc<T>(shared_from_this(), to, std::move(serve), Engine::micros(deadline),
                   [this, waiting, fate](Result<T> result) {
                     if (fate == Fate::dies_after) return kill();
                     waiting->result.emplace(std::move(result));
                     waiting->timer->cancel();
                   });
  while (!waiting->result) co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  co_return std::move(*waiting->result);
}

Task<void> ConductorProcess::sleep_until(SteadyTime when) {
  auto over = std::make_shared<asio::steady_timer*>(nullptr);
  asio::steady_timer timer(*io_, SteadyTime::max());
  *over = &timer;
  auto done = std::make_shared<bool>(false);
  engine_.after(std::max<Micros>(0, Engine::micros(when) - engine_.now()), shared_from_this(), [over, done] {
    *done = true;
    (*over)->cancel();
  });
  while (!*done) co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  co_return Result<void>{};
}

// ---- ports

Task<void> ConductorProcess::Ports::sleep_until(SteadyTime when) { return self_.sleep_until(when); }
SteadyTime ConductorProcess::Ports::steady_now() const { return self_.engine_.steady(); }
std::int64_t ConductorProcess::Ports::unix_ms() const { return self_.engine_.unix_ms() + self_.clock_jump_ms; }

Task<std::optional<rollout::Run>> ConductorProcess::Runs::active(Deadline deadline) {
  return self_.ask_database<std::optional<rollout::Run>>(
      "active run", [](Database& database) -> Result<std::optional<rollout::Run>> { return database.active_run(); },
      deadline);
}
Task<RunSignals> ConductorProcess::Runs::signals(std::int64_t id, Deadline deadline) {
  return self_.ask_database<RunSignals>(
      "signals",
      [id](Database& database) -> Result<RunSignals> {
        const auto& run = database.runs().at(id);
        return RunSignals{run.cancel_requested, run.resume_requested, run.requests};
      },
      deadline);
}
Task<std::optional<LeaderLease>> ConductorProcess::Runs::take_lead(std::string holder, std::int64_t at_least, int,
                                                                   Deadline deadline) {
  return self_.ask_database<std::optional<LeaderLease>>(
      "take lead", [=](Database& database) { return database.take_lead(holder, at_least); }, deadline);
}
Task<void> ConductorProcess::Runs::renew_lead(LeaderLease lead, Deadline deadline) {
  return self_.ask_database<void>(
      "renew lead", [lead](Database& database) { return database.renew_lead(lead); }, deadline);
}
Task<void> ConductorProcess::Runs::release_lead(LeaderLease lead, Deadline deadline) {
  return self_.ask_database<void>(
      "release lead", [lead](Database& database) { return database.release_lead(lead); }, deadline);
}
Task<rollout::Run> ConductorProcess::Runs::record(rollout::Run run, LeaderLease lead, int, Deadline deadline) {
  const auto* step = run.open_step();
  return self_.ask_database<rollout::Run>(
      fmt::format("record {}", step ? rollout::to_string(step->kind) : "outcome"),
      [run = std::move(run), lead](Database& database) { return database.record(run, lead); }, deadline);
}
Task<std::int64_t> ConductorProcess::Runs::database_time(Deadline deadline) {
  return self_.ask_database<std::int64_t>(
      "database time", [this](Database&) -> Result<std::int64_t> { return self_.engine_.unix_ms(); }, deadline);
}
Task<std::string> ConductorProcess::Runs::database_encoding(Deadline deadline) {
  return self_.ask_database<std::string>(
      "encoding", [](Database&) -> Result<std::string> { return std::string("UTF8"); }, deadline);
}
// Replicas are not simulated; nothing is asked, so that each seed means what it meant.
Task<rollout::Replicas> ConductorProcess::Runs::database_replicas(Deadline) { co_return rollout::Replicas{}; }

Task<cluster::Snapshot> ConductorProcess::Cluster::observe(Deadline deadline) {
  return self_.ask_database<cluster::Snapshot>(
      "observe", [](Database& database) -> Result<cluster::Snapshot> { return database.observe(); }, deadline);
}
Task<void> ConductorProcess::Cluster::apply(cluster::Command command, std::string actor,
                                            std::optional<int> target_build, std::optional<std::int64_t> run,
                                            Deadline deadline) {
  using cluster::Command;
  using rollout::StepKind;
  using Kinds = std::vector<StepKind>;
  const auto kinds = command == Command::start     ? Kinds{StepKind::mode_on}
                     : command == Command::approve ? Kinds{StepKind::finalize}
                     : command == Command::cancel
                         ? Kinds{StepKind::mode_off}
                         : Kinds{StepKind::expand, StepKind::choose_node, StepKind::await_stable};
  return self_.ask_database<void>(
      fmt::format("command {}", cluster::to_string(command)),
      [=, this](Database& database) {
        auto done = database.apply(command, actor, target_build, run);
        if (done && run) self_.site_.checker.cluster_effect(*run, kinds);
        return done;
      },
      deadline);
}

std::vector<std::string> ConductorProcess::Hosts::hosts() const {
  std::vector<std::string> names;
  for (const auto& [number, host] : self_.site_.hosts) names.push_back(host->name());
  return names;
}
Task<HostReport> ConductorProcess::Hosts::announce(std::string host, LeaderLease lead, Deadline deadline) {
  auto& at = self_.site_.host_named(host);
  return self_.ask<HostReport>(
      "announce", at.agent()->endpoint(), [&at, lead](Reply<HostReport> reply) { at.announce(lead, std::move(reply)); },
      deadline);
}
Task<HostReport> ConductorProcess::Hosts::report(std::string host, Deadline deadline) {
  auto& at = self_.site_.host_named(host);
  return self_.ask<HostReport>(
      "host report", at.agent()->endpoint(), [&at](Reply<HostReport> reply) { at.report(std::move(reply)); }, deadline);
}
Task<void> ConductorProcess::Hosts::command(std::string host, agent::AgentCommand command, Deadline deadline) {
  auto& at = self_.site_.host_named(host);
  // The agent gives up a little before the conductor does, as with agents over HTTP.
  command.timeout_ms = std::max<std::int64_t>(100, (Engine::micros(deadline) - self_.engine_.now()) / ms - 200);
  const auto what = fmt::format("agent {}", command.kind);
  return self_.ask<void>(
      what, at.agent()->endpoint(),
      [&at, command = std::move(command)](Reply<void> reply) { at.execute(command, std::move(reply)); }, deadline);
}
Task<void> ConductorProcess::Cluster::remove(std::string node, std::string, Deadline deadline) {
  return self_.ask_database<void>(
      "remove member", [node](Database& database) { return database.remove(node); }, deadline);
}

Task<void> ConductorProcess::Hosts::distribute(std::string host, std::string version, Order order, Deadline deadline) {
  return command(std::move(host), {"distribute", "", std::move(version), std::move(order)}, deadline);
}
Task<void> ConductorProcess::Hosts::expand(std::string host, std::string node, std::string version, Order order,
                                           Deadline deadline) {
  return command(std::move(host), {"expand", std::move(node), std::move(version), std::move(order)}, deadline);
}
Task<void> ConductorProcess::Hosts::stop(std::string host, std::string node, Order order, Deadline deadline) {
  return command(std::move(host), {"stop", std::move(node), "", std::move(order)}, deadline);
}
Task<void> ConductorProcess::Hosts::switch_to(std::string host, std::string node, std::string version, Order order,
                                              Deadline deadline) {
  return command(std::move(host), {"switch", std::move(node), std::move(version), std::move(order)}, deadline);
}
Task<void> ConductorProcess::Hosts::start(std::string host, std::string node, Order order, Membership membership,
                                          Deadline deadline) {
  const auto kind = membership == Membership::lasting ? "start" : "start_ephemeral";
  return command(std::move(host), {kind, std::move(node), "", std::move(order)}, deadline);
}

Task<void> ConductorProcess::Traffics::set(std::string node, Traffic traffic, Deadline deadline) {
  return self_.ask<void>(
      "balancer set", at_balancer,
      [this, node, traffic](Reply<void> reply) {
        auto& site = self_.site_;
        if (site.balancer->down) return reply(fail(ErrorKind::unavailable, "the balancer's socket is gone"));
        site.checker.balancer_effect(node);
        site.balancer->set(site.number_of(node), traffic);
        reply({});
      },
      deadline);
}
Task<void> ConductorProcess::Traffics::add(std::string node, std::string, int, Deadline deadline) {
  return self_.ask<void>(
      "balancer add", at_balancer,
      [this, node](Reply<void> reply) {
        auto& site = self_.site_;
        if (site.balancer->down) return reply(fail(ErrorKind::unavailable, "the balancer's socket is gone"));
        site.checker.balancer_effect(node);
        site.balancer->add(site.number_of(node));
        reply({});
      },
      deadline);
}
Task<void> ConductorProcess::Traffics::remove(std::string node, Deadline deadline) {
  return self_.ask<void>(
      "balancer remove", at_balancer,
      [this, node](Reply<void> reply) {
        auto& site = self_.site_;
        if (site.balancer->down) return reply(fail(ErrorKind::unavailable, "the balancer's socket is gone"));
        site.checker.balancer_effect(node);
        reply(site.balancer->remove(site.number_of(node)));
      },
      deadline);
}
Task<BackendView> ConductorProcess::Traffics::view(std::string node, Deadline deadline) {
  return self_.ask<BackendView>(
      "balancer view", at_balancer,
      [this, node](Reply<BackendView> reply) {
        auto& site = self_.site_;
        if (site.balancer->down) return reply(fail(ErrorKind::unavailable, "the balancer's socket is gone"));
        reply(site.balancer->view(site.number_of(node)));
      },
      deadline);
}

/// A call to a node's own address; it waits while the process is stopped.
template <class T>
Task<T> ConductorProcess::Nodes::call(std::string what, std::string node, Deadline deadline,
                                      std::function<void(NodeProcess&, Reply<T>)> work) {
  const int number = self_.site_.number_of(node);
  return self_.ask<T>(
      std::move(what), at_node(number),
      [this, number, work = std::move(work)](Reply<T> reply) {
        const auto& process = self_.site_.hosts.at(number)->node();
        if (!process || !process->alive()) return reply(fail(ErrorKind::unavailable, "connection refused"));
        process->deliver([process, work, reply] { work(*process, reply); });
      },
      deadline);
}
Task<DrainStatus> ConductorProcess::Nodes::drain(std::string node, Deadline deadline) {
  return call<DrainStatus>("drain", std::move(node), deadline,
                           [](NodeProcess& process, Reply<DrainStatus> reply) { process.drain(std::move(reply)); });
}
Task<DrainStatus> ConductorProcess::Nodes::drain_status(std::string node, Deadline deadline) {
  return call<DrainStatus>("drain status", std::move(node), deadline,
                           [](NodeProcess& process, Reply<DrainStatus> reply) { reply(process.drain_status()); });
}
Task<void> ConductorProcess::Nodes::undrain(std::string node, Deadline deadline) {
  return call<void>("undrain", std::move(node), deadline,
                    [](NodeProcess& process, Reply<void> reply) { process.undrain(std::move(reply)); });
}
Task<bool> ConductorProcess::Nodes::ready(std::string node, Deadline deadline) {
  return call<bool>("ready", std::move(node), deadline, [](NodeProcess& process, Reply<bool> reply) {
    reply(process.state() == cluster::NodeState::ACTIVE);
  });
}

/// Every node serves the same traffic, and counts it from its start.
Task<rollout::NodeSample> ConductorProcess::Nodes::metrics(std::string node, Deadline deadline) {
  return call<rollout::NodeSample>("metrics", std::move(node), deadline,
                                   [](NodeProcess& process, Reply<rollout::NodeSample> reply) {
                                     rollout::NodeSample sample;
                                     sample.requests = process.age() / (2 * ms);
                                     sample.within_seconds = {{0.01, sample.requests}};
                                     reply(std::move(sample));
                                   });
}
Task<rollout::KnownAnswers> ConductorProcess::Nodes::compare(std::string node, std::string, Deadline deadline) {
  return call<rollout::KnownAnswers>("compare", std::move(node), deadline,
                                     [](NodeProcess&, Reply<rollout::KnownAnswers> reply) {
                                       reply(rollout::KnownAnswers{.asked = 3, .wrong = 0, .example = {}});
                                     });
}
Task<rollout::TrialReads> ConductorProcess::Nodes::try_out(std::string node, std::string, Deadline deadline) {
  return call<rollout::TrialReads>("try out", std::move(node), deadline,
                                   [](NodeProcess&, Reply<rollout::TrialReads> reply) {
                                     rollout::TrialReads reads;
                                     reads.ms.assign(60, 2);
                                     reads.other_ms.assign(60, 2);
                                     reply(std::move(reads));
                                   });
}

}  // namespace afloat::sim
