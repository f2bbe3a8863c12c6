#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <memory>
#include <string>

#include "ports/database.h"

namespace afloat::postgres {

struct Options {
  std::string connection;        ///< libpq connection string
  std::string application_name;  ///< "afloat/node1/10010009"
  int build = 0;                 ///< this binary's, for afloat_write
  int write_connections = 4;     ///< on this context
  int exclusive_connections = 2; ///< transactions and slow reads
  int statement_timeout_ms = 10'000;  ///< by the server; 0: none, for upgrade tasks, which have deadlines
  /// Called once a write was refused because this build is outside the writer window (AF001).
  std::function<void(std::string)> on_shut_out;
};

/// A Database on one io_context: reads share one pipelined connection; each write is one batch up to
/// one Sync on a pooled connection; transactions have connections of their own. Connections are opened
/// when first needed and again after they were lost, with back-off.
/// `blocking` runs the few libpq calls that block (cancel).
std::unique_ptr<Database> make_database(boost::asio::io_context& context, boost::asio::thread_pool& blocking,
                                        Options options);

/// LISTEN on a connection of its own; `wake` is called on the context for each notification and after
/// each reconnect. A wake-up without payload: no correctness rests on it.
class Listener {
 public:
  Listener(boost::asio::io_context& context, Options options, std::string channel, std::function<void()> wake);
  ~Listener();
  void stop();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace afloat::postgres
