#include "adapters/postgres/pool.h"

namespace afloat::postgres {

Pool::Pool(boost::asio::io_context& context, std::string conninfo, int limit)
    : context_(context),
      conninfo_(std::move(conninfo)),
      limit_(limit),
      state_(new State{.freed = Event(context.get_executor())}) {}

Task<Pool::Lease> Pool::acquire(Deadline deadline) {
  const auto state = state_;
  for (;;) {
    while (!state->idle.empty()) {
      auto connection = std::move(state->idle.back());
      state->idle.pop_back();
      if (connection->usable()) co_return Lease(state, std::move(connection));
      --state->open;
    }
    if (state->open < limit_) {
      ++state->open;
      auto connection = std::make_shared<Connection>(context_, conninfo_);
      if (auto connected = co_await connection->connect(deadline); !connected) {
        --state->open;
        state->freed.notify_all();
        co_return std::unexpected(connected.error());
      }
      co_return Lease(state, std::move(connection));
    }
    if (!co_await state->freed.wait_until(deadline) && state->idle.empty())
      co_return fail(ErrorKind::unavailable, "All connections to the database are busy; try again in a moment.");
  }
}

void Pool::give_back(const std::weak_ptr<State>& pool, std::shared_ptr<Connection> connection) {
  const auto state = pool.lock();
  if (!state) return;
  if (connection->usable() && connection->idle())
    state->idle.push_back(std::move(connection));
  else
    --state->open;
  state->freed.notify_all();
}

}  // namespace afloat::postgres
