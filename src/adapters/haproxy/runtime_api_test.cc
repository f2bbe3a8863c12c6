#include "adapters/haproxy/runtime_api.h"

#include <gtest/gtest.h>

namespace afloat::haproxy {
namespace {

constexpr auto stat =
    "# pxname,svname,qcur,scur,status,weight,act,uweight,\n"
    "f,FRONTEND,,3,OPEN,,,,\n"
    "wiki,node1,0,0,UP,7,1,100,\n"
    "wiki,node2,0,4,UP,100,1,100,\n"
    "wiki,node3,0,0,DOWN,100,1,100,\n"
    "wiki,BACKEND,0,4,UP,107,2,107,\n"
    "other,node4,0,0,UP,1,1,1,\n\n";

TEST(HaproxyStat, TellsSessionsAndSlowstart) {
  auto starting = parse_view(stat, "wiki", "node1");
  ASSERT_TRUE(starting);
  EXPECT_EQ(starting->weight, 7);
  EXPECT_EQ(starting->full_weight, 100);
  EXPECT_FALSE(starting->up()) << "slowstart counts as missing capacity";
  auto full = parse_view(stat, "wiki", "node2");
  ASSERT_TRUE(full);
  EXPECT_TRUE(full->up());
  EXPECT_EQ(full->sessions, 4);
  EXPECT_FALSE(parse_view(stat, "wiki", "node3")->up());
}

TEST(HaproxyStat, NamesTheServersThereAre) {
  auto missing = parse_view(stat, "wiki", "node4");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::not_found);
  EXPECT_NE(missing.error().message().find("node1, node2, node3"), std::string::npos);
}

TEST(HaproxyStat, RefusesAnAnswerWithoutAColumnItNeeds) {
  auto old = parse_view("# pxname,svname,scur,status,weight\nwiki,node1,0,UP,1\n", "wiki", "node1");
  ASSERT_FALSE(old);
  EXPECT_EQ(old.error().kind(), ErrorKind::data_corrupted);
}

TEST(HaproxyServers, TellsWhatWasAskedFor) {
  constexpr auto servers =
      "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight\n"
      "3 wiki 1 node1 127.0.0.1 1 8 100\n"
      "3 wiki 2 node2 127.0.0.1 0 1 100\n"
      "3 wiki 3 node3 127.0.0.1 2 0 100\n\n";
  EXPECT_EQ(parse_traffic(servers, "node1").value(), Traffic::drain);
  EXPECT_EQ(parse_traffic(servers, "node2").value(), Traffic::maint);
  EXPECT_EQ(parse_traffic(servers, "node3").value(), Traffic::ready);
  EXPECT_FALSE(parse_traffic(servers, "node9"));
}

}  // namespace
}  // namespace afloat::haproxy
