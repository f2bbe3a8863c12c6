#pragma once
#include <boost/json/fwd.hpp>
#include <memory>
#include <optional>
#include <string>

#include "adapters/http/client.h"
#include "ports/cluster_store.h"
#include "ports/run_store.h"
#include "rollout/facts.h"
#include "rollout/model.h"
#include "server/context.h"
#include "server/rest/run_notes.h"

namespace afloat::server {

/// The checks of a site as any of its nodes can answer them.
/// Thread-safety: as Context. `context` outlives it.
class ChecksDesk {
 public:
  explicit ChecksDesk(Context& context);
  /// What GET /rest/afloat/1/checks answers. `group` is "health", "upgrade" (which needs `to`) or "" for both.
  /// Errors: invalid_argument; those of the roster.
  Task<boost::json::object> answer(std::string group, std::optional<std::string> to, Deadline deadline);
  /// The site with base_url, which is asked at the same time as the database.
  Task<rollout::Observation> look(Deadline deadline);
  /// Whoever asks waits no longer than this for the database.
  static Deadline within(Context& context, Deadline deadline);

 private:
  struct BaseUrlAnswer {
    rollout::BaseUrlFacts facts;
    std::string node;  ///< that says it answered
  };
  Task<BaseUrlAnswer> ask_base_url(Deadline deadline);

  Context& context_;
  http::Client client_{1};
  NotesDesk notes_;
  std::unique_ptr<RunStore> runs_;
  std::unique_ptr<ClusterStore> cluster_;
};

}  // namespace afloat::server
