#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "ports/cluster_store.h"
#include "ports/hosts.h"
#include "ports/load_balancer.h"
#include "ports/notes_store.h"
#include "ports/notifier.h"
#include "ports/run_store.h"
#include "ports/site_client.h"
#include "ports/time.h"
#include "rollout/facts.h"
#include "rollout/step.h"
#include "rollout/trial.h"
#include "version/index.h"

namespace afloat::conductor {

/// What the catalogue says of a release.
struct CatalogueEntry {
  bool present = false;
  std::vector<std::string> releases = {};  ///< versions that can be taken, lowest first
  version::HopFacts facts = {};  ///< of the hop to it
  /// From where the run begins up to it; nullopt: the catalogue can't be read.
  std::optional<std::vector<version::ReleaseNotes>> notes = {};
  std::optional<rollout::BundleView> bundle = {};
};

/// A node of site.toml that runs only as the surge node of a run.
struct SurgeSetting {
  std::string name, host, address;
  int port = 0;
};

struct Settings {
  std::string holder;                             ///< unique per process: "host:pid:random"
  std::string edition;                            ///< of the site's config
  int build = 0;                                  ///< of this program
  std::int64_t soak_ms = rollout::usual_soak_ms;  ///< of runs that do not say
  std::function<CatalogueEntry(const std::string& from, const std::string& to)> catalogue;
  std::optional<SurgeSetting> surge = {};
  NotesStore* notes = nullptr;  ///< outlives the conductor; without it nobody asks whether notes were read
  /// The releases that lead from one to another, by policy and catalogue; empty: straight, or no way.
  std::function<std::vector<std::string>(const std::string& from, const std::string& to)> way = {};
  std::function<void(std::string_view level, const std::string& message)> log;
  /// What checks judge beside the roster (rollout/facts.h); unset: those checks stay unknown.
  std::function<Async<rollout::Facts>(Deadline deadline)> facts = {};
  /// Takes what the leader sees of hosts and balancer, for the checks of nodes, which can't ask them.
  std::function<Task<void>(rollout::ConductorFacts facts, Deadline deadline)> publish = {};
  std::vector<std::string> nodes = {};  ///< of the site's config: whom the balancer is asked about
  /// Backs the site up, by a command of the site's own; unset: there is none. It may take long, and may not block.
  std::function<Task<void>(std::string from, std::string to)> backup = {};
  std::chrono::milliseconds poll{20};        ///< while something is awaited
  std::chrono::milliseconds idle_poll{100};  ///< no run, or paused, or another leads
};

/// Carries upgrade runs from plan to report. Only one conductor of a site leads, by a lease with a
/// rising epoch; the others wait. It may be killed at any point.
///
/// Lifecycle: start lead(), renew() and tell() once each, on one io_context of one thread; stop() makes them
/// return after the act under way. All ports outlive them.
class Conductor {
 public:
  Conductor(Settings settings, Clock& clock, Timer& timer, RunStore& runs, ClusterStore& cluster, NodeHost& hosts,
            LoadBalancer& balancer, SiteClient& site, Notifier& notifier);
  /// Takes the lead when it is free, announces itself to every agent, conducts. Returns after stop().
  Async<void> lead();
  /// Renews the lease each second while leading. Returns after stop().
  Async<void> renew();
  /// Publishes what it sees every few seconds while leading. Returns after stop(). Not needed for conducting.
  Async<void> tell();
  void stop() { stopping_ = true; }

 private:
  Task<void> become_leader();
  Task<void> announce();
  Task<bool> conduct_once();
  Task<void> take_signals();
  /// True when the database went back in time under this run, which is paused then.
  Task<bool> pause_where_it_went_back(const rollout::Observation& seen);
  Task<void> record(rollout::Run run);
  Task<rollout::Observation> observe(rollout::Needs needs);
  Task<void> observe_host(rollout::Observation& seen, std::string host);
  Task<void> observe_balancer(rollout::Observation& seen, std::string node);
  Task<void> observe_trial(rollout::Observation& seen, std::string node);
  Task<void> observe_surge(rollout::Observation& seen, std::string node);
  Task<void> observe_soak(rollout::Observation& seen, std::string node);
  Task<void> perform(rollout::Act act);
  Task<void> perform_drain(std::string node);
  Task<void> perform_stop(rollout::Act act);
  Task<void> perform_balance(rollout::Act act);
  Task<void> perform_distribute(rollout::Act act);
  Task<void> perform_surge(rollout::Act act);
  Task<void> set_traffic(std::string node, Traffic traffic);
  void note_changes(const rollout::Run& before, const rollout::Run& after);
  Task<void> tell(NoticeKind kind, std::string text);
  Task<void> remind_of_hold();
  Task<void> announce_schedule();
  Order order() const;
  Deadline within(std::chrono::milliseconds time) const { return clock_.steady_now() + time; }
  void note_database_time(std::int64_t now_ms);
  std::int64_t database_now() const;
  Task<void> pause(std::chrono::milliseconds time);
  void lose_lead(const std::string& why);

  Settings settings_;
  Clock& clock_;
  Timer& timer_;
  RunStore& runs_;
  ClusterStore& cluster_;
  NodeHost& hosts_;
  LoadBalancer& balancer_;
  SiteClient& site_;
  Notifier& notifier_;

  bool stopping_ = false;
  std::optional<LeaderLease> lead_;
  bool announced_ = false;
  SteadyTime leading_since_{};
  SteadyTime renewed_{};        ///< when the last successful renewal was sent
  SteadyTime reached_since_{};  ///< database, without a gap
  bool reached_ = false;
  std::int64_t clock_offset_ms_ = 0;  ///< database time - our steady time, see note_database_time()
  std::optional<rollout::Run> run_;
  rollout::ActState act_;
  SteadyTime message_written_{};
  /// Of the node that soaks: it lives as long as this leader looks at this step. Another begins its windows anew.
  std::optional<rollout::Canary> canary_;
  std::optional<rollout::Trial> trial_;  ///< likewise, of the node that is tried
  std::string trial_of_;                 ///< its name
  std::string canary_step_;              ///< of either
  SteadyTime canary_asked_{};
  std::vector<std::pair<NoticeKind, std::string>> notices_;  ///< to be told after the journal has them
  std::int64_t announce_at_ms_ = 0;                          ///< of a run that waits for its time; 0: not decided
  std::int64_t remind_at_ms_ = 0;                            ///< of a run that is held; 0: not decided
  std::int64_t cluster_epoch_ = 0;                           ///< the highest that was seen; it never falls by itself
  std::string encoding_;
  std::string last_fault_;
};

}  // namespace afloat::conductor
