#pragma once
#include <string>

#include "base/error.h"
#include "cli/credentials.h"

namespace afloat::cli {

/// How the commands that look at a running site find it: --site or AFLOAT_SITE, and who signs in.
struct SiteAccess {
  std::string site = "http://127.0.0.1:8090";
  CredentialOptions credentials{.user = "admin", .password_file = {}};
  void add_options(CLI::App& command);
  /// One REST call. Errors carry the site's own message.
  Result<std::string> call(const std::string& method, const std::string& path, const std::string& body = {},
                           int timeout_seconds = 30) const;
};

}  // namespace afloat::cli
