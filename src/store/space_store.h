#pragma once
#include "store/page_store.h"

namespace afloat::store {

struct Space {
  std::int64_t id = 0;
  std::string key;
  std::string name;
  std::string description;
  std::optional<std::int64_t> homepage_id;
  UserName created_by;
  std::int64_t created_at_ms = 0;
};
struct NewSpace {
  std::string key;  ///< letters and digits, at most 255, kept as given, unique without regard to case
  std::string name;
  std::string description;
  std::string homepage_title;  ///< "" = "<name> Home"
  std::string homepage_body;   ///< storage format
  std::int64_t author = 0;
};

/// By name.
Task<std::vector<Space>> list_spaces(Database& database, int start, int limit, Deadline deadline);
/// Case of the key does not matter. Errors: not_found.
Task<Space> read_space(Database& database, std::string key, Deadline deadline);
/// With its home page, in one batch. Errors: invalid_argument (bad key, no name, key taken).
Task<Space> create_space(Database& database, Gates gates, NewSpace space, Deadline deadline);
/// Absent fields stay. Errors: not_found, invalid_argument (home page of another space).
Task<Space> update_space(Database& database, Gates gates, std::string key, std::optional<std::string> name,
                         std::optional<std::string> description, std::optional<std::int64_t> homepage_id,
                         Deadline deadline);

}  // namespace afloat::store
