#pragma once
#include <memory>
#include <string>

#include "local/postgres.h"
#include "local/workplace.h"

namespace afloat::test {

/// A PostgreSQL and a copy that streams from it, each in its own folder; both end with the object.
/// Asynchronous, unless wait_for_replica() is called. Throws with the reason where it can't be had.
class ReplicatedPostgres {
 public:
  ReplicatedPostgres();
  local::Postgres& primary() { return primary_; }
  local::Postgres& replica() { return replica_; }
  /// Leads to the primary, and after fail_over() to the replica: what an address that moves does.
  std::string connection(const std::string& database) const;

  /// Commits that ask for it wait for the replica from now on (synchronous_standby_names).
  void wait_for_replica();
  /// True once the replica shows what the primary has committed until now.
  bool caught_up();
  /// What has come in is not shown any more, or again.
  void pause_replay();
  void resume_replay();
  /// Nothing comes in any more: the network between the two is cut.
  void cut_off();
  /// SIGKILL.
  void kill_primary();
  void promote();
  /// connection() leads to the replica.
  void fail_over();

 private:
  local::TempDir folder_;
  local::Postgres primary_, replica_;
};

}  // namespace afloat::test
