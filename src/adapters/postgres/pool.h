#pragma once
#include <memory>
#include <vector>

#include "adapters/asio/runtime.h"
#include "adapters/postgres/connection.h"

namespace afloat::postgres {

/// At most `limit` connections, each lent to one caller at a time; opened when first needed, and again
/// after one was lost. Waiters are served as connections come back. One context's thread.
class Pool {
  struct State;

 public:
  Pool(boost::asio::io_context& context, std::string conninfo, int limit);

  /// A connection for one caller; gives itself back when destroyed. It may outlive the pool: when a process ends, the
  /// frames of coroutines that still hold one go with the io_context, the last thing to be destroyed.
  class Lease {
   public:
    Lease(const std::shared_ptr<State>& pool, std::shared_ptr<Connection> connection)
        : pool_(pool), connection_(std::move(connection)) {}
    Lease(Lease&& other) noexcept = default;
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (connection_) give_back(pool_, std::move(connection_));
    }
    Connection& operator*() const { return *connection_; }
    Connection* operator->() const { return connection_.get(); }
    std::shared_ptr<Connection> shared() const { return connection_; }

   private:
    std::weak_ptr<State> pool_;
    std::shared_ptr<Connection> connection_;
  };
  /// Errors: unavailable when none could be had by the deadline.
  Task<Lease> acquire(Deadline deadline);

 private:
  struct State {
    int open = 0;  // lent out or idle
    std::vector<std::shared_ptr<Connection>> idle;
    Event freed;
  };
  static void give_back(const std::weak_ptr<State>& pool, std::shared_ptr<Connection> connection);

  boost::asio::io_context& context_;
  std::string conninfo_;
  int limit_;
  std::shared_ptr<State> state_;
};

}  // namespace afloat::postgres
