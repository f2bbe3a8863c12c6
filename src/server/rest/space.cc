#include "base/json_fields.h"
#include "base/text.h"
#include "server/rest/content_json.h"
#include "server/rest/routes.h"

namespace afloat::server {

namespace json = boost::json;

namespace {

Task<http::Response> list(Context& context, http::Request request) {
  auto reader = co_await context.auth.require_user(request);
  if (!reader) co_return std::unexpected(reader.error());
  auto range = page_range(request);
  if (!range) co_return std::unexpected(range.error());
  const Expand expand(request);
  json::array results;
  if (const auto key = request.query_value("spaceKey")) {
    auto space = co_await store::read_space(context.database, *key, request.deadline);
    if (!space && space.error().kind() != ErrorKind::not_found) co_return std::unexpected(space.error());
    if (space && range->start == 0) results.push_back(space_json(context, *space, expand));
  } else if (request.query_or("type", "global") == "global" && request.query_or("status", "current") == "current") {
    auto spaces = co_await store::list_spaces(context.database, range->start, range->limit + 1, request.deadline);
    if (!spaces) co_return std::unexpected(spaces.error());
    for (const auto& space : *spaces) results.push_back(space_json(context, space, expand));
  }
  co_return ok(list_json(context, request, *range, std::move(results)));
}

Task<http::Response> get(Context& context, http::Request request) {
  auto reader = co_await context.auth.require_user(request);
  if (!reader) co_return std::unexpected(reader.error());
  auto space = co_await store::read_space(context.database, request.capture("key"), request.deadline);
  if (!space) co_return std::unexpected(space.error());
  co_return ok(space_json(context, *space, Expand(request)));
}

std::optional<std::string> plain_description(const json::object& object) {
  const auto* description = object_at(object, "description");
  const auto* plain = description ? object_at(*description, "plain") : nullptr;
  if (!plain) return std::nullopt;
  return string_or(*plain, "value");
}

Task<http::Response> create(Context& context, http::Request request) {
  auto writer = co_await require_user_for_change(context.auth, request);
  if (!writer) co_return std::unexpected(writer.error());
  auto object = parse_json_object(request.body, "the request body");
  if (!object) co_return std::unexpected(object.error());
  auto key = required_string(*object, "key");
  if (!key) co_return std::unexpected(key.error());
  auto name = required_string(*object, "name");
  if (!name) co_return std::unexpected(name.error());
  store::NewSpace space;
  space.key = *key;
  space.name = *name;
  space.description = plain_description(*object).value_or("");
  space.homepage_body =
      "<p>" +
      escape_html(space.description.empty() ? "This is the home page of " + space.name + "." : space.description) +
      "</p>";
  space.author = writer->user_id;
  const auto deadline = request.deadline;
  auto made = co_await with_gates<store::Space>(
      context, deadline, [&](Gates gates) { return store::create_space(context.database, gates, space, deadline); });
  if (!made) co_return std::unexpected(made.error());
  http::Request everything;
  everything.query = {{"expand", "description,homepage"}};
  co_return ok(space_json(context, *made, Expand(everything)));
}

Task<http::Response> update(Context& context, http::Request request) {
  auto writer = co_await require_user_for_change(context.auth, request);
  if (!writer) co_return std::unexpected(writer.error());
  auto object = parse_json_object(request.body, "the request body");
  if (!object) co_return std::unexpected(object.error());
  auto name = optional_string(*object, "name");
  if (!name) co_return std::unexpected(name.error());
  std::optional<std::int64_t> homepage;
  if (const auto* page = object_at(*object, "homepage")) {
    auto id = optional_int(*page, "id");
    if (!id) co_return std::unexpected(id.error());
    homepage = *id;
  } else if (object->contains("homepage")) {
    auto id = optional_int(*object, "homepage");
    if (!id) co_return std::unexpected(id.error());
    homepage = *id;
  }
  const auto deadline = request.deadline;
  auto changed = co_await with_gates<store::Space>(context, deadline, [&](Gates gates) {
    return store::update_space(context.database, gates, request.capture("key"), *name, plain_description(*object),
                               homepage, deadline);
  });
  if (!changed) co_return std::unexpected(changed.error());
  http::Request everything;
  everything.query = {{"expand", "description,homepage"}};
  co_return ok(space_json(context, *changed, Expand(everything)));
}

}  // namespace

void add_space_routes(http::Router& router, Context& context) {
  add_call(router, context, "GET", "/rest/api/space", list);
  add_call(router, context, "POST", "/rest/api/space", create);
  add_call(router, context, "GET", "/rest/api/space/{key}", get);
  add_call(router, context, "PUT", "/rest/api/space/{key}", update);
}

}  // namespace afloat::server
