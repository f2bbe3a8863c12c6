#pragma once
#include <functional>

#include "server/context.h"

namespace afloat::server {

/// with_gates() for what is built before the Context is: `refresh` reads the gates again.
template <class T>
Task<T> with_gates(GateKeeper& keeper, std::function<Task<void>(Deadline)> refresh, Deadline deadline,
                   std::function<Task<T>(Gates)> work) {
  for (int attempt = 0;; ++attempt) {
    auto use = keeper.use();
    auto result = co_await work(use.gates());
    if (result || result.error().code() != "AF003" || attempt == 2) co_return result;
    if (auto fresh = co_await refresh(deadline); !fresh) co_return std::unexpected(fresh.error());
  }
}

}  // namespace afloat::server
