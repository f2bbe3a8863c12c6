#pragma once
#include "sim/conductor_process.h"

/// The simulated ports of a conductor. Part of conductor_process.cc; nobody else includes it.
namespace afloat::sim {

struct ConductorProcess::Runs final : RunStore {
  explicit Runs(ConductorProcess& self) : self_(self) {}
  Task<std::optional<rollout::Run>> active(Deadline deadline) override;
  Task<RunSignals> signals(std::int64_t id, Deadline deadline) override;
  Task<std::optional<LeaderLease>> take_lead(std::string holder, std::int64_t at_least, int build,
                                             Deadline deadline) override;
  Task<void> renew_lead(LeaderLease lead, Deadline deadline) override;
  Task<void> release_lead(LeaderLease lead, Deadline deadline) override;
  Task<rollout::Run> record(rollout::Run run, LeaderLease lead, int build, Deadline deadline) override;
  Task<std::int64_t> database_time(Deadline deadline) override;
  Task<std::string> database_encoding(Deadline deadline) override;
  Task<rollout::Replicas> database_replicas(Deadline deadline) override;

  // What only people call.
  template <class T>
  static Task<T> not_for_conductors() {
    co_return fail(ErrorKind::internal, "a conductor does not ask for this");
  }
  Task<std::int64_t> create(NewRun, Deadline) override { return not_for_conductors<std::int64_t>(); }
  Task<void> request_cancel(std::int64_t, std::string, Deadline) override { return not_for_conductors<void>(); }
  Task<void> request_resume(std::int64_t, std::string, Deadline) override { return not_for_conductors<void>(); }
  Task<void> request_pause(std::int64_t, std::string, Deadline) override { return not_for_conductors<void>(); }
  Task<void> request_rollback(std::int64_t, std::string, std::string, Deadline) override {
    return not_for_conductors<void>();
  }
  Task<rollout::Durations> durations(Deadline) override { return not_for_conductors<rollout::Durations>(); }
  Task<rollout::Run> load(std::int64_t, Deadline) override { return not_for_conductors<rollout::Run>(); }
  Task<std::vector<rollout::Run>> list(int, Deadline) override {
    return not_for_conductors<std::vector<rollout::Run>>();
  }
  Task<std::int64_t> last_change(std::int64_t, Deadline) override { return not_for_conductors<std::int64_t>(); }
  Task<std::vector<std::pair<std::int64_t, rollout::StepRecord>>> changes(std::int64_t, std::int64_t,
                                                                          Deadline) override {
    return not_for_conductors<std::vector<std::pair<std::int64_t, rollout::StepRecord>>>();
  }
  Task<Leadership> leadership(Deadline) override { return not_for_conductors<Leadership>(); }

  ConductorProcess& self_;
};

struct ConductorProcess::Cluster final : ClusterStore {
  explicit Cluster(ConductorProcess& self) : self_(self) {}
  Task<cluster::Snapshot> observe(Deadline deadline) override;
  Task<void> apply(cluster::Command command, std::string actor, std::optional<int> target_build,
                   std::optional<std::int64_t> run, Deadline deadline) override;
  Task<void> remove(std::string node, std::string actor, Deadline deadline) override;
  // What only nodes and people call.
  Task<cluster::AdmissionDecision> admit(cluster::Candidate, Deadline) override {
    return Runs::not_for_conductors<cluster::AdmissionDecision>();
  }
  Task<Lease> renew(Heartbeat, Deadline) override { return Runs::not_for_conductors<Lease>(); }
  Task<void> set_state(std::string, std::string, cluster::NodeState, bool, Deadline) override {
    return Runs::not_for_conductors<void>();
  }

  ConductorProcess& self_;
};

struct ConductorProcess::Hosts final : NodeHost {
  explicit Hosts(ConductorProcess& self) : self_(self) {}
  std::vector<std::string> hosts() const override;
  Task<HostReport> announce(std::string host, LeaderLease lead, Deadline deadline) override;
  Task<HostReport> report(std::string host, Deadline deadline) override;
  Task<void> distribute(std::string host, std::string version, Order order, Deadline deadline) override;
  Task<void> expand(std::string host, std::string node, std::string version, Order order, Deadline deadline) override;
  Task<void> stop(std::string host, std::string node, Order order, Deadline deadline) override;
  Task<void> switch_to(std::string host, std::string node, std::string version, Order order,
                       Deadline deadline) override;
  Task<void> start(std::string host, std::string node, Order order, Membership membership, Deadline deadline) override;
  Task<void> command(std::string host, agent::AgentCommand command, Deadline deadline);

  ConductorProcess& self_;
};

struct ConductorProcess::Traffics final : LoadBalancer {
  explicit Traffics(ConductorProcess& self) : self_(self) {}
  Task<void> set(std::string node, Traffic traffic, Deadline deadline) override;
  Task<void> add(std::string node, std::string address, int port, Deadline deadline) override;
  Task<void> remove(std::string node, Deadline deadline) override;
  Task<BackendView> view(std::string node, Deadline deadline) override;

  ConductorProcess& self_;
};

struct ConductorProcess::Nodes final : SiteClient {
  explicit Nodes(ConductorProcess& self) : self_(self) {}
  Task<DrainStatus> drain(std::string node, Deadline deadline) override;
  Task<DrainStatus> drain_status(std::string node, Deadline deadline) override;
  Task<void> undrain(std::string node, Deadline deadline) override;
  Task<bool> ready(std::string node, Deadline deadline) override;
  Task<rollout::NodeSample> metrics(std::string node, Deadline deadline) override;
  Task<rollout::KnownAnswers> compare(std::string node, std::string other, Deadline deadline) override;
  Task<rollout::TrialReads> try_out(std::string node, std::string other, Deadline deadline) override;
  template <class T>
  Task<T> call(std::string what, std::string node, Deadline deadline, std::function<void(NodeProcess&, Reply<T>)> work);

  ConductorProcess& self_;
};

struct ConductorProcess::People final : Notifier {
  Task<void> notify(Notice, Deadline) override { co_return Result<void>{}; }
};

struct ConductorProcess::Ports final : Clock, Timer {
  explicit Ports(ConductorProcess& self)
      : self_(self), runs(self), cluster(self), hosts(self), balancer(self), site(self) {}
  SteadyTime steady_now() const override;
  std::int64_t unix_ms() const override;
  Task<void> sleep_until(SteadyTime when) override;

  ConductorProcess& self_;
  Runs runs;
  Cluster cluster;
  Hosts hosts;
  Traffics balancer;
  Nodes site;
  People people;
};

}  // namespace afloat::sim
