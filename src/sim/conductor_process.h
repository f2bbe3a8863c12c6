#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>

#include "conductor/conductor.h"
#include "sim/site.h"

namespace afloat::sim {

/// One conductor: the product's conductor::Conductor on simulated ports. It has an io_context of its own, so
/// that a kill destroys its coroutines where they stand, as SIGKILL does.
class ConductorProcess : public Actor {
 public:
  struct Plan {
    int kill_at = -1;                                                      ///< at the await of this number
    enum class Counting { all, acts, commands } counting = Counting::all;  ///< acts: what changes something
    enum class Kill { before, after } kill = Kill::before;  ///< before it was sent, or instead of its answer
    std::chrono::milliseconds poll{50};
  };
  ConductorProcess(Site& site, int number, int life, Plan plan);
  ~ConductorProcess() override;
  void begin();
  void spare() { plan_.kill_at = -1; }
  std::int64_t clock_jump_ms = 0;  ///< of its wall clock
  std::function<void()> on_end;

 protected:
  void after_delivery() override;
  void on_killed() override;

 private:
  struct Ports;
  struct Runs;
  struct Cluster;
  struct Hosts;
  struct Traffics;
  struct Nodes;
  struct People;
  /// Each await of the conductor is one of these: a request to somebody, and its answer or the deadline.
  template <class T>
  Task<T> ask(std::string what, Endpoint to, Serve<T> serve, Deadline deadline);
  template <class T>
  Task<T> ask_database(std::string what, std::function<Result<T>(Database&)> work, Deadline deadline) {
    return ask<T>(std::move(what), at_database, site_.serve_database<T>(std::move(work), false), deadline);
  }
  Task<void> sleep_until(SteadyTime when);
  enum class Fate { lives, dies_before, dies_after };
  Fate next_await(const std::string& what);
  void die();

  Site& site_;
  Plan plan_;
  std::string holder_;
  int awaits_ = 0;
  std::unique_ptr<Ports> ports_;
  std::unique_ptr<conductor::Conductor> conductor_;
  std::unique_ptr<boost::asio::io_context> io_;  ///< last: it goes first, and the coroutines with it
};

}  // namespace afloat::sim
