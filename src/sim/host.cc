#include <fmt/format.h>

#include "sim/site.h"

/// An agent and what it keeps on disk: agent/agent.cc and agent/supervisor.cc without processes and files. Whom
/// it obeys is decided by agent/authority.h itself.
namespace afloat::sim {

namespace {
constexpr int exit_refused = 78, exit_unknown = -1;
constexpr Micros first_delay = 200 * ms, longest_delay = 10 * second, settled = 10 * second;
}  // namespace

Host::Host(Site& site, int number, Serves serves) : site_(site), number_(number), wanted_(serves == Serves::always) {}

std::string Host::name() const { return fmt::format("host{}", number_); }
std::string Host::node_name() const { return fmt::format("node{}", number_); }

void Host::start_agent() {
  if (agent_ && agent_->alive()) return;
  ++agent_life_;
  agent_ = std::make_shared<Actor>(site_.engine, "agent of " + name(), at_host(number_));
  site_.engine.note(agent_->name() + " begins");
  busy_ = stopping_ = refused_ = false;
  delay_ = 0;
  waiting_.clear();
  on_end_.clear();
  // Nodes outlive their agent: what runs is adopted, what is wanted and does not run is started.
  if (wanted_ && !node_runs()) launch();
}

void Host::crash_agent() {
  if (!agent_->alive()) return;
  site_.engine.note(agent_->name() + " is killed");
  agent_->kill();
}

void Host::crash_node() {
  if (!node_runs()) return;
  site_.engine.note(fmt::format("{} is killed", node_name()));
  node_->kill();
  node_ended(137);
}

void Host::launch() {
  if (keeps_node_down) return;
  if (node_runs()) return;
  const int build = link_ == new_version ? new_build : old_build;
  const auto id = ephemeral_ ? fmt::format("id{}-{}", number_, id_life_) : fmt::format("id{}", number_);
  node_ = std::make_shared<NodeProcess>(site_, number_, id, fmt::format("{}-{}", 1'000 + number_, ++incarnations_),
                                        build, ephemeral_);
  node_->on_forget = [this] { ++id_life_; };
  node_->on_end = [this](int code) { node_ended(code); };
  started_ = site_.engine.now();
  if (build == new_build && broken_starts > 0) {
    --broken_starts;
    site_.engine.after(100 * ms, node_, [this] {
      site_.engine.note(fmt::format("{} breaks at its start", node_name()));
      node_->kill();
      node_ended(134);
    });
    return;
  }
  node_->begin();
}

void Host::node_ended(int code) {
  last_exit_ = agent_->alive() ? code : exit_unknown;
  // A dead agent's successor looks for itself; a stopped one hears of it when it goes on.
  agent_->deliver([this, code] {
    auto waiting = std::exchange(on_end_, {});
    for (auto& tell : waiting) tell();
    if (code == exit_refused) {
      refused_ = true;
      return;
    }
    if (!wanted_ || stopping_) return;
    const bool lived = site_.engine.now() - started_ >= settled;
    delay_ = lived || delay_ == 0 ? first_delay : std::min(delay_ * 2, longest_delay);
    ++restarts_;
    site_.engine.after(delay_, agent_, [this] {
      if (wanted_ && !stopping_ && !refused_) launch();
    });
  });
}

Result<void> Host::accept(const LeaderLease& lead) {
  if (site_.bug != Bug::lease_without_epoch)
    if (auto checked = agent::check_lead(known_, lead); !checked) return checked;
  known_ = lead;
  return {};
}

HostReport Host::make_report() const {
  HostReport report;
  report.host = name();
  report.highest_epoch = known_.epoch;
  report.epoch_holder = known_.holder;
  report.releases.assign(releases_.begin(), releases_.end());
  HostNode node;
  node.name = node_name();
  node.version = link_;
  node.running = node_runs();
  node.incarnation = node.running ? node_->incarnation() : "";
  node.last_exit_code = last_exit_;
  node.restarts = restarts_;
  node.wanted = wanted_;
  report.nodes.push_back(std::move(node));
  return report;
}

void Host::report(Reply<HostReport> reply) {
  if (!agent_->alive()) return reply(fail(ErrorKind::unavailable, "the agent does not answer"));
  agent_->deliver([this, reply] { reply(make_report()); });
}

void Host::announce(LeaderLease lead, Reply<HostReport> reply) {
  if (!agent_->alive()) return reply(fail(ErrorKind::unavailable, "the agent does not answer"));
  agent_->deliver([this, lead, reply] {
    if (auto accepted = accept(lead); !accepted) return reply(std::unexpected(accepted.error()));
    site_.checker.agent_knows(name(), lead);
    if (busy_)
      return reply(fail(ErrorKind::unavailable, "A command of the earlier leader is still being carried out."));
    reply(make_report());
  });
}

void Host::execute(agent::AgentCommand command, Reply<void> reply) {
  if (!agent_->alive()) return reply(fail(ErrorKind::unavailable, "the agent does not answer"));
  agent_->deliver([this, command = std::move(command), reply]() mutable {
    if (auto accepted = accept(command.order.lead); !accepted) return reply(accepted);
    // One command at a time for a node; its epoch is looked at again when its turn has come.
    waiting_.emplace_back(std::move(command), std::move(reply));
    next_command();
  });
}

void Host::next_command() {
  while (!busy_ && !waiting_.empty()) {
    auto [command, reply] = std::move(waiting_.front());
    waiting_.erase(waiting_.begin());
    take_up(std::move(command), std::move(reply));
  }
}

void Host::take_up(agent::AgentCommand command, Reply<void> reply) {
  if (auto accepted = accept(command.order.lead); !accepted) return reply(accepted);
  const auto key = agent::command_key(command);
  if (command.kind != "distribute" && done_.contains(key)) return reply({});
  if (auto expected = agent::check_incarnation(command, node_runs() ? node_->incarnation() : ""); !expected)
    return reply(expected);
  site_.engine.note(fmt::format("{}: {} {} {} for {}", name(), command.kind, command.node, command.version,
                                command.order.lead.holder));
  site_.checker.agent_effect(name(), command.kind, command.node, command.order);
  busy_ = true;
  carry_out(command, [this, key, reply, life = agent_life_](Result<void> done) {
    if (life != agent_life_ || !agent_->alive()) return;  // whoever asked gets no answer
    busy_ = false;
    if (done) done_.insert(key);
    reply(std::move(done));
    next_command();
  });
}

void Host::carry_out(const agent::AgentCommand& command, Reply<void> done) {
  if (command.kind == "distribute") {
    site_.engine.after(site_.engine.chance.in(50, 400) * ms, agent_, [this, version = command.version, done] {
      releases_.insert(version);
      done({});
    });
    return;
  }
  if (command.kind == "expand") return expand_release(std::move(done));
  if (command.kind == "stop") return stop_node(command.timeout_ms * ms, std::move(done));
  if (command.kind == "switch") {
    if (!releases_.contains(command.version)) return done(fail(ErrorKind::failed_precondition, "not unpacked here"));
    if (link_ == command.version) return done({});
    if (node_runs() || wanted_) return done(fail(ErrorKind::failed_precondition, "stop it before switching it"));
    link_ = command.version;
    return done({});
  }
  refused_ = stopping_ = false;
  delay_ = 0;
  restarts_ = 0;
  wanted_ = true;
  if (!node_runs()) ephemeral_ = command.kind == "start_ephemeral";
  launch();
  done({});
}

void Host::stop_node(Micros timeout, Reply<void> done) {
  wanted_ = false;
  stopping_ = true;
  if (!node_runs()) return done({});
  const auto process = node_;
  on_end_.push_back([done] { done({}); });
  site_.engine.after(timeout, agent_, [this, process] {
    if (!process->alive()) return;
    site_.engine.note(fmt::format("{} did not end: SIGKILL", node_name()));
    process->kill();
    node_ended(137);
  });
  process->deliver([process] { process->terminate(); });
}

/// `afloat upgrade expand` of the new release, as a process of its own.
void Host::expand_release(Reply<void> done) {
  auto process = std::make_shared<Actor>(site_.engine, "expand on " + name(), at_node(number_));
  expand_step(std::move(process), 0, std::move(done));
}

void Host::expand_step(std::shared_ptr<Actor> process, int turn, Reply<void> done) {
  using namespace cluster;
  const auto again = [this, process, turn, done](Result<void> step) {
    if (!step && step.error().kind() == ErrorKind::failed_precondition) return done(step);
    site_.engine.after(site_.engine.chance.in(5, 60) * ms, process, [this, process, turn, done] {
      if (turn > 400) return done(fail(ErrorKind::unavailable, "Expand was not done in time."));
      expand_step(process, turn + 1, done);
    });
  };
  // One statement of the schema per transaction, each with its checkpoint.
  site_.ask_database<bool>(
      process,
      [runner = process->name(), token = expand_token_](Database& database) mutable -> Result<bool> {
        if (auto pinned = database.pin_target(new_build); !pinned) return std::unexpected(pinned.error());
        if (auto known = database.register_tasks(new_build); !known) return std::unexpected(known.error());
        const auto snapshot = database.observe();
        if (snapshot.state->expand_done) return true;
        const auto pending = pending_expand(snapshot, tasks_of(new_build));
        if (pending.empty()) {
          if (auto opened = database.open_window(new_build); !opened) return std::unexpected(opened.error());
          return true;
        }
        const auto& row = database.tasks().at(pending.front());
        if (row.record.state == TaskState::failed) return fail(ErrorKind::failed_precondition, row.record.error);
        if (row.record.runner == runner && row.record.state == TaskState::running && row.token == *token) {
          const int step = row.record.checkpoint == "step 2" ? 3 : row.record.checkpoint == "step 1" ? 2 : 1;
          auto done = step > 2 ? database.finish_task(pending.front(), *token, TaskState::done)
                               : database.expand_step(pending.front(), *token, step);
          if (!done) return std::unexpected(done.error());
          return false;
        }
        auto claimed = database.claim(pending.front(), runner);
        if (claimed && claimed->token != 0) *token = claimed->token;
        return false;
      },
      10 * second,
      [again, done](Result<bool> ready) {
        if (ready && *ready) return done({});
        again(ready ? Result<void>{} : std::unexpected(ready.error()));
      });
}

}  // namespace afloat::sim
