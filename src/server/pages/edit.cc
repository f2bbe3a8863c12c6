#include <fmt/core.h>

#include <algorithm>
#include <boost/json.hpp>

#include "adapters/http/router.h"
#include "base/text.h"
#include "server/concurrently.h"
#include "server/pages/article.h"
#include "server/pages/common.h"
#include "server/pages/diff_html.h"
#include "server/pages/drafts.h"
#include "server/templates.h"
#include "store/page_store.h"
#include "store/space_store.h"
#include "wiki/storage_xml.h"

namespace afloat::server {
namespace {

namespace json = boost::json;

constexpr int drafts_offered = 10;

/// What is being written, and where: an existing page, or a new one in a space.
struct Target {
  std::optional<store::Page> page;
  std::string space_key, space_name;
  std::optional<std::int64_t> parent;  ///< of a new page

  store::DraftPlace draft_of(const Identity& author) const {
    store::DraftPlace place;
    place.author = author.user_id;
    if (page) {
      place.page_id = page->id;
    } else {
      place.space_key = space_key;
      place.parent_id = parent;
    }
    return place;
  }
  std::string form_url() const { return page ? page_url(page->id) + "/edit" : space_url(space_key) + "/new"; }
  std::string preview_url() const { return page ? page_url(page->id) + "/preview" : space_url(space_key) + "/preview"; }
};

/// What the form shows and sends back. Whatever goes wrong, `title` and `body` return to the writer.
struct Writing {
  std::string title, body, message;
  int version = 0;  ///< that the writer started from; 0 for a new page
  std::string error;
  std::string form = new_form_word();      ///< its draft is kept under this word
  std::vector<store::DraftSummary> found;  ///< kept earlier and not in the form: offered
  std::optional<std::string> preview;      ///< HTML
  std::optional<DiffView> theirs_changes;  ///< what others saved meanwhile, against what the writer started from
};

http::Response show_form(const Context& context, const Identity& visitor, const Target& target,
                         const Writing& writing) {
  const bool exists = target.page.has_value();
  const bool conflict = writing.theirs_changes.has_value();
  auto data = frame(context, visitor, exists ? "Edit " + target.page->title : "New page");
  in_space(data, target.space_key, target.space_name);
  data["heading"] = exists ? "Edit" : "New page";
  data["has_page"] = exists;
  data["url"] = exists          ? page_url(target.page->id)
                : target.parent ? page_url(*target.parent)
                                : space_url(target.space_key);
  data["shown_title"] = exists ? target.page->title : "";
  data["action"] = target.form_url();
  data["preview_url"] = target.preview_url();
  data["version"] = conflict ? target.page->version : writing.version;
  data["parent"] = target.parent ? std::to_string(*target.parent) : "";
  data["page_title"] = writing.title;
  data["body"] = writing.body;
  data["message"] = writing.message;
  data["has_error"] = !writing.error.empty();
  data["error"] = writing.error;
  data["conflict"] = conflict;
  data["theirs"] = conflict ? target.page->body : "";
  data["theirs_author"] = conflict ? shown_name(target.page->updated_by) : "";
  data["theirs_version"] = conflict ? target.page->version : 0;
  data["theirs_html"] = conflict ? writing.theirs_changes->html : "";
  data["theirs_summary"] = conflict ? writing.theirs_changes->summary : "";
  data["has_preview"] = writing.preview.has_value();
  data["preview_html"] = writing.preview.value_or("");
  data["save_label"] = conflict ? fmt::format("Save as version {}", target.page->version + 1)
                       : exists ? "Save"
                                : "Create";
  data["drafts_url"] = drafts_url(target.draft_of(visitor));
  data["form"] = writing.form;
  data["writing_script"] = context.templates.asset_url("writing.js");
  data["draft_user"] = visitor.user_name;
  json::array found;
  for (const auto& draft : writing.found) {
    found.push_back(json::object{{"form", draft.form},
                                 {"title", shown_title(draft)},
                                 {"time", shown_time(draft.updated_at_ms)},
                                 {"time_iso", iso_time(draft.updated_at_ms)},
                                 {"outrun", exists && draft.base_version < target.page->version},
                                 {"url", draft_url(target.draft_of(visitor), draft.form)},
                                 {"continue_url", continue_url(target.draft_of(visitor), draft.form)}});
  }
  data["found"] = std::move(found);
  return show(context, "edit", data, conflict ? 409 : writing.error.empty() ? 200 : 400);
}

/// True for faults that the writer can mend in the form.
bool for_the_form(const Error& error) {
  return error.kind() == ErrorKind::invalid_argument || error.kind() == ErrorKind::resource_exhausted;
}

class PageEditing {
 public:
  explicit PageEditing(Context& context) : context_(context) {}
  Async<http::Response> form(http::Request request);
  Async<http::Response> save(http::Request request);
  Async<http::Response> preview(http::Request request);

