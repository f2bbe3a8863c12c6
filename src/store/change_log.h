#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "ports/database.h"

namespace afloat::store {

/// Tells this node what others have written, read by transaction horizon (never by highest number:
/// identity values are given out before commit, so a cursor on them loses entries).
///
/// A cached answer may be given only after `fresh()`: it completes after a poll that *began after the
/// call*; the polls of one turn of the event loop leave in one packet. So a write acknowledged on any node
/// is seen on every node, without sticky sessions. NOTIFY plays no part in correctness.
/// Thread-safety: one per io_context.
class ChangeLog {
 public:
  explicit ChangeLog(Database& database);
  ~ChangeLog();
  /// Called for each new entry, and with ("*", "") when everything must be forgotten (lost connection,
  /// node was away). A kind that the listener does not know is a newer release's: it then forgets
  /// everything too. Subscribe before the first fresh().
  void subscribe(std::function<void(std::string_view kind, std::string_view key)> listener);
  Task<void> fresh(Deadline deadline);
  /// Forget everything: after a lapsed lease or a lost database.
  void reset();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace afloat::store
