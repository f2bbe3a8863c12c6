#pragma once
#include <boost/json/fwd.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "adapters/http/client.h"
#include "base/error.h"
#include "cli/credentials.h"

namespace afloat::cli {

/// How the commands that look at a running site find it: --site or AFLOAT_SITE, and who signs in.
struct SiteAccess {
  std::string site = "http://127.0.0.1:8090";
  CredentialOptions credentials{.user = "admin", .password_file = {}};
  std::string ca_file;  ///< --ca or AFLOAT_CA; "" = the system's authorities
  void add_options(CLI::App& command);
  /// One REST call with SiteRest's rules, for commands that make only a few.
  Result<std::string> call(const std::string& method, const std::string& path, const std::string& body = {}) const;
};

/// What is sent with a call, and how much time it may take.
struct CallOptions {
  std::string content_type = "application/json";
  std::chrono::milliseconds timeout{30'000};
  /// For how long a failed call is repeated. A node that is being replaced answers nothing for a moment
  /// until the balancer has found another; whoever watches an upgrade has more patience.
  std::chrono::milliseconds patience{4'000};
};

/// The REST of one site, as our commands call it: signed in, with connections kept between calls.
///
/// Reads are repeated, and so is what was certainly not carried out (no connection, or 503). Anything else
/// may have been carried out, so it is sent once.
/// Thread-safety: none; one command uses it.
class SiteRest {
 public:
  /// invalid_argument when the site or the sign-in is not given.
  static Result<SiteRest> open(const SiteAccess& access);

  /// Any status is a Response, as in http::Client.
  Result<http::Response> send(const std::string& method, const std::string& path, std::string body = {},
                              const CallOptions& options = {});
  /// The body of a 2xx answer. Errors carry the site's own message: invalid_argument 400, unauthenticated 401,
  /// permission_denied 403, not_found 404, failed_precondition 409, unavailable for any other.
  Result<std::string> call(const std::string& method, const std::string& path, std::string body = {},
                           const CallOptions& options = {});
  /// The same as a JSON object.
  Result<boost::json::object> object(const std::string& method, const std::string& path, std::string body = {},
                                     const CallOptions& options = {});

 private:
  SiteRest(std::string url, SignIn sign_in);
  std::unique_ptr<http::Client> client_;
  std::string url_;
  SignIn sign_in_;
};

/// The error that a refused answer stands for, as `SiteRest::call` gives it.
Error refusal_of(const http::Response& response);

}  // namespace afloat::cli
