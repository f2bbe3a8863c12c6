#pragma once
#include <boost/json/fwd.hpp>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "adapters/http/message.h"
#include "server/auth.h"
#include "server/context.h"
#include "store/page_store.h"

/// What every page of the site shares: who is looking, the frame around the page, errors as pages.
namespace afloat::server {

/// The fields of a form, as http::parse_form() gives them.
using FormFields = std::vector<std::pair<std::string, std::string>>;

/// The signed-in visitor, or the response to give instead (303 to /login, an error page). Also waits for
/// the change log, so whatever is in context.cache afterwards may be shown.
Async<std::expected<Identity, http::Response>> admit_visitor(Context& context, const http::Request& request);

/// As admit_visitor, for a form that was sent; `token` is its field csrf. A form of an ended session changes nothing.
Async<std::expected<Identity, http::Response>> admit_sender(Context& context, const http::Request& request,
                                                            std::string_view token);
/// A form that was sent, and by whom.
struct Sent {
  Identity visitor;
  FormFields form;
};
/// admit_sender with the form's own token. A form that can't be read is answered with an error page.
Async<std::expected<Sent, http::Response>> admit_form(Context& context, const http::Request& request);

/// What layout.mustache needs. Add `space_key` and `space_name` with in_space().
boost::json::object frame(const Context& context, const Identity& identity, std::string_view title);
void in_space(boost::json::object& data, std::string_view key, std::string_view name);
/// A whole page from a template inside the layout.
http::Response show(const Context& context, std::string_view name, const boost::json::object& data, int status = 200);
/// Ready HTML inside the layout.
http::Response show_html(const Context& context, std::string_view html, boost::json::object data);
/// A piece of a page for its script; opened by itself, it can do nothing.
http::Response show_piece(std::string html);
/// An error as a page; deadline_exceeded and unavailable as http::error_response gives them.
http::Response show_error(const Context& context, const Identity& identity, const Error& error);

std::string page_url(std::int64_t id);
std::string space_url(std::string_view key);
std::string new_page_url(std::string_view space_key, std::optional<std::int64_t> parent, std::string_view title = {});
std::string attachment_url(std::int64_t page_id, std::string_view file_name);
/// "2026-11-23 23:47 UTC".
std::string shown_time(std::int64_t unix_ms);
std::string shown_name(const store::UserName& user);
/// {"url","title","space_name","author","time","time_iso"}
boost::json::object list_entry(const store::PageSummary& page);
/// The captured {id}; not_found when it is no number.
Result<std::int64_t> page_id(const http::Request& request);
/// `form` field or "".
std::string form_value(const FormFields& form, std::string_view name);
/// A path on this site that a visitor may be sent to after signing in; "/" for anything else.
std::string local_path(std::string_view next);

}  // namespace afloat::server

namespace afloat::http {
class Router;
}
namespace afloat::server {

void add_view_routes(http::Router& router, Context& context);
void add_tree_routes(http::Router& router, Context& context);
void add_hang_routes(http::Router& router, Context& context);
void add_history_routes(http::Router& router, Context& context);
void add_draft_routes(http::Router& router, Context& context);
void add_edit_routes(http::Router& router, Context& context);
void add_sign_in_routes(http::Router& router, Context& context);
void add_home_routes(http::Router& router, Context& context);
void add_search_pages(http::Router& router, Context& context);
void add_own_account_pages(http::Router& router, Context& context);
void add_setup_routes(http::Router& router, Context& context);
void add_organise_routes(http::Router& router, Context& context);

}  // namespace afloat::server
