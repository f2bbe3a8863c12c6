#include "server/rest/events.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <chrono>

#include "base/csv.h"
#include "base/text.h"
#include "server/auth.h"

namespace afloat::server {

namespace json = boost::json;
using store::Event;

namespace {

/// A page of it, and a file of it.
constexpr std::int64_t most_shown = 1'000, most_exported = 10'000;

/// "2026-11-26", midnight UTC of `days` later; or Unix milliseconds as they are.
Result<std::int64_t> moment_in(const http::Request& request, std::string_view name, int days) {
  const auto text = request.query_or(name, "");
  if (text.empty()) return 0;
  const auto number = [](std::string_view digits) { return static_cast<int>(parse_int(digits).value_or(-1)); };
  if (text.size() == 10 && text[4] == '-' && text[7] == '-') {
    using namespace std::chrono;
    const std::string_view date = text;
    const year_month_day day{year(number(date.substr(0, 4))), month(static_cast<unsigned>(number(date.substr(5, 2)))),
                             std::chrono::day(static_cast<unsigned>(number(date.substr(8, 2))))};
    if (day.ok() && number(date.substr(0, 4)) >= 1970)
      return duration_cast<milliseconds>((sys_days(day) + std::chrono::days(days)).time_since_epoch()).count();
  } else if (const auto ms = parse_int(text); ms && *ms >= 0) {
    return *ms;
  }
  return fail(ErrorKind::invalid_argument,
              fmt::format("{} is \"{}\", which is no day: give it as 2026-11-26 (UTC), or as Unix milliseconds.", name,
                          text.substr(0, 40)));
}

Result<store::EventQuery> query_in(const http::Request& request, std::int64_t most) {
  store::EventQuery query;
  query.limit = std::clamp<std::int64_t>(
      parse_int(request.query_or("limit", "")).value_or(std::min<std::int64_t>(most, 100)), 1, most);
  query.before = std::max<std::int64_t>(0, parse_int(request.query_or("before", "0")).value_or(0));
  query.kind = request.query_or("kind", "");
  query.text = std::string(trim(request.query_or("text", "")));
  auto since = moment_in(request, "since", 0);
  if (!since) return std::unexpected(since.error());
  auto until = moment_in(request, "until", 1);
  if (!until) return std::unexpected(until.error());
  query.since_ms = *since;
  query.until_ms = *until;
  return query;
}

json::value detail_of(const Event& event) {
  boost::system::error_code broken;
  auto detail = json::parse(event.detail_json, broken);
  return broken ? json::value(nullptr) : detail;
}

std::string csv_of(const std::vector<Event>& events) {
  auto text = csv_line({"seq", "at", "actor", "kind", "detail"});
  for (const auto& event : events)
    text += csv_line({std::to_string(event.seq), iso_time(event.at_ms), event.actor, event.kind, event.detail_json});
  return text;
}

Async<http::Response> list(Context& context, http::Request request) {
  auto admin = co_await context.auth.require_administrator(request);
  if (!admin) co_return http::error_response(admin.error());
  auto query = query_in(request, most_shown);
  if (!query) co_return http::error_response(query.error());
  // One more, to know whether there are more.
  const auto limit = static_cast<std::size_t>(query->limit++);
  auto events = co_await store::read_events(context.database, std::move(*query), request.deadline);
  if (!events) co_return http::error_response(events.error());
  const bool more = events->size() > limit;
  if (more) events->resize(limit);
  co_return http::json_response(
      200, json::serialize(json::object{{"results", events_json(*events)}, {"next", more ? events->back().seq : 0}}));
}

Async<http::Response> export_file(Context& context, http::Request request) {
  auto admin = co_await context.auth.require_administrator(request);
  if (!admin) co_return http::error_response(admin.error());
  const auto format = request.query_or("format", "csv");
  if (format != "csv" && format != "json")
    co_return http::error_response(Error(ErrorKind::invalid_argument, "format is csv or json; left out: csv"));
  auto query = query_in(request, most_exported);
  if (!query) co_return http::error_response(query.error());
  if (!request.query_value("limit")) query->limit = most_exported;
  auto events = co_await store::read_events(context.database, std::move(*query), request.deadline);
  if (!events) co_return http::error_response(events.error());
  auto response = format == "csv" ? http::text_response(200, csv_of(*events), "text/csv; charset=utf-8")
                                  : http::json_response(200, json::serialize(events_json(*events)));
  response.headers.set("Content-Disposition", fmt::format("attachment; filename=\"afloat-audit-log.{}\"", format));
  response.headers.set("Cache-Control", "no-store");
  co_return response;
}

}  // namespace

json::array events_json(const std::vector<Event>& events) {
  json::array results;
  for (const auto& event : events)
    results.push_back(json::object{{"seq", event.seq},
                                   {"at", iso_time(event.at_ms)},
                                   {"actor", event.actor},
                                   {"kind", event.kind},
                                   {"detail", detail_of(event)}});
  return results;
}

Async<void> note_event(Context& context, std::string actor, std::string kind, json::object detail, Deadline deadline) {
  (void)co_await context.database.read(
      store::event_statement(std::move(actor), std::move(kind), json::serialize(detail)), deadline);
}

void add_event_routes(http::Router& router, Context& context) {
  router.add("GET", "/rest/afloat/1/events", [&context](http::Request r) { return list(context, std::move(r)); });
  router.add("GET", "/rest/afloat/1/events/export",
             [&context](http::Request r) { return export_file(context, std::move(r)); });
}

}  // namespace afloat::server
