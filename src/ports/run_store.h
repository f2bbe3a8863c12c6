#pragma once
#include <optional>
#include <string>
#include <vector>

#include "ports/hosts.h"
#include "ports/task.h"
#include "ports/time.h"
#include "rollout/model.h"
#include "rollout/plan.h"

namespace afloat {

struct NewRun {
  std::string to, reason, actor;
  rollout::Options options;
  int build = 0;  ///< of the program that writes the first row
};

/// Flags that people set on a run while a conductor works on it.
struct RunSignals {
  bool cancel_requested = false, resume_requested = false;
  rollout::Requests requests;
};

/// Code of the error with which every journal write of a conductor that no longer leads is refused.
inline constexpr const char* lead_lost = "lead_lost";

/// Code of the error of `take_lead` where the site's first node has not made the tables yet.
inline constexpr const char* site_is_new = "site_is_new";
/// Code of the error of `take_lead` for a conductor that is older than the active run's journal.
inline constexpr const char* journal_is_newer = "journal_is_newer";

/// Who conducts.
struct Leadership {
  std::string holder;                ///< "" when nobody's lease lives
  std::string declined;              ///< why a conductor that is at work does not lead; "" when none says so
  std::int64_t silent_since_ms = 0;  ///< when the last one was heard of; 0 while one leads, or where none ever did
};

/// Runs, their journal, and who conducts. Implementation: store/run_store.h.
struct RunStore {
  virtual ~RunStore() = default;

  // For people (REST).
  /// From the site's cluster version. Errors: invalid_argument where `to` is not above it; conflict naming the active
  /// run; failed_precondition on an empty site.
  virtual Task<std::int64_t> create(NewRun run, Deadline deadline) = 0;
  /// failed_precondition once finalize has begun or the run has ended.
  virtual Task<void> request_cancel(std::int64_t id, std::string actor, Deadline deadline) = 0;
  /// failed_precondition unless it is paused.
  virtual Task<void> request_resume(std::int64_t id, std::string actor, Deadline deadline) = 0;
  /// Between two steps. failed_precondition when it is paused, has begun to finalize or has ended.
  virtual Task<void> request_pause(std::int64_t id, std::string actor, Deadline deadline) = 0;
  /// This node alone goes back to the old release; the run pauses then. failed_precondition once finalize has begun
  /// or the run has ended.
  virtual Task<void> request_rollback(std::int64_t id, std::string node, std::string actor, Deadline deadline) = 0;
  /// How long steps that were done took in past runs, by kind: the median of the last ones.
  virtual Task<rollout::Durations> durations(Deadline deadline) = 0;
  /// not_found for an unknown id. With all steps.
  virtual Task<rollout::Run> load(std::int64_t id, Deadline deadline) = 0;
  /// Newest first, without steps.
  virtual Task<std::vector<rollout::Run>> list(int limit, Deadline deadline) = 0;
  /// Highest change number of the run's rows; rises with every change. Cheap: for streams.
  virtual Task<std::int64_t> last_change(std::int64_t id, Deadline deadline) = 0;
  /// Steps that changed after `after`, in order of change: {change, step}.
  virtual Task<std::vector<std::pair<std::int64_t, rollout::StepRecord>>> changes(std::int64_t id, std::int64_t after,
                                                                                  Deadline deadline) = 0;
  virtual Task<Leadership> leadership(Deadline deadline) = 0;

  // For conductors.
  /// The run that has not ended, if any.
  virtual Task<std::optional<rollout::Run>> active(Deadline deadline) = 0;
  virtual Task<RunSignals> signals(std::int64_t id, Deadline deadline) = 0;
  /// The lease (5 s), with an epoch above `at_least` and above any before; nullopt while another holds it.
  /// Errors: failed_precondition with code site_is_new; the same with journal_is_newer when a program newer
  /// than `build` has written to the active run: a conductor that cannot read the journal must leave the
  /// lease to one that can. Then the reason is kept for leadership().
  /// `at_least` is the highest epoch that any agent has obeyed. Where the database knows a lower one it went back in
  /// time: the active run is paused in the same transaction, until a person confirms with resume or cancel.
  virtual Task<std::optional<LeaderLease>> take_lead(std::string holder, std::int64_t at_least, int build,
                                                     Deadline deadline) = 0;
  /// failed_precondition with code lead_lost when another leads.
  virtual Task<void> renew_lead(LeaderLease lead, Deadline deadline) = 0;
  /// Gives the lease up so that another can take it at once.
  virtual Task<void> release_lead(LeaderLease lead, Deadline deadline) = 0;
  /// Writes header and changed steps in one transaction fenced by the lease; returns the run with
  /// sequence numbers and database times filled in. `steps` of the result carry changed = false.
  virtual Task<rollout::Run> record(rollout::Run run, LeaderLease lead, int build, Deadline deadline) = 0;
  /// Milliseconds since 1970 by the database's clock.
  virtual Task<std::int64_t> database_time(Deadline deadline) = 0;
  virtual Task<std::string> database_encoding(Deadline deadline) = 0;
  virtual Task<rollout::Replicas> database_replicas(Deadline deadline) = 0;
};

}  // namespace afloat
