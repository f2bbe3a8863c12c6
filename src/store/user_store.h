#pragma once
#include "store/page_store.h"

namespace afloat::store {

struct User {
  std::int64_t id = 0;
  std::string name;
  std::string full_name;
  std::string email;
  bool administrator = false;
  std::string password_hash;      ///< only from find_user()
  std::int64_t last_seen_ms = 0;  ///< to the minute; 0 = never. Only from find_users()
};
struct NewUser {
  std::string name;
  std::string full_name;
  std::string email;
  std::string password_hash;  ///< of base/hash.h
  bool administrator = false;
  std::string created_by{};  ///< for the audit log; "" = not told there
};
/// With the password hash; names compare without case. Errors: not_found.
Task<User> find_user(Database& database, std::string name, Deadline deadline);
Task<User> read_user(Database& database, std::int64_t id, Deadline deadline);
Task<std::vector<User>> list_users(Database& database, int start, int limit, Deadline deadline);

struct UserQuery {
  std::string text;             ///< stands in name, full name or address; "" = all
  bool administrators = false;  ///< these alone
  int start = 0, limit = 25;
};
struct FoundUsers {
  std::vector<User> users;  ///< by name
  std::int64_t total = 0;   ///< 0 where `start` is past the end
};
Task<FoundUsers> find_users(Database& database, UserQuery query, Deadline deadline);
constexpr std::size_t shortest_password = 8, longest_password = 1024;  ///< bytes
/// What a password must be. Errors: invalid_argument.
Result<void> check_password(std::string_view password);
/// Errors: invalid_argument (name taken or not fit).
Task<User> create_user(Database& database, Gates gates, NewUser user, Deadline deadline);
/// Only when there is no user at all; true when it was created.
Task<bool> create_first_user(Database& database, Gates gates, NewUser user, Deadline deadline);
/// Full name, address and the administrator's right of `after`; told in the audit log. Errors: failed_precondition
/// where nobody would be an administrator any more, whoever else is changed at the same time; invalid_argument.
Task<void> change_user(Database& database, Gates gates, User before, User after, std::string actor, Deadline deadline);

struct PasswordReset {
  std::string actor;      ///< for the audit log; "" = not told there
  std::string kept_csrf;  ///< the session with this token goes on: whoever changes their own stays signed in
};
/// `user.password_hash` becomes the user's. All other sessions of the user end; access tokens stay.
Task<void> reset_password(Database& database, Gates gates, User user, PasswordReset reset, Deadline deadline);

}  // namespace afloat::store
