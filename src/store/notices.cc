#include "store/notices.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "store/cluster_store.h"

namespace afloat::store {
namespace {

class EventNotifier final : public Notifier {
 public:
  explicit EventNotifier(Database& database) : database_(database) {}

  Task<void> notify(Notice notice, Deadline deadline) override {
    auto detail = boost::json::serialize(boost::json::object{{"notice", rollout::to_string(notice.kind)},
                                                             {"run", notice.run},
                                                             {"from", notice.from},
                                                             {"to", notice.to},
                                                             {"message", notice.text}});
    auto actor = fmt::format("conductor, run {}", notice.run);
    co_return co_await database_.transaction(
        std::nullopt,
        [actor = std::move(actor), detail = std::move(detail)](Transaction& transaction) {
          return add_event(transaction, actor, "notice", detail);
        },
        deadline);
  }

 private:
  Database& database_;
};

}  // namespace

std::unique_ptr<Notifier> make_event_notifier(Database& database) { return std::make_unique<EventNotifier>(database); }

}  // namespace afloat::store
