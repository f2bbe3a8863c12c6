#include "store/change_log.h"

namespace afloat::store {

namespace {

// One statement, one snapshot: the horizon (oldest transaction still open) comes back even with no entry.
constexpr std::string_view poll_sql =
    "select s.horizon::text, c.seq, c.kind, c.key "
    "from (select pg_snapshot_xmin(pg_current_snapshot()) as horizon) s "
    "left join change_log c on c.xid >= $1::text::xid8 order by c.seq";
constexpr std::string_view start_sql = "select pg_snapshot_xmin(pg_current_snapshot())::text";

}  // namespace

struct ChangeLog::State {
  explicit State(Database& database) : database(database) {}
  Database& database;
  std::vector<std::function<void(std::string_view, std::string_view)>> listeners;
  std::string horizon;            // "" until the first poll: caches are empty then
  std::set<std::int64_t> seen;    // entries at or above the horizon that were told already
  std::uint64_t resets = 0;

  void tell(std::string_view kind, std::string_view key) {
    for (auto& listener : listeners) listener(kind, key);
  }
};

ChangeLog::ChangeLog(Database& database) : state_(std::make_shared<State>(database)) {}
ChangeLog::~ChangeLog() = default;

void ChangeLog::subscribe(std::function<void(std::string_view, std::string_view)> listener) {
  state_->listeners.push_back(std::move(listener));
}

void ChangeLog::reset() {
  state_->horizon.clear();
  state_->seen.clear();
  ++state_->resets;
  state_->tell("*", "");
}

// Each call sends a poll of its own: reads queued in one turn of the loop leave in one packet, and a poll on
// the shared pipeline costs the server 0.03 ms.
Task<void> ChangeLog::fresh(Deadline deadline) {
  auto state = state_;
  const auto resets = state->resets;
  if (state->horizon.empty()) {
    // Nothing is cached yet, so only what happens from now on matters.
    auto rows = co_await state->database.read({start_sql, {}}, deadline);
    if (!rows) co_return std::unexpected(rows.error());
    if (state->horizon.empty() && state->resets == resets) state->horizon = rows->text(0, 0);
    co_return Result<void>{};
  }
  auto rows = co_await state->database.read({poll_sql, {state->horizon}}, deadline);
  if (!rows) co_return std::unexpected(rows.error());
  if (state->resets != resets) co_return Result<void>{};  // everything was forgotten meanwhile
  std::set<std::int64_t> current;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    if (rows->is_null(i, 1)) continue;
    const auto seq = rows->number(i, 1);
    current.insert(seq);
    if (!state->seen.contains(seq)) state->tell(rows->text(i, 2), rows->text(i, 3));
  }
  if (!rows->empty()) state->horizon = rows->text(0, 0);
  state->seen = std::move(current);
  co_return Result<void>{};
}

}  // namespace afloat::store
