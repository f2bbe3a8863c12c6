#pragma once
#include <boost/asio/async_result.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "ports/task.h"

namespace afloat::server {

/// Awaits two tasks at once, so that their database reads share a round trip of the pipeline. Both run to
/// their end, whatever the other's outcome. On one io_context; what the tasks refer to must outlive both.
template <class A, class B>
Async<std::pair<Result<A>, Result<B>>> both(Task<A> first, Task<B> second) {
  struct Shared {
    std::optional<Result<B>> outcome;
    std::exception_ptr failure;
    std::move_only_function<void()> resume;
  };
  auto shared = std::make_shared<Shared>();
  auto executor = co_await boost::asio::this_coro::executor;
  boost::asio::co_spawn(executor, std::move(second), [shared](std::exception_ptr failure, Result<B> outcome) {
    shared->failure = failure;
    shared->outcome.emplace(std::move(outcome));
    if (auto resume = std::exchange(shared->resume, nullptr)) resume();
  });
  auto one = co_await std::move(first);
  if (!shared->outcome) {
    co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>&, void()>(
        [shared, executor](auto handler) {
          shared->resume = [handler = std::move(handler), executor]() mutable {
            boost::asio::post(executor, [handler = std::move(handler)]() mutable { std::move(handler)(); });
          };
        },
        boost::asio::use_awaitable);
  }
  if (shared->failure) std::rethrow_exception(shared->failure);
  co_return std::pair<Result<A>, Result<B>>(std::move(one), std::move(*shared->outcome));
}

}  // namespace afloat::server
