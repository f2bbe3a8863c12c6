#include <fmt/core.h>

#include <boost/json.hpp>

#include "adapters/http/router.h"
#include "base/text.h"
#include "server/concurrently.h"
#include "server/pages/common.h"
#include "server/pages/drafts.h"
#include "server/pages/tree.h"
#include "store/draft_store.h"
#include "store/page_tree.h"
#include "store/space_store.h"

namespace afloat::server {
namespace {

constexpr int recent_shown = 15;
constexpr int spaces_shown = 100;
constexpr int drafts_shown = 10;

boost::json::array entries(const std::vector<store::PageSummary>& pages) {
  boost::json::array out;
  for (const auto& page : pages) out.push_back(list_entry(page));
  return out;
}

/// A space that somebody wishes, and why there is none yet.
struct SpaceWish {
  std::string key, name, error;
};

boost::json::array entries(const std::vector<store::DraftSummary>& drafts) {
  boost::json::array out;
  for (const auto& draft : drafts) {
    out.push_back(boost::json::object{{"url", continue_url(draft.place, draft.form)},
                                      {"title", shown_title(draft)},
                                      {"is_new", !draft.place.page_id},
                                      {"space_name", draft.space_name},
                                      {"time", shown_time(draft.updated_at_ms)},
                                      {"time_iso", iso_time(draft.updated_at_ms)}});
  }
  return out;
}

/// What everybody sees.
struct SiteLists {
  std::vector<store::PageSummary> recent;
  std::vector<store::Space> spaces;
};

Task<SiteLists> read_site_lists(Context& context, Deadline deadline) {
  auto [recent, spaces] = co_await both(store::list_recent(context.database, "", 0, recent_shown, deadline),
                                        store::list_spaces(context.database, 0, spaces_shown, deadline));
  if (!recent) co_return std::unexpected(recent.error());
  if (!spaces) co_return std::unexpected(spaces.error());
  co_return SiteLists{std::move(*recent), std::move(*spaces)};
}

Async<http::Response> show_home(Context& context, Identity visitor, SpaceWish wish, Deadline deadline) {
  // The lists are read with each request: they change with every save, so a cache would hardly ever hold.
  auto [lists, drafts] = co_await both(read_site_lists(context, deadline),
                                       store::list_drafts(context.database, visitor.user_id, drafts_shown, deadline));
  if (!lists) co_return show_error(context, visitor, lists.error());
  auto data = frame(context, visitor, "Home");
  boost::json::array list;
  for (const auto& space : lists->spaces)
    list.push_back(boost::json::object{{"url", space_url(space.key)}, {"name", space.name}, {"key", space.key}});
  data["any_spaces"] = !list.empty();
  data["spaces"] = std::move(list);
  data["any_recent"] = !lists->recent.empty();
  data["recent"] = entries(lists->recent);
  // Where drafts can't be read, the page shows what else there is.
  data["any_drafts"] = drafts && !drafts->empty();
  data["drafts"] = drafts ? entries(*drafts) : boost::json::array();
  data["open"] = lists->spaces.empty() || !wish.error.empty();
  data["has_error"] = !wish.error.empty();
  data["error"] = wish.error;
  data["wished_name"] = wish.name;
  data["wished_key"] = wish.key;
  co_return show(context, "home", data, wish.error.empty() ? 200 : 400);
}

Async<http::Response> home(Context& context, http::Request request) {
  auto visitor = co_await admit_visitor(context, request);
  if (!visitor) co_return std::move(visitor.error());
  co_return co_await show_home(context, std::move(*visitor), {}, request.deadline);
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
  auto sent = co_await admit_form(context, request);
  if (!sent) co_return std::move(sent.error());
  store::NewSpace space;
  space.key = trim(form_value(sent->form, "key"));
  space.name = trim(form_value(sent->form, "name"));
  space.homepage_body = "<p>This is the home page of " + escape_html(space.name) + ".</p>";
  space.author = sent->visitor.user_id;
  const auto deadline = request.deadline;
  auto made = co_await with_gates<store::Space>(
      context, deadline, [&](Gates gates) { return store::create_space(context.database, gates, space, deadline); });
  if (made) co_return http::redirect(space_url(made->key));
  if (made.error().kind() != ErrorKind::invalid_argument) co_return show_error(context, sent->visitor, made.error());
  co_return co_await show_home(context, std::move(sent->visitor), {space.key, space.name, made.error().message()},
                               deadline);
}

}  // namespace

void add_home_routes(http::Router& router, Context& context) {
  router.add("GET", "/", [&context](http::Request request) { return home(context, std::move(request)); });
  router.add("POST", "/spaces", [&context](http::Request request) { return make_space(context, std::move(request)); });
  router.add("GET", "/spaces/{key}",
             [&context](http::Request request) { return space_home(context, std::move(request)); });
}

}  // namespace afloat::server
