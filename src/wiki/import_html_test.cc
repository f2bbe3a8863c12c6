#include "wiki/import_html.h"

#include <gtest/gtest.h>

#include "wiki/render.h"
#include "wiki/storage_xml.h"

namespace afloat::wiki {
namespace {

const ImportedPage& page_at(const ImportResult& result, std::string_view path) {
  for (const auto& page : result.pages)
    if (page.path == path) return page;
  throw std::runtime_error("no page " + std::string(path));
}
bool noted(const ImportResult& result, std::string_view words) {
  for (const auto& note : result.notes)
    if (note.message.find(words) != std::string::npos) return true;
  return false;
}

TEST(ImportHtml, LinksImagesAndTreeByUpLinks) {
  const std::map<std::string, std::string> files{
      {"index.html", "<title>Manual</title><body><a href='b.html#S%20x'>b</a></body>"},
      {"a.html",
       "<html><head><title>Same</title><link rel=up href=b.html></head><body><h1>Same</h1><p>x<br>y&nbsp;z"
       "<img src=pic/i.png><a href='http://x.org/?a=1&b=2'>o</a></body>"},
      {"b.html",
       "<title>same</title><link rel=up href=index.html><body><div class=note><h3 class=title>Note</h3><p>n</div>"},
      {"pic/i.png", "bytes"}};
  auto result = import_html(files);
  ASSERT_TRUE(result);
  ASSERT_EQ(result->pages.size(), 3u);
  EXPECT_EQ(result->pages[0].path, "index.html");
  EXPECT_EQ(page_at(*result, "b.html").parent, "index.html");
  EXPECT_EQ(page_at(*result, "a.html").parent, "b.html");
  EXPECT_EQ(page_at(*result, "b.html").title, "same");
  EXPECT_EQ(page_at(*result, "a.html").title, "Same (2)");
  EXPECT_EQ(page_at(*result, "a.html").attachments.at("i.png"), "pic/i.png");
  EXPECT_NE(
      page_at(*result, "index.html").storage.find("<ac:link ac:anchor=\"S-20x\"><ri:page ri:content-title=\"same\"/>"),
      std::string::npos)
      << page_at(*result, "index.html").storage;
  EXPECT_NE(page_at(*result, "b.html").storage.find("ac:name=\"note\""), std::string::npos);
  for (const auto& page : result->pages) EXPECT_TRUE(check_storage(page.storage)) << page.storage;
}
TEST(ImportHtml, FoldersMakeTheTreeWhereNothingElseDoes) {
  auto result =
      import_html({{"index.html", "<p>a"}, {"x/index.html", "<p>b"}, {"x/c.html", "<p>c"}, {"y/d.html", "<p>d"}});
  ASSERT_TRUE(result);
  EXPECT_EQ(page_at(*result, "x/index.html").parent, "index.html");
  EXPECT_EQ(page_at(*result, "x/c.html").parent, "x/index.html");
  EXPECT_EQ(page_at(*result, "y/d.html").parent, "index.html");
}
TEST(ImportHtml, CirclesAreCut) {
  auto result = import_html({{"a.html", "<link rel=up href=b.html>"}, {"b.html", "<link rel=up href=a.html>"}});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->pages.size(), 2u);
}
TEST(ImportHtml, WhatIsBrokenIsNotedAndTheRestGoesOn) {
  ImportLimits limits;
  limits.file_bytes = 1'000;
  std::string bomb;
  for (int i = 0; i < 300; ++i) bomb += "<b>";
  auto result = import_html(
      {{"ok.html", "<p>a<b>c<script>x</script><img src=lost.png><a href=gone.html>g</a><a href='javascript:x'>j</a>"},
       {"big.html", std::string(2'000, 'x')},
       {"../out.html", "<p>x"},
       {"/abs.html", "<p>x"},
       {"latin.html", "<p>caf\xE9"},
       {"deep.html", bomb}},
      limits);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->pages.size(), 3u);
  EXPECT_TRUE(noted(*result, "the limit is"));
  EXPECT_TRUE(noted(*result, "leads out of the folder"));
  EXPECT_TRUE(noted(*result, "is absolute"));
  EXPECT_TRUE(noted(*result, "Latin-1"));
  EXPECT_TRUE(noted(*result, "lost.png"));
  EXPECT_TRUE(noted(*result, "gone.html"));
  EXPECT_EQ(result->missing_images, 1);
  EXPECT_EQ(result->broken_links, 1);
  EXPECT_NE(page_at(*result, "latin.html").storage.find("caf\xC3\xA9"), std::string::npos);
  for (const auto& page : result->pages) {
    auto rendered = render_storage(page.storage, {});
    ASSERT_TRUE(rendered) << rendered.error().message();
    EXPECT_EQ(rendered->html.find("script"), std::string::npos);
  }
}
TEST(ImportHtml, ThousandsOfNestedElementsAreLeftOut) {
  std::string bomb;
  for (int i = 0; i < 300'000; ++i) bomb += "<b>";
  auto result = import_html({{"a.html", "<p>a"}, {"bomb.html", bomb}});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->pages.size(), 1u);
}
TEST(ImportHtml, NothingToImport) { EXPECT_FALSE(import_html({{"a.txt", "x"}})); }
TEST(ImportHtml, Paths) {
  EXPECT_EQ(*safe_relative_path("./a//b"), "a/b");
  for (auto bad : {"../a", "a/../../b", "/a", "a\\b", "", "."}) EXPECT_FALSE(safe_relative_path(bad)) << bad;
}

}  // namespace
}  // namespace afloat::wiki
