#include "server/templates.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "server/assets.h"

namespace afloat::server {
namespace {

std::string web_folder() {
  if (const char* folder = std::getenv("AFLOAT_WEB")) return folder;
#ifdef AFLOAT_SOURCE_DIR
  return AFLOAT_SOURCE_DIR "/web";
#else
  return "web";
#endif
}
std::string content(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}
std::string temporary_folder(std::string_view name) {
  auto path = std::filesystem::path(::testing::TempDir()) / name;
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path.string();
}

// Escaping is for HTML text and quoted attributes only, so a placeholder must never stand elsewhere.
TEST(Templates, PlaceholdersStandOnlyWhereEscapingHolds) {
  int seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(web_folder() + "/templates")) {
    SCOPED_TRACE(entry.path().string());
    ++seen;
    // A script of an asset's own address holds nothing of the page's.
    const std::string text = std::regex_replace(
        content(entry.path()),
        std::regex("<script (type=\"module\" )?src=\"\\{\\{(reading_|writing_)?script\\}\\}\"( defer)?></script>"), "");
    EXPECT_FALSE(std::regex_search(text, std::regex("=\\s*\\{\\{"))) << "an attribute without quotes";
    EXPECT_FALSE(std::regex_search(text, std::regex("='[^'>]*\\{\\{"))) << "write attributes in double quotes";
    EXPECT_FALSE(std::regex_search(text, std::regex("<(script|style)\\b", std::regex::icase)))
        << "scripts and styles are files";
    EXPECT_FALSE(std::regex_search(text, std::regex("\\s(on[a-z]+|style|srcdoc)\\s*=", std::regex::icase)));
    EXPECT_FALSE(std::regex_search(text, std::regex("<[^>]*\\{\\{\\{[^>]*>"))) << "raw HTML inside a tag";
    EXPECT_FALSE(std::regex_search(text, std::regex("\\{\\{>"))) << "partials are parsed on each use";
    const std::regex raw("\\{\\{\\{\\s*([a-z_]+)\\s*\\}\\}\\}|\\{\\{&\\s*([a-z_]+)");
    for (std::sregex_iterator at(text.begin(), text.end(), raw), end; at != end; ++at)
      EXPECT_TRUE(std::string((*at)[1]).ends_with("_html")) << (*at)[0];
  }
  EXPECT_GE(seen, 8);
}

TEST(Templates, AllLoad) {
  auto templates = Templates::load(web_folder() + "/templates");
  EXPECT_TRUE(templates) << templates.error().message();
}

TEST(Templates, EscapesAndRefusesMissingNames) {
  const auto folder = temporary_folder("templates_escape");
  std::ofstream(folder + "/layout.mustache") << "<{{title}}>{{{body_html}}}";
  std::ofstream(folder + "/a.mustache") << "<p title=\"{{x}}\">{{x}}</p>{{#list}}{{n}},{{/list}}{{^list}}none{{/list}}";
  auto templates = Templates::load(folder);
  ASSERT_TRUE(templates);
  boost::json::object data{{"title", "T"}, {"x", "\"<&'"}, {"list", boost::json::array{boost::json::object{{"n", 1}}}}};
  EXPECT_EQ((*templates)->render("a", data).value_or("?"),
            "<p title=\"&quot;&lt;&amp;&apos;\">&quot;&lt;&amp;&apos;</p>1,");
  EXPECT_EQ((*templates)->wrap("B{{x}}", data).value_or("?"), "<T>B{{x}}");
  data.erase("x");
  auto refused = (*templates)->render("a", data);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("needs the name x"), std::string::npos);
  EXPECT_FALSE((*templates)->render("nothing", data));
}

TEST(Templates, BrokenOnesAreRefusedByName) {
  const auto folder = temporary_folder("templates_broken");
  std::ofstream(folder + "/layout.mustache") << "{{#open}}";
  auto refused = Templates::load(folder);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("layout.mustache"), std::string::npos);
  EXPECT_FALSE(Templates::load(folder + "/nowhere"));
}

TEST(Assets, EachVersionsFilesAreServedByEveryNode) {
  const auto home = temporary_folder("assets_home");
  const auto old_files = temporary_folder("assets_old"), new_files = temporary_folder("assets_new");
  std::ofstream(old_files + "/app.css") << "old";
  std::ofstream(new_files + "/app.css") << "new";
  auto old_node = Assets::publish(old_files, home);
  auto new_node = Assets::publish(new_files, home);
  ASSERT_TRUE(old_node && new_node);
  const auto old_url = (*old_node)->url("app.css"), new_url = (*new_node)->url("app.css");
  EXPECT_NE(old_url, new_url);
  EXPECT_EQ(*(*old_node)->serve(new_url.substr(8)).body, "new");
  const auto served = (*new_node)->serve(old_url.substr(8));
  EXPECT_EQ(*served.body, "old");
  EXPECT_EQ(served.headers.get("Content-Type"), "text/css; charset=utf-8");
  EXPECT_NE(served.headers.get("Cache-Control").find("immutable"), std::string_view::npos);
  for (auto bad : {"app.css", "..", "../secret.0123456789abcdef.css", "app.0123456789abcdef.css", ""})
    EXPECT_EQ((*new_node)->serve(bad).status, 404) << bad;
}

}  // namespace
}  // namespace afloat::server
