#include <fmt/core.h>

#include <boost/json.hpp>

#include "adapters/http/router.h"
#include "base/text.h"
#include "server/concurrently.h"
#include "server/pages/common.h"
#include "store/attachment_store.h"
#include "store/page_tree.h"

/// A page is moved, loses a file, goes to the trash, and comes back from there. The forms work without scripts.
namespace afloat::server {
namespace {

constexpr int files_shown = 200;

std::string organise_url(std::int64_t id) { return page_url(id) + "/organise"; }

/// What was typed, and what was wrong with it.
struct Wish {
  std::string below, error;
};

class Organising {
 public:
  explicit Organising(Context& context) : context_(context) {}

  Async<http::Response> show_form(http::Request request) {
    auto visitor = co_await admit_visitor(context_, request);
    if (!visitor) co_return std::move(visitor.error());
    co_return co_await form(std::move(request), std::move(*visitor), {});
  }

  Async<http::Response> act(http::Request request) {
    auto sent = co_await admit_form(context_, request);
    if (!sent) co_return std::move(sent.error());
    auto& [visitor, form] = *sent;
    auto id = page_id(request);
    if (!id) co_return show_error(context_, visitor, id.error());
    const auto deadline = request.deadline;
    const auto what = form_value(form, "do");
    Wish wish{std::string(trim(form_value(form, "below"))), {}};
    std::int64_t target = 0;
    if (what == "move" || what == "remove") {
      auto found = what == "move" ? co_await page_below(*id, wish.below, deadline)
                                  : co_await file_of(*id, form_value(form, "file"), deadline);
      if (!found) co_return co_await refused(std::move(request), std::move(visitor), std::move(wish), found.error());
      target = *found;
    } else if (what != "delete" && what != "restore") {
      co_return show_error(
          context_, visitor,
          Error(ErrorKind::invalid_argument, "The form asks for none of move, remove, delete and restore."));
    }
    auto done = co_await with_gates<void>(context_, deadline, [&](Gates gates) {
      if (what == "move")
        return store::move_page(context_.database, gates, *id, store::MovePlace::append, target, deadline);
      if (what == "remove") return store::trash_attachment(context_.database, gates, target, deadline);
      if (what == "delete") return store::trash_page(context_.database, gates, *id, visitor.user_id, deadline);
      return store::restore_page(context_.database, gates, *id, visitor.user_id, deadline);
    });
    if (!done) co_return co_await refused(std::move(request), std::move(visitor), std::move(wish), done.error());
    co_return http::redirect(what == "delete" || what == "remove" ? organise_url(*id) : page_url(*id));
  }

 private:
  /// The page of this title in the space of the page `id`.
  Task<std::int64_t> page_below(std::int64_t id, std::string title, Deadline deadline) {
    const auto use = context_.gates.use();
    auto page = co_await store::read_page(context_.database, use.gates(), id, deadline);
    if (!page) co_return std::unexpected(page.error());
    auto target = co_await store::read_page_by_title(context_.database, use.gates(), page->space_key, title, deadline);
    if (!target) co_return std::unexpected(target.error());
    co_return target->id;
  }

  Task<std::int64_t> file_of(std::int64_t id, std::string name, Deadline deadline) {
    auto file = co_await store::find_attachment(context_.database, id, name, 0, deadline);
    if (!file) co_return std::unexpected(file.error());
    co_return file->id;
  }

  Async<http::Response> refused(http::Request request, Identity visitor, Wish wish, Error error) {
    const auto kind = error.kind();
    if (kind != ErrorKind::invalid_argument && kind != ErrorKind::failed_precondition && kind != ErrorKind::not_found)
      co_return show_error(context_, visitor, error);
    wish.error = error.message();
    co_return co_await form(std::move(request), std::move(visitor), std::move(wish));
  }

  Async<http::Response> form(http::Request request, Identity visitor, Wish wish) {
    auto id = page_id(request);
    if (!id) co_return show_error(context_, visitor, id.error());
    const auto use = context_.gates.use();
    auto page = co_await store::read_page(context_.database, use.gates(), *id, request.deadline);
    if (!page) co_return show_error(context_, visitor, page.error());
    auto [children, files] =
        co_await both(store::list_children(context_.database, *id, 0, 1, request.deadline),
                      store::list_attachments(context_.database, *id, "", 0, files_shown, request.deadline));
    if (!children) co_return show_error(context_, visitor, children.error());
    if (!files) co_return show_error(context_, visitor, files.error());
    boost::json::array names;
    for (const auto& file : *files) names.push_back({{"name", file.file_name}});
    const bool trashed = page->status != "current", is_home = page->homepage_id == page->id;
    auto data = frame(context_, visitor, "Move or delete " + page->title);
    in_space(data, page->space_key, page->space_name);
    data["heading"] = trashed ? "In the trash" : "Move or delete";
    data["url"] = page_url(page->id);
    data["page_title"] = page->title;
    data["action"] = organise_url(page->id);
    data["trashed"] = trashed;
    data["is_home"] = is_home;
    data["may"] = !trashed && !is_home;
    data["has_children"] = !children->empty();
    data["has_files"] = !trashed && !names.empty();
    data["files"] = std::move(names);
    data["below"] = wish.below;
    data["has_error"] = !wish.error.empty();
    data["error"] = wish.error;
    co_return show(context_, "organise", data, wish.error.empty() ? 200 : 400);
  }

  Context& context_;
};

}  // namespace

void add_organise_routes(http::Router& router, Context& context) {
  auto organising = std::make_shared<Organising>(context);
  router.add("GET", "/pages/{id}/organise",
             [organising](http::Request request) { return organising->show_form(std::move(request)); });
  router.add("POST", "/pages/{id}/organise",
             [organising](http::Request request) { return organising->act(std::move(request)); });
}

}  // namespace afloat::server
