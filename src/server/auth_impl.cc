#include <boost/asio/this_coro.hpp>
#include <deque>
#include <map>
#include <mutex>
#include <set>

#include "adapters/asio/runtime.h"
#include "base/hash.h"
#include "base/text.h"
#include "server/auth.h"
#include "server/context.h"
#include "store/session_store.h"

namespace afloat::server {

namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr auto remembered_for = seconds(60);
constexpr auto session_lifetime = seconds(7 * 24 * 3600);
constexpr auto active_for = minutes(5);
constexpr std::size_t most_failures = 10;  // a minute, for one user and address
constexpr std::size_t most_remembered = 20'000;
constexpr std::size_t longest_password = 1'024;
constexpr std::string_view cookie_name = "afloat_session";

std::string digest(std::string_view secret) { return from_hex(sha256_hex(secret)).value_or(std::string()); }

Identity identity_of(const store::User& user, Identity::Via via) {
  Identity identity;
  identity.user_id = user.id;
  identity.user_name = user.name;
  identity.full_name = user.full_name;
  identity.administrator = user.administrator;
  identity.via = via;
  return identity;
}

}  // namespace

class AuthShared {
 public:
  void seen(std::int64_t user, SteadyTime now) {
    const std::lock_guard lock(mutex_);
    active_[user] = now;
  }
  int active(SteadyTime now) {
    const std::lock_guard lock(mutex_);
    std::erase_if(active_, [now](const auto& entry) { return now - entry.second > active_for; });
    return static_cast<int>(active_.size());
  }
  bool blocked(const std::string& who, SteadyTime now) {
    const std::lock_guard lock(mutex_);
    const auto found = failures_.find(who);
    if (found == failures_.end()) return false;
    while (!found->second.empty() && now - found->second.front() > minutes(1)) found->second.pop_front();
    return found->second.size() >= most_failures;
  }
  void failed(const std::string& who, SteadyTime now) {
    const std::lock_guard lock(mutex_);
    if (failures_.size() > 10'000)
      std::erase_if(failures_, [now](const auto& entry) {
        return entry.second.empty() || now - entry.second.back() > minutes(1);
      });
    failures_[who].push_back(now);
  }

 private:
  std::mutex mutex_;
  std::map<std::int64_t, SteadyTime> active_;
  std::map<std::string, std::deque<SteadyTime>> failures_;
};

std::shared_ptr<AuthShared> make_auth_shared() { return std::make_shared<AuthShared>(); }

namespace {

class StoredAuth final : public Auth {
 public:
  explicit StoredAuth(AuthDependencies dependencies) : state_(std::make_shared<State>(std::move(dependencies))) {
    state_->with.changes.subscribe([weak = std::weak_ptr(state_)](std::string_view kind, std::string_view key) {
      if (const auto state = weak.lock()) state->forget(kind, key);
    });
  }

  Task<Identity> identify(const http::Request& request) override {
    auto identity = co_await find_identity(request);
    if (identity && identity->signed_in())
      state_->with.shared->seen(identity->user_id, state_->with.clock.steady_now());
    co_return identity;
  }

  Task<Identity> require_user(const http::Request& request) override {
    auto identity = co_await identify(request);
    if (identity && !identity->signed_in())
      co_return fail(ErrorKind::unauthenticated, "Nobody is signed in; sign in, or send credentials.");
    co_return identity;
  }

  Task<Identity> require_administrator(const http::Request& request) override {
    auto identity = co_await require_user(request);
    if (identity && !identity->administrator)
      co_return fail(ErrorKind::permission_denied,
                     "The user " + identity->user_name + " is not a system administrator; ask one to do this.");
    co_return identity;
  }

  Result<void> check_csrf(const http::Request& request, const Identity& identity,
                          std::string_view form_token) override {
    if (identity.via != Identity::Via::session) return {};
    const auto header = request.headers.get("X-Csrf-Token");
    const auto token = form_token.empty() ? header : form_token;
    if (!identity.csrf.empty() && equal_secrets(token, identity.csrf)) return {};
    return fail(ErrorKind::permission_denied,
                "The request's CSRF token is missing or belongs to another session; load the page again and repeat.");
  }

  int active_users() const override { return state_->with.shared->active(state_->with.clock.steady_now()); }

