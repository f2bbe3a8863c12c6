#include "adapters/postgres/database.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <chrono>
#include <optional>

#include "support/support.h"

namespace afloat::postgres {
namespace {

using namespace std::chrono_literals;

Task<Rows> sleep(afloat::Database& database) {
  co_return co_await database.slow_read({"select pg_sleep(5)", {}}, std::chrono::steady_clock::now() + 10s);
}

/// A process that ends does not wait for its questions: the frames that hold a connection are destroyed with the
/// io_context, after the database is.
TEST(Pool, AConnectionThatIsLentOutMayOutliveIt) {
  const test::Database site;
  boost::asio::thread_pool blocking(1);
  std::optional<boost::asio::io_context> context(std::in_place, 1);
  Options options;
  options.connection = site.connection();
  auto database = make_database(*context, blocking, options);
  boost::asio::co_spawn(*context, sleep(*database), [](std::exception_ptr, Result<Rows>) { FAIL() << "it ended"; });
  const auto limit = std::chrono::steady_clock::now() + 10s;
  const auto asking = [&] {
    return site.query("select count(*) from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'");
  };
  while (asking() != "1" && std::chrono::steady_clock::now() < limit) context->run_one_for(10ms);
  ASSERT_EQ(asking(), "1");
  database.reset();
  context.reset();  // with ASan a frame that goes back to the pool is found here
}

}  // namespace
}  // namespace afloat::postgres
