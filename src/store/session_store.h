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
/// The session and its user were here now.
Task<void> touch_session(Database& database, Gates gates, std::string id_hash, std::int64_t user_id, Deadline deadline);
/// Of who comes without a session.
Task<void> touch_user(Database& database, Gates gates, std::int64_t user_id, Deadline deadline);
Task<void> remove_session(Database& database, Gates gates, std::string id_hash, Deadline deadline);

/// A user by name, and whether a node of this site has verified `digest` (the keyed hash of name and password)
/// against the password that the user has now. Errors: not_found.
struct Candidate {
  User user;  ///< with the password hash
  bool verified = false;
  std::chrono::milliseconds remaining{0};  ///< of that verification
};
Task<Candidate> find_candidate(Database& database, std::string name, std::string digest, Deadline deadline);
/// Tells the other nodes that `digest` was verified against `password_hash`; removes what has expired.
Task<void> note_verified(Database& database, Gates gates, std::string digest, std::int64_t user_id,
                         std::string password_hash, std::chrono::seconds lifetime, Deadline deadline);

/// The owner of an unexpired token.
Task<std::optional<User>> read_token(Database& database, std::string token_hash, Deadline deadline);
Task<void> create_token(Database& database, Gates gates, std::string token_hash, std::int64_t user_id, std::string name,
                        std::optional<std::chrono::seconds> lifetime, Deadline deadline);

}  // namespace afloat::store
