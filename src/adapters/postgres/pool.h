#pragma once
#include <deque>
#include <memory>
#include <vector>

#include "adapters/asio/runtime.h"
#include "adapters/postgres/connection.h"

namespace afloat::postgres {

/// At most `limit` connections, each lent to one caller at a time; opened when first needed, and again
/// after one was lost. Waiters are served as connections come back. One context's thread.
class Pool {
 public:
  Pool(boost::asio::io_context& context, std::string conninfo, int limit);

  /// A connection for one caller; gives itself back when destroyed.
  class Lease {
   public:
    Lease(Pool* pool, std::shared_ptr<Connection> connection) : pool_(pool), connection_(std::move(connection)) {}
    Lease(Lease&& other) noexcept : pool_(other.pool_), connection_(std::move(other.connection_)) {}
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (connection_) pool_->give_back(std::move(connection_));
    }
    Connection& operator*() const { return *connection_; }
    Connection* operator->() const { return connection_.get(); }
    std::shared_ptr<Connection> shared() const { return connection_; }

   private:
    Pool* pool_;
    std::shared_ptr<Connection> connection_;
  };
  /// Errors: unavailable when none could be had by the deadline.
  Task<Lease> acquire(Deadline deadline);

 private:
  void give_back(std::shared_ptr<Connection> connection);

  boost::asio::io_context& context_;
  std::string conninfo_;
  int limit_;
  int open_ = 0;  // lent out or idle
  std::vector<std::shared_ptr<Connection>> idle_;
  Event freed_;
};

}  // namespace afloat::postgres
