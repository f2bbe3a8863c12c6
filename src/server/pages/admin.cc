#include <array>
#include <boost/json.hpp>
#include <string_view>

#include "adapters/http/router.h"
#include "server/assets.h"
#include "server/pages/common.h"
#include "server/pages/pages.h"
#include "server/templates.h"

/// The administrator's console: a frame with who is asking; web/console draws what is in it.
namespace afloat::server {
namespace {

struct AdminPage {
  std::string_view path, title;
};
constexpr std::array admin_pages = {AdminPage{"/admin/upgrade", "Rolling upgrades"},
                                    AdminPage{"/admin/upgrade/plan", "Plan your upgrade"},
                                    AdminPage{"/admin/upgrade/history", "Upgrade history"},
                                    AdminPage{"/admin/upgrade/history/{id}", "Upgrade history"},
                                    AdminPage{"/admin/general", "General settings"},
                                    AdminPage{"/admin/clustering", "Clustering"},
                                    AdminPage{"/admin/troubleshooting", "Troubleshooting and support tools"},
                                    AdminPage{"/admin/audit-log", "Audit log"},
                                    AdminPage{"/admin/users", "Users and groups"}};

/// Scripts of this site's assets and calls to this site; nothing inline, nothing from elsewhere.
constexpr std::string_view console_policy =
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'";

Async<http::Response> console(Context& context, const AdminPage& page, http::Request request) {
  auto visitor = co_await admit_visitor(context, request);
  if (!visitor) co_return visitor.error();
  if (!visitor->administrator)
    co_return show_error(context, *visitor,
                         Error(ErrorKind::permission_denied,
                               "These pages are for system administrators, and your account is not one. Ask an "
                               "administrator of this wiki to do it, or to give you the right."));
  if (!context.has_console)
    co_return show_error(context, *visitor,
                         Error(ErrorKind::not_found,
                               "This build of Afloat was made without its console. `afloat upgrade` does the same on "
                               "the command line."));
  auto data = frame(context, *visitor, page.title);
  data["script"] = context.templates.asset_url("console.js");
  data["style"] = context.templates.asset_url("console.css");
  data["plots"] = context.templates.asset_url("plots.js");
  data["node"] = context.node.name;
  data["version"] = context.node.version;
  auto response = show(context, "console", data);
  response.headers.set("Content-Security-Policy", std::string(console_policy));
  response.headers.set("Cache-Control", "private, no-store");
  co_return response;
}

Async<http::Response> to_first_page() { co_return http::redirect(std::string(admin_pages.front().path)); }

}  // namespace

void add_admin_routes(http::Router& router, Context& context) {
  // The name itself comes back where no such file was published.
  context.has_console = context.templates.asset_url("console.js").starts_with('/');
  router.add("GET", "/admin", [](http::Request) { return to_first_page(); });
  for (const auto& page : admin_pages)
    router.add("GET", std::string(page.path),
               [&context, &page](http::Request request) { return console(context, page, std::move(request)); });
}

}  // namespace afloat::server
