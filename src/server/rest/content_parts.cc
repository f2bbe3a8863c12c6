#include <fmt/format.h>

#include "base/json_fields.h"
#include "base/text.h"
#include "server/rest/content_json.h"
#include "store/page_tree.h"

// What hangs on a page: its children, history, versions and labels.
namespace afloat::server {

namespace json = boost::json;

Result<std::string> label_name(std::string_view text) {
  auto name = to_lower(trim(text));
  if (name.empty() || name.size() > 255 || !is_utf8(name) || name.find_first_of(" \t\n,:") != std::string::npos)
    return fail(
        ErrorKind::invalid_argument,
        fmt::format("\"{}\" is not a label: it is empty, too long, or has a blank, comma or colon in it.", text));
  return name;
}

Result<std::vector<store::Label>> labels_in(const json::value& value) {
  std::vector<store::Label> labels;
  const auto add = [&labels](const json::value& entry) -> Result<void> {
    const auto* object = entry.if_object();
    if (!object) return fail(ErrorKind::invalid_argument, "A label is not an object {\"prefix\",\"name\"}; send one.");
    auto name = label_name(string_or(*object, "name"));
    if (!name) return std::unexpected(name.error());
    labels.push_back({string_or(*object, "prefix", "global"), std::move(*name)});
    return {};
  };
  if (const auto* array = value.if_array()) {
    for (const auto& entry : *array)
      if (auto added = add(entry); !added) return std::unexpected(added.error());
  } else if (auto added = add(value); !added) {
    return std::unexpected(added.error());
  }
  return labels;
}

namespace {

template <class List>
Task<http::Response> below(Context& context, http::Request request, List list) {
  auto reader = co_await context.auth.require_user(request);
  if (!reader) co_return std::unexpected(reader.error());
  auto id = id_in(request.capture("id"));
  if (!id) co_return std::unexpected(id.error());
  auto range = page_range(request);
  if (!range) co_return std::unexpected(range.error());
  auto pages = co_await list(context.database, *id, range->start, range->limit + 1, request.deadline);
  if (!pages) co_return std::unexpected(pages.error());
  auto results = co_await pages_json(context, *pages, Expand(request), request.deadline);
  if (!results) co_return std::unexpected(results.error());
  co_return ok(list_json(context, request, *range, std::move(*results)));
}
Task<http::Response> get_children(Context& context, http::Request request) {
  return below(context, std::move(request), store::list_children);
}
Task<http::Response> get_descendants(Context& context, http::Request request) {
  return below(context, std::move(request), store::list_descendants);
}
/// Comments and properties are not kept yet: there are none.
Task<http::Response> get_none(Context& context, http::Request request) {
  auto reader = co_await context.auth.require_user(request);
  if (!reader) co_return std::unexpected(reader.error());
  auto range = page_range(request);
  if (!range) co_return std::unexpected(range.error());
  co_return ok(list_json(context, request, *range, {}));
}

Task<http::Response> get_history(Context& context, http::Request request) {
  auto reader = co_await context.auth.require_user(request);
  if (!reader) co_return std::unexpected(reader.error());
  auto id = id_in(request.capture("id"));
  if (!id) co_return std::unexpected(id.error());
  auto use = context.gates.use();
  auto page = co_await store::read_page(context.database, use.gates(), *id, request.deadline);
  if (!page) co_return std::unexpected(page.error());
  auto whole = page_json(context, *page, Expand(http::Request()));
  co_return ok(json::object{{"latest", true},
                            {"createdBy", user_json(page->created_by)},
                            {"createdDate", iso_time(page->created_at_ms)},
                            {"lastUpdated", whole["version"]},
                            {"_links", {{"self", request.path}}}});
}

Task<http::Response> get_versions(Context& context, http::Request request) {
  auto reader = co_await context.auth.require_user(request);
  if (!reader) co_return std::unexpected(reader.error());
  auto id = id_in(request.capture("id"));
  if (!id) co_return std::unexpected(id.error());
  auto range = page_range(request);
  if (!range) co_return std::unexpected(range.error());
  auto versions =
      co_await store::list_versions(context.database, *id, range->start, range->limit + 1, request.deadline);
  if (!versions) co_return std::unexpected(versions.error());
  if (versions->empty() && range->start == 0)
    co_return fail(ErrorKind::not_found, fmt::format("There is no page with the id {}.", *id));
  json::array results;
  for (const auto& version : *versions) results.push_back(version_json(version));
  co_return ok(list_json(context, request, *range, std::move(results)));
}

Task<http::Response> get_version(Context& context, http::Request request) {
  auto reader = co_await context.auth.require_user(request);
  if (!reader) co_return std::unexpected(reader.error());
  auto id = id_in(request.capture("id"));
  if (!id) co_return std::unexpected(id.error());
  const auto number = parse_int(request.capture("number")).value_or(0);
  auto use = context.gates.use();
  auto version =
      co_await store::read_version(context.database, use.gates(), *id, static_cast<int>(number), request.deadline);
  if (!version) co_return std::unexpected(version.error());
  co_return ok(version_json(*version));
}

Task<http::Response> get_labels(Context& context, http::Request request) {
  auto reader = co_await context.auth.require_user(request);
  if (!reader) co_return std::unexpected(reader.error());
  auto id = id_in(request.capture("id"));
  if (!id) co_return std::unexpected(id.error());
  auto labels = co_await store::list_labels(context.database, *id, request.deadline);
  if (!labels) co_return std::unexpected(labels.error());
  if (const auto prefix = request.query_value("prefix"))
    std::erase_if(*labels, [&prefix](const auto& label) { return label.prefix != *prefix; });
  co_return ok(labels_json(*labels));
}

Task<http::Response> add_labels(Context& context, http::Request request) {
  auto writer = co_await require_user_for_change(context.auth, request);
  if (!writer) co_return std::unexpected(writer.error());
  auto id = id_in(request.capture("id"));
  if (!id) co_return std::unexpected(id.error());
  auto parsed = parse_json(request.body, "the request body");
  if (!parsed) co_return std::unexpected(parsed.error());
  auto labels = labels_in(*parsed);
  if (!labels) co_return std::unexpected(labels.error());
  const auto deadline = request.deadline;
  auto all = co_await with_gates<std::vector<store::Label>>(context, deadline, [&](Gates gates) {
    return store::add_labels(context.database, gates, *id, *labels, deadline);
  });
  if (!all) co_return std::unexpected(all.error());
  co_return ok(labels_json(*all));
}

Task<http::Response> remove_label(Context& context, http::Request request) {
  auto writer = co_await require_user_for_change(context.auth, request);
  if (!writer) co_return std::unexpected(writer.error());
  auto id = id_in(request.capture("id"));
  if (!id) co_return std::unexpected(id.error());
  auto name = label_name(request.query_or("name", request.capture("name")));
  if (!name) co_return std::unexpected(name.error());
  const auto deadline = request.deadline;
  auto done = co_await with_gates<void>(context, deadline, [&](Gates gates) {
    return store::remove_label(context.database, gates, *id, *name, deadline);
  });
  if (!done) co_return std::unexpected(done.error());
  co_return no_content();
}

}  // namespace

void add_content_part_routes(http::Router& router, Context& context) {
  const std::string root = "/rest/api/content";
  add_call(router, context, "GET", root + "/{id}/history", get_history);
  for (const std::string tree : {"/rest/api/content", "/rest/experimental/content"}) {
    add_call(router, context, "GET", tree + "/{id}/version", get_versions);
    add_call(router, context, "GET", tree + "/{id}/version/{number}", get_version);
  }
  add_call(router, context, "GET", root + "/{id}/child/page", get_children);
  add_call(router, context, "GET", root + "/{id}/child/comment", get_none);
  add_call(router, context, "GET", root + "/{id}/descendant/page", get_descendants);
  add_call(router, context, "GET", root + "/{id}/property", get_none);
  add_call(router, context, "GET", root + "/{id}/label", get_labels);
  add_call(router, context, "POST", root + "/{id}/label", add_labels);
  add_call(router, context, "DELETE", root + "/{id}/label", remove_label);
  add_call(router, context, "DELETE", root + "/{id}/label/{name}", remove_label);
}

}  // namespace afloat::server
