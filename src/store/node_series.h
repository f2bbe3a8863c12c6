#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ports/database.h"
#include "rollout/series.h"

/// What nodes answer while an upgrade is under way (table node_series, an expand step of 1.3.0). Errors: as Database.
namespace afloat::store {

/// Writes points of one node and removes what is older than rollout::series_kept_ms, of any node. `now_ms`: the clock
/// that their `at_ms` are of; they are stored by the database's. On a connection of its own, not in the pipeline: a
/// table that somebody has locked shall hold up no heartbeat.
/// Errors: failed_precondition where no upgrade has made the table yet; nothing is sent then.
Task<void> add_series(Database& database, std::string node, int build, std::vector<rollout::SeriesPoint> points,
                      std::int64_t now_ms, Deadline deadline);

struct NodeSeries {
  std::int64_t now_ms = 0;                                         ///< database time
  std::map<std::string, std::vector<rollout::SeriesPoint>> nodes;  ///< in order of time
};
/// Points after that time; nullopt where the table is not there.
Task<std::optional<NodeSeries>> read_series(Database& database, std::int64_t since_ms, Deadline deadline);

}  // namespace afloat::store
