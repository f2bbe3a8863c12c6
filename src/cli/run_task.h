#pragma once
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <optional>

#include "ports/task.h"

namespace afloat::cli {

/// Runs one coroutine to its end on an io_context of its own; for one-shot commands.
/// `work` receives the context so that it can build adapters on it.
template <class T>
Result<T> run_task(std::function<Task<T>(boost::asio::io_context&)> work) {
  boost::asio::io_context context(1);
  std::optional<Result<T>> outcome;
  boost::asio::co_spawn(context, work(context), [&](std::exception_ptr failure, Result<T> result) {
    if (failure) std::rethrow_exception(failure);
    outcome.emplace(std::move(result));
    context.stop();
  });
  context.run();
  if (!outcome) return fail(ErrorKind::internal, "the command ended without an outcome");
  return std::move(*outcome);
}

}  // namespace afloat::cli
