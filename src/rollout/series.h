#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rollout/canary.h"

/// How many requests the nodes answer, how many fail and how long they take, while an upgrade is under way: what
/// the console plots. Each node writes what it has answered in the last two seconds; whoever is asked reads all.
namespace afloat::rollout {

inline constexpr std::int64_t series_every_ms = 2'000;
/// Older points are removed.
inline constexpr std::int64_t series_kept_ms = 15 * 60'000;
/// From before upgrade mode went on, and after it went off: what to compare with.
inline constexpr std::int64_t series_margin_ms = 60'000;

/// What one node answered in one stretch of time.
struct SeriesPoint {
  std::int64_t at_ms = 0;  ///< its end, Unix time
  std::int64_t span_ms = 0;
  std::int64_t requests = 0, errors = 0;
  std::map<double, std::int64_t> within_seconds;  ///< upper limit -> requests that took at most as long
};
/// All of a point but `at_ms`, as it is stored. What can't be read counts as nothing answered.
std::string to_json(const SeriesPoint& point);
SeriesPoint series_point_from(std::string_view json);

/// Turns a node's counters into points, and keeps those of the last minute that were not written yet: so that the
/// first write after upgrade mode went on has the minute before it, and one that failed is made up for.
class SeriesRecorder {
 public:
  /// `now`: requests, errors and times since the process began; `at_ms` by the node's clock.
  void add(const NodeSample& now);
  const std::deque<SeriesPoint>& unwritten() const { return unwritten_; }
  /// Those up to that moment are written.
  void written(std::int64_t up_to_ms);

 private:
  std::optional<NodeSample> last_;
  std::deque<SeriesPoint> unwritten_;
};

/// What is drawn at one moment.
struct PlotPoint {
  double requests_per_s = 0, errors_per_s = 0;
  std::optional<double> p99_ms;  ///< nullopt where nothing was answered
};
/// Lines of equal length, one value for each moment; nullopt where nobody told.
struct Plot {
  using Line = std::vector<std::optional<PlotPoint>>;
  std::vector<std::int64_t> at_ms;  ///< every series_every_ms
  Line site;                        ///< the nodes that told, together
  std::map<std::string, Line> nodes;
};
/// At each multiple of series_every_ms in [from_ms, to_ms], from the first on at which anybody told: of each node its
/// last point, if it is not older than one and a half stretches, for nodes keep no step. `nodes`: by name, each in
/// order of time.
Plot plot_of(const std::map<std::string, std::vector<SeriesPoint>>& nodes, std::int64_t from_ms, std::int64_t to_ms);

}  // namespace afloat::rollout
