#include <gtest/gtest.h>

#include <array>

#include "wiki/render.h"
#include "wiki/sanitise.h"
#include "wiki/storage_xml.h"

namespace afloat::wiki {
namespace {

RenderContext with_pages() {
  RenderContext context;
  context.space_key = "DOC";
  context.page_url = [](const PageReference& page) -> std::optional<std::string> {
    if (page.title == "Known") return "/pages/7";
    return std::nullopt;
  };
  context.attachment_url = [](std::string_view name) -> std::optional<std::string> {
    if (name == "a b.png") return "/download/a%20b.png";
    return std::nullopt;
  };
  context.new_page_url = [](const PageReference& page) { return "/spaces/DOC/new?title=" + page.title; };
  return context;
}
std::string html_of(std::string_view storage) {
  auto rendered = render_storage(storage, with_pages());
  return rendered ? rendered->html : "refused: " + rendered.error().message();
}

struct RenderCase {
  std::string_view name, storage, html;
};
constexpr auto render_cases = std::to_array<RenderCase>({
    {"plain text keeps its markup", "<p>a <strong>b</strong></p>", "<p>a <strong>b</strong></p>"},
    {"named entities are known", "<p>a&nbsp;&mdash;&amp;&lt;</p>", "<p>a\xC2\xA0\xE2\x80\x94&amp;&lt;</p>"},
    {"entities inside CDATA are text",
     "<ac:structured-macro ac:name=\"code\"><ac:plain-text-body><![CDATA[a &nbsp; "
     "<b>]]></ac:plain-text-body></ac:structured-macro>",
     "<pre class=\"code\"><code>a &amp;nbsp; &lt;b&gt;</code></pre>"},
    {"a script goes with what is in it", "<p>x<script>alert(1)</script>y</p>", "<p>xy</p>"},
    {"handlers and styles go", "<p onclick=\"x()\" style=\"color:red\" class=\"nav\">a</p>", "<p>a</p>"},
    {"an unsafe link stays as text", "<a href=\"javascript:alert(1)\">a</a>", "<a>a</a>"},
    {"a scheme with a newline in it is still that scheme", "<a href=\"java&#10;script:alert(1)\">a</a>", "<a>a</a>"},
    {"a data image has no source", "<img src=\"data:image/svg+xml,x\" alt=\"i\"/>", "<img alt=\"i\" loading=\"lazy\">"},
    {"unknown elements leave their content", "<blink>a</blink>", "a"},
    {"upper case does not get round it", "<SCRIPT>a</SCRIPT><P ONCLICK=\"x\">b</P>", "<p>b</p>"},
    {"quotes in attributes stay inside them", "<p title=\"&quot; onclick=&quot;x\">a</p>",
     "<p title=\"&quot; onclick=&quot;x\">a</p>"},
    {"a page that is there",
     "<ac:link ac:anchor=\"X Y\"><ri:page ri:content-title=\"Known\"/><ac:link-body>go</ac:link-body></ac:link>",
     "<a href=\"/pages/7#X-Y\">go</a>"},
    {"a page that is not", "<ac:link><ri:page ri:content-title=\"Lost\"/></ac:link>",
     "<a href=\"/spaces/DOC/new?title=Lost\" class=\"missing\">Lost</a>"},
    {"an attached image", "<ac:image ac:width=\"20\"><ri:attachment ri:filename=\"a b.png\"/></ac:image>",
     "<img src=\"/download/a%20b.png\" alt=\"a b.png\" loading=\"lazy\" width=\"20\">"},
    {"a date, which has no text", "<time datetime=\"2026-01-05\"/>", "<time datetime=\"2026-01-05\">2026-01-05</time>"},
    {"a panel",
     "<ac:structured-macro ac:name=\"note\"><ac:rich-text-body><p>a</p></ac:rich-text-body></ac:structured-macro>",
     "<div class=\"panel panel-note\"><p class=\"panel-title\">Note</p><p>a</p></div>"},
    {"an unknown macro says so", "<ac:structured-macro ac:name=\"jira&lt;\"/>",
     "<div class=\"macro-unknown\"><p>Macro \"jira&lt;\" is not available here.</p></div>"},
});
TEST(Render, Cases) {
  for (const auto& [name, storage, html] : render_cases) {
    SCOPED_TRACE(name);
    EXPECT_EQ(html_of(storage), html);
  }
}

struct RefuseCase {
  std::string_view name, storage, says;
};
constexpr auto refuse_cases = std::to_array<RefuseCase>({
    {"an unclosed tag", "<p>a\n<b>c</p>", "line 2"},
    {"a bare ampersand", "<p>a & b</p>", "line 1"},
    {"an unknown entity", "<p>&bomb;</p>", "bomb"},
    {"a document type", "<!DOCTYPE x [<!ENTITY a \"b\">]><p>&a;</p>", "line 1"},
    {"the same attribute twice", "<p id=\"a\" id=\"b\">a</p>", "redefined"},
    {"an undeclared prefix", "<xx:a/>", "xx"},
    {"closing the wrapper", "</afloat-storage><p/>", "line 1"},
    {"bytes that are not UTF-8", "<p>\xFF</p>", "UTF-8"},
    {"a control character", "<p>\x01</p>", "line 1"},
});
TEST(Storage, Refuses) {
  for (const auto& [name, storage, says] : refuse_cases) {
    SCOPED_TRACE(name);
    auto checked = check_storage(storage);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().kind(), ErrorKind::invalid_argument);
    EXPECT_NE(checked.error().message().find(says), std::string::npos) << checked.error().message();
  }
}
TEST(Storage, VeryDeepNestingIsRefusedAndHarmless) {
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "<b>";
  for (int i = 0; i < 100'000; ++i) deep += "</b>";
  EXPECT_FALSE(check_storage(deep));
}
TEST(Storage, PlainText) {
  EXPECT_EQ(plain_text("<h1>A</h1><p>b <em>c</em></p><script>no</script>"), "A\nb c\n");
  EXPECT_EQ(plain_text("<ac:task-list><ac:task><ac:task-id>7</ac:task-id><ac:task-status>complete</ac:task-status>"
                       "<ac:task-body>a</ac:task-body></ac:task></ac:task-list>"),
            "a\n");
  EXPECT_EQ(plain_text("<p>a <b>b"), " a  b");
}
TEST(Render, HeadingsHaveIdsOfTheirOwn) {
  auto rendered = render_storage("<h1>One</h1><h2>One</h2><h2 id=\"x\">Two</h2>", {});
  ASSERT_TRUE(rendered);
  ASSERT_EQ(rendered->headings.size(), 3u);
  EXPECT_EQ(rendered->headings[0].id, "One");
  EXPECT_EQ(rendered->headings[1].id, "One-2");
  EXPECT_EQ(rendered->headings[2].id, "x");
  EXPECT_NE(rendered->html.find("<h2 id=\"One-2\">"), std::string::npos);
}
TEST(Render, TellsWhatIsMissing) {
  EXPECT_TRUE(render_storage("<p>a</p>", with_pages())->complete);
  EXPECT_FALSE(render_storage("<ac:link><ri:page ri:content-title=\"Lost\"/></ac:link>", with_pages())->complete);
}
TEST(Render, ReferencesAreGatheredOnce) {
  auto found = references_in(
      "<p><ac:link><ri:page ri:content-title=\"A\"/></ac:link><ac:link><ri:page ri:content-title=\"A\"/></ac:link>"
      "<ac:link><ri:page ri:space-key=\"S\" ri:content-title=\"B\"/></ac:link>"
      "<ac:image><ri:attachment ri:filename=\"f.png\"/></ac:image></p>");
  EXPECT_EQ(found.pages, (std::vector<PageReference>{{"", "A"}, {"S", "B"}}));
  EXPECT_EQ(found.attachments, std::vector<std::string>{"f.png"});
}

TEST(Sanitise, Urls) {
  for (auto good : {"http://a", "https://a/b:c", "mailto:a@b", "/pages/1", "#x", "a/b:c", ""})
    EXPECT_TRUE(url_allowed(good)) << good;
  for (auto bad : {"javascript:x", " JaVaScRiPt:x", "data:text/html,x", "vbscript:x", "//evil", "/\\evil",
                   "\tjava\tscript:x", "file:///etc"})
    EXPECT_FALSE(url_allowed(bad)) << bad;
}

}  // namespace
}  // namespace afloat::wiki
