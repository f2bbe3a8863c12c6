#include "rollout/series.h"

#include <boost/json.hpp>

#include "base/json_fields.h"

namespace afloat::rollout {

namespace json = boost::json;

std::string to_json(const SeriesPoint& point) {
  // Limits are rounded to microseconds, which they are in.
  json::array within;
  for (const auto& [limit, count] : point.within_seconds)
    within.push_back(json::array{static_cast<std::int64_t>(limit * 1e6 + 0.5), count});
  return json::serialize(json::object{{"span_ms", point.span_ms},
                                      {"requests", point.requests},
                                      {"errors", point.errors},
                                      {"within_us", std::move(within)}});
}

SeriesPoint series_point_from(std::string_view text) {
  SeriesPoint point;
  const auto read = parse_json_object(text, "a point of the series");
  if (!read) return point;
  point.span_ms = int_or(*read, "span_ms");
  point.requests = int_or(*read, "requests");
  point.errors = int_or(*read, "errors");
  const auto* within = array_at(*read, "within_us");
  if (!within) return point;
  for (const auto& entry : *within) {
    const auto* pair = entry.if_array();
    if (!pair || pair->size() != 2 || !pair->front().is_int64() || !pair->back().is_int64()) continue;
    point.within_seconds[static_cast<double>(pair->front().get_int64()) / 1e6] = pair->back().get_int64();
  }
  return point;
}

void SeriesRecorder::add(const NodeSample& now) {
  if (last_) {
    SeriesPoint point{.at_ms = now.at_ms,
                      .span_ms = now.at_ms - last_->at_ms,
                      .requests = now.requests - last_->requests,
                      .errors = now.errors - last_->errors,
                      .within_seconds = {}};
    for (const auto& [limit, count] : now.within_seconds) {
      const auto before = last_->within_seconds.find(limit);
      point.within_seconds[limit] = count - (before == last_->within_seconds.end() ? 0 : before->second);
    }
    // A clock that was set back measures nothing.
    if (point.span_ms > 0) unwritten_.push_back(std::move(point));
  }
  last_ = now;
  while (!unwritten_.empty() && unwritten_.front().at_ms < now.at_ms - series_margin_ms) unwritten_.pop_front();
}

void SeriesRecorder::written(std::int64_t up_to_ms) {
  std::erase_if(unwritten_, [&](const SeriesPoint& point) { return point.at_ms <= up_to_ms; });
}

namespace {

double per_second(std::int64_t count, std::int64_t span_ms) {
  return span_ms > 0 ? static_cast<double>(count) * 1000 / static_cast<double>(span_ms) : 0;
}

PlotPoint plotted(double requests_per_s, double errors_per_s, const NodeSample& answered) {
  PlotPoint point{.requests_per_s = requests_per_s, .errors_per_s = errors_per_s, .p99_ms = {}};
  if (answered.requests > 0) point.p99_ms = p99_between({}, answered) * 1000;
  return point;
}

void accumulate(NodeSample& sum, const SeriesPoint& point) {
  sum.requests += point.requests;
  for (const auto& [limit, count] : point.within_seconds) sum.within_seconds[limit] += count;
}

}  // namespace

Plot plot_of(const std::map<std::string, std::vector<SeriesPoint>>& nodes, std::int64_t from_ms, std::int64_t to_ms) {
  Plot plot;
  for (const auto& [name, points] : nodes) plot.nodes[name];
  std::map<std::string, std::size_t> next;  // the first point of each node that lies after the moment
  for (auto at = (from_ms + series_every_ms - 1) / series_every_ms * series_every_ms; at <= to_ms;
       at += series_every_ms) {
    double requests = 0, errors = 0;
    NodeSample all;
    std::map<std::string, PlotPoint> told;
    for (const auto& [name, points] : nodes) {
      auto& index = next[name];
      while (index < points.size() && points[index].at_ms <= at) ++index;
      if (index == 0 || points[index - 1].at_ms <= at - series_every_ms * 3 / 2) continue;
      const auto& point = points[index - 1];
      NodeSample own;
      accumulate(own, point);
      accumulate(all, point);
      told[name] = plotted(per_second(point.requests, point.span_ms), per_second(point.errors, point.span_ms), own);
      requests += told[name].requests_per_s;
      errors += told[name].errors_per_s;
    }
    if (told.empty() && plot.at_ms.empty()) continue;
    plot.at_ms.push_back(at);
    plot.site.push_back(told.empty() ? std::nullopt : std::optional(plotted(requests, errors, all)));
    for (auto& [name, line] : plot.nodes)
      line.push_back(told.contains(name) ? std::optional(told[name]) : std::nullopt);
  }
  return plot;
}

}  // namespace afloat::rollout
