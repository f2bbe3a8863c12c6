#pragma once
#include <string>
#include <vector>

#include "ports/cluster_store.h"
#include "ports/run_store.h"
#include "rollout/model.h"
#include "rollout/preflight.h"
#include "server/context.h"
#include "server/rest/run_notes.h"
#include "version/policy.h"

namespace afloat::server {

/// The site as a node sees it: roster, database, and what nodes and conductor have told of themselves. What can't
/// be found out is left out. Errors: those of the roster; failed_precondition where the site was never started.
Task<rollout::Observation> look_at_site(Context& context, ClusterStore& cluster, Deadline deadline);

/// What stands between the site and a target.
struct UpgradeLook {
  rollout::Run run;  ///< `from`, `to` and what is wished of it
  rollout::Observation seen;
  std::vector<rollout::Check> checks;
  version::HopVerdict verdict = version::HopVerdict::blocked;  ///< of the way, whatever the checks say
  bool failed() const;                                         ///< one of the checks has
};
/// Errors: as above; invalid_argument when `to` is no version.
Task<UpgradeLook> look_at_upgrade(Context& context, rollout::Observation seen, RunStore& runs, NotesDesk& desk,
                                  std::string to, Deadline deadline, rollout::Options wishes = {});

}  // namespace afloat::server
