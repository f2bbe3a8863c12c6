#include "server/rest/content_json.h"

#include <fmt/format.h>

#include <map>

#include "base/text.h"

namespace afloat::server {

namespace json = boost::json;

namespace {

/// Sent by a page's script: such a call must not make the browser itself ask for a password, as it does for Basic.
bool from_script(const http::Request& request) {
  const auto mode = request.headers.get("Sec-Fetch-Mode");  // browsers send it to https and to this machine
  return request.headers.has("X-Requested-With") || (!mode.empty() && mode != "navigate");
}

Async<http::Response> answer(Call call, Context& context, http::Request request) {
  const bool script = from_script(request);
  auto response = co_await call(context, std::move(request));
  if (response) co_return std::move(*response);
  auto refused = http::error_response(response.error());
  if (script && refused.status == 401) refused.headers.set("WWW-Authenticate", "Session realm=\"Afloat\"");
  co_return refused;
}

json::object space_reference(const store::PageSummary& page) {
  return {
      {"id", page.space_id},
      {"key", page.space_key},
      {"name", page.space_name},
      {"type", "global"},
      {"_links", {{"webui", "/spaces/" + url_encode(page.space_key)}, {"self", "/rest/api/space/" + page.space_key}}}};
}

}  // namespace

void add_call(http::Router& router, Context& context, std::string method, std::string pattern, Call call) {
  router.add(std::move(method), std::move(pattern),
             [call, &context](http::Request request) { return answer(call, context, std::move(request)); });
}

Expand::Expand(const http::Request& request) {
  for (const auto& [name, value] : request.query) {
    if (name != "expand") continue;
    for (const auto& part : split(value, ',')) {
      std::string path;
      for (const auto& step : split(trim(part), '.')) {
        path += (path.empty() ? "" : ".") + step;
        parts_.insert(path);
      }
    }
  }
}

Result<PageRange> page_range(const http::Request& request) {
  const auto start = parse_int(request.query_or("start", "0"));
  const auto limit = parse_int(request.query_or("limit", "25"));
  if (!start || *start < 0 || *start > 1'000'000'000 || !limit || *limit < 0)
    return fail(ErrorKind::invalid_argument, "The parameters start and limit are not numbers from 0 up; correct them.");
  return PageRange{static_cast<int>(*start), static_cast<int>(std::min<std::int64_t>(*limit, 500))};
}

Result<std::int64_t> id_in(std::string_view text) {
  const auto number = parse_int(text.starts_with("att") ? text.substr(3) : text);
  if (!number || *number <= 0)
    return fail(ErrorKind::not_found, fmt::format("There is no content with the id {}.", text));
  return *number;
}

json::object list_json(const Context& context, const http::Request& request, PageRange range, json::array results) {
  const auto limit = static_cast<std::size_t>(range.limit);
  const bool more = results.size() > limit;
  if (more) results.resize(limit);
  json::object links{
      {"base", context.config.base_url}, {"context", ""}, {"self", context.config.base_url + request.target}};
  if (more && limit > 0) {
    std::string next = request.path + "?";
    for (const auto& [name, value] : request.query)
      if (name != "start" && name != "limit") next += url_encode(name) + "=" + url_encode(value) + "&";
    links["next"] = next + fmt::format("limit={}&start={}", range.limit, range.start + range.limit);
  }
  const auto size = results.size();
  return {{"results", std::move(results)},
          {"start", range.start},
          {"limit", range.limit},
          {"size", size},
          {"_links", std::move(links)}};
}

http::Response ok(const json::value& value) { return http::json_response(200, json::serialize(value)); }

http::Response no_content() {
  http::Response response;
  response.status = 204;
  return response;
}

json::object user_json(const store::UserName& user) {
  if (user.name.empty()) return {{"type", "unknown"}, {"username", ""}, {"displayName", "Unknown user"}};
  return {{"type", "known"},
          {"username", user.name},
          {"userKey", user.name},
          {"displayName", user.full_name.empty() ? user.name : user.full_name},
          {"profilePicture", {{"path", "/assets/avatar.svg"}, {"width", 48}, {"height", 48}, {"isDefault", true}}},
          {"_links", {{"self", "/rest/api/user?username=" + url_encode(user.name)}}}};
}

json::object user_json(const Identity& user) { return user_json(store::UserName{user.user_name, user.full_name}); }

json::object labels_json(const std::vector<store::Label>& labels) {
  json::array results;
  for (const auto& label : labels)
    results.push_back({{"id", label.prefix + ":" + label.name},
                       {"name", label.name},
                       {"prefix", label.prefix},
                       {"label", label.name}});
  const auto size = results.size();
  return {{"results", std::move(results)}, {"start", 0}, {"limit", 200}, {"size", size}};
}

json::object version_json(const store::PageVersion& version) {
  return {{"number", version.number},
          {"by", user_json(version.author)},
          {"when", iso_time(version.created_at_ms)},
          {"message", version.message},
          {"minorEdit", false},
          {"hidden", false}};
}

json::object summary_json(const Context& context, const store::PageSummary& page) {
  const auto id = std::to_string(page.id);
  return {
      {"id", id},
      {"type", "page"},
      {"status", page.status},
      {"title", page.title},
      {"space", space_reference(page)},
      {"version",
       {{"number", page.version},
        {"by", user_json(page.updated_by)},
        {"when", iso_time(page.updated_at_ms)},
        {"message", ""},
        {"minorEdit", false}}},
      {"history",
       {{"latest", true}, {"createdBy", user_json(page.created_by)}, {"createdDate", iso_time(page.created_at_ms)}}},
      {"extensions", {{"position", page.position}}},
      {"_links",
       {{"base", context.config.base_url},
        {"context", ""},
        {"webui", "/pages/" + id},
        {"tinyui", "/pages/" + id},
        {"edit", "/pages/" + id + "/edit"},
        {"self", context.config.base_url + "/rest/api/content/" + id}}},
      {"_expandable",
       {{"children", "/rest/api/content/" + id + "/child"},
        {"container", "/rest/api/space/" + page.space_key},
        {"body", ""},
        {"ancestors", ""},
        {"metadata", ""}}}};
}

json::object page_json(const Context& context, const store::Page& page, const Expand& expand) {
  auto out = summary_json(context, page);
  out["version"].as_object()["message"] = page.message;
  if (expand.has("body")) {
    json::object body;
    if (expand.has("body.storage") || !expand.has("body.view"))
      body["storage"] = {{"value", page.body}, {"representation", "storage"}};
    out["body"] = std::move(body);
  }
  if (expand.has("ancestors")) {
    json::array ancestors;
    for (const auto& ancestor : page.ancestors)
      ancestors.push_back({{"id", std::to_string(ancestor.id)},
                           {"type", "page"},
                           {"status", "current"},
                           {"title", ancestor.title},
                           {"_links", {{"webui", fmt::format("/pages/{}", ancestor.id)}}}});
    out["ancestors"] = std::move(ancestors);
  }
  if (expand.has("metadata")) out["metadata"] = {{"labels", labels_json(page.labels)}, {"properties", json::object()}};
  return out;
}

json::object space_json(const Context& context, const store::Space& space, const Expand& expand) {
  json::object out{{"id", space.id},
                   {"key", space.key},
                   {"name", space.name},
                   {"type", "global"},
                   {"status", "current"},
                   {"creator", user_json(space.created_by)},
                   {"creationDate", iso_time(space.created_at_ms)},
                   {"_links",
                    {{"base", context.config.base_url},
                     {"context", ""},
                     {"webui", "/spaces/" + url_encode(space.key)},
                     {"self", context.config.base_url + "/rest/api/space/" + space.key}}}};
  if (expand.has("description"))
    out["description"] = {{"plain", {{"value", space.description}, {"representation", "plain"}}}};
  if (expand.has("icon"))
    out["icon"] = {{"path", "/assets/space.svg"}, {"width", 48}, {"height", 48}, {"isDefault", true}};
  if (expand.has("metadata")) out["metadata"] = {{"labels", labels_json({})}};
  if (expand.has("homepage") && space.homepage_id) {
    const auto id = std::to_string(*space.homepage_id);
    out["homepage"] = {{"id", id},
                       {"type", "page"},
                       {"status", "current"},
                       {"_links", {{"webui", "/pages/" + id}, {"self", "/rest/api/content/" + id}}}};
  } else if (space.homepage_id) {
    out["_expandable"] = {{"homepage", fmt::format("/rest/api/content/{}", *space.homepage_id)}};
  }
  return out;
}

json::object attachment_json(const Context& context, const store::Attachment& attachment) {
  const auto id = fmt::format("att{}", attachment.id);
  const auto page = std::to_string(attachment.page_id);
  return {{"id", id},
          {"type", "attachment"},
          {"status", "current"},
          {"title", attachment.file_name},
          {"version",
           {{"number", attachment.version},
            {"by", user_json(attachment.author)},
            {"when", iso_time(attachment.created_at_ms)},
            {"message", attachment.comment},
            {"minorEdit", false}}},
          {"container", {{"id", page}, {"type", "page"}, {"status", "current"}}},
          {"metadata", {{"comment", attachment.comment}, {"mediaType", attachment.media_type}}},
          {"extensions",
           {{"mediaType", attachment.media_type}, {"fileSize", attachment.size}, {"comment", attachment.comment}}},
          {"_links",
           {{"base", context.config.base_url},
            {"context", ""},
            {"download", fmt::format("/download/attachments/{}/{}?version={}", page, url_encode(attachment.file_name),
                                     attachment.version)},
            {"webui", "/pages/" + page},
            {"self", context.config.base_url + "/rest/api/content/" + id}}},
          {"_expandable",
           {{"space", "/rest/api/space/" + attachment.space_key}, {"container", "/rest/api/content/" + page}}}};
}

Task<json::array> pages_json(Context& context, const std::vector<store::PageSummary>& pages, Expand expand,
                             Deadline deadline) {
  json::array out;
  if (!expand.needs_page()) {
    for (const auto& page : pages) out.push_back(summary_json(context, page));
    co_return out;
  }
  std::vector<std::int64_t> ids;
  for (const auto& page : pages) ids.push_back(page.id);
  auto use = context.gates.use();
  auto whole = co_await store::read_pages(context.database, use.gates(), std::move(ids), deadline);
  if (!whole) co_return std::unexpected(whole.error());
  std::map<std::int64_t, const store::Page*> by_id;
  for (const auto& page : *whole) by_id[page.id] = &page;
  for (const auto& page : pages)
    if (const auto found = by_id.find(page.id); found != by_id.end())
      out.push_back(page_json(context, *found->second, expand));
  co_return out;
}

}  // namespace afloat::server
