#pragma once
#include <map>
#include <set>
#include <string>

#include "ports/site_client.h"
#include "sim/database.h"

namespace afloat::sim {

class Site;

/// The process of one node, from its start to its end: admission, lease, gates, drain, finalize. The decisions
/// are those of cluster/; the loops around them follow server/node.cc and server/finalizer.cc.
class NodeProcess : public Actor {
 public:
  /// `ephemeral`: a member until its clean end; on_forget is told that its id is of no more use then.
  NodeProcess(Site& site, int number, std::string id, std::string incarnation, int build, bool ephemeral);
  std::function<void()> on_forget;
  void begin();
  void terminate();  ///< SIGTERM
  int number() const { return number_; }
  int build() const { return build_; }
  const std::string& incarnation() const { return incarnation_; }
  cluster::NodeState state() const { return state_; }
  Micros age() const { return engine_.now() - begun_; }
  std::function<void(int code)> on_end;

  // What arrives over the network. The caller makes sure that the process runs (deliver).
  bool status_ok() const { return state_ == cluster::NodeState::ACTIVE && lease_valid(); }
  void drain(Reply<DrainStatus> reply);
  void undrain(Reply<void> reply);
  DrainStatus drain_status() const;
  void write(int page, std::int64_t value, Reply<std::int64_t> reply);
  void read(int page, Reply<std::int64_t> reply);
  void page_changed(int page) { cache_.erase(page); }  ///< a NOTIFY
  void cluster_changed();                              ///< a NOTIFY

 private:
  std::shared_ptr<NodeProcess> self() { return std::static_pointer_cast<NodeProcess>(shared_from_this()); }
  template <class T>
  void database(std::function<Result<T>(Database&)> work, Micros limit, Reply<T> done, bool late = false,
                Micros stuck = 0);
  void ask_admission(Micros patience);
  void expand(Micros patience);
  void expand_step(Micros patience, std::string task, int token, int step);
  void admitted();
  void change_state(cluster::NodeState state, bool close, std::function<void(Result<void>)> then);
  void beat();
  void beat_again(Micros wait);
  void renewed(Micros sent, const Lease& lease);
  bool lease_valid() const { return engine_.now() < lease_valid_until_; }
  bool takes_requests() const;
  int lowest_gates() const;
  Micros work_time();
  void write_now(int page, std::int64_t value, int gates, int cluster_build, int tries, Reply<std::int64_t> reply);
  void finished(int gates) { gates_in_flight_.erase(gates_in_flight_.find(gates)); }
  void leave_when_idle(Micros linger_until, Micros limit);
  void leave();
  void exit(int code);
  void end(int code);

  // Finalizer.
  void finalize_again(Micros wait);
  void step_done(Micros wait);
  void failed_or_done(const std::string& task, int token, Result<void> done);
  void finalize();
  void finalize_step(const cluster::Snapshot& snapshot);
  void backfill(const std::string& task, cluster::TaskState as);
  void backfill_batch(const std::string& task, int token, cluster::TaskState as);
  void claimed(const std::string& task, std::function<Result<void>(Database&, int token)> work);

  Site& site_;
  int number_;
  std::string id_, host_, incarnation_;
  int build_;
  bool ephemeral_;
  cluster::NodeState state_ = cluster::NodeState::STARTING;
  bool stopping_ = false, gone_ = false, told_ = false, ending_ = false, finalizing_ = false;
  Micros begun_ = engine_.now();
  Micros lease_valid_until_ = 0, drain_began_ = 0;
  cluster::ClusterState seen_;
  std::int64_t epoch_seen_ = 0;
  int gates_ = 0, cluster_build_ = 0;
  std::multiset<int> gates_in_flight_;
  std::map<int, std::int64_t> cache_;
  std::int64_t change_seen_ = 0;
  std::map<std::string, int> tokens_;
  std::uint64_t beats_asked_ = 0, finalize_asked_ = 0;
};

}  // namespace afloat::sim
