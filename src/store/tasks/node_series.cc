#include "store/tasks/node_series.h"

namespace afloat::store {

std::vector<UpgradeTask> node_series_tasks() {
  auto expand = UpgradeTask::make("1.3.0", "node_series", cluster::TaskKind::expand, 5);
  // Written by new nodes alone and missed by nobody: neither backfill nor contract. Unlogged: a quarter of an hour of
  // figures is not worth a write to the log, and may be gone after a crash.
  expand.steps = {{.sql =
                       "create unlogged table if not exists node_series (at timestamptz not null, node text not null,"
                       " build int not null, figures jsonb not null, primary key (at, node))"}};
  expand.seal();
  return {std::move(expand)};
}

}  // namespace afloat::store
