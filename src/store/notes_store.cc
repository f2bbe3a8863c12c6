#include "store/notes_store.h"

#include <algorithm>
#include <boost/json.hpp>

#include "store/cluster_store.h"

namespace afloat::store {
namespace {

using version::ReadNotes;

class SqlNotesStore final : public NotesStore {
 public:
  explicit SqlNotesStore(Database& database) : database_(database) {}

  Task<void> acknowledge(std::string actor, std::vector<ReadNotes> notes, Deadline deadline) override {
    boost::json::array versions;
    for (const auto& each : notes)
      versions.push_back(boost::json::object{{"version", each.version}, {"digest", each.digest}});
    const auto detail = boost::json::serialize(boost::json::object{{"versions", std::move(versions)}});
    co_return co_await database_.transaction(
        std::nullopt, [actor, detail](Transaction& t) { return add_event(t, actor, "notes_acknowledged", detail); },
        deadline);
  }

  Task<std::vector<ReadNotes>> acknowledged(Deadline deadline) override {
    auto rows = co_await database_.slow_read(
        {"select each ->> 'version', each ->> 'digest', e.actor, (extract(epoch from e.at) * 1000)::bigint "
         "from cluster_event e cross join lateral jsonb_array_elements(e.detail -> 'versions') each "
         "where e.kind = 'notes_acknowledged' order by e.seq",
         {}},
        deadline);
    if (!rows) co_return std::unexpected(rows.error());
    std::vector<ReadNotes> notes;
    for (std::size_t row = 0; row < rows->size(); ++row) {
      ReadNotes each{rows->text(row, 0), rows->text(row, 1), rows->text(row, 2), rows->number(row, 3)};
      if (std::ranges::none_of(notes, [&](const ReadNotes& known) {
            return known.version == each.version && known.digest == each.digest;
          }))
        notes.push_back(std::move(each));
    }
    co_return notes;
  }

 private:
  Database& database_;
};

}  // namespace

std::unique_ptr<NotesStore> make_notes_store(Database& database) { return std::make_unique<SqlNotesStore>(database); }

}  // namespace afloat::store
