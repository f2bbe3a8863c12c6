#pragma once
#include <boost/json.hpp>
#include <string>

#include "base/error.h"
#include "rollout/options.h"

namespace afloat::cli {

/// Upgrade runs straight from the database that the site's file names, for what the site's nodes are too old to be
/// asked (the wishes and verbs of a newer release), and while no node answers. Who may read that file may do this.
/// Thread-safety: none; each call runs to its end.
class RunDesk {
 public:
  explicit RunDesk(std::string config) : config_(std::move(config)) {}

  /// The new run, as REST gives it. Errors as RunStore::create.
  Result<boost::json::object> create(std::string to, std::string reason, rollout::Options options);
  /// 0: the latest. Errors: not_found.
  Result<boost::json::object> show(std::int64_t id);
  enum class Signal { cancel, resume, pause, rollback };
  /// `node`: for rollback. The run, as REST gives it.
  Result<boost::json::object> send(Signal signal, std::int64_t id, std::string node = {});

 private:
  std::string config_;
};

}  // namespace afloat::cli
