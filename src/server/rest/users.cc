#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/hash.h"
#include "base/json_fields.h"
#include "base/text.h"
#include "server/rest/content_json.h"
#include "server/rest/routes.h"
#include "store/user_store.h"

namespace afloat::server {

namespace json = boost::json;

namespace {

constexpr int most_listed = 200;

/// There are these two and no others: who may sign in, and who is a system administrator.
constexpr std::array<std::string_view, 2> groups = {"administrators", "users"};

json::object group_json(std::string_view name) {
  return {{"type", "group"}, {"name", name}, {"_links", {{"self", "/rest/api/group/" + std::string(name)}}}};
}

Result<std::string> group_in(const http::Request& request) {
  auto name = request.capture("group");
  if (std::ranges::find(groups, name) != groups.end()) return name;
  return fail(
      ErrorKind::not_found,
      fmt::format("There is no group {}. There are users, everybody who may sign in, and administrators.", name));
}

json::object account_json(const store::User& user) {
  return {{"id", user.id},
          {"userName", user.name},
          {"fullName", user.full_name},
          {"email", user.email},
          {"administrator", user.administrator}};
}

Task<http::Response> list(Context& context, http::Request request) {
  auto admin = co_await context.auth.require_administrator(request);
  if (!admin) co_return std::unexpected(admin.error());
  auto range = page_range(request);
  if (!range) co_return std::unexpected(range.error());
  store::UserQuery query;
  query.text = std::string(trim(request.query_or("text", "")));
  query.administrators = request.query_or("administrators", "") == "true";
  query.start = range->start;
  query.limit = std::clamp(range->limit, 1, most_listed);
  const auto start = query.start, limit = query.limit;
  auto found = co_await store::find_users(context.database, std::move(query), request.deadline);
  if (!found) co_return std::unexpected(found.error());
  json::array results;
  for (const auto& user : found->users) {
    auto account = account_json(user);
    account["lastSeenAt"] = user.last_seen_ms != 0 ? json::value(user.last_seen_ms) : json::value();
    results.push_back(std::move(account));
  }
  co_return ok(
      json::object{{"results", std::move(results)}, {"total", found->total}, {"start", start}, {"limit", limit}});
}

/// Name and address and the right; what is left out stays.
Task<http::Response> change(Context& context, http::Request request) {
  auto admin = co_await require_administrator_for_change(context.auth, request);
  if (!admin) co_return std::unexpected(admin.error());
  auto object = parse_json_object(request.body, "the request body");
  if (!object) co_return std::unexpected(object.error());
  auto full_name = optional_string(*object, "fullName");
  if (!full_name) co_return std::unexpected(full_name.error());
  auto email = optional_string(*object, "email");
  if (!email) co_return std::unexpected(email.error());
  auto administrator = optional_bool(*object, "administrator");
  if (!administrator) co_return std::unexpected(administrator.error());
  auto user = co_await store::find_user(context.database, request.capture("name"), request.deadline);
  if (!user) co_return std::unexpected(user.error());
  const auto before = *user;
  if (*full_name) user->full_name = **full_name;
  if (*email) user->email = **email;
  if (*administrator) user->administrator = **administrator;
  const auto deadline = request.deadline;
  auto done = co_await with_gates<void>(context, deadline, [&](Gates gates) {
    return store::change_user(context.database, gates, before, *user, admin->user_name, deadline);
  });
  if (!done) co_return std::unexpected(done.error());
  co_return ok(account_json(*user));
}

Task<http::Response> reset_password(Context& context, http::Request request) {
  auto admin = co_await require_administrator_for_change(context.auth, request);
  if (!admin) co_return std::unexpected(admin.error());
  auto object = parse_json_object(request.body, "the request body");
  if (!object) co_return std::unexpected(object.error());
  auto password = required_string(*object, "password");
  if (!password) co_return std::unexpected(password.error());
  if (auto fit = store::check_password(*password); !fit) co_return std::unexpected(fit.error());
  auto user = co_await store::find_user(context.database, request.capture("name"), request.deadline);
  if (!user) co_return std::unexpected(user.error());
  auto hashed = co_await context.offload([&] { user->password_hash = hash_password(*password); });
  if (!hashed) co_return std::unexpected(hashed.error());
  const auto deadline = request.deadline;
  auto done = co_await with_gates<void>(context, deadline, [&](Gates gates) {
    return store::reset_password(context.database, gates, *user, {admin->user_name, admin->csrf}, deadline);
  });
  if (!done) co_return std::unexpected(done.error());
  co_return no_content();
}

Task<http::Response> list_groups(Context& context, http::Request request) {
  auto reader = co_await context.auth.require_user(request);
  if (!reader) co_return std::unexpected(reader.error());
  auto range = page_range(request);
  if (!range) co_return std::unexpected(range.error());
  json::array results;
  for (std::size_t at = static_cast<std::size_t>(range->start); at < groups.size(); ++at)
    results.push_back(group_json(groups[at]));
  co_return ok(list_json(context, request, *range, std::move(results)));
}

Task<http::Response> show_group(Context& context, http::Request request) {
  auto reader = co_await context.auth.require_user(request);
  if (!reader) co_return std::unexpected(reader.error());
  auto group = group_in(request);
  if (!group) co_return std::unexpected(group.error());
  co_return ok(group_json(*group));
}

Task<http::Response> members(Context& context, http::Request request) {
  auto reader = co_await context.auth.require_user(request);
  if (!reader) co_return std::unexpected(reader.error());
  auto group = group_in(request);
  if (!group) co_return std::unexpected(group.error());
  auto range = page_range(request);
  if (!range) co_return std::unexpected(range.error());
  store::UserQuery query;
  query.administrators = *group == "administrators";
  query.start = range->start;
  query.limit = range->limit + 1;
  auto found = co_await store::find_users(context.database, std::move(query), request.deadline);
  if (!found) co_return std::unexpected(found.error());
  json::array results;
  for (const auto& user : found->users) results.push_back(user_json(store::UserName{user.name, user.full_name}));
  co_return ok(list_json(context, request, *range, std::move(results)));
}

}  // namespace

void add_account_routes(http::Router& router, Context& context) {
  add_call(router, context, "GET", "/rest/afloat/1/users", list);
  add_call(router, context, "PUT", "/rest/afloat/1/users/{name}", change);
  add_call(router, context, "POST", "/rest/afloat/1/users/{name}/password", reset_password);
  add_call(router, context, "GET", "/rest/api/group", list_groups);
  add_call(router, context, "GET", "/rest/api/group/{group}", show_group);
  add_call(router, context, "GET", "/rest/api/group/{group}/member", members);
}

}  // namespace afloat::server
