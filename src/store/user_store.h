#pragma once
#include "store/page_store.h"

namespace afloat::store {

struct User {
  std::int64_t id = 0;
  std::string name;
  std::string full_name;
  std::string email;
  bool administrator = false;
  std::string password_hash;  ///< only from find_user()
};
struct NewUser {
  std::string name;
  std::string full_name;
  std::string email;
  std::string password_hash;  ///< of base/hash.h
  bool administrator = false;
};
/// With the password hash; names compare without case. Errors: not_found.
Task<User> find_user(Database& database, std::string name, Deadline deadline);
Task<User> read_user(Database& database, std::int64_t id, Deadline deadline);
Task<std::vector<User>> list_users(Database& database, int start, int limit, Deadline deadline);
/// Errors: invalid_argument (name taken or not fit).
Task<User> create_user(Database& database, Gates gates, NewUser user, Deadline deadline);
/// Only when there is no user at all; true when it was created.
Task<bool> create_first_user(Database& database, Gates gates, NewUser user, Deadline deadline);
Task<void> set_password(Database& database, Gates gates, std::int64_t user_id, std::string password_hash,
                        Deadline deadline);

}  // namespace afloat::store
