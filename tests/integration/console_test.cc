#include <regex>

#include "support/lone_node.h"

// How a node serves the administrator's console. What it does in a browser is tested by ./run test e2e.
namespace afloat::test {
namespace {

TEST(Console, IsServedToAdministratorsAloneAndItsScriptIsAnAssetNamedByItsContent) {
  Database database;
  LoneNode node(database.connection());
  node.write_config();
  node.start();
  ASSERT_TRUE(node.wait_ready()) << node.log();
  auto admin = node.admin();

  HttpClient nobody(node.url());
  const auto sent_away = nobody.get("/admin/upgrade/plan");
  EXPECT_EQ(sent_away.status, 303);
  EXPECT_EQ(sent_away.headers.get("Location"), "/login?next=%2Fadmin%2Fupgrade%2Fplan");

  const auto made =
      admin.post("/rest/api/admin/user",
                 R"({"userName":"vera","fullName":"Vera","email":"v@localhost","password":"longer-than-8"})");
  ASSERT_LT(made.status, 300) << *made.body;
  HttpClient vera(node.url(), "vera", "longer-than-8");
  const auto refused = vera.get("/admin/upgrade");
  EXPECT_EQ(refused.status, 403);
  EXPECT_TRUE(refused.body->contains("These pages are for system administrators")) << *refused.body;
  EXPECT_FALSE(vera.get("/").body->contains("/admin/upgrade"));

  EXPECT_EQ(admin.get("/admin").headers.get("Location"), "/admin/upgrade");
  for (const auto* path :
       {"/admin/upgrade", "/admin/upgrade/plan", "/admin/upgrade/history", "/admin/upgrade/history/1", "/admin/general",
        "/admin/clustering", "/admin/troubleshooting", "/admin/audit-log", "/admin/users"}) {
    EXPECT_EQ(vera.get(path).status, 403) << path;
    const auto page = admin.get(path);
    ASSERT_EQ(page.status, 200) << *page.body;
    const auto policy = std::string(page.headers.get("Content-Security-Policy"));
    EXPECT_TRUE(policy.contains("script-src 'self';") && !policy.contains("unsafe")) << policy;
    std::smatch script;
    const std::regex wanted(R"re(<script type="module" src="(/assets/console\.[0-9a-f]{16}\.js)"></script>)re");
    ASSERT_TRUE(std::regex_search(*page.body, script, wanted))
        << "is AFLOAT_WEB the folder build/web, which ./run build makes?\n"
        << *page.body;
    const auto asset = nobody.get(script[1].str());
    EXPECT_EQ(asset.status, 200);
    EXPECT_EQ(asset.headers.get("Content-Type"), "text/javascript; charset=utf-8");
    // The script that few visits need, which the first one loads by that address.
    std::smatch plots;
    const std::regex wanted_later(R"re(data-plots="(/assets/plots\.[0-9a-f]{16}\.js)")re");
    ASSERT_TRUE(std::regex_search(*page.body, plots, wanted_later)) << *page.body;
    EXPECT_EQ(nobody.get(plots[1].str() + "?again=1").status, 200);
  }
  EXPECT_EQ(admin.get("/admin/nothing").status, 404);

  // Whoever reads gets another script, of this site's assets too, and nothing of the console.
  const auto home = admin.get("/");
  EXPECT_TRUE(home.body->contains("href=\"/admin/upgrade\"")) << *home.body;
  EXPECT_FALSE(home.body->contains("console."));
}

}  // namespace
}  // namespace afloat::test
