#include "adapters/postgres/pool.h"

namespace afloat::postgres {

Pool::Pool(boost::asio::io_context& context, std::string conninfo, int limit)
    : context_(context), conninfo_(std::move(conninfo)), limit_(limit), freed_(context.get_executor()) {}

Task<Pool::Lease> Pool::acquire(Deadline deadline) {
  for (;;) {
    while (!idle_.empty()) {
      auto connection = std::move(idle_.back());
      idle_.pop_back();
      if (connection->usable()) co_return Lease(this, std::move(connection));
      --open_;
    }
    if (open_ < limit_) {
      ++open_;
      auto connection = std::make_shared<Connection>(context_, conninfo_);
      if (auto connected = co_await connection->connect(deadline); !connected) {
        --open_;
        freed_.notify_all();
        co_return std::unexpected(connected.error());
      }
      co_return Lease(this, std::move(connection));
    }
    if (!co_await freed_.wait_until(deadline) && idle_.empty())
      co_return fail(ErrorKind::unavailable, "All connections to the database are busy; try again in a moment.");
  }
}

void Pool::give_back(std::shared_ptr<Connection> connection) {
  if (connection->usable() && connection->idle())
    idle_.push_back(std::move(connection));
  else
    --open_;
  freed_.notify_all();
}

}  // namespace afloat::postgres
