#include "server/long_tasks.h"
#include "server/rest/content_json.h"
#include "server/rest/routes.h"

namespace afloat::server {

namespace json = boost::json;

namespace {

Task<http::Response> get(Context& context, http::Request request) {
  auto reader = co_await context.auth.require_user(request);
  if (!reader) co_return std::unexpected(reader.error());
  auto task = co_await context.long_tasks.describe(request.capture("id"), request.deadline);
  if (!task) co_return std::unexpected(task.error());
  if (!*task)
    co_return fail(ErrorKind::not_found, "There is no long-running task with the id " + request.capture("id") + ".");
  co_return http::json_response(200, std::move(**task));
}

Task<http::Response> list(Context& context, http::Request request) {
  auto reader = co_await context.auth.require_user(request);
  if (!reader) co_return std::unexpected(reader.error());
  auto range = page_range(request);
  if (!range) co_return std::unexpected(range.error());
  auto tasks = co_await context.long_tasks.list(range->start, range->limit + 1, request.deadline);
  if (!tasks) co_return std::unexpected(tasks.error());
  json::array results;
  for (const auto& task : *tasks) results.push_back(json::parse(task));
  co_return ok(list_json(context, request, *range, std::move(results)));
}

}  // namespace

void add_longtask_routes(http::Router& router, Context& context) {
  add_call(router, context, "GET", "/rest/api/longtask", list);
  add_call(router, context, "GET", "/rest/api/longtask/{id}", get);
}

}  // namespace afloat::server
