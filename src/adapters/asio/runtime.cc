#include "adapters/asio/runtime.h"

#include <sys/random.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>

namespace afloat {

namespace asio = boost::asio;

std::int64_t SystemClock::unix_ms() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Task<void> AsioTimer::sleep_until(SteadyTime when) {
  asio::steady_timer timer(co_await asio::this_coro::executor, when);
  auto [error] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  if (error) co_return fail(ErrorKind::unavailable, "the wait was cancelled");
  co_return Result<void>{};
}

std::uint64_t SystemRandom::next() {
  std::uint64_t value = 0;
  if (getrandom(&value, sizeof value, 0) != sizeof value) std::abort();
  return value;
}

Task<void> offload(asio::thread_pool& pool, std::move_only_function<void()> work) {
  auto executor = co_await asio::this_coro::executor;
  asio::steady_timer done(executor, SteadyTime::max());
  Result<void> outcome;
  auto finished = std::make_shared<bool>(false);
  asio::post(pool, [&, finished, work = std::move(work)]() mutable {
    Result<void> result;
    try {
      work();
    } catch (const std::exception& failure) {
      result = fail(ErrorKind::internal, failure.what());
    }
    asio::post(executor, [&, finished, result = std::move(result)]() mutable {
      outcome = std::move(result);
      *finished = true;
      done.cancel();
    });
  });
  while (!*finished) co_await done.async_wait(asio::as_tuple(asio::use_awaitable));
  co_return outcome;
}

void spawn(asio::any_io_executor executor, std::string_view what, std::function<Async<void>()> coroutine) {
  // The function object is moved into the spawned frame, so that a lambda's captures live as long as it runs.
  auto holder = std::make_shared<std::function<Async<void>()>>(std::move(coroutine));
  asio::co_spawn(executor, (*holder)(), [holder, name = std::string(what)](std::exception_ptr failure) {
    if (!failure) return;
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "afloat: %s ended with an exception: %s\n", name.c_str(), error.what());
    }
    std::abort();
  });
}

struct Event::State {
  std::set<asio::steady_timer*> waiters;
  std::uint64_t generation = 0;
};

Event::Event(asio::any_io_executor) : state_(std::make_shared<State>()) {}
Event::~Event() { notify_all(); }

Async<bool> Event::wait_until(SteadyTime deadline) {
  auto state = state_;
  const auto generation = state->generation;
  asio::steady_timer timer(co_await asio::this_coro::executor, deadline);
  // A frame can also end by being destroyed with its io_context; the timer must not stay known then.
  struct Waiting {
    State& state;
    asio::steady_timer& timer;
    ~Waiting() { state.waiters.erase(&timer); }
  };
  {
    state->waiters.insert(&timer);
    const Waiting waiting{*state, timer};
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  co_return state->generation != generation;
}

void Event::notify_all() {
  ++state_->generation;
  for (auto* timer : state_->waiters) timer->cancel();
}

}  // namespace afloat