 private:
  Task<Target> read_target(http::Request request, std::string parent);
  Writing read_writing(const http::Request& request, const Identity& visitor, const FormFields& form) const;
  Async<http::Response> save_page(Identity visitor, Target target, Writing writing, Deadline deadline);
  Async<http::Response> outrun(Identity visitor, Target target, Writing writing, Deadline deadline);
  Context& context_;
};

/// The page of {id}, or the space of {key}.
Task<Target> PageEditing::read_target(http::Request request, std::string parent) {
  Target target;
  if (const auto key = request.capture("key"); !key.empty()) {
    auto space = co_await store::read_space(context_.database, key, request.deadline);
    if (!space) co_return std::unexpected(space.error());
    target.space_key = space->key;
    target.space_name = space->name;
    target.parent = parse_int(parent);
    co_return target;
  }
  auto id = page_id(request);
  if (!id) co_return std::unexpected(id.error());
  const auto use = context_.gates.use();
  auto page = co_await store::read_page(context_.database, use.gates(), *id, request.deadline);
  if (!page) co_return std::unexpected(page.error());
  if (page->status != "current")
    co_return fail(ErrorKind::not_found, fmt::format("The page \"{}\" is in the trash.", page->title));
  target.space_key = page->space_key;
  target.space_name = page->space_name;
  target.page = std::move(*page);
  co_return target;
}

Writing PageEditing::read_writing(const http::Request& request, const Identity& visitor, const FormFields& form) const {
  Writing writing;
  writing.title = std::string(trim(form_value(form, "title")));
  // Browsers send CR LF in text areas; what was not edited must come back as it was.
  writing.body = replace_all(form_value(form, "body"), "\r\n", "\n");
  writing.message = std::string(trim(form_value(form, "message")));
  writing.version = static_cast<int>(parse_int(form_value(form, "version")).value_or(0));
  if (auto word = form_value(form, "form"); !word.empty() && is_form_word(word)) writing.form = std::move(word);
  if (auto genuine = context_.auth.check_csrf(request, visitor, form_value(form, "csrf")); !genuine)
    writing.error = "You have signed in anew since this form was opened. Look it over and save again.";
  else if (writing.title.empty())
    writing.error = "The page needs a title.";
  else if (auto sound = wiki::check_storage(writing.body); !sound)
    writing.error = sound.error().message();
  return writing;
}

Async<http::Response> PageEditing::form(http::Request request) {
  auto visitor = co_await admit_visitor(context_, request);
  if (!visitor) co_return std::move(visitor.error());
  auto target = co_await read_target(request, request.query_or("parent", ""));
  if (!target) co_return show_error(context_, *visitor, target.error());
  Writing writing;
  if (target->page) {
    writing.title = target->page->title;
    writing.body = target->page->body;
    writing.version = target->page->version;
    if (const auto number = parse_int(request.query_or("version", ""))) {
      const auto use = context_.gates.use();
      auto old = co_await store::read_version(context_.database, use.gates(), target->page->id,
                                              static_cast<int>(std::clamp<std::int64_t>(*number, 0, 1'000'000'000)),
                                              request.deadline);
      if (!old) co_return show_error(context_, *visitor, old.error());
      writing.title = std::move(old->title);
      writing.body = std::move(old->body);
      writing.message = fmt::format("Back to version {}", old->number);
    }
  } else {
    writing.title = request.query_or("title", "");
    writing.body = "<p></p>";
    if (!writing.title.empty()) {
      // The link that led here may be older than the page.
      const auto use = context_.gates.use();
      auto there = co_await store::read_page_by_title(context_.database, use.gates(), target->space_key, writing.title,
                                                      request.deadline);
      if (there) co_return http::redirect(page_url(there->id));
    }
  }
  // Where drafts can't be read, the page can be edited all the same.
  const auto place = target->draft_of(*visitor);
  if (const auto word = request.query_value("draft"); word && is_form_word(*word)) {
    auto draft = co_await store::read_draft(context_.database, place, *word, request.deadline);
    if (draft && *draft) {
      writing.title = (*draft)->title;
      writing.body = (*draft)->body;
      writing.message = (*draft)->message;
      writing.version = (*draft)->base_version;
    }
    writing.form = *word;
  }
  auto found = co_await store::list_drafts(context_.database, place, drafts_offered, request.deadline);
  if (found) {
    std::erase_if(*found, [&](const store::DraftSummary& draft) { return draft.form == writing.form; });
    writing.found = std::move(*found);
  }
  co_return show_form(context_, *visitor, *target, writing);
}

Async<http::Response> PageEditing::preview(http::Request request) {
  auto visitor = co_await admit_visitor(context_, request);
  if (!visitor) co_return std::move(visitor.error());
  auto form = http::parse_form(request);
  if (!form) co_return show_error(context_, *visitor, form.error());
  auto target = co_await read_target(request, form_value(*form, "parent"));
  if (!target) co_return show_error(context_, *visitor, target.error());
  auto writing = read_writing(request, *visitor, *form);
  const bool fragment = request.query_value("fragment").has_value();
  if (writing.error.empty() || writing.title.empty()) {
    auto shown = co_await render_body(context_, target->page ? std::optional(target->page->id) : std::nullopt,
                                      target->space_key, writing.body, request.deadline);
    if (!shown) co_return show_error(context_, *visitor, shown.error());
    if (shown->rendered) {
      writing.preview = shown->rendered->html;
      writing.error.clear();
    } else {
      writing.error = shown->rendered.error().message();
    }
  }
  if (!fragment) co_return show_form(context_, *visitor, *target, writing);
  co_return writing.preview ? show_piece(std::move(*writing.preview)) : http::text_response(400, writing.error);
}

Async<http::Response> PageEditing::save(http::Request request) {
  auto visitor = co_await admit_visitor(context_, request);
  if (!visitor) co_return std::move(visitor.error());
  auto form = http::parse_form(request);
  if (!form) co_return show_error(context_, *visitor, form.error());
  auto target = co_await read_target(request, form_value(*form, "parent"));
  if (!target) co_return show_error(context_, *visitor, target.error());
  auto writing = read_writing(request, *visitor, *form);
  if (!writing.error.empty()) co_return show_form(context_, *visitor, *target, writing);
  co_return co_await save_page(std::move(*visitor), std::move(*target), std::move(writing), request.deadline);
}

Async<http::Response> PageEditing::save_page(Identity visitor, Target target, Writing writing, Deadline deadline) {
  Result<store::SavedPage> saved = fail(ErrorKind::internal, "not saved");
  if (target.page) {
    store::SavePage command{target.page->id, writing.version, writing.title, writing.body,
                            writing.message, visitor.user_id, std::nullopt};
    saved = co_await with_gates<store::SavedPage>(
        context_, deadline, [&](Gates gates) { return store::save_page(context_.database, gates, command, deadline); });
  } else {
    store::NewPage command{std::nullopt, target.space_key, target.parent,  writing.title,
                           writing.body, writing.message,  visitor.user_id};
    saved = co_await with_gates<store::SavedPage>(context_, deadline, [&](Gates gates) {
      return store::create_page(context_.database, gates, command, deadline);
    });
  }
  if (saved) {
    co_await forget_draft(context_, target.draft_of(visitor), writing.form, deadline);
    co_return http::redirect(page_url(saved->id));
  }
  if (target.page && saved.error().kind() == ErrorKind::conflict && saved.error().code().empty())
    co_return co_await outrun(std::move(visitor), std::move(target), std::move(writing), deadline);
  if (!for_the_form(saved.error())) co_return show_error(context_, visitor, saved.error());
  writing.error = saved.error().message();
  co_return show_form(context_, visitor, target, writing);
}

/// Someone else was quicker: the form comes back with what they changed beside it.
Async<http::Response> PageEditing::outrun(Identity visitor, Target target, Writing writing, Deadline deadline) {
  const auto use = context_.gates.use();
  auto [now, base] =
      co_await both(store::read_page(context_.database, use.gates(), target.page->id, deadline),
                    store::read_version(context_.database, use.gates(), target.page->id, writing.version, deadline));
  if (!now) co_return show_error(context_, visitor, now.error());
  target.page = std::move(*now);
  const auto& page = *target.page;
  auto changes = co_await diff_view(context_, base ? base->body : std::string(), page.body,
                                    fmt::format("Version {}, which you started from", writing.version),
                                    fmt::format("Version {}, as it is now", page.version));
  if (!changes) co_return show_error(context_, visitor, changes.error());
  writing.theirs_changes = std::move(*changes);
  if (base && base->title != page.title)
    writing.theirs_changes->summary += fmt::format(" The title is \"{}\" now.", page.title);
  writing.error = fmt::format(
      "{} saved version {} while you were writing. Nothing is lost: yours is in the form, and below it is what they "
      "changed. Bring into yours what you want of it and save again.",
      shown_name(page.updated_by), page.version);
  co_return show_form(context_, visitor, target, writing);
}

}  // namespace

void add_edit_routes(http::Router& router, Context& context) {
  auto editing = std::make_shared<PageEditing>(context);
  for (const std::string form : {"/pages/{id}/edit", "/spaces/{key}/new"}) {
    router.add("GET", form, [editing](http::Request request) { return editing->form(std::move(request)); });
    router.add("POST", form, [editing](http::Request request) { return editing->save(std::move(request)); });
  }
  for (const std::string preview : {"/pages/{id}/preview", "/spaces/{key}/preview"})
    router.add("POST", preview, [editing](http::Request request) { return editing->preview(std::move(request)); });
}

}  // namespace afloat::server
