#include <fmt/core.h>

#include <boost/json.hpp>

#include "adapters/http/router.h"
#include "base/text.h"
#include "server/pages/common.h"
#include "store/page_store.h"
#include "store/space_store.h"
#include "wiki/storage_xml.h"

namespace afloat::server {
namespace {

/// What the form shows and sends back. Whatever goes wrong, `title` and `body` return to the writer.
struct Draft {
  std::string title, body, message;
  int version = 0;  ///< that the writer started from; 0 for a new page
  std::optional<std::int64_t> parent;
  std::string error;
  std::optional<store::Page> theirs;  ///< the page as it is now, when someone else was quicker
};

http::Response edit_form(const Context& context, const Identity& visitor, const store::Page& page, Draft draft) {
  auto data = frame(context, visitor, "Edit " + page.title);
  in_space(data, page.space_key, page.space_name);
  data["heading"] = "Edit";
  data["has_page"] = true;
  data["url"] = page_url(page.id);
  data["shown_title"] = page.title;
  data["action"] = page_url(page.id) + "/edit";
  data["version"] = draft.theirs ? draft.theirs->version : draft.version;
  data["parent"] = "";
  data["page_title"] = draft.title;
  data["body"] = draft.body;
  data["message"] = draft.message;
  data["has_error"] = !draft.error.empty();
  data["error"] = draft.error;
  data["conflict"] = draft.theirs.has_value();
  data["theirs"] = draft.theirs ? draft.theirs->body : "";
  data["theirs_author"] = draft.theirs ? shown_name(draft.theirs->updated_by) : "";
  data["save_label"] = draft.theirs ? "Save mine as the next version" : "Save";
  return show(context, "edit", data, draft.theirs ? 409 : draft.error.empty() ? 200 : 400);
}

http::Response new_form(const Context& context, const Identity& visitor, const store::Space& space,
                        const Draft& draft) {
  auto data = frame(context, visitor, "New page");
  in_space(data, space.key, space.name);
  data["heading"] = "New page";
  data["has_page"] = false;
  data["url"] = draft.parent ? page_url(*draft.parent) : space_url(space.key);
  data["shown_title"] = "";
  data["action"] = space_url(space.key) + "/new";
  data["version"] = 0;
  data["parent"] = draft.parent ? std::to_string(*draft.parent) : "";
  data["page_title"] = draft.title;
  data["body"] = draft.body;
  data["message"] = draft.message;
  data["has_error"] = !draft.error.empty();
  data["error"] = draft.error;
  data["conflict"] = false;
  data["theirs"] = "";
  data["theirs_author"] = "";
  data["save_label"] = "Create";
  return show(context, "edit", data, draft.error.empty() ? 200 : 400);
}

/// True for faults that the writer can mend in the form.
bool for_the_form(const Error& error) {
  return error.kind() == ErrorKind::invalid_argument || error.kind() == ErrorKind::resource_exhausted;
}

Result<Draft> read_draft(const http::Request& request, std::string& csrf) {
  auto form = http::parse_form(request);
  if (!form) return std::unexpected(form.error());
  Draft draft;
  draft.title = std::string(trim(form_value(*form, "title")));
  // Browsers send CR LF in text areas; what was not edited must come back as it was.
  draft.body = replace_all(form_value(*form, "body"), "\r\n", "\n");
  draft.message = std::string(trim(form_value(*form, "message")));
  draft.version = static_cast<int>(parse_int(form_value(*form, "version")).value_or(0));
  draft.parent = parse_int(form_value(*form, "parent"));
  csrf = form_value(*form, "csrf");
  if (draft.title.empty()) draft.error = "The page needs a title.";
  return draft;
}

class PageEditing {
 public:
  explicit PageEditing(Context& context) : context_(context) {}
  Async<http::Response> show_form(http::Request request);
  Async<http::Response> save(http::Request request);
  Async<http::Response> show_new(http::Request request);
  Async<http::Response> create(http::Request request);

