#include <fmt/core.h>

#include <boost/json.hpp>

#include "adapters/http/router.h"
#include "base/text.h"
#include "server/concurrently.h"
#include "server/pages/common.h"
#include "server/pages/tree.h"
#include "store/page_tree.h"
#include "store/space_store.h"

namespace afloat::server {
namespace {

constexpr int recent_shown = 15;
constexpr int spaces_shown = 100;

boost::json::array entries(const std::vector<store::PageSummary>& pages) {
  boost::json::array out;
  for (const auto& page : pages) out.push_back(list_entry(page));
  return out;
}

Async<http::Response> home(Context& context, http::Request request) {
  // The lists are read with each request: they change with every save, so a cache would hardly ever hold.
  auto visitor = co_await admit_visitor(context, request);
  if (!visitor) co_return std::move(visitor.error());
  auto [recent, spaces] = co_await both(store::list_recent(context.database, "", 0, recent_shown, request.deadline),
                                        store::list_spaces(context.database, 0, spaces_shown, request.deadline));
  if (!recent) co_return show_error(context, *visitor, recent.error());
  if (!spaces) co_return show_error(context, *visitor, spaces.error());
  auto data = frame(context, *visitor, "Home");
  boost::json::array list;
  for (const auto& space : *spaces)
    list.push_back(boost::json::object{{"url", space_url(space.key)}, {"name", space.name}, {"key", space.key}});
  data["any_spaces"] = !list.empty();
  data["spaces"] = std::move(list);
  data["any_recent"] = !recent->empty();
  data["recent"] = entries(*recent);
  co_return show(context, "home", data);
}

Async<http::Response> space_home(Context& context, http::Request request) {
  auto visitor = co_await admit_visitor(context, request);
  if (!visitor) co_return std::move(visitor.error());
  auto [space, recent] =
      co_await both(store::read_space(context.database, request.capture("key"), request.deadline),
                    store::list_recent(context.database, request.capture("key"), 0, recent_shown, request.deadline));
  if (!space) co_return show_error(context, *visitor, space.error());
  if (!recent) co_return show_error(context, *visitor, recent.error());
  auto data = frame(context, *visitor, space->name);
  in_space(data, space->key, space->name);
  data["name"] = space->name;
  data["description"] = space->description;
  data["has_description"] = !space->description.empty();
  data["new_url"] = new_page_url(space->key, space->homepage_id);
  data["recent"] = entries(*recent);
  auto head = co_await space_head(context, space->key, request.deadline);
  if (!head) co_return show_error(context, *visitor, head.error());
  auto top = co_await read_branch(context, space->key, head->home.id, 0, request.deadline);
  if (!top) co_return show_error(context, *visitor, top.error());
  auto tree = co_await tree_html(context, space->key, head->home, {}, false, request.deadline);
  if (!tree) co_return show_error(context, *visitor, tree.error());
  data["any_pages"] = !top->entries.empty();
  data["has_home"] = head->home.id != 0;
  data["home_edit_url"] = page_url(head->home.id) + "/edit";
  data["home_title"] = head->home.title;
  data["tree_html"] = *tree;
  co_return show(context, "space", data);
}

Async<http::Response> make_space(Context& context, http::Request request) {
  auto visitor = co_await admit_visitor(context, request);
  if (!visitor) co_return std::move(visitor.error());
  auto form = http::parse_form(request);
  if (!form) co_return show_error(context, *visitor, form.error());
  if (auto genuine = context.auth.check_csrf(request, *visitor, form_value(*form, "csrf")); !genuine)
    co_return show_error(context, *visitor, genuine.error());
  store::NewSpace space;
  space.key = trim(form_value(*form, "key"));
  space.name = trim(form_value(*form, "name"));
  space.homepage_body = "<p>This is the home page of " + escape_html(space.name) + ".</p>";
  space.author = visitor->user_id;
  const auto deadline = request.deadline;
  auto made = co_await with_gates<store::Space>(
      context, deadline, [&](Gates gates) { return store::create_space(context.database, gates, space, deadline); });
  if (!made) co_return show_error(context, *visitor, made.error());
  co_return http::redirect(space_url(made->key));
}

}  // namespace

void add_home_routes(http::Router& router, Context& context) {
  router.add("GET", "/", [&context](http::Request request) { return home(context, std::move(request)); });
  router.add("POST", "/spaces", [&context](http::Request request) { return make_space(context, std::move(request)); });
  router.add("GET", "/spaces/{key}",
             [&context](http::Request request) { return space_home(context, std::move(request)); });
}

}  // namespace afloat::server
