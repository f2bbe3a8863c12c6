#include "cli/site_access.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "adapters/http/client.h"
#include "base/json_fields.h"

namespace afloat::cli {

void SiteAccess::add_options(CLI::App& command) {
  command.add_option("--site", site, "Address of the site, or of one node")
      ->envname("AFLOAT_SITE")
      ->capture_default_str();
  add_credential_options(command, credentials);
}

Result<std::string> SiteAccess::call(const std::string& method, const std::string& path, const std::string& body,
                                     int timeout_seconds) const {
  http::ClientRequest request;
  request.method = method;
  request.url = site + path;
  auto sign_in = read_credentials(credentials);
  if (!sign_in) return std::unexpected(sign_in.error());
  request.user = sign_in->user;
  request.password = sign_in->password;
  request.body = body;
  if (!body.empty()) request.headers.set("Content-Type", "application/json");
  request.headers.set("X-Atlassian-Token", "no-check");
  http::Client client(1);
  auto response = client.send_blocking(std::move(request), std::chrono::seconds(timeout_seconds));
  if (!response) return std::unexpected(response.error());
  if (response->status >= 200 && response->status < 300) return *response->body;
  std::string message = fmt::format("The site answered {}.", response->status);
  if (auto document = parse_json_object(*response->body, "the answer"); document)
    if (auto text = string_or(*document, "message"); !text.empty()) message = text;
  const auto kind = response->status == 401   ? ErrorKind::unauthenticated
                    : response->status == 404 ? ErrorKind::not_found
                    : response->status == 409 ? ErrorKind::failed_precondition
                                              : ErrorKind::unavailable;
  return fail(kind, message);
}

}  // namespace afloat::cli