  Task<std::string> sign_in(std::string name, std::string password, std::string remote, Deadline deadline) override {
    const auto state = state_;
    auto identity = co_await verify(state, std::move(name), std::move(password), std::move(remote), deadline, std::nullopt);
    if (!identity) co_return std::unexpected(identity.error());
    const auto id = random_hex(32);
    const auto csrf = random_hex(16);
    auto made = co_await with_gates<void>(state->with.gates, state->with.refresh_gates, deadline, [&](Gates gates) {
      return store::create_session(state->with.database, gates, digest(id), identity->user_id, csrf, session_lifetime,
                                   deadline);
    });
    if (!made) co_return std::unexpected(made.error());
    co_return cookie(id, session_lifetime);
  }

  Task<std::string> sign_out(const http::Request& request) override {
    const auto state = state_;
    const auto deadline = request.deadline;
    if (const auto id = request.cookie(cookie_name)) {
      auto done = co_await with_gates<void>(state->with.gates, state->with.refresh_gates, deadline, [&](Gates gates) {
        return store::remove_session(state->with.database, gates, digest(*id), deadline);
      });
      if (!done) co_return std::unexpected(done.error());
    }
    co_return cookie("", seconds(0));
  }

 private:
  struct Remembered {
    Identity identity;
    SteadyTime until;
  };
  /// One verification that others wait for.
  struct Pending {
    explicit Pending(boost::asio::any_io_executor executor) : done(std::move(executor)) {}
    Event done;
    std::optional<Result<Identity>> outcome;
  };
  /// Shared with the coroutines that outlive a request.
  struct State {
    explicit State(AuthDependencies dependencies) : with(std::move(dependencies)) {}
    AuthDependencies with;
    std::map<std::string, Remembered> remembered;
    std::map<std::string, std::shared_ptr<Pending>> pending;
    std::set<std::string> touching;
    std::uint64_t user_changes = 0;

    void forget(std::string_view kind, std::string_view id) {
      if (kind == "page" || kind == "space") return;
      ++user_changes;
      if (kind != "user") return remembered.clear();
      std::erase_if(remembered,
                    [id](const auto& entry) { return std::to_string(entry.second.identity.user_id) == id; });
    }
    void remember(const std::string& credential, Identity identity, SteadyTime now, std::chrono::milliseconds time) {
      if (remembered.size() >= most_remembered)
        std::erase_if(remembered, [now](const auto& entry) { return entry.second.until <= now; });
      if (remembered.size() >= most_remembered) remembered.clear();
      remembered[credential] = {std::move(identity), now + time};
    }
  };

  std::string cookie(const std::string& value, seconds age) const {
    return std::string(cookie_name) + "=" + value + "; Path=/; Max-Age=" + std::to_string(age.count()) +
           "; HttpOnly; SameSite=Lax" + (state_->with.secure_cookies ? "; Secure" : "");
  }

  Task<Identity> find_identity(const http::Request& request) {
    const auto header = request.headers.get("Authorization");
    const auto blank = header.find(' ');
    if (blank != std::string_view::npos) {
      const auto scheme = header.substr(0, blank);
      const bool basic = equals_ignoring_case(scheme, "Basic");
      if (basic || equals_ignoring_case(scheme, "Bearer"))
        co_return co_await by_credential(state_, basic, std::string(trim(header.substr(blank + 1))), request.remote,
                                         request.deadline);
    }
    if (!header.empty())
      co_return fail(ErrorKind::unauthenticated,
                     "The Authorization header is neither Basic nor Bearer; send one of those.");
    if (const auto id = request.cookie(cookie_name); id && !id->empty())
      co_return co_await by_session(state_, *id, request.deadline);
    co_return Identity();
  }

  /// An unknown or expired session is as none: browsers go on sending old cookies.
  static Task<Identity> by_session(std::shared_ptr<State> state, std::string id, Deadline deadline) {
    auto id_hash = digest(id);
    auto session = co_await store::read_session(state->with.database, id_hash, deadline);
    if (!session) co_return std::unexpected(session.error());
    if (!*session) co_return Identity();
    if ((*session)->touch_due && state->touching.insert(id_hash).second) {
      auto executor = co_await boost::asio::this_coro::executor;
      spawn(executor, "session last seen",
            [state, id_hash, user = (*session)->user.id] { return touch(state, id_hash, user); });
    }
    auto identity = identity_of((*session)->user, Identity::Via::session);
    identity.csrf = (*session)->csrf;
    co_return identity;
  }

