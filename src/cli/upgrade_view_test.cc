#include "cli/upgrade_view.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/text.h"

namespace afloat::cli {
namespace {

boost::json::object run() {
  return boost::json::parse(R"({
    "id":7,"from":"1.0.0","to":"1.2.0","state":"running","hops":["1.1.1","1.2.0"],"steps_done":24,"steps_total":48,
    "left_ms":125000,"ended_at_ms":0,"current":"node2: drain","nodes":[{"name":"node1","start_to_active_ms":86}],
    "message":"3 in flight, 1 stream(s), 0 task(s), 12 session(s) at the balancer; overdue: PUT /rest/api/content/7, 4.2 s",
    "steps":[{"name":"mode_on","title":"upgrade mode on","node":"","hop":1,"state":"done"},
             {"name":"soak","title":"node1: compare with the other nodes","node":"node1","hop":1,"state":"done"},
             {"name":"drain","title":"node2: drain","node":"node2","hop":1,"state":"running"},
             {"name":"stop","title":"node3: stop","node":"node3","hop":1,"state":"paused","back":true}]})")
      .as_object();
}

TEST(UpgradeView, AnUpgradeFitsInto80Columns) {
  EXPECT_EQ(watch_text(run()),
            "Upgrade run 7: 1.0.0 to 1.2.0                                            running\n"
            "[###############---------------] 24 of 48 steps, hop 1 of 2 about 2 min 5 s left\n"
            "  node1          done                               start to ACTIVE 86 ms\n"
            "  node2          drain                             \n"
            "  node3          back: stop                         paused\n"
            "now: node2: drain\n"
            "  3 in flight, 1 stream(s), 0 task(s), 12 session(s) at the balancer; overdue:\n"
            "  PUT /rest/api/content/7, 4.2 s\n");
  for (const auto& line : split(watch_text(run()), '\n')) EXPECT_LE(line.size(), 80U) << line;
}

TEST(UpgradeView, ARunOfAnOlderNodeIsShownToo) {
  auto old = run();
  for (const auto* field : {"steps_done", "left_ms", "hops"}) old.erase(field);
  const auto text = watch_text(old);
  EXPECT_NE(text.find("2 of 48 steps"), std::string::npos) << text;
  EXPECT_EQ(text.find("left"), std::string::npos) << text;
  EXPECT_NE(watch_text(boost::json::object()).find("Upgrade run 0"), std::string::npos);
}

}  // namespace
}  // namespace afloat::cli
