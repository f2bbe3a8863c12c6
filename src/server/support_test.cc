#include "server/support.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace afloat::server {
namespace {

SiteConfig load(const std::string& text) {
  auto folder = std::filesystem::temp_directory_path() / "afloat-support-XXXXXX";
  auto name = folder.string();
  EXPECT_NE(mkdtemp(name.data()), nullptr);
  const auto path = name + "/site.toml";
  std::ofstream(path) << text;
  auto site = load_config(path);
  std::filesystem::remove_all(name);
  EXPECT_TRUE(site) << site.error().message();
  return site.value_or(SiteConfig());
}

TEST(Support, TheConfigurationKeepsWhatHelpsAndNoSecret) {
  const auto text = config_without_secrets(
      load("# the old password was hunter1hunter1\nsite_name = \"Wiki\"\nshared_home = \"/home\"\n"
           "database = \"host=db dbname=wiki user=afloat password=hunter2-and-more\"\nsmtp_password = \"hunter3\"\n"
           "[[node]]\nname = \"node1\"\nport = 8101\ndata = \"/data\"\nprivate_thing = \"hunter4\"\n"));
  EXPECT_FALSE(text.contains("hunter")) << text;
  for (const auto* part : {"site_name = 'Wiki'", "host='db'", "dbname='wiki'", "user='afloat'", "password='***'",
                           "shared_home = '/home'", "port = 8101", "'smtp_password'", "'private_thing'"})
    EXPECT_TRUE(text.contains(part)) << part << "\n" << text;
}

TEST(Support, EveryFileIsListedAndScrubbed) {
  const auto files = with_contents("of node1\n\n", {{"a.txt", "log: hunter2-and-more!", "lines"}, {"b/c", "", "none"}},
                                   {"hunter2-and-more", "wiki"});
  ASSERT_EQ(files.size(), 3U);
  EXPECT_EQ(files[0].path, "contents.txt");
  EXPECT_TRUE(files[0].content.starts_with("of node1\n\na.txt")) << files[0].content;
  EXPECT_TRUE(files[0].content.contains("b/c")) << files[0].content;
  EXPECT_EQ(files[1].content, "log: ***!");
  EXPECT_EQ(scrubbed("wiki", {"wiki"}), "wiki") << "a short one would take common words away, and tell itself thereby";
}

}  // namespace
}  // namespace afloat::server
