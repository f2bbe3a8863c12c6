#include <fmt/format.h>

#include <filesystem>

#include "base/json_fields.h"
#include "base/text.h"
#include "docs/pages.h"
#include "local/process.h"
#include "local/workplace.h"

// `afloat demo --hands-on`: the person does exactly what it prints.
namespace afloat::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// A demo under a small load, which says on its screen what to paste.
class HandsOn {
 public:
  HandsOn() {
    const auto content = folder_.path() + "/content";
    EXPECT_TRUE(local::make_folders(content));
    for (const char* name : {"index", "harbour", "anchor", "tides", "signals"})
      EXPECT_TRUE(local::write_file(fmt::format("{}/{}.html", content, name),
                                    fmt::format("<html><head><title>The {0}</title></head><body><h1>The {0}</h1>"
                                                "<p>All about the {0}; see <a href=\"index.html\">the start</a>.</p>"
                                                "</body></html>",
                                                name)));
    local::ProcessOptions demo;
    demo.argv = {bundles().program,
                 "demo",
                 "--hands-on",
                 "--from",
                 bundles().from,
                 "--to",
                 bundles().to,
                 "--catalogue",
                 bundles().catalogue,
                 "--content",
                 content,
                 "--report",
                 report(),
                 "--rate",
                 "100",
                 "--users",
                 "10",
                 "--seconds-before",
                 "1",
                 "--seconds-after",
                 "1"};
    if (!bundles().key.empty()) demo.argv.insert(demo.argv.end(), {"--trusted-key", bundles().key});
    demo.log = folder_.path() + "/screen";
    auto started = local::Process::start(demo);
    if (started)
      process_ = std::move(*started);
    else
      ADD_FAILURE() << started.error().message();
    process_.grace = seconds(20);
  }
  /// Waits until it is the person's turn; the lines that it printed for them.
  std::vector<std::string> lines_to_paste() {
    EXPECT_TRUE(eventually(seconds(40), [&] {
      return screen().contains("The demo goes on by itself") || !process_.running();
    })) << screen();
    std::vector<std::string> lines;
    const auto text = screen();
    const auto begin = text.find("Now it is your turn");
    if (begin == std::string::npos) return lines;
    for (const auto& line : split(text.substr(begin), '\n'))
      if (line.starts_with("     ")) lines.emplace_back(trim(line));  // paste lines stand further to the right
    return lines;
  }
  std::optional<int> end() { return process_.wait(seconds(40)); }
  std::string screen() const { return local::last_lines_of(folder_.path() + "/screen", 200); }
  std::string report() const { return folder_.path() + "/report"; }

 private:
  local::TempDir folder_;
  local::Process process_;
};

void paste(const std::vector<std::string>& lines) {
  std::string script;
  for (const auto& line : lines) script += line + "\n[ $? = 0 ] || exit 9\n";
  const auto ran = local::run_command({.argv = {"bash", "-c", script}}, seconds(60));
  ASSERT_TRUE(ran) << ran.error().message();
  EXPECT_EQ(ran->exit_code, 0) << ran->output;
}

void expect_good_end(HandsOn& demo) {
  const auto code = demo.end();
  ASSERT_TRUE(code) << demo.screen();
  EXPECT_EQ(*code, 0) << demo.screen();
  auto report = parse_json_object(read_file(demo.report() + "/report.json"), "the report");
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(string_or(*report, "outcome"), "succeeded") << demo.screen();
  const auto* nodes = array_at(*report, "nodes");
  ASSERT_TRUE(nodes);
  EXPECT_EQ(nodes->size(), 3U);
  EXPECT_TRUE(demo.screen().contains("0 of")) << demo.screen();
}

TEST(HandsOn, ByHandItEndsStableWithNothingFailed) {
  HandsOn demo;
  auto lines = demo.lines_to_paste();
  std::erase_if(lines, [](const std::string& line) { return line.starts_with("afloat upgrade run"); });
  ASSERT_EQ(lines.size(), 8U) << demo.screen();
  ASSERT_TRUE(lines.front().starts_with("source ")) << lines.front();
  paste(lines);
  expect_good_end(demo);
}

}  // namespace
}  // namespace afloat::test
