#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace afloat::rollout {

/// How long a conductor lets a new node soak when neither the run nor its own command line says.
inline constexpr std::int64_t usual_soak_ms = 30'000;

/// What becomes of a run in which something has failed that waiting does not mend.
enum class OnFailure {
  pause,   ///< wait for a person
  cancel,  ///< lead every node back to the old release, where there is still a way back
};
std::string_view to_string(OnFailure policy);

/// Is a node more to be there while the others are taken out one by one?
enum class Surge {
  never,
  when_needed,  ///< where the others could not carry the load without one of them
  always,
};
std::string_view to_string(Surge surge);
std::optional<Surge> surge_from(std::string_view text);

/// What people wish of a run. Stored with it as JSON, so that a conductor newer than the site's nodes may know
/// more of them than the nodes that take the wish.
struct Options {
  bool hold_before_finalize = true;    ///< wait for a person before the point of no return
  bool finalize_intermediate = false;  ///< of a chain of hops: finalize all but the last without holding
  bool offline = false;                ///< with downtime: all nodes down together (rollout/offline.h)
  bool backup = false;                 ///< set by a conductor that has a backup command
  bool notes_recorded = false;         ///< set by the node that takes the run: it can record who read the release notes
  bool chain = true;                   ///< more than one feature release: as a chain of hops; false: refuse
  std::int64_t drain_deadline_ms = 30'000;  ///< for the requests of a node; 5 to 30 s of it for its end after SIGTERM
  std::int64_t active_deadline_ms = 60'000;
  std::int64_t ok_to_stop_deadline_ms = 600'000;
  std::int64_t soak_ms =
      -1;                 ///< how long a new node is compared with the others; 0: not at all; -1: as the conductor does
  double max_load = 0.7;  ///< measured load of the site over n-1 nodes; 0 switches the rule off
  Surge surge = Surge::when_needed;  ///< where the conductor has a node for it
  OnFailure on_failure = OnFailure::pause;
  std::int64_t failure_budget = 0;  ///< so many failures of the whole run are tried again without a person
  std::int64_t not_before_ms = 0;   ///< Unix time by the database's clock; 0: at once
  std::int64_t not_after_ms = 0;    ///< no further node is begun after it; 0: no limit
};
/// Reads JSON; an unknown key is an error that lists the known ones (a typed-in option must not be lost), but for
/// those that are the conductor's own notes beside the wishes.
Result<Options> parse_options(std::string_view json);
/// Of a run that is stored: what this release does not know of it (a newer one has written it) does not hide the rest.
Options stored_options(std::string_view json);
std::string to_json(const Options& options);

}  // namespace afloat::rollout
