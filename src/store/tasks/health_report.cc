#include "store/tasks/health_report.h"

namespace afloat::store {

std::vector<UpgradeTask> health_report_tasks() {
  auto expand = UpgradeTask::make("1.2.0", "health_report", cluster::TaskKind::expand, 4);
  // Written by new nodes alone and missed by nobody: neither backfill nor contract.
  expand.steps = {{.sql = "create table if not exists health_report (source text primary key,"
                          " at timestamptz not null, build int not null, facts jsonb not null)"}};
  expand.seal();
  return {std::move(expand)};
}

}  // namespace afloat::store
