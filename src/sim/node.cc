#include "sim/node.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/site.h"
#include "version/version.h"

/// Start, lease, requests, drain and end of a node, as in server/node.cc. What it does in a finalize is in
/// node_finalize.cc.
namespace afloat::sim {

using namespace cluster;

namespace {
constexpr int exit_clean = 0, exit_error = 1, exit_refused = 78;
constexpr Micros lease_margin = second, drain_timeout = 10 * second, drain_linger = 1'600 * ms;
}  // namespace

NodeProcess::NodeProcess(Site& site, int number, std::string id, std::string incarnation, int build, bool ephemeral)
    : Actor(site.engine, fmt::format("node{}", number), at_node(number)),
      site_(site),
      number_(number),
      id_(std::move(id)),
      host_(fmt::format("host{}", number)),
      incarnation_(std::move(incarnation)),
      build_(build),
      ephemeral_(ephemeral) {}

void NodeProcess::begin() {
  engine_.note(fmt::format("{} begins on {} as {}", name(), version_of(build_), incarnation_));
  engine_.after(engine_.chance.in(40, 200) * ms, self(), [this] { ask_admission(engine_.now() + 60 * second); });
}

void NodeProcess::ask_admission(Micros patience) {
  if (stopping_) return leave();
  Candidate candidate;
  candidate.id = id_;
  candidate.name = name();
  candidate.host = host_;
  candidate.version = *version::parse_version(version_of(build_));
  candidate.build = build_;
  candidate.incarnation = incarnation_;
  candidate.ephemeral = ephemeral_;
  candidate.started_at_ms = engine_.unix_ms();
  database<AdmissionDecision>([candidate](Database& database) { return database.admit(candidate); }, 30 * second,
                              [this, patience](Result<AdmissionDecision> decision) {
                                if (!decision) {
                                  if (engine_.now() > patience) return exit(exit_error);
                                  return engine_.after(300 * ms, self(), [this, patience] { ask_admission(patience); });
                                }
                                switch (decision->outcome) {
                                  case AdmissionOutcome::bootstrap:
                                  case AdmissionOutcome::admit:
                                  case AdmissionOutcome::admit_as_target:
                                    return admitted();
                                  case AdmissionOutcome::refuse:
                                    if (ephemeral_ && decision->reason == "removed") {
                                      if (on_forget) on_forget();
                                      return exit(exit_error);
                                    }
                                    return exit(exit_refused);
                                  case AdmissionOutcome::wait:
                                    if (engine_.now() > patience) return exit(exit_refused);
                                    return engine_.after(200 * ms, self(),
                                                         [this, patience] { ask_admission(patience); });
                                  case AdmissionOutcome::await_expand:
                                    return expand(patience);
                                }
                              });
}

void NodeProcess::admitted() {
  const auto sent = engine_.now();
  Heartbeat beat{.id = id_, .incarnation = incarnation_, .gates_in_use = gates_};
  database<Lease>([beat](Database& database) { return database.renew(beat); }, 3 * second,
                  [this, sent](Result<Lease> lease) {
                    if (!lease || !lease->held) return exit(exit_error);
                    renewed(sent, *lease);
                    if (!alive()) return;
                    engine_.after(engine_.chance.in(50, 300) * ms, self(), [this] {
                      if (stopping_) return leave();
                      change_state(NodeState::ACTIVE, false, [this](Result<void> done) {
                        if (!done) return exit(exit_error);
                        if (stopping_) return terminate();
                        beat_again(0);
                        finalize_again(100 * ms);
                      });
                    });
                  });
}

void NodeProcess::change_state(NodeState state, bool close, std::function<void(Result<void>)> then) {
  database<void>([id = id_, incarnation = incarnation_, state,
                  close](Database& database) { return database.set_state(id, incarnation, state, close); },
                 3 * second,
                 [this, state, then = std::move(then)](Result<void> done) {
                   if (done) state_ = state;
                   then(std::move(done));
                 });
}

// ---- lease

void NodeProcess::beat_again(Micros wait) {
  engine_.after(wait, self(), [this, asked = ++beats_asked_] {
    if (asked == beats_asked_ && !gone_) beat();
  });
}

void NodeProcess::cluster_changed() {
  if (state_ != NodeState::STARTING) beat_again(0);
  finalize_again(0);
}

void NodeProcess::beat() {
  Heartbeat beat;
  beat.id = id_;
  beat.incarnation = incarnation_;
  beat.state = state_;
  beat.gates_in_use = lowest_gates();
  beat.active_users = static_cast<int>(gates_in_flight_.size());
  beat.load = 0.1;
  const auto sent = engine_.now();
  database<Lease>([beat](Database& database) { return database.renew(beat); }, 3 * second,
                  [this, sent, reported = beat.gates_in_use](Result<Lease> lease) {
                    if (!lease) return beat_again(300 * ms);
                    if (!lease->held || lease->state.epoch < epoch_seen_) return exit(exit_error);
                    renewed(sent, *lease);
                    if (alive()) beat_again(reported < gates_ ? 5 * ms : second);
                  },
                  true);
}

void NodeProcess::renewed(Micros sent, const Lease& lease) {
  const auto& state = lease.state;
  if (state.epoch != epoch_seen_) finalize_again(0);
  epoch_seen_ = state.epoch;
  const bool widened_late = state.mode == Mode::on && !state.expand_done && state.target_build == build_;
  if ((build_ < state.min_build || build_ > state.max_build) && !widened_late) return exit(exit_refused);
  if (!lease_valid()) {
    cache_.clear();
    change_seen_ = 0;
  }
  lease_valid_until_ = sent + lease.ttl_ms * ms - lease_margin;
  seen_ = state;
  if (state.gates != gates_ || state.cluster_build != cluster_build_) {
    gates_ = state.gates;
    cluster_build_ = state.cluster_build;
    site_.checker.gates_taken(name(), gates_, cluster_build_);
  }
}

int NodeProcess::lowest_gates() const {
  return gates_in_flight_.empty() ? gates_ : std::min(gates_, *gates_in_flight_.begin());
}

// ---- requests

bool NodeProcess::takes_requests() const {
  return lease_valid() && !gone_ && (state_ == NodeState::ACTIVE || state_ == NodeState::DRAINING);
}

Micros NodeProcess::work_time() {
  // A few are long: an export, a large upload.
  return engine_.chance.one_in(40) ? engine_.chance.in(100, 3'000) * ms : engine_.chance.in(500, 15'000);
}

void NodeProcess::write(int page, std::int64_t value, Reply<std::int64_t> reply) {
  if (!takes_requests()) return reply(fail(ErrorKind::unavailable, "this node does not serve"));
  site_.checker.answers(name(), id_, incarnation_, build_);
  // One snapshot of the gates per request; the barrier waits for it.
  gates_in_flight_.insert(gates_);
  engine_.after(work_time(), self(), [this, page, value, gates = gates_, cluster_build = cluster_build_, reply] {
    write_now(page, value, gates, cluster_build, 0, reply);
  });
}

void NodeProcess::write_now(int page, std::int64_t value, int gates, int cluster_build, int tries,
                            Reply<std::int64_t> reply) {
  database<void>(
      [=, who = name(), build = build_](Database& database) {
        return database.write(build, gates, cluster_build, page, value, who);
      },
      10 * second,
      [this, page, value, tries, gates, reply](Result<void> done) {
        finished(gates);
        if (!done && done.error().code() == "AF003" && tries < 5) {
          // Nothing was done: the gates are read again and the write is built again.
          beat_again(0);
          const int anew = gates_;
          gates_in_flight_.insert(anew);
          return engine_.after(20 * ms, self(), [this, page, value, tries, anew, build = cluster_build_, reply] {
            write_now(page, value, anew, build, tries + 1, reply);
          });
        }
        cache_.erase(page);
        if (done) return reply(value);
        reply(std::unexpected(done.error()));
        if (done.error().code() == "AF001") exit(exit_refused);
      },
      true, engine_.chance.one_in(500) ? engine_.chance.in(1'000, 30'000) * ms : 0);
}

void NodeProcess::read(int page, Reply<std::int64_t> reply) {
  if (!takes_requests()) return reply(fail(ErrorKind::unavailable, "this node does not serve"));
  site_.checker.answers(name(), id_, incarnation_, build_);
  const auto cached = cache_.find(page);
  if (site_.bug == Bug::notify_trusted && cached != cache_.end()) return reply(cached->second);
  // The poll of the change log begins after the request has arrived; only then is a cached answer good.
  gates_in_flight_.insert(gates_);
  database<Database::Seen>(
      [page, build = build_, since = change_seen_](Database& database) { return database.read(build, page, since); },
      3 * second,
      [this, page, gates = gates_, reply](Result<Database::Seen> seen) {
        finished(gates);
        if (!seen) return reply(std::unexpected(seen.error()));
        for (const int changed : seen->changed) cache_.erase(changed);
        change_seen_ = std::max(change_seen_, seen->change);
        const auto read = seen->value.value_or(0);
        // What was read at an earlier place of the log must not be kept: later polls begin behind its change.
        if (seen->change < change_seen_) return reply(read);
        const auto value = cache_.try_emplace(page, read).first->second;
        reply(value);
      });
}

// ---- drain and end

DrainStatus NodeProcess::drain_status() const {
  DrainStatus status;
  status.state = std::string(to_string(state_));
  status.in_flight = static_cast<int>(gates_in_flight_.size());
  status.drained = state_ == NodeState::DRAINING && status.in_flight == 0;
  if (site_.bug == Bug::drain_does_not_wait) {
    status.in_flight = 0;
    status.drained = state_ == NodeState::DRAINING;
  }
  return status;
}

void NodeProcess::drain(Reply<DrainStatus> reply) {
  told_ = true;
  if (state_ == NodeState::DRAINING) return reply(drain_status());
  if (state_ != NodeState::ACTIVE) return reply(fail(ErrorKind::conflict, "Only an ACTIVE node can drain."));
  change_state(NodeState::DRAINING, false, [this, reply](Result<void> done) {
    if (!done) return reply(std::unexpected(done.error()));
    drain_began_ = engine_.now();
    reply(drain_status());
  });
}

void NodeProcess::undrain(Reply<void> reply) {
  if (state_ == NodeState::ACTIVE) return reply({});
  if (state_ != NodeState::DRAINING || stopping_)
    return reply(fail(ErrorKind::conflict, "Only a DRAINING node can return."));
  change_state(NodeState::ACTIVE, false, [this, reply](Result<void> done) {
    told_ = false;
    reply(std::move(done));
    finalize_again(0);
  });
}

void NodeProcess::terminate() {
  stopping_ = true;
  if (gone_) return;
  const auto limit = engine_.now() + drain_timeout;
  if (state_ == NodeState::STARTING) return;  // looked at after each step of the start
  if (state_ == NodeState::ACTIVE) {
    change_state(NodeState::DRAINING, false, [this, limit](Result<void>) {
      state_ = NodeState::DRAINING;
      drain_began_ = engine_.now();
      leave_when_idle(drain_began_ + (told_ ? 0 : drain_linger), limit);
    });
    return;
  }
  leave_when_idle(drain_began_ + (told_ ? 0 : drain_linger), limit);
}

void NodeProcess::leave_when_idle(Micros linger_until, Micros limit) {
  const bool waits = site_.bug != Bug::drain_does_not_wait;
  const bool idle = engine_.now() >= linger_until && gates_in_flight_.empty();
  if (waits && !idle && engine_.now() < limit)
    return engine_.after(5 * ms, self(), [this, linger_until, limit] { leave_when_idle(linger_until, limit); });
  // Past the deadline what is left is cut, with its name in the log; that is not a broken promise of drain.
  if (!waits || idle) site_.checker.ended_by_plan(name(), static_cast<int>(gates_in_flight_.size()));
  leave();
}

void NodeProcess::leave() {
  gone_ = true;
  if (lease_valid_until_ == 0) return exit(exit_clean);
  state_ = NodeState::TERMINATING;
  database<void>([id = id_, incarnation = incarnation_](
                     Database& database) { return database.set_state(id, incarnation, NodeState::OFFLINE, true); },
                 2 * second,
                 [this](Result<void> closed) {
                   if (closed && ephemeral_ && on_forget) on_forget();
                   exit(exit_clean);
                 });
}

void NodeProcess::exit(int code) {
  if (!alive() || ending_) return;
  if (code == exit_clean || lease_valid_until_ == 0) return end(code);
  // It closes its incarnation, so that nobody waits for its lease; without an answer it goes all the same.
  ending_ = gone_ = true;
  state_ = NodeState::ERROR;
  database<void>([id = id_, incarnation = incarnation_](
                     Database& database) { return database.set_state(id, incarnation, NodeState::ERROR, true); },
                 2 * second, [this, code](Result<void>) { end(code); });
}

void NodeProcess::end(int code) {
  const auto keep = self();
  engine_.note(fmt::format("{} {} ends with {}", name(), incarnation_, code));
  kill();
  if (on_end) on_end(code);
}

}  // namespace afloat::sim