  static Async<void> touch(std::shared_ptr<State> state, std::string id_hash, std::int64_t user) {
    const auto deadline = state->with.clock.steady_now() + seconds(5);
    // Not noted is no harm: the next request tries again.
    [[maybe_unused]] auto done = co_await with_gates<void>(
        state->with.gates, state->with.refresh_gates, deadline,
        [&](Gates gates) { return store::touch_session(state->with.database, gates, id_hash, user, deadline); });
    state->touching.erase(id_hash);
  }

  /// As often as credentials are looked at, which are remembered for a while.
  static Async<void> touch_user(std::shared_ptr<State> state, std::int64_t user) {
    const auto deadline = state->with.clock.steady_now() + seconds(5);
    [[maybe_unused]] auto done = co_await with_gates<void>(
        state->with.gates, state->with.refresh_gates, deadline,
        [&](Gates gates) { return store::touch_user(state->with.database, gates, user, deadline); });
  }

  static Task<Identity> by_credential(std::shared_ptr<State> state, bool basic, std::string credential,
                                      std::string remote, Deadline deadline) {
    const auto hash = keyed_hash(state->with.site_key, (basic ? "basic " : "bearer ") + credential);
    if (const auto known = state->remembered.find(hash); known != state->remembered.end()) {
      // Trusted only after a poll that began now: a password changed on any node counts at once.
      if (known->second.until > state->with.clock.steady_now())
        if (auto fresh = co_await state->with.changes.fresh(deadline); !fresh) co_return std::unexpected(fresh.error());
    }
    if (const auto known = state->remembered.find(hash); known != state->remembered.end()) {
      if (known->second.until > state->with.clock.steady_now()) co_return known->second.identity;
      state->remembered.erase(known);
    }
    if (const auto other = state->pending.find(hash); other != state->pending.end()) {
      const auto wait = other->second;
      while (!wait->outcome)
        if (!co_await wait->done.wait_until(deadline)) break;
      if (!wait->outcome)
        co_return fail(ErrorKind::unavailable, "The credentials could not be checked in time; try again.");
      co_return *wait->outcome;
    }
    auto executor = co_await boost::asio::this_coro::executor;
    const auto pending = std::make_shared<Pending>(executor);
    state->pending[hash] = pending;
    const auto changes_before = state->user_changes;
    std::chrono::milliseconds lifetime = remembered_for;
    auto identity = basic ? co_await check_basic(state, std::move(credential), hash, lifetime, std::move(remote), deadline)
                          : co_await check_token(state, std::move(credential), deadline);
    if (identity) {
      auto touching = co_await boost::asio::this_coro::executor;
      spawn(touching, "user last seen", [state, user = identity->user_id] { return touch_user(state, user); });
    }
    // A change of the user that was heard of meanwhile may have come after what was read.
    if (identity && state->user_changes == changes_before)
      state->remember(hash, *identity, state->with.clock.steady_now(), lifetime);
    pending->outcome = identity;
    state->pending.erase(hash);
    pending->done.notify_all();
    co_return identity;
  }

  /// `lifetime` comes back shorter where another node has verified the password some time ago.
  static Task<Identity> check_basic(std::shared_ptr<State> state, std::string credential, std::string hash,
                                    std::chrono::milliseconds& lifetime, std::string remote, Deadline deadline) {
    const auto decoded = from_base64(credential);
    const auto colon = decoded ? decoded->find(':') : std::string::npos;
    if (colon == std::string::npos)
      co_return fail(ErrorKind::unauthenticated, "The basic credentials are not base64 of name:password.");
    const auto name = decoded->substr(0, colon);
    std::optional<store::User> user;
    if (is_utf8(name)) {
      auto candidate = co_await store::find_candidate(state->with.database, name, hash, deadline);
      if (!candidate && candidate.error().kind() != ErrorKind::not_found) co_return std::unexpected(candidate.error());
      if (candidate && candidate->verified) {
        lifetime = std::min(lifetime, candidate->remaining);
        co_return identity_of(candidate->user, Identity::Via::basic);
      }
      if (candidate) user = std::move(candidate->user);
    }
    const auto password_hash = user ? user->password_hash : std::string();
    auto identity = co_await verify(state, name, decoded->substr(colon + 1), std::move(remote), deadline, std::move(user));
    if (identity && !password_hash.empty()) {
      auto executor = co_await boost::asio::this_coro::executor;
      spawn(executor, "verified credential", [state, hash, id = identity->user_id, password_hash] {
        return tell_others(state, hash, id, password_hash);
      });
    }
    co_return identity;
  }

