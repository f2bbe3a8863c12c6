#include "cli/site_access.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdlib>
#include <fstream>

#include "adapters/http/client.h"
#include "base/json_fields.h"
#include "base/text.h"

namespace afloat::cli {

void SiteAccess::add_options(CLI::App& command) {
  command.add_option("--site", site, "Address of the site, or of one node")->envname("AFLOAT_SITE")->default_str("http://127.0.0.1:8090");
  command.add_option("--user", user, "A system administrator")->envname("AFLOAT_USER")->default_str("admin");
  command.add_option("--password-file", password_file, "File with the password; else AFLOAT_PASSWORD");
}

Result<std::string> SiteAccess::call(const std::string& method, const std::string& path, const std::string& body,
                                     int timeout_seconds) const {
  http::ClientRequest request;
  request.method = method;
  request.url = (site.empty() ? "http://127.0.0.1:8090" : site) + path;
  request.user = user.empty() ? "admin" : user;
  request.body = body;
  if (!body.empty()) request.headers.set("Content-Type", "application/json");
  request.headers.set("X-Atlassian-Token", "no-check");
  if (!password_file.empty()) {
    std::ifstream file(password_file);
    if (!file) return fail(ErrorKind::not_found, fmt::format("Can't read the password file {}.", password_file));
    std::getline(file, request.password);
  } else if (const char* password = std::getenv("AFLOAT_PASSWORD")) {
    request.password = password;
  } else {
    return fail(ErrorKind::invalid_argument, "No password: set AFLOAT_PASSWORD, or name a file with --password-file.");
  }
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