 private:
  Task<store::Page> read(std::int64_t id, Deadline deadline);
  Context& context_;
};

Task<store::Page> PageEditing::read(std::int64_t id, Deadline deadline) {
  const auto use = context_.gates.use();
  auto page = co_await store::read_page(context_.database, use.gates(), id, deadline);
  if (page && page->status != "current")
    co_return fail(ErrorKind::not_found, fmt::format("The page \"{}\" is in the trash.", page->title));
  co_return page;
}

Async<http::Response> PageEditing::show_form(http::Request request) {
  auto visitor = co_await admit_visitor(context_, request);
  if (!visitor) co_return std::move(visitor.error());
  auto id = page_id(request);
  if (!id) co_return show_error(context_, *visitor, id.error());
  auto page = co_await read(*id, request.deadline);
  if (!page) co_return show_error(context_, *visitor, page.error());
  Draft draft{page->title, page->body, "", page->version, std::nullopt, "", std::nullopt};
  co_return edit_form(context_, *visitor, *page, std::move(draft));
}

Async<http::Response> PageEditing::save(http::Request request) {
  auto visitor = co_await admit_visitor(context_, request);
  if (!visitor) co_return std::move(visitor.error());
  auto id = page_id(request);
  if (!id) co_return show_error(context_, *visitor, id.error());
  std::string csrf;
  auto draft = read_draft(request, csrf);
  if (!draft) co_return show_error(context_, *visitor, draft.error());
  if (auto checked = context_.auth.check_csrf(request, *visitor, csrf); !checked)
    draft->error = "You have signed in anew since this form was opened. Look it over and save again.";
  if (auto sound = wiki::check_storage(draft->body); !sound && draft->error.empty())
    draft->error = sound.error().message();

  if (draft->error.empty()) {
    store::SavePage command{*id,         draft->version, draft->title, draft->body, draft->message, visitor->user_id,
                            std::nullopt};
    auto saved = co_await with_gates<store::SavedPage>(
        context_, request.deadline, [this, &command, deadline = request.deadline](Gates gates) {
          return store::save_page(context_.database, gates, command, deadline);
        });
    if (saved) co_return http::redirect(page_url(saved->id));
    const bool outrun = saved.error().kind() == ErrorKind::conflict && saved.error().code().empty();
    if (!outrun && !for_the_form(saved.error())) co_return show_error(context_, *visitor, saved.error());
    draft->error = saved.error().message();
    if (outrun) {
      auto current = co_await read(*id, request.deadline);
      if (!current) co_return show_error(context_, *visitor, current.error());
      draft->error = fmt::format(
          "{} saved version {} while you were writing. Nothing is lost: yours is in the first box, theirs in the "
          "second. "
          "Bring them together in the first one and save again.",
          shown_name(current->updated_by), current->version);
      draft->theirs = std::move(*current);
      const store::Page page = *draft->theirs;
      co_return edit_form(context_, *visitor, page, std::move(*draft));
    }
  }
  auto page = co_await read(*id, request.deadline);
  if (!page) co_return show_error(context_, *visitor, page.error());
  co_return edit_form(context_, *visitor, *page, std::move(*draft));
}

Async<http::Response> PageEditing::show_new(http::Request request) {
  auto visitor = co_await admit_visitor(context_, request);
  if (!visitor) co_return std::move(visitor.error());
  auto space = co_await store::read_space(context_.database, request.capture("key"), request.deadline);
  if (!space) co_return show_error(context_, *visitor, space.error());
  Draft draft;
  draft.title = request.query_or("title", "");
  draft.body = "<p></p>";
  draft.parent = parse_int(request.query_or("parent", ""));
  if (!draft.title.empty()) {
    // The link that led here may be older than the page.
    const auto use = context_.gates.use();
    auto there =
        co_await store::read_page_by_title(context_.database, use.gates(), space->key, draft.title, request.deadline);
    if (there) co_return http::redirect(page_url(there->id));
  }
  co_return new_form(context_, *visitor, *space, draft);
}

Async<http::Response> PageEditing::create(http::Request request) {
  auto visitor = co_await admit_visitor(context_, request);
  if (!visitor) co_return std::move(visitor.error());
  auto space = co_await store::read_space(context_.database, request.capture("key"), request.deadline);
  if (!space) co_return show_error(context_, *visitor, space.error());
  std::string csrf;
  auto draft = read_draft(request, csrf);
  if (!draft) co_return show_error(context_, *visitor, draft.error());
  if (auto checked = context_.auth.check_csrf(request, *visitor, csrf); !checked)
    draft->error = "You have signed in anew since this form was opened. Look it over and save again.";
  if (auto sound = wiki::check_storage(draft->body); !sound && draft->error.empty())
    draft->error = sound.error().message();
  if (!draft->error.empty()) co_return new_form(context_, *visitor, *space, *draft);

  store::NewPage command{std::nullopt, space->key,     draft->parent,   draft->title,
                         draft->body,  draft->message, visitor->user_id};
  auto created = co_await with_gates<store::SavedPage>(
      context_, request.deadline, [this, &command, deadline = request.deadline](Gates gates) {
        return store::create_page(context_.database, gates, command, deadline);
      });
  if (created) co_return http::redirect(page_url(created->id));
  if (!for_the_form(created.error())) co_return show_error(context_, *visitor, created.error());
  draft->error = created.error().message();
  co_return new_form(context_, *visitor, *space, *draft);
}

}  // namespace

void add_edit_routes(http::Router& router, Context& context) {
  auto editing = std::make_shared<PageEditing>(context);
  router.add("GET", "/pages/{id}/edit",
             [editing](http::Request request) { return editing->show_form(std::move(request)); });
  router.add("POST", "/pages/{id}/edit",
             [editing](http::Request request) { return editing->save(std::move(request)); });
  router.add("GET", "/spaces/{key}/new",
             [editing](http::Request request) { return editing->show_new(std::move(request)); });
  router.add("POST", "/spaces/{key}/new",
             [editing](http::Request request) { return editing->create(std::move(request)); });
}

}  // namespace afloat::server
