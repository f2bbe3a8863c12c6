#include <boost/json.hpp>

#include "adapters/http/router.h"
#include "server/pages/common.h"
#include "server/setup.h"

namespace afloat::server {
namespace {

http::Response sign_in_form(const Context& context, std::string_view next, std::string_view name,
                            std::string_view error, int status) {
  auto data = frame(context, {}, "Sign in");
  data["next"] = next;
  data["name"] = name;
  data["has_error"] = !error.empty();
  data["error"] = error;
  return show(context, "login", data, status);
}

Async<http::Response> form(Context& context, http::Request request) {
  const auto next = local_path(request.query_or("next", "/"));
  auto identity = co_await context.auth.identify(request);
  if (identity && identity->signed_in()) co_return http::redirect(next);
  // No redirect: a node that starts renders this page to see that it can.
  const auto set_up = co_await is_set_up(context, request.deadline);
  if (set_up && !*set_up)
    co_return sign_in_form(context, next, "",
                           "Nobody has an account yet. Whoever runs this site makes the first one at /setup.", 200);
  co_return sign_in_form(context, next, "", "", 200);
}

Async<http::Response> sign_in(Context& context, http::Request request) {
  auto form = http::parse_form(request);
  if (!form) co_return show_error(context, {}, form.error());
  const auto next = local_path(form_value(*form, "next"));
  const auto name = form_value(*form, "user");
  auto cookie = co_await context.auth.sign_in(name, form_value(*form, "password"), request.remote, request.deadline);
  if (!cookie) {
    if (cookie.error().kind() != ErrorKind::unauthenticated) co_return show_error(context, {}, cookie.error());
    co_return sign_in_form(context, next, name, cookie.error().message(), 401);
  }
  auto response = http::redirect(next);
  response.headers.add("Set-Cookie", std::move(*cookie));
  co_return response;
}

Async<http::Response> sign_out(Context& context, http::Request request) {
  auto identity = co_await context.auth.identify(request);
  if (!identity || !identity->signed_in()) co_return http::redirect("/login");
  // Not admit_form(): whoever leaves is not kept waiting for the change log.
  auto form = http::parse_form(request);
  if (!form) co_return show_error(context, *identity, form.error());
  if (auto checked = context.auth.check_csrf(request, *identity, form_value(*form, "csrf")); !checked)
    co_return show_error(context, *identity, checked.error());
  auto cookie = co_await context.auth.sign_out(request);
  if (!cookie) co_return show_error(context, *identity, cookie.error());
  auto response = http::redirect("/login");
  response.headers.add("Set-Cookie", std::move(*cookie));
  co_return response;
}

}  // namespace

void add_sign_in_routes(http::Router& router, Context& context) {
  router.add("GET", "/login", [&context](http::Request request) { return form(context, std::move(request)); });
  router.add("POST", "/login", [&context](http::Request request) { return sign_in(context, std::move(request)); });
  router.add("POST", "/logout", [&context](http::Request request) { return sign_out(context, std::move(request)); });
}

}  // namespace afloat::server
