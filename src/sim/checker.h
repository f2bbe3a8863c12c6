#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "cluster/model.h"
#include "ports/hosts.h"
#include "rollout/step.h"
#include "sim/engine.h"

namespace afloat::sim {

class Database;

/// Watches the history and throws a Violation where an invariant breaks. It judges by facts of the
/// simulated world, not by what the code under test believes; so a mistake in a rule is not excused by itself.
///
/// V: versions. O: orchestration. U: users. docs/simulation.md lists what each of them says.
class Checker {
 public:
  explicit Checker(Engine& engine) : engine_(engine) {}
  void watch(const Database& database) { database_ = &database; }

  /// After every event. Cheap while nothing has changed.
  void check();

  // What the database tells.
  void admitted(const cluster::Member& member);
  void committed(int page, std::int64_t value, int build, bool old_form, const std::string& who);
  void before_approve();
  void before_cancel();
  void before_contract();
  void cancel_accepted(const rollout::Run& run);
  void lead_taken(const std::string& holder);
  void recorded(const rollout::Run& before, const rollout::Run& after);

  // What takes effect outside the database.
  /// A command that an agent carries out (not one that it knows to be done).
  void agent_effect(const std::string& host, const std::string& kind, const std::string& node, const Order& order);
  void agent_knows(const std::string& host, const LeaderLease& lead);
  void cluster_effect(std::int64_t run, const std::vector<rollout::StepKind>& kinds);
  void balancer_effect(const std::string& node);

  // What nodes do.
  void answers(const std::string& node, const std::string& id, const std::string& incarnation, int build);
  void gates_taken(const std::string& node, int number, int cluster_build);
  void ended_by_plan(const std::string& node, int cut_requests);

  // What users see.
  /// To be handed to read_returned(): the newest write of the page that anybody was told of.
  std::size_t read_begins(int page) const;
  void read_returned(int page, std::size_t at_least, std::int64_t value, const std::string& node);
  void acknowledged(int page, std::int64_t value);

  /// After the run: what must be there.
  void at_end();
  std::int64_t writes() const { return writes_; }

 private:
  void same_version_outside_upgrade_mode();
  void watch_members();
  void stop_was_allowed(const rollout::Run& run);
  void others_were_serving(const rollout::StepRecord& step);

  Engine& engine_;
  const Database* database_ = nullptr;
  std::uint64_t seen_revision_ = 0;
  int highest_cluster_build_ = 0;
  std::int64_t highest_epoch_ = 0;

  struct History {
    std::vector<std::int64_t> values;  ///< in order of commit; the first one was there before
    std::size_t acknowledged = 0;      ///< index of the newest acknowledged one
  };
  std::map<int, History> pages_;
  std::map<std::int64_t, std::size_t> place_of_;  ///< value -> index in its page's history
  std::int64_t writes_ = 0;

  std::map<std::string, int> leaders_;  ///< by order of taking the lead
  std::map<std::string, int> host_leader_;
  std::map<std::string, Micros> last_serving_, last_not_serving_;  ///< by node name
  std::map<std::string, std::pair<int, int>> node_gates_;          ///< by incarnation-free node name
};

}  // namespace afloat::sim
