#include "server/pages/common.h"

#include <fmt/core.h>

#include <boost/json.hpp>

#include "base/text.h"
#include "server/assets.h"
#include "server/concurrently.h"
#include "server/pages/pages.h"
#include "server/setup.h"
#include "server/templates.h"

namespace afloat::server {
namespace {

http::Response with_page_headers(http::Response response) {
  // Scripts of this site's assets alone, nothing inline: an injected one would not run. Pages work without any.
  response.headers.set("Content-Security-Policy",
                       "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; "
                       "img-src 'self' https: http:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
  response.headers.set("X-Content-Type-Options", "nosniff");
  response.headers.set("Referrer-Policy", "same-origin");
  response.headers.set("Cache-Control", "private, no-cache");
  return response;
}

Async<http::Response> to_sign_in(Context& context, const http::Request& request) {
  if (request.method == "GET" || request.method == "HEAD") {
    const auto set_up = co_await is_set_up(context, request.deadline);
    if (set_up && !*set_up) co_return http::redirect("/setup");
    co_return http::redirect("/login?next=" + url_encode(request.target));
  }
  co_return show_error(context, {},
                       Error(ErrorKind::unauthenticated,
                             "You are not signed in, or your session has ended. Sign in in another tab, then go back "
                             "in this one and send the form again; your browser keeps what you wrote."));
}

std::string_view heading_of(int status) {
  switch (status) {
    case 400:
      return "That did not work";
    case 401:
      return "Please sign in";
    case 403:
      return "Not allowed";
    case 404:
      return "Not found";
    case 409:
      return "Something changed meanwhile";
    case 413:
      return "Too large";
    default:
      return "Something went wrong";
  }
}

}  // namespace

Async<std::expected<Identity, http::Response>> admit_visitor(Context& context, const http::Request& request) {
  auto [identity, fresh] = co_await both(context.auth.identify(request), context.changes.fresh(request.deadline));
  if (!identity) {
    if (identity.error().kind() == ErrorKind::unauthenticated)
      co_return std::unexpected(co_await to_sign_in(context, request));
    co_return std::unexpected(show_error(context, {}, identity.error()));
  }
  if (!identity->signed_in()) co_return std::unexpected(co_await to_sign_in(context, request));
  if (!fresh) co_return std::unexpected(show_error(context, *identity, fresh.error()));
  co_return std::move(*identity);
}

Async<std::expected<Identity, http::Response>> admit_sender(Context& context, const http::Request& request,
                                                            std::string_view token) {
  auto visitor = co_await admit_visitor(context, request);
  if (!visitor) co_return visitor;
  if (auto genuine = context.auth.check_csrf(request, *visitor, token); !genuine)
    co_return std::unexpected(show_error(
        context, *visitor,
        Error(ErrorKind::permission_denied,
              "You have signed in anew since this page was opened, so nothing was changed. Go back, load the page "
              "again and repeat it.")));
  co_return visitor;
}

Async<std::expected<Sent, http::Response>> admit_form(Context& context, const http::Request& request) {
  auto form = http::parse_form(request);
  auto visitor =
      co_await (form ? admit_sender(context, request, form_value(*form, "csrf")) : admit_visitor(context, request));
  if (!visitor) co_return std::unexpected(std::move(visitor.error()));
  if (!form) co_return std::unexpected(show_error(context, *visitor, form.error()));
  co_return Sent{std::move(*visitor), std::move(*form)};
}

namespace {

/// What everybody is told before an upgrade with downtime; "" when there is none.
std::string maintenance_notice(const Context& context) {
  if (context.away_from_ms == 0) return {};
  if (context.away_from_ms <= context.clock.unix_ms())
    return "Maintenance begins: this wiki will be away for a short time. Save what you write now.";
  return fmt::format("Maintenance at {}: this wiki will be away for a short time. Save what you write before then.",
                     shown_time(context.away_from_ms));
}

}  // namespace

boost::json::object frame(const Context& context, const Identity& identity, std::string_view title) {
  return {{"title", title},
          {"site_name", context.config.site_name},
          {"signed_in", identity.signed_in()},
          {"has_console", identity.administrator && context.has_console},
          {"user_name", identity.full_name.empty() ? identity.user_name : identity.full_name},
          {"csrf", identity.csrf},
          {"query", ""},
          {"has_space", false},
          {"notice", maintenance_notice(context)},
          {"has_notice", context.away_from_ms != 0},
          {"node_footer", fmt::format("(Afloat {}, node: {})", context.node.version, context.node.name)}};
}

void in_space(boost::json::object& data, std::string_view key, std::string_view name) {
  data["has_space"] = true;
  data["space_key"] = key;
  data["space_name"] = name;
}

http::Response show(const Context& context, std::string_view name, const boost::json::object& data, int status) {
  auto page = context.templates.render_page(name, data);
  if (!page) return http::error_response(page.error());
  return with_page_headers(http::html_response(status, std::move(*page)));
}

http::Response show_html(const Context& context, std::string_view html, boost::json::object data) {
  auto page = context.templates.wrap(html, std::move(data));
  if (!page) return http::error_response(page.error());
  return with_page_headers(http::html_response(200, std::move(*page)));
}

http::Response show_piece(std::string html) {
  auto response = http::html_response(200, std::move(html));
  response.headers.set("Content-Security-Policy", "default-src 'none'; sandbox");
  response.headers.set("X-Content-Type-Options", "nosniff");
  response.headers.set("Cache-Control", "private, no-cache");
  return response;
}

http::Response show_error(const Context& context, const Identity& identity, const Error& error) {
  auto plain = http::error_response(error);
  if (plain.drop_connection || plain.status >= 500) return plain;
  auto data = frame(context, identity, heading_of(plain.status));
  data["heading"] = heading_of(plain.status);
  data["message"] = error.message();
  data["signed_out"] = plain.status == 401;
  return show(context, "error", data, plain.status);
}

std::string page_url(std::int64_t id) { return fmt::format("/pages/{}", id); }
std::string space_url(std::string_view key) { return "/spaces/" + url_encode(key); }
std::string new_page_url(std::string_view space_key, std::optional<std::int64_t> parent, std::string_view title) {
  std::string url = space_url(space_key) + "/new";
  if (parent) url += fmt::format("?parent={}", *parent);
  if (!title.empty()) url += (parent ? "&title=" : "?title=") + url_encode(title);
  return url;
}
std::string attachment_url(std::int64_t page_id, std::string_view file_name) {
  return fmt::format("/download/attachments/{}/{}", page_id, url_encode(file_name));
}

std::string shown_time(std::int64_t unix_ms) {
  auto text = iso_time(unix_ms);
  return text.substr(0, 10) + " " + text.substr(11, 5) + " UTC";
}
std::string shown_name(const store::UserName& user) {
  if (!user.full_name.empty()) return user.full_name;
  return user.name.empty() ? "someone" : user.name;
}
boost::json::object list_entry(const store::PageSummary& page) {
  return {{"url", page_url(page.id)},
          {"title", page.title},
          {"space_name", page.space_name},
          {"author", shown_name(page.updated_by)},
          {"time", shown_time(page.updated_at_ms)},
          {"time_iso", iso_time(page.updated_at_ms)}};
}

Result<std::int64_t> page_id(const http::Request& request) {
  const auto text = request.capture("id");
  if (auto id = parse_int(text); id && *id > 0) return *id;
  return fail(ErrorKind::not_found, fmt::format("There is no page {}.", text));
}

std::string form_value(const FormFields& form, std::string_view name) {
  for (const auto& [key, value] : form)
    if (key == name) return value;
  return {};
}

std::string local_path(std::string_view next) {
  const bool local = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\');
  for (unsigned char c : next)
    if (c < 0x20) return "/";
  return local && !next.starts_with("/login") ? std::string(next) : "/";
}

void add_page_routes(http::Router& router, Context& context) {
  add_home_routes(router, context);
  add_view_routes(router, context);
  add_tree_routes(router, context);
  add_hang_routes(router, context);
  add_history_routes(router, context);
  add_draft_routes(router, context);
  add_edit_routes(router, context);
  add_sign_in_routes(router, context);
  add_search_pages(router, context);
  add_own_account_pages(router, context);
  add_setup_routes(router, context);
  add_organise_routes(router, context);
}

namespace {
Async<http::Response> serve_asset(Assets& assets, http::Request request) {
  co_return assets.serve(request.capture("file"), request.headers.get("Accept-Encoding"));
}
}  // namespace

void add_asset_routes(http::Router& router, Assets& assets) {
  router.add("GET", "/assets/{file}",
             [&assets](http::Request request) { return serve_asset(assets, std::move(request)); });
}

}  // namespace afloat::server
