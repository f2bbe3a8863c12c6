#include "store/event_store.h"

namespace afloat::store {

Task<std::vector<Event>> read_events(Database& database, EventQuery query, Deadline deadline) {
  auto rows = co_await database.slow_read(
      {"select seq, (extract(epoch from at) * 1000)::bigint, actor, kind, detail::text from cluster_event "
       "where ($2::bigint = 0 or seq < $2::bigint) and ($3 = '' or kind = $3) "
       "and ($4 = '' or position(lower($4) in lower(concat_ws(' ', actor, kind, detail::text))) > 0) "
       "and ($5::bigint = 0 or at >= to_timestamp($5::bigint / 1000.0)) "
       "and ($6::bigint = 0 or at < to_timestamp($6::bigint / 1000.0)) "
       "order by seq desc limit $1::bigint",
       {query.limit, query.before, query.kind, query.text, query.since_ms, query.until_ms}},
      deadline);
  if (!rows) co_return std::unexpected(rows.error());
  std::vector<Event> events;
  for (std::size_t row = 0; row < rows->size(); ++row)
    events.push_back({.seq = rows->number(row, 0),
                      .at_ms = rows->number(row, 1),
                      .actor = rows->text(row, 2),
                      .kind = rows->text(row, 3),
                      .detail_json = rows->text(row, 4)});
  co_return events;
}

Statement event_statement(std::string actor, std::string kind, std::string detail_json) {
  return {"insert into cluster_event (actor, kind, detail) values ($1, $2, $3::jsonb)",
          {std::move(actor), std::move(kind), std::move(detail_json)}};
}

}  // namespace afloat::store
