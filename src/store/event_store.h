#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "ports/database.h"

/// The audit log: table cluster_event. A trial's database has none.
namespace afloat::store {

struct Event {
  std::int64_t seq = 0;
  std::int64_t at_ms = 0;
  std::string actor, kind;
  std::string detail_json;
};

/// Which events; what is 0 or "" does not narrow.
struct EventQuery {
  std::int64_t limit = 100;
  std::int64_t before = 0;  ///< only those with a lower number: the next page
  std::string kind;
  std::string text;                         ///< stands in actor, kind or detail, in whichever case
  std::int64_t since_ms = 0, until_ms = 0;  ///< Unix time; `until_ms` itself is outside
};

/// Newest first.
Task<std::vector<Event>> read_events(Database& database, EventQuery query, Deadline deadline);

/// For a write that is to be in the audit log together with what it changes.
Statement event_statement(std::string actor, std::string kind, std::string detail_json);

}  // namespace afloat::store
