#include "store/unlogged_write.h"

namespace afloat::store {

Task<std::vector<Rows>> write_unlogged(Database& database, Gates gates, std::vector<Statement> statements,
                                       Deadline deadline) {
  for (bool again = true;; again = false) {
    auto sent = statements;
    auto done = co_await database.write(gates, std::move(sent), {}, deadline);
    if (done) co_return std::move(*done);
    if (!again || done.error().kind() != ErrorKind::deadline_exceeded || std::chrono::steady_clock::now() >= deadline)
      co_return std::unexpected(done.error());
  }
}

}  // namespace afloat::store
