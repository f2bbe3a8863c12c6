#pragma once
#include <boost/json/fwd.hpp>
#include <memory>

#include "adapters/http/router.h"
#include "ports/cluster_store.h"
#include "ports/notes_store.h"
#include "server/context.h"
#include "version/index.h"

namespace afloat::server {

/// The release notes between what the site is finalized at and a target, and who has read them.
/// Thread-safety: as Context. `context` outlives it.
class NotesDesk {
 public:
  explicit NotesDesk(Context& context);

  struct State {
    version::Version from, to;
    std::vector<version::KnownRelease> known;  ///< of the catalogue; empty when it can't be read
    bool catalogue = false;                    ///< it could be read
    std::vector<version::ReleaseNotes> notes;  ///< highest version first
    std::vector<version::ReadNotes> read;
    std::vector<std::string> versions() const;  ///< of `notes`
    /// The target is in this node's catalogue, so it can say which notes there are and record who has read them.
    bool knows_target() const;
  };
  Task<State> look(version::Version from, version::Version to, Deadline deadline);
  /// From where the site is finalized. Errors: failed_precondition where it has never been started.
  Task<State> look_from_here(version::Version to, Deadline deadline);
  Task<version::Version> cluster_version(Deadline deadline);
  /// A full version that somebody typed. Errors: invalid_argument that names the nearest ones of the catalogue.
  Task<version::Version> target_of(std::string typed);
  /// Records those that nobody has acknowledged yet, and returns the state after it.
  Task<State> acknowledge(State state, std::string actor, Deadline deadline);

 private:
  Task<void> read_catalogue(State* state);

  Context& context_;
  std::unique_ptr<NotesStore> store_;
  std::unique_ptr<ClusterStore> cluster_;
};

/// /rest/afloat/1/runs/notes, /notes/acknowledge, /path and /policy: what to know before a run. System administrators
/// only.
void add_run_notes_routes(http::Router& router, Context& context);

}  // namespace afloat::server
