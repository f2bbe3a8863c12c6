#include "cli/site_access.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <thread>

#include "base/json_fields.h"

namespace afloat::cli {

using namespace std::chrono_literals;

namespace {
constexpr auto pause_between_tries = 200ms;
}

void SiteAccess::add_options(CLI::App& command) {
  // As a default and not through the parser's own way for variables, which lets them win over what was typed.
  if (const char* set = std::getenv("AFLOAT_SITE"); set && *set) site = set;
  command.add_option("--site", site, "Address of the site, or of one node; without it: AFLOAT_SITE")
      ->capture_default_str();
  add_ca_option(command, ca_file);
  add_credential_options(command, credentials);
}

Result<std::string> SiteAccess::call(const std::string& method, const std::string& path,
                                     const std::string& body) const {
  auto rest = SiteRest::open(*this);
  if (!rest) return std::unexpected(rest.error());
  return rest->call(method, path, body);
}

SiteRest::SiteRest(std::string url, SignIn sign_in)
    : client_(std::make_unique<http::Client>(1)), url_(std::move(url)), sign_in_(std::move(sign_in)) {
  while (url_.ends_with('/')) url_.pop_back();
}

Result<SiteRest> SiteRest::open(const SiteAccess& access) {
  auto sign_in = read_credentials(access.credentials);
  if (!sign_in) return std::unexpected(sign_in.error());
  if (access.site.empty())
    return fail(ErrorKind::invalid_argument, "No site: set AFLOAT_SITE, or give --site http://HOST:PORT.");
  SiteRest rest(access.site, *std::move(sign_in));
  rest.client_->trust(access.ca_file);
  return rest;
}

Result<http::Response> SiteRest::send(const std::string& method, const std::string& path, std::string body,
                                      const CallOptions& options) {
  http::ClientRequest request;
  request.method = method;
  request.url = url_ + path;
  request.user = sign_in_.user;
  request.password = sign_in_.password;
  if (!body.empty()) request.headers.set("Content-Type", options.content_type);
  request.headers.set("X-Atlassian-Token", "no-check");
  request.body = std::move(body);
  const auto end = std::chrono::steady_clock::now() + options.patience;
  for (int attempt = 1;; ++attempt) {
    auto response = client_->send_blocking(request, options.timeout);
    const bool again =
        !response ? response.error().kind() == ErrorKind::unavailable || method == "GET" : response->status == 503;
    // One try more in any case: a read that hung has used up the patience by itself.
    if (!again || (attempt > 1 && std::chrono::steady_clock::now() > end)) return response;
    std::this_thread::sleep_for(pause_between_tries);
  }
}

Error refusal_of(const http::Response& response) {
  std::string message = fmt::format("The site answered {}.", response.status);
  if (response.status == 503)
    message =
        "The balancer answers and has no node to send this to: the site is closed, or its nodes or its database are "
        "away. Look at the logs of agents and nodes; `afloat upgrade ... --config site.toml` asks the database itself.";
  if (auto document = parse_json_object(*response.body, "the answer"))
    if (auto text = string_or(*document, "message"); !text.empty()) message = text;
  const auto kind = response.status == 400   ? ErrorKind::invalid_argument
                    : response.status == 401 ? ErrorKind::unauthenticated
                    : response.status == 403 ? ErrorKind::permission_denied
                    : response.status == 404 ? ErrorKind::not_found
                    : response.status == 409 ? ErrorKind::failed_precondition
                                             : ErrorKind::unavailable;
  return Error(kind, fmt::format("{} (HTTP {})", message, response.status));
}

Result<std::string> SiteRest::call(const std::string& method, const std::string& path, std::string body,
                                   const CallOptions& options) {
  auto response = send(method, path, std::move(body), options);
  if (!response && response.error().kind() == ErrorKind::unavailable)
    return fail(ErrorKind::unavailable,
                response.error().message() + " Is the site up? Name another address with --site or AFLOAT_SITE.");
  if (!response) return std::unexpected(response.error());
  if (response->status >= 200 && response->status < 300) return *response->body;
  auto refusal = refusal_of(*response);
  if (refusal.kind() == ErrorKind::unauthenticated)
    return fail(
        refusal.kind(),
        refusal.message() +
            " Name a system administrator with --user and --password-file, or AFLOAT_USER and AFLOAT_PASSWORD.");
  return std::unexpected(std::move(refusal));
}

Result<boost::json::object> SiteRest::object(const std::string& method, const std::string& path, std::string body,
                                             const CallOptions& options) {
  auto text = call(method, path, std::move(body), options);
  if (!text) return std::unexpected(text.error());
  return parse_json_object(*text, "the site's answer");
}

}  // namespace afloat::cli
