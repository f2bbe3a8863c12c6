#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "adapters/http/message.h"
#include "server/context.h"

namespace afloat::server {

struct Identity {
  std::int64_t user_id = 0;  ///< 0: nobody signed in
  std::string user_name;
  std::string full_name;
  bool administrator = false;  ///< system administrator
  enum class Via { nobody, session, basic, token } via = Via::nobody;
  std::string csrf;  ///< of the session; forms must send it back
  bool signed_in() const { return user_id != 0; }
};

/// Who sends a request: session cookie (afloat_session), basic auth, or bearer token. A verified basic
/// or token credential is remembered as a keyed hash for 60 s, and dropped when the change log, polled before
/// it is trusted, tells of that user's change (kind "user", key = user id). A verified password is also told
/// to the other nodes (table verified_credential), so that a node which has just started, with all its users
/// coming at once, does not have to hash every password anew. Sessions are read from the database with each
/// request, pipelined with the change-log poll. Also keeps the node's "active users": signed-in users
/// with a request here in the last five minutes.
class Auth {
 public:
  virtual ~Auth() = default;
  /// Nobody for no credentials; unauthenticated for wrong ones.
  virtual Task<Identity> identify(const http::Request& request) = 0;
  /// unauthenticated without credentials.
  virtual Task<Identity> require_user(const http::Request& request) = 0;
  /// permission_denied without the right.
  virtual Task<Identity> require_administrator(const http::Request& request) = 0;
  /// For state-changing requests that came with a session cookie: the CSRF token must be in the form
  /// field or header `X-Csrf-Token`; API credentials pass (they are not sent by browsers by themselves).
  virtual Result<void> check_csrf(const http::Request& request, const Identity& identity,
                                  std::string_view form_token) = 0;
  virtual int active_users() const = 0;
  /// Checks name and password and makes a session. The value is that of the Set-Cookie header.
  /// Errors: unauthenticated (wrong, or more than ten failures in the last minute).
  virtual Task<std::string> sign_in(std::string name, std::string password, std::string remote, Deadline deadline) = 0;
  /// Ends the request's session, if it has one. The value is the Set-Cookie header that forgets it.
  virtual Task<std::string> sign_out(const http::Request& request) = 0;
};

/// A signed-in user with a genuine request: before every change that users may make.
Task<Identity> require_user_for_change(Auth& auth, const http::Request& request);
/// The same for administrators.
Task<Identity> require_administrator_for_change(Auth& auth, const http::Request& request);

/// What the contexts of one node share: who was active here, and failed sign-ins. Thread-safe.
class AuthShared;
std::shared_ptr<AuthShared> make_auth_shared();

struct AuthDependencies {
  Database& database;
  GateKeeper& gates;
  store::ChangeLog& changes;  ///< subscribed to at once
  const Clock& clock;
  std::shared_ptr<AuthShared> shared;
  /// refresh_gates() of the context that this Auth is for; called only after start.
  std::function<Task<void>(Deadline)> refresh_gates;
  /// Runs a password hash, 25 ms of processor time, where it is in nobody's way.
  std::function<Task<void>(std::move_only_function<void()>)> hash;
  std::string site_key;  ///< of identity.h
  bool secure_cookies = false;  ///< the site's base URL is https
};
std::unique_ptr<Auth> make_auth(AuthDependencies dependencies);

/// Creates the administrator `admin` when the site has no user at all; true when it did. Nothing happens
/// for an empty password. Blocks for the time of one password hash: for start-up.
Task<bool> ensure_administrator(Database& database, Gates gates, std::string password, Deadline deadline);

}  // namespace afloat::server
