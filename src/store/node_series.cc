#include "store/node_series.h"

#include <boost/json.hpp>

namespace afloat::store {

namespace json = boost::json;

namespace {

struct Place {
  bool there = false;
  std::int64_t now_ms = 0;
};
/// Asked first, for each try without the table would be an error in the database's log.
Task<Place> look_for_table(Database& database, Deadline deadline) {
  auto place = co_await database.read({"select to_regclass('node_series') is not null, "
                                       "(extract(epoch from clock_timestamp()) * 1000)::bigint",
                                       {}},
                                      deadline);
  if (!place) co_return std::unexpected(place.error());
  co_return Place{place->flag(0, 0), place->number(0, 1)};
}

}  // namespace

Task<void> add_series(Database& database, std::string node, int build, std::vector<rollout::SeriesPoint> points,
                      std::int64_t now_ms, Deadline deadline) {
  auto place = co_await look_for_table(database, deadline);
  if (!place) co_return std::unexpected(place.error());
  if (!place->there) co_return fail(ErrorKind::failed_precondition, "the table node_series is not there yet");
  json::array rows;
  for (const auto& point : points)
    rows.push_back(json::object{{"age_ms", now_ms - point.at_ms}, {"figures", json::parse(rollout::to_json(point))}});
  static_assert(rollout::series_kept_ms == 15 * 60'000, "the statement says so too");
  auto done = co_await database.slow_read(
      {"with gone as (delete from node_series where at < clock_timestamp() - interval '15 minutes') "
       "insert into node_series (at, node, build, figures) "
       "select clock_timestamp() - (p.value->>'age_ms')::bigint * interval '1 ms', $1, $2::int, p.value->'figures' "
       "from jsonb_array_elements($3::jsonb) p on conflict (at, node) do nothing",
       {std::move(node), build, json::serialize(rows)}},
      deadline);
  if (!done) co_return std::unexpected(done.error());
  co_return Result<void>{};
}

Task<std::optional<NodeSeries>> read_series(Database& database, std::int64_t since_ms, Deadline deadline) {
  auto place = co_await look_for_table(database, deadline);
  if (!place) co_return std::unexpected(place.error());
  if (!place->there) co_return std::optional<NodeSeries>();
  auto rows = co_await database.slow_read(
      {"select node, (extract(epoch from at) * 1000)::bigint, figures::text from node_series "
       "where at > to_timestamp($1::bigint / 1000.0) order by at",
       {since_ms}},
      deadline);
  if (!rows) co_return std::unexpected(rows.error());
  NodeSeries series{.now_ms = place->now_ms, .nodes = {}};
  for (std::size_t row = 0; row < rows->size(); ++row) {
    auto point = rollout::series_point_from(rows->text(row, 2));
    point.at_ms = rows->number(row, 1);
    series.nodes[rows->text(row, 0)].push_back(std::move(point));
  }
  co_return std::optional<NodeSeries>(std::move(series));
}

}  // namespace afloat::store
