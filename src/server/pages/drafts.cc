#include "server/pages/drafts.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>

#include "adapters/http/router.h"
#include "base/hash.h"
#include "base/json_fields.h"
#include "base/text.h"
#include "server/pages/common.h"
#include "server/rest/content_json.h"

namespace afloat::server {
namespace {

namespace json = boost::json;

constexpr std::size_t most_bytes = 5'000'000;  ///< what a page may have

/// A draft that a request is about.
struct Named {
  store::DraftPlace place;
  std::string form;
};

Result<Named> named_in(const http::Request& request, std::int64_t author) {
  Named named;
  auto& place = named.place;
  place.author = author;
  named.form = request.query_or("form", "");
  if (!is_form_word(named.form))
    return fail(ErrorKind::invalid_argument, "form, the word for an opened form, has up to 40 letters and digits.");
  if (request.capture("key").empty()) {
    auto id = page_id(request);
    if (!id) return std::unexpected(id.error());
    place.page_id = *id;
  } else {
    place.space_key = request.capture("key");
    place.parent_id = parse_int(request.query_or("parent", ""));
  }
  return named;
}

Task<http::Response> put(Context& context, http::Request request) {
  auto writer = co_await require_user_for_change(context.auth, request);
  if (!writer) co_return std::unexpected(writer.error());
  auto named = named_in(request, writer->user_id);
  if (!named) co_return std::unexpected(named.error());
  auto parsed = parse_json(request.body, "the draft");
  if (!parsed) co_return std::unexpected(parsed.error());
  const auto* fields = parsed->if_object();
  if (!fields)
    co_return fail(ErrorKind::invalid_argument, "A draft is an object {\"title\",\"body\",\"message\",\"version\"}.");
  store::Draft draft;
  draft.title = string_or(*fields, "title");
  draft.body = replace_all(string_or(*fields, "body"), "\r\n", "\n");
  draft.message = string_or(*fields, "message");
  draft.base_version = static_cast<int>(int_or(*fields, "version", 0));
  draft.form = named->form;
  if (draft.body.size() > most_bytes || draft.title.size() + draft.message.size() > 10'000)
    co_return fail(
        ErrorKind::resource_exhausted,
        fmt::format("The draft is longer than a page may be ({}), so it is not kept here.", human_bytes(most_bytes)));
  if (!is_utf8(draft.body) || !is_utf8(draft.title) || !is_utf8(draft.message))
    co_return fail(ErrorKind::invalid_argument, "The draft is not UTF-8 text.");
  const auto deadline = request.deadline;
  auto saved = co_await with_gates<std::int64_t>(context, deadline, [&](Gates gates) {
    return store::save_draft(context.database, gates, named->place, draft, deadline);
  });
  if (!saved) co_return std::unexpected(saved.error());
  co_return ok(json::object{{"savedAt", *saved}});
}

Task<http::Response> remove(Context& context, http::Request request) {
  auto writer = co_await require_user_for_change(context.auth, request);
  if (!writer) co_return std::unexpected(writer.error());
  auto named = named_in(request, writer->user_id);
  if (!named) co_return std::unexpected(named.error());
  const auto deadline = request.deadline;
  auto done = co_await with_gates<void>(context, deadline, [&](Gates gates) {
    return store::remove_draft(context.database, gates, named->place, named->form, deadline);
  });
  if (!done) co_return std::unexpected(done.error());
  co_return no_content();
}

Async<http::Response> discard(Context& context, http::Request request) {
  auto sent = co_await admit_form(context, request);
  if (!sent) co_return std::move(sent.error());
  auto named = named_in(request, sent->visitor.user_id);
  if (!named) co_return show_error(context, sent->visitor, named.error());
  const auto& place = named->place;
  co_await forget_draft(context, place, named->form, request.deadline);
  co_return http::redirect(place.page_id ? page_url(*place.page_id) + "/edit"
                                         : new_page_url(place.space_key, place.parent_id));
}

}  // namespace

std::string drafts_url(const store::DraftPlace& place) {
  if (place.page_id) return fmt::format("/drafts/pages/{}", *place.page_id);
  auto url = "/drafts/spaces/" + url_encode(place.space_key);
  if (place.parent_id) url += fmt::format("?parent={}", *place.parent_id);
  return url;
}

std::string draft_url(const store::DraftPlace& place, std::string_view form) {
  return fmt::format("{}{}form={}", drafts_url(place), place.parent_id ? '&' : '?', form);
}

std::string continue_url(const store::DraftPlace& place, std::string_view form) {
  if (place.page_id) return fmt::format("{}/edit?draft={}", page_url(*place.page_id), form);
  return fmt::format("{}{}draft={}", new_page_url(place.space_key, place.parent_id), place.parent_id ? '&' : '?', form);
}

std::string shown_title(const store::DraftSummary& draft) {
  return draft.title.empty() ? "A page without a title" : draft.title;
}
std::string new_form_word() { return random_hex(8); }
bool is_form_word(std::string_view word) {
  return word.size() <= 40 && std::ranges::all_of(word, [](unsigned char c) { return std::isalnum(c) != 0; });
}

Async<void> forget_draft(Context& context, store::DraftPlace place, std::string form, Deadline deadline) {
  auto done = co_await with_gates<void>(context, deadline, [&](Gates gates) {
    return store::remove_draft(context.database, gates, place, form, deadline);
  });
  // It is offered again, and the writer sees that it is the page as it is.
  (void)done;
}

void add_draft_routes(http::Router& router, Context& context) {
  for (const std::string path : {"/drafts/pages/{id}", "/drafts/spaces/{key}"}) {
    add_call(router, context, "PUT", path, put);
    add_call(router, context, "DELETE", path, remove);
    router.add("POST", path, [&context](http::Request request) { return discard(context, std::move(request)); });
  }
}

}  // namespace afloat::server
