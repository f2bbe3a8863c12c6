#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <memory>
#include <string_view>

#include "ports/time.h"

/// Time, chance and threads of a real process.
namespace afloat {

class SystemClock final : public Clock {
 public:
  SteadyTime steady_now() const override { return std::chrono::steady_clock::now(); }
  std::int64_t unix_ms() const override;
};

class AsioTimer final : public Timer {
 public:
  explicit AsioTimer(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}
  Task<void> sleep_until(SteadyTime when) override;

 private:
  boost::asio::any_io_executor executor_;
};

class SystemRandom final : public Random {
 public:
  std::uint64_t next() override;
};

/// Runs `work` on the pool and completes on the awaiting coroutine's executor. An exception of `work`
/// becomes ErrorKind::internal.
Task<void> offload(boost::asio::thread_pool& pool, std::move_only_function<void()> work);

/// Starts a coroutine that nobody awaits on `executor`; an exception that escapes it ends the process
/// with a message (it is a broken invariant). `what` names it in that message.
void spawn(boost::asio::any_io_executor executor, std::string_view what, std::function<Async<void>()> coroutine);

/// A condition that coroutines of one io_context wait for; notify_all wakes every waiter.
class Event {
 public:
  explicit Event(boost::asio::any_io_executor executor);
  ~Event();
  /// True when notified, false at the deadline.
  Async<bool> wait_until(SteadyTime deadline);
  void notify_all();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace afloat
