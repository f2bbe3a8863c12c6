#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/text.h"
#include "server/auth.h"
#include "server/rest/runs.h"
#include "store/node_series.h"

namespace afloat::server {

namespace json = boost::json;

namespace {

/// Three digits are more than a plot shows.
double rounded(double value) { return static_cast<double>(static_cast<std::int64_t>(value * 1000 + 0.5)) / 1000; }

json::object shown(const rollout::Plot::Line& line) {
  json::array requests, errors, p99;
  for (const auto& point : line) {
    requests.push_back(point ? json::value(rounded(point->requests_per_s)) : json::value());
    errors.push_back(point ? json::value(rounded(point->errors_per_s)) : json::value());
    p99.push_back(point && point->p99_ms ? json::value(rounded(*point->p99_ms)) : json::value());
  }
  return {{"requests_per_s", std::move(requests)}, {"errors_per_s", std::move(errors)}, {"p99_ms", std::move(p99)}};
}

Async<http::Response> series(Context* context, http::Request request) {
  auto admin = co_await context->auth.require_administrator(request);
  if (!admin) co_return http::error_response(admin.error());
  const auto since = parse_int(request.query_or("since", "0"));
  if (!since || *since < 0)
    co_return http::error_response(Error(ErrorKind::invalid_argument, "since is a time in milliseconds since 1970."));
  // Somewhat more than is asked for: the first moment is drawn from what each node answered just before it.
  auto read = co_await store::read_series(context->database, *since - 2 * rollout::series_every_ms, request.deadline);
  if (!read) co_return http::error_response(read.error());
  const auto found = read->value_or(store::NodeSeries{.now_ms = context->clock.unix_ms(), .nodes = {}});
  const auto plot =
      rollout::plot_of(found.nodes, std::max(*since, found.now_ms - rollout::series_kept_ms), found.now_ms);
  json::array nodes;
  for (const auto& [name, line] : plot.nodes) {
    auto node = shown(line);
    node["name"] = name;
    nodes.push_back(std::move(node));
  }
  const std::string message = *read ? ""
                                    : "The nodes of this site do not record what they answer: its schema is not yet "
                                      "that of 1.3.0. An upgrade to it brings that.";
  co_return http::json_response(200, json::serialize(json::object{{"now_ms", found.now_ms},
                                                                  {"every_ms", rollout::series_every_ms},
                                                                  {"kept_ms", rollout::series_kept_ms},
                                                                  {"message", message},
                                                                  {"at_ms", json::value_from(plot.at_ms)},
                                                                  {"site", shown(plot.site)},
                                                                  {"nodes", std::move(nodes)}}));
}

}  // namespace

void add_series_routes(http::Router& router, Context& context) {
  router.add("GET", "/rest/afloat/1/series",
             [&context](http::Request request) { return series(&context, std::move(request)); });
}

}  // namespace afloat::server
