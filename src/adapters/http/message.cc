#include "adapters/http/message.h"

#include <boost/json.hpp>

#include "base/text.h"
#include "ports/database.h"

namespace afloat::http {

void Headers::set(std::string name, std::string value) {
  for (auto& entry : entries_) {
    if (!equals_ignoring_case(entry.first, name)) continue;
    entry.second = std::move(value);
    return;
  }
  add(std::move(name), std::move(value));
}

void Headers::add(std::string name, std::string value) { entries_.emplace_back(std::move(name), std::move(value)); }

std::string_view Headers::get(std::string_view name) const {
  for (const auto& entry : entries_)
    if (equals_ignoring_case(entry.first, name)) return entry.second;
  return {};
}

bool Headers::has(std::string_view name) const {
  for (const auto& entry : entries_)
    if (equals_ignoring_case(entry.first, name)) return true;
  return false;
}

std::optional<std::string> Request::query_value(std::string_view name) const {
  for (const auto& [key, value] : query)
    if (key == name) return value;
  return std::nullopt;
}

std::string Request::query_or(std::string_view name, std::string_view fallback) const {
  return query_value(name).value_or(std::string(fallback));
}

std::string Request::capture(std::string_view name) const {
  for (const auto& [key, value] : captures)
    if (key == name) return value;
  return {};
}

std::optional<std::string> Request::cookie(std::string_view name) const {
  for (const auto& pair : split(headers.get("Cookie"), ';')) {
    const auto text = trim(pair);
    const auto equals = text.find('=');
    if (equals != std::string_view::npos && text.substr(0, equals) == name) return std::string(text.substr(equals + 1));
  }
  return std::nullopt;
}

Response text_response(int status, std::string body, std::string_view content_type) {
  Response response;
  response.status = status;
  response.headers.set("Content-Type", std::string(content_type));
  response.body = std::make_shared<const std::string>(std::move(body));
  return response;
}

Response html_response(int status, std::string body) {
  return text_response(status, std::move(body), "text/html; charset=utf-8");
}

Response json_response(int status, std::string body) {
  return text_response(status, std::move(body), "application/json");
}

Response redirect(std::string location, int status) {
  Response response;
  response.status = status;
  response.headers.set("Location", std::move(location));
  return response;
}

int status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_argument:
      return 400;
    case ErrorKind::unauthenticated:
      return 401;
    case ErrorKind::permission_denied:
      return 403;
    case ErrorKind::not_found:
      return 404;
    case ErrorKind::conflict:
    case ErrorKind::failed_precondition:
      return 409;
    case ErrorKind::resource_exhausted:
      return 413;
    case ErrorKind::unavailable:
      return 503;
    case ErrorKind::deadline_exceeded:
    case ErrorKind::data_corrupted:
    case ErrorKind::internal:
      return 500;
  }
  return 500;
}

Response error_response(const Error& error) {
  // AF001: this build was shut out of writing; nothing was done, and another node can do it.
  return error_response(error, error.code() == "AF001" ? 503 : status_of(error.kind()));
}

namespace {

/// What a client is told of an error that happened inside the site; "" for errors that are about its request.
std::string_view general_words(const Error& error) {
  if (error.code() == database_away || error.code() == database_refuses)
    return "The site can't reach its database at the moment. Nothing was changed; try again in a moment.";
  if (error.kind() == ErrorKind::internal)
    return "Something went wrong inside this node. Try again; if it stays so, the node's log has the reason.";
  return {};
}

}  // namespace

Response error_response(const Error& error, int status) {
  const auto general = general_words(error);
  // A message may quote what the client sent, and JSON is UTF-8.
  boost::json::object body{{"statusCode", status},
                           {"message", general.empty() ? as_utf8(error.message()) : std::string(general)}};
  if (!error.code().empty()) body["code"] = error.code();
  body["data"] = boost::json::object{{"errors", boost::json::array{}}};
  Response response = json_response(status, boost::json::serialize(body));
  if (status == 503) response.headers.set("Retry-After", "1");
  if (status == 401) response.headers.set("WWW-Authenticate", "Basic realm=\"Afloat\", charset=\"UTF-8\"");
  response.drop_connection = error.kind() == ErrorKind::deadline_exceeded;
  if (!general.empty()) response.fault = error.message();
  return response;
}