  static Async<void> tell_others(std::shared_ptr<State> state, std::string digest, std::int64_t user, std::string verified_hash) {
    const auto deadline = state->with.clock.steady_now() + seconds(5);
    // Not told is no harm: they verify the password themselves.
    [[maybe_unused]] auto told = co_await with_gates<void>(
        state->with.gates, state->with.refresh_gates, deadline, [&](Gates gates) {
          return store::note_verified(state->with.database, gates, digest, user, verified_hash, remembered_for, deadline);
        });
  }

  static Task<Identity> check_token(std::shared_ptr<State> state, std::string token, Deadline deadline) {
    auto user = co_await store::read_token(state->with.database, digest(token), deadline);
    if (!user) co_return std::unexpected(user.error());
    if (!*user)
      co_return fail(ErrorKind::unauthenticated, "The access token is unknown or has expired; make another one.");
    co_return identity_of(**user, Identity::Via::token);
  }

  /// `read` is the user of that name where the caller has read it just now.
  static Task<Identity> verify(std::shared_ptr<State> state, std::string name, std::string password, std::string remote,
                               Deadline deadline, std::optional<store::User> read) {
    const auto who = to_lower(name) + '\n' + remote;
    auto& shared = *state->with.shared;
    if (shared.blocked(who, state->with.clock.steady_now()))
      co_return fail(ErrorKind::unauthenticated,
                     "There were ten failed sign-ins for this user within a minute; wait a minute and try again.");
    if (!is_utf8(name) || password.size() > longest_password)
      co_return fail(ErrorKind::unauthenticated, "The user name or the password is wrong.");
    auto user = read ? Result<store::User>(*std::move(read)) : co_await store::find_user(state->with.database, name, deadline);
    if (!user && user.error().kind() != ErrorKind::not_found) co_return std::unexpected(user.error());
    bool right = false;
    // An unknown user costs as much time as a wrong password, so the time does not tell who exists.
    auto checked = co_await state->with.hash([&] {
      if (user)
        right = verify_password(user->password_hash, password);
      else
        (void)hash_password(password);
    });
    if (!checked) co_return std::unexpected(checked.error());
    if (!right) {
      shared.failed(who, state->with.clock.steady_now());
      co_return fail(ErrorKind::unauthenticated, "The user name or the password is wrong.");
    }
    co_return identity_of(*user, Identity::Via::basic);
  }

  std::shared_ptr<State> state_;
};

}  // namespace

std::unique_ptr<Auth> make_auth(AuthDependencies dependencies) {
  return std::make_unique<StoredAuth>(std::move(dependencies));
}

Task<Identity> require_user_for_change(Auth& auth, const http::Request& request) {
  auto identity = co_await auth.require_user(request);
  if (!identity) co_return identity;
  if (auto genuine = auth.check_csrf(request, *identity, ""); !genuine) co_return std::unexpected(genuine.error());
  co_return identity;
}

Task<Identity> require_administrator_for_change(Auth& auth, const http::Request& request) {
  auto identity = co_await auth.require_administrator(request);
  if (!identity) co_return identity;
  if (auto genuine = auth.check_csrf(request, *identity, ""); !genuine) co_return std::unexpected(genuine.error());
  co_return identity;
}

Task<bool> ensure_administrator(Database& database, Gates gates, std::string password, Deadline deadline) {
  if (password.empty()) co_return false;
  auto anyone = co_await store::list_users(database, 0, 1, deadline);
  if (!anyone) co_return std::unexpected(anyone.error());
  if (!anyone->empty()) co_return false;
  store::NewUser admin;
  admin.name = "admin";
  admin.full_name = "Administrator";
  admin.administrator = true;
  admin.password_hash = hash_password(password);
  co_return co_await store::create_first_user(database, gates, std::move(admin), deadline);
}

}  // namespace afloat::server
