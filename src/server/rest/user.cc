#include "base/hash.h"
#include "base/json_fields.h"
#include "base/text.h"
#include "server/rest/content_json.h"
#include "server/rest/routes.h"
#include "store/user_store.h"

namespace afloat::server {

namespace json = boost::json;

namespace {

Task<http::Response> current(Context& context, http::Request request) {
  auto reader = co_await context.auth.require_user(request);
  if (!reader) co_return std::unexpected(reader.error());
  co_return ok(user_json(*reader));
}

Task<http::Response> anonymous(Context&, http::Request) {
  co_return ok(json::object{{"type", "anonymous"}, {"displayName", "Anonymous"}});
}

Task<http::Response> get(Context& context, http::Request request) {
  auto reader = co_await context.auth.require_user(request);
  if (!reader) co_return std::unexpected(reader.error());
  const auto name = request.query_or("username", request.query_or("key", ""));
  auto user = co_await store::find_user(context.database, name, request.deadline);
  if (!user) co_return std::unexpected(user.error());
  co_return ok(user_json(store::UserName{user->name, user->full_name}));
}

Task<http::Response> member_of(Context& context, http::Request request) {
  auto reader = co_await context.auth.require_user(request);
  if (!reader) co_return std::unexpected(reader.error());
  auto user =
      co_await store::find_user(context.database, request.query_or("username", reader->user_name), request.deadline);
  if (!user) co_return std::unexpected(user.error());
  json::array groups;
  groups.push_back({{"type", "group"}, {"name", "users"}});
  if (user->administrator) groups.push_back({{"type", "group"}, {"name", "administrators"}});
  co_return ok(list_json(context, request, {0, 200}, std::move(groups)));
}

Task<http::Response> create(Context& context, http::Request request) {
  auto admin = co_await require_administrator_for_change(context.auth, request);
  if (!admin) co_return std::unexpected(admin.error());
  auto object = parse_json_object(request.body, "the request body");
  if (!object) co_return std::unexpected(object.error());
  auto name = required_string(*object, "userName");
  if (!name) co_return std::unexpected(name.error());
  auto password = required_string(*object, "password");
  if (!password) co_return std::unexpected(password.error());
  if (auto fit = store::check_password(*password); !fit) co_return std::unexpected(fit.error());
  store::NewUser user;
  user.name = *name;
  user.full_name = string_or(*object, "fullName", *name);
  user.email = string_or(*object, "email");
  user.administrator = bool_or(*object, "administrator");
  user.created_by = admin->user_name;
  auto hashed = co_await context.offload([&] { user.password_hash = hash_password(*password); });
  if (!hashed) co_return std::unexpected(hashed.error());
  const auto deadline = request.deadline;
  auto made = co_await with_gates<store::User>(
      context, deadline, [&](Gates gates) { return store::create_user(context.database, gates, user, deadline); });
  if (!made) co_return std::unexpected(made.error());
  co_return ok(user_json(store::UserName{made->name, made->full_name}));
}

}  // namespace

void add_user_routes(http::Router& router, Context& context) {
  add_call(router, context, "GET", "/rest/api/user", get);
  add_call(router, context, "GET", "/rest/api/user/current", current);
  add_call(router, context, "GET", "/rest/api/user/anonymous", anonymous);
  add_call(router, context, "GET", "/rest/api/user/memberof", member_of);
  add_call(router, context, "POST", "/rest/api/admin/user", create);
}

}  // namespace afloat::server