namespace {

// The value of `name="..."` in a Content-Disposition or Content-Type header.
std::optional<std::string> parameter(std::string_view header, std::string_view name) {
  std::size_t at = 0;
  while ((at = header.find(';', at)) != std::string_view::npos) {
    ++at;
    auto rest = header.substr(at);
    const auto begin = rest.find_first_not_of(" \t");
    if (begin == std::string_view::npos) break;
    rest.remove_prefix(begin);
    if (rest.size() <= name.size() || !equals_ignoring_case(rest.substr(0, name.size()), name) ||
        rest[name.size()] != '=')
      continue;
    rest.remove_prefix(name.size() + 1);
    if (rest.starts_with('"')) {
      std::string value;
      for (std::size_t i = 1; i < rest.size() && rest[i] != '"'; ++i) {
        if (rest[i] == '\\' && i + 1 < rest.size()) ++i;
        value += rest[i];
      }
      return value;
    }
    return std::string(trim(rest.substr(0, rest.find(';'))));
  }
  return std::nullopt;
}

}  // namespace

Result<std::vector<Part>> parse_multipart(const Request& request) {
  const auto type = request.headers.get("Content-Type");
  const auto boundary = parameter(type, "boundary");
  if (!to_lower(type).starts_with("multipart/form-data") || !boundary || boundary->empty())
    return fail(ErrorKind::invalid_argument,
                "The request must be multipart/form-data with a boundary; send the file in the field 'file'.");
  const std::string delimiter = "--" + *boundary;
  const std::string_view body = request.body;
  std::vector<Part> parts;
  auto at = body.find(delimiter);
  while (at != std::string_view::npos) {
    at += delimiter.size();
    if (body.substr(at).starts_with("--")) return parts;
    if (!body.substr(at).starts_with("\r\n")) break;
    at += 2;
    const auto header_end = body.find("\r\n\r\n", at);
    if (header_end == std::string_view::npos) break;
    Part part;
    part.content_type = "text/plain";
    for (const auto& line : split(body.substr(at, header_end - at), '\n')) {
      const auto colon = line.find(':');
      if (colon == std::string::npos) continue;
      const auto name = to_lower(trim(std::string_view(line).substr(0, colon)));
      const auto value = trim(std::string_view(line).substr(colon + 1));
      if (name == "content-disposition") {
        part.name = parameter(value, "name").value_or("");
        part.file_name = parameter(value, "filename");
      } else if (name == "content-type") {
        part.content_type = std::string(value);
      }
    }
    const auto content = header_end + 4;
    const auto end = body.find("\r\n" + delimiter, content);
    if (end == std::string_view::npos) break;
    part.body = std::string(body.substr(content, end - content));
    parts.push_back(std::move(part));
    at = end + 2;
  }
  return fail(ErrorKind::invalid_argument,
              "The multipart body ends before its last boundary; it may have been cut off. Send it again.");
}

Result<std::vector<std::pair<std::string, std::string>>> parse_form(const Request& request) {
  std::vector<std::pair<std::string, std::string>> fields;
  for (const auto& pair : split(request.body, '&')) {
    if (pair.empty()) continue;
    const auto equals = pair.find('=');
    auto name = url_decode(std::string_view(pair).substr(0, equals), true);
    auto value = equals == std::string::npos ? std::optional<std::string>("")
                                             : url_decode(std::string_view(pair).substr(equals + 1), true);
    if (!name || !value) return fail(ErrorKind::invalid_argument, "The form has a broken % escape.");
    fields.emplace_back(std::move(*name), std::move(*value));
  }
  return fields;
}

}  // namespace afloat::http
