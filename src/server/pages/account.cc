#include <boost/json.hpp>

#include "adapters/http/router.h"
#include "base/hash.h"
#include "server/pages/common.h"
#include "store/user_store.h"

/// What visitors may change of their own account: the password that an administrator has given them.
namespace afloat::server {
namespace {

http::Response account_form(const Context& context, const Identity& visitor, std::string_view error, bool changed) {
  auto data = frame(context, visitor, "Your account");
  data["name"] = visitor.user_name;
  data["has_error"] = !error.empty();
  data["error"] = error;
  data["changed"] = changed;
  data["shortest_password"] = store::shortest_password;
  return show(context, "account", data, error.empty() ? 200 : 400);
}

Async<http::Response> account(Context& context, http::Request request) {
  auto visitor = co_await admit_visitor(context, request);
  if (!visitor) co_return std::move(visitor.error());
  co_return account_form(context, *visitor, "", request.query_value("changed").has_value());
}

Async<http::Response> change_password(Context& context, http::Request request) {
  auto sent = co_await admit_form(context, request);
  if (!sent) co_return std::move(sent.error());
  const auto& [visitor, form] = *sent;
  const auto password = form_value(form, "password");
  if (auto fit = store::check_password(password); !fit)
    co_return account_form(context, visitor, fit.error().message(), false);
  if (password != form_value(form, "again"))
    co_return account_form(context, visitor, "The two new passwords differ; type the same one twice.", false);
  // It counts failures as the sign-in does. The session that it makes ends below, with all others but this one.
  auto known =
      co_await context.auth.sign_in(visitor.user_name, form_value(form, "old"), request.remote, request.deadline);
  if (!known) {
    if (known.error().kind() != ErrorKind::unauthenticated) co_return show_error(context, visitor, known.error());
    co_return account_form(context, visitor,
                           "The present password is not that, or was wrong too often in the last minute. Nothing was "
                           "changed.",
                           false);
  }
  auto user = co_await store::find_user(context.database, visitor.user_name, request.deadline);
  if (!user) co_return show_error(context, visitor, user.error());
  auto hashed = co_await context.offload([&] { user->password_hash = hash_password(password); });
  if (!hashed) co_return show_error(context, visitor, hashed.error());
  const auto deadline = request.deadline;
  auto done = co_await with_gates<void>(context, deadline, [&](Gates gates) {
    return store::reset_password(context.database, gates, *user, {visitor.user_name, visitor.csrf}, deadline);
  });
  if (!done) co_return show_error(context, visitor, done.error());
  co_return http::redirect("/account?changed");
}

}  // namespace

void add_own_account_pages(http::Router& router, Context& context) {
  router.add("GET", "/account", [&context](http::Request request) { return account(context, std::move(request)); });
  router.add("POST", "/account",
             [&context](http::Request request) { return change_password(context, std::move(request)); });
}

}  // namespace afloat::server
