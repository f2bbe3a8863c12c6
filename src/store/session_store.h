#pragma once
#include "store/user_store.h"

/// Sessions and access tokens, found by the hash of their secret; the secrets themselves are not stored.
namespace afloat::store {

struct Session {
  User user;
  std::string csrf;
  bool touch_due = false;  ///< last_seen is older than a minute
};
Task<std::optional<Session>> read_session(Database& database, std::string id_hash, Deadline deadline);
/// Also removes this user's expired sessions.
Task<void> create_session(Database& database, Gates gates, std::string id_hash, std::int64_t user_id, std::string csrf,
                          std::chrono::seconds lifetime, Deadline deadline);
Task<void> touch_session(Database& database, Gates gates, std::string id_hash, Deadline deadline);
Task<void> remove_session(Database& database, Gates gates, std::string id_hash, Deadline deadline);

/// The owner of an unexpired token.
Task<std::optional<User>> read_token(Database& database, std::string token_hash, Deadline deadline);
Task<void> create_token(Database& database, Gates gates, std::string token_hash, std::int64_t user_id, std::string name,
                        std::optional<std::chrono::seconds> lifetime, Deadline deadline);

}  // namespace afloat::store
