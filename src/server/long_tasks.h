#pragma once
#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ports/database.h"
#include "server/context.h"

namespace afloat::server {

/// Long work on this node: import, re-index. Each has a row in long_task (any node can show it) and
/// counts as one of *Tasks running* here while it runs. One LongTasks per node context; progress rows
/// are written at most twice a second.
class LongTasks {
 public:
  struct Progress {
    virtual ~Progress() = default;
    virtual void set(int percent, std::string message) = 0;  ///< what is being done now
    virtual void note(std::string message) = 0;              ///< kept in the summary (a broken page, ...)
    virtual bool stop_requested() const = 0;                 ///< the node drains
  };
  virtual ~LongTasks() = default;
  /// Starts `work` on this context; its Result's text is the closing summary. Returns the id at once.
  virtual Task<std::string> start(std::string kind, std::string title, std::string actor,
                                  std::move_only_function<Task<std::string>(Progress&)> work, Deadline deadline) = 0;
  /// JSON of one task or nullopt:
  /// {"id","name":{"key"},"percentageComplete","successful","finished","messages":[..],"elapsedTime"}.
  virtual Task<std::optional<std::string>> describe(std::string id, Deadline deadline) = 0;
  virtual int running() const = 0;  ///< on this whole node
  /// Newest first, each as describe() gives it.
  virtual Task<std::vector<std::string>> list(int start, int limit, Deadline deadline) = 0;
};

struct LongTaskDependencies {
  Database& database;
  GateKeeper& gates;
  const Clock& clock;
  boost::asio::any_io_executor executor;      ///< of the context
  std::string node;                           ///< its name, for the rows
  std::shared_ptr<std::atomic<int>> running;  ///< shared by the node's contexts
  std::function<bool()> stopping;             ///< the node drains
  std::function<Task<void>(Deadline)> refresh_gates;
};
std::unique_ptr<LongTasks> make_long_tasks(LongTaskDependencies dependencies);

/// At start: rows of this node that an earlier process left unfinished are marked failed ("the node stopped").
Task<void> fail_unfinished_tasks(Database& database, Gates gates, std::string node, Deadline deadline);

}  // namespace afloat::server
