#include <fmt/format.h>

#include "base/json_fields.h"
#include "base/text.h"
#include "server/rest/content_json.h"
#include "server/rest/routes.h"
#include "store/page_tree.h"
#include "wiki/storage_xml.h"

namespace afloat::server {

namespace json = boost::json;

namespace {

// Parsing this much takes about a millisecond; larger bodies are checked off the event loop.
constexpr std::size_t checked_here_bytes = 64 * 1024;

/// What POST and PUT send. Absent fields stay unset.
struct ContentInput {
  std::string type = "page";
  std::optional<std::string> title;
  std::optional<std::string> space_key;
  std::optional<std::string> body;
  std::optional<std::int64_t> parent_id;
  std::optional<std::int64_t> version;
  std::string message;
  std::string status = "current";
  std::vector<store::Label> labels;
};

Result<ContentInput> content_input(const http::Request& request) {
  auto parsed = parse_json_object(request.body, "the request body");
  if (!parsed) return std::unexpected(parsed.error());
  const auto& object = *parsed;
  ContentInput input;
  input.type = string_or(object, "type", "page");
  input.status = string_or(object, "status", "current");
  auto title = optional_string(object, "title");
  if (!title) return std::unexpected(title.error());
  input.title = std::move(*title);
  const auto space = optional_object(object, "space");
  if (!space) return std::unexpected(space.error());
  if (*space) {
    auto key = optional_string(**space, "key");
    if (!key) return std::unexpected(key.error());
    input.space_key = std::move(*key);
  }
  const auto body = optional_object(object, "body");
  if (!body) return std::unexpected(body.error());
  if (*body) {
    for (const auto* name : {"storage", "editor"}) {
      const auto* form = object_at(**body, name);
      if (!form) continue;
      auto value = optional_string(*form, "value");
      if (!value) return std::unexpected(value.error());
      input.body = std::move(*value);
      break;
    }
    if (!input.body)
      return fail(ErrorKind::invalid_argument, "The body has no storage.value; send the page in storage format.");
  }
  const auto ancestors = optional_array(object, "ancestors");
  if (!ancestors) return std::unexpected(ancestors.error());
  if (*ancestors && !(*ancestors)->empty()) {
    const auto* last = (*ancestors)->back().if_object();
    auto id =
        last ? required_int(*last, "id") : fail(ErrorKind::invalid_argument, "An ancestor has no id; send {\"id\"}.");
    if (!id) return std::unexpected(id.error());
    input.parent_id = *id;
  }
  const auto version = optional_object(object, "version");
  if (!version) return std::unexpected(version.error());
  if (*version) {
    auto number = optional_int(**version, "number");
    if (!number) return std::unexpected(number.error());
    input.version = *number;
    input.message = string_or(**version, "message");
  }
  if (const auto* metadata = object_at(object, "metadata"))
    if (const auto* labels = array_at(*metadata, "labels")) {
      auto read = labels_in(*labels);
      if (!read) return std::unexpected(read.error());
      input.labels = std::move(*read);
    }
  return input;
}

Task<void> check_body(Context& context, const std::string& body) {
  if (body.size() <= checked_here_bytes) co_return wiki::check_storage(body);
  Result<void> checked;
  auto ran = co_await context.offload([&] { checked = wiki::check_storage(body); });
  if (!ran) co_return ran;
  co_return checked;
}

/// The answer to a write, made of what is known without reading it again.
json::object written_json(const Context& context, const store::SavedPage& saved, const ContentInput& input,
                          const std::string& space_key, const Identity& writer) {
  store::PageSummary page;
  page.id = saved.id;
  page.version = saved.version;
  page.status = "current";
  page.title = std::string(trim(input.title.value_or("")));
  page.space_key = space_key;
  page.updated_by = {writer.user_name, writer.full_name};
  page.updated_at_ms = context.clock.unix_ms();
  auto out = summary_json(context, page);
  for (const auto* unknown : {"history", "extensions"}) out.erase(unknown);
  if (space_key.empty())
    out.erase("space");
  else
    out["space"] = {{"key", space_key}, {"_links", {{"self", "/rest/api/space/" + space_key}}}};
  out["version"].as_object()["message"] = input.message;
  if (input.body) out["body"] = {{"storage", {{"value", *input.body}, {"representation", "storage"}}}};
  return out;
}

Task<http::Response> create_content(Context& context, http::Request request) {
  auto writer = co_await require_user_for_change(context.auth, request);
  if (!writer) co_return std::unexpected(writer.error());
  auto input = content_input(request);
  if (!input) co_return std::unexpected(input.error());
  if (input->type != "page")
    co_return fail(ErrorKind::invalid_argument,
                   fmt::format("Content of type {} is not known here; create a page.", input->type));
  if (!input->space_key || !input->title)
    co_return fail(ErrorKind::invalid_argument, "A new page needs title and space.key; send both.");
  if (!input->body) input->body = "";
  if (auto fit = co_await check_body(context, *input->body); !fit) co_return std::unexpected(fit.error());
  store::NewPage page;
  page.space_key = *input->space_key;
  page.parent_id = input->parent_id;
  page.title = *input->title;
  page.body = *input->body;
  page.message = input->message;
  page.author = writer->user_id;
  const auto deadline = request.deadline;
  auto saved = co_await with_gates<store::SavedPage>(
      context, deadline, [&](Gates gates) { return store::create_page(context.database, gates, page, deadline); });
  if (!saved) co_return std::unexpected(saved.error());
  if (!input->labels.empty()) {
    auto labelled = co_await with_gates<std::vector<store::Label>>(context, deadline, [&](Gates gates) {
      return store::add_labels(context.database, gates, saved->id, input->labels, deadline);
    });
    if (!labelled) co_return std::unexpected(labelled.error());
  }
  co_return ok(written_json(context, *saved, *input, *input->space_key, *writer));
}

Task<http::Response> update_content(Context& context, http::Request request) {
  auto writer = co_await require_user_for_change(context.auth, request);
  if (!writer) co_return std::unexpected(writer.error());
  auto id = id_in(request.capture("id"));
  if (!id) co_return std::unexpected(id.error());
  auto input = content_input(request);
  if (!input) co_return std::unexpected(input.error());
  if (!input->version)
    co_return fail(ErrorKind::invalid_argument,
                   "The update has no version.number; send the page's current version plus one.");
  const auto deadline = request.deadline;
  if (!input->title || !input->body) {
    auto use = context.gates.use();
    auto page = co_await store::read_page(context.database, use.gates(), *id, deadline);
    if (!page) co_return std::unexpected(page.error());
    if (!input->title) input->title = page->title;
    if (!input->body) input->body = page->body;
    if (!input->space_key) input->space_key = page->space_key;
  }
  if (auto fit = co_await check_body(context, *input->body); !fit) co_return std::unexpected(fit.error());
  store::SavePage page;
  page.id = *id;
  page.expected_version = static_cast<int>(*input->version - 1);
  page.title = *input->title;
  page.body = *input->body;
  page.message = input->message;
  page.author = writer->user_id;
  page.parent_id = input->parent_id;
  auto saved = co_await with_gates<store::SavedPage>(
      context, deadline, [&](Gates gates) { return store::save_page(context.database, gates, page, deadline); });
  if (!saved && saved.error().kind() == ErrorKind::not_found && input->status == "current") {
    // An update with status "current" also takes a page out of the trash.
    auto back = co_await with_gates<void>(context, deadline, [&](Gates gates) {
      return store::restore_page(context.database, gates, *id, writer->user_id, deadline);
    });
    if (back)
      saved = co_await with_gates<store::SavedPage>(
          context, deadline, [&](Gates gates) { return store::save_page(context.database, gates, page, deadline); });
    else if (back.error().kind() != ErrorKind::not_found)
      co_return std::unexpected(back.error());
  }
  if (!saved) co_return std::unexpected(saved.error());
  co_return ok(written_json(context, *saved, *input, input->space_key.value_or(""), *writer));
}

Task<http::Response> get_content(Context& context, http::Request request) {
  auto reader = co_await context.auth.require_user(request);
  if (!reader) co_return std::unexpected(reader.error());
  const auto name = request.capture("id");
  auto id = id_in(name);
  if (!id) co_return std::unexpected(id.error());
  if (name.starts_with("att")) {
    auto attachment = co_await store::read_attachment(context.database, *id, request.deadline);
    if (!attachment) co_return std::unexpected(attachment.error());
    co_return ok(attachment_json(context, *attachment));
  }
  auto use = context.gates.use();
  auto page = co_await store::read_page(context.database, use.gates(), *id, request.deadline);
  if (!page) co_return std::unexpected(page.error());
  const auto status = request.query_or("status", "current");
  const auto number = parse_int(request.query_or("version", ""));
  if (status != "any" && status != "historical" && status != page->status)
    co_return fail(ErrorKind::not_found, fmt::format("Page {} is {}, not {}.", *id, page->status, status));
  if (number && *number != page->version) {
    auto version =
        co_await store::read_version(context.database, use.gates(), *id, static_cast<int>(*number), request.deadline);
    if (!version) co_return std::unexpected(version.error());
    page->title = version->title;
    page->body = version->body;
    page->message = version->message;
    page->version = version->number;
    page->updated_by = version->author;
    page->updated_at_ms = version->created_at_ms;
    page->status = "historical";
  }
  const Expand expand(request);
  auto out = page_json(context, *page, expand);
  if (expand.has("history")) out["history"].as_object()["lastUpdated"] = out["version"];
  if (expand.has("children")) {
    json::object children;
    if (expand.has("children.page") || !expand.has("children.attachment")) {
      auto pages = co_await store::list_children(context.database, *id, 0, 26, request.deadline);
      if (!pages) co_return std::unexpected(pages.error());
      json::array results;
      for (const auto& child : *pages) results.push_back(summary_json(context, child));
      http::Request list;
      list.path = list.target = "/rest/api/content/" + name + "/child/page";
      children["page"] = list_json(context, list, {}, std::move(results));
    }
    if (expand.has("children.attachment")) {
      auto files = co_await store::list_attachments(context.database, *id, "", 0, 26, request.deadline);
      if (!files) co_return std::unexpected(files.error());
      json::array results;
      for (const auto& file : *files) results.push_back(attachment_json(context, file));
      http::Request list;
      list.path = list.target = "/rest/api/content/" + name + "/child/attachment";
      children["attachment"] = list_json(context, list, {}, std::move(results));
    }
    out["children"] = std::move(children);
  }
  co_return ok(out);
}

Task<http::Response> list_content(Context& context, http::Request request) {
  auto reader = co_await context.auth.require_user(request);
  if (!reader) co_return std::unexpected(reader.error());
  auto range = page_range(request);
  if (!range) co_return std::unexpected(range.error());
  if (request.query_or("type", "page") != "page") co_return ok(list_json(context, request, *range, {}));
  auto status = request.query_or("status", "current");
  if (status == "any") status = "current";
  auto pages =
      co_await store::list_pages(context.database, request.query_or("spaceKey", ""), request.query_or("title", ""),
                                 status, range->start, range->limit + 1, request.deadline);
  if (!pages) co_return std::unexpected(pages.error());
  auto results = co_await pages_json(context, *pages, Expand(request), request.deadline);
  if (!results) co_return std::unexpected(results.error());
  co_return ok(list_json(context, request, *range, std::move(*results)));
}

Task<http::Response> delete_content(Context& context, http::Request request) {
  auto writer = co_await require_user_for_change(context.auth, request);
  if (!writer) co_return std::unexpected(writer.error());
  const auto name = request.capture("id");
  auto id = id_in(name);
  if (!id) co_return std::unexpected(id.error());
  const auto deadline = request.deadline;
  const bool purge = request.query_or("status", "") == "trashed";
  auto done = co_await with_gates<void>(context, deadline, [&](Gates gates) {
    if (name.starts_with("att")) return store::trash_attachment(context.database, gates, *id, deadline);
    if (purge) return store::purge_page(context.database, gates, *id, deadline);
    return store::trash_page(context.database, gates, *id, writer->user_id, deadline);
  });
  if (!done) co_return std::unexpected(done.error());
  co_return no_content();
}

Task<http::Response> move_content(Context& context, http::Request request) {
  auto writer = co_await require_user_for_change(context.auth, request);
  if (!writer) co_return std::unexpected(writer.error());
  auto id = id_in(request.capture("id"));
  if (!id) co_return std::unexpected(id.error());
  auto target = id_in(request.capture("target"));
  if (!target) co_return std::unexpected(target.error());
  const auto name = request.capture("position");
  if (name != "append" && name != "before" && name != "after")
    co_return fail(ErrorKind::invalid_argument, "The position is none of append, before, after; use one of these.");
  const auto place = name == "append"   ? store::MovePlace::append
                     : name == "before" ? store::MovePlace::before
                                        : store::MovePlace::after;
  const auto deadline = request.deadline;
  auto done = co_await with_gates<void>(context, deadline, [&](Gates gates) {
    return store::move_page(context.database, gates, *id, place, *target, deadline);
  });
  if (!done) co_return std::unexpected(done.error());
  co_return ok(json::object{{"id", std::to_string(*id)}, {"pageId", std::to_string(*id)}});
}

}  // namespace

void add_content_routes(http::Router& router, Context& context) {
  const std::string root = "/rest/api/content";
  add_call(router, context, "GET", root, list_content);
  add_call(router, context, "POST", root, create_content);
  add_call(router, context, "GET", root + "/{id}", get_content);
  add_call(router, context, "PUT", root + "/{id}", update_content);
  add_call(router, context, "DELETE", root + "/{id}", delete_content);
  add_call(router, context, "PUT", root + "/{id}/move/{position}/{target}", move_content);
  add_content_part_routes(router, context);
}

}  // namespace afloat::server
