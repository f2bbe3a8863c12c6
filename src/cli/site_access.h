#pragma once
#include <boost/json/fwd.hpp>
#include <string>

#include "base/error.h"

namespace CLI {
class App;
}

namespace afloat::cli {

/// How the commands that talk to a running site find it: --site, --user, --password-file, or the
/// environment AFLOAT_SITE, AFLOAT_USER, AFLOAT_PASSWORD.
struct SiteAccess {
  std::string site;
  std::string user;
  std::string password_file;
  void add_options(CLI::App& command);
  /// One REST call. Errors carry the site's own message.
  Result<std::string> call(const std::string& method, const std::string& path, const std::string& body = {},
                           int timeout_seconds = 30) const;
};

}  // namespace afloat::cli
