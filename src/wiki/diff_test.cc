#include "wiki/diff.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <random>

#include "wiki/align.h"

namespace afloat::wiki {
namespace {

std::string shown(const std::vector<Piece>& pieces) {
  std::string out;
  for (const auto& [mark, text] : pieces)
    out += mark == Mark::same ? text : mark == Mark::added ? "{+" + text + "}" : "{-" + text + "}";
  return out;
}
/// A row each: "=text", "+text", "-text", "~text" (formatted), "old => new" with marks.
std::string shown(const Diff& diff) {
  std::string out;
  for (const auto& row : diff.rows) {
    if (row.change == Change::same) out += "=" + row.after.front().text;
    if (row.change == Change::formatted) out += "~" + row.after.front().text;
    if (row.change == Change::added) out += "+" + row.after.front().text;
    if (row.change == Change::removed) out += "-" + row.before.front().text;
    if (row.change == Change::changed) out += shown(row.before) + " => " + shown(row.after);
    out += '\n';
  }
  return out;
}

struct BlockCase {
  std::string_view name, storage, blocks;
};
constexpr auto block_cases = std::to_array<BlockCase>({
    {"paragraphs and headings", "<h2>A  b</h2>\n<p>c\n d</p>", "1.2 A b|0.0 c d|"},
    {"items know their depth", "<ul><li>a<ul><li><p>b</p></li></ul>c</li></ul>", "2.1 a|2.2 b|2.1 c|"},
    {"a row is one block, whatever stands in its cells",
     "<table><tbody><tr><th>a</th><td><p>b</p><ul><li>c</li></ul></td></tr><tr><td></td><td></td></tr></tbody></table>",
     "3.0 a | b c|"},
    {"code keeps its blanks and empty lines",
     "<ac:structured-macro ac:name=\"code\"><ac:parameter ac:name=\"language\">sql</ac:parameter>"
     "<ac:plain-text-body><![CDATA[a\n\n  b\n]]></ac:plain-text-body></ac:structured-macro><p>c</p>",
     "5.0 [code language=sql]|4.0 a|4.0 |4.0   b|0.0 c|"},
    {"a panel and what is in it",
     "<ac:structured-macro ac:name=\"note\"><ac:rich-text-body><p>a</p></ac:rich-text-body></ac:structured-macro>",
     "5.0 [note]|0.0 a|"},
    {"what a link or an image points at",
     "<p><ac:link><ri:page ri:content-title=\"T\"/></ac:link> <ac:image><ri:attachment "
     "ri:filename=\"f.png\"/></ac:image></p>",
     "0.0 T [image: f.png]|"},
    {"a task",
     "<ac:task-list><ac:task><ac:task-id>7</ac:task-id><ac:task-status>complete</ac:task-status><ac:task-body>a"
     "</ac:task-body></ac:task></ac:task-list>",
     "2.1 [x] a|"},
    {"what does not parse still has its lines", "<p>a <b>b\nc", "0.0 a  b|0.0 c|"},
    {"scripts have no words", "<p>a<script>b</script></p>", "0.0 a|"},
});
TEST(TextBlocks, Cases) {
  for (const auto& [name, storage, blocks] : block_cases) {
    SCOPED_TRACE(name);
    std::string found;
    for (const auto& block : text_blocks(storage))
      found +=
          std::to_string(static_cast<int>(block.kind)) + "." + std::to_string(block.level) + " " + block.text + "|";
    EXPECT_EQ(found, blocks);
  }
}

struct DiffCase {
  std::string_view name, before, after, rows;
  ChangeSize size;
};
constexpr auto diff_cases = std::to_array<DiffCase>({
    {"nothing changed", "<p>a b</p>", "<p>a  b</p>", "=a b\n", {0, 0}},
    {"a new page", "", "<h1>A</h1><p>b, c</p>", "+A\n+b, c\n", {3, 0}},
    {"all gone", "<p>a b</p>", "", "-a b\n", {0, 2}},
    {"a paragraph between others", "<p>a</p><p>c</p>", "<p>a</p><p>b</p><p>c</p>", "=a\n+b\n=c\n", {1, 0}},
    {"one word",
     "<p>the quick brown fox</p>",
     "<p>the slow brown fox</p>",
     "the {-quick} brown fox => the {+slow} brown fox\n",
     {1, 1}},
    {"two neighbours are one change",
     "<p>keep this: one two three four</p>",
     "<p>keep this: uno due three four</p>",
     "keep this: {-one two} three four => keep this: {+uno due} three four\n",
     {2, 2}},
    {"blocks with nothing in common are not beside each other",
     "<p>alpha beta</p>",
     "<p>gamma delta</p>",
     "-alpha beta\n+gamma delta\n",
     {2, 2}},
    {"the pair that is alike is found among others",
     "<p>x y</p><p>one two three four</p>",
     "<p>one two three five</p><p>q</p>",
     "-x y\none two three {-four} => one two three {+five}\n+q\n",
     {2, 3}},
    {"a heading is no paragraph", "<h1>one two</h1>", "<p>one two</p>", "-one two\n+one two\n", {2, 2}},
    {"emphasis alone", "<p>a b</p>", "<p>a <strong>b</strong></p>", "~a b\n", {0, 0}},
    {"the target of a link", "<p><a href=\"/1\">a</a></p>", "<p><a href=\"/2\">a</a></p>", "~a\n", {0, 0}},
    {"an editor's marks are no change", "<p local-id=\"1\">a</p>", "<p local-id=\"2\">a</p>", "=a\n", {0, 0}},
    {"characters of scripts without blanks",
     "<p>\u6f22\u5b57\u6f22</p>",
     "<p>\u6f22\u6587\u6f22</p>",
     "\u6f22{-\u5b57}\u6f22 => \u6f22{+\u6587}\u6f22\n",
     {1, 1}},
    {"a macro's settings are no words",
     "<ac:structured-macro ac:name=\"panel\"><ac:rich-text-body><p>a</p></ac:rich-text-body></ac:structured-macro>",
     "<ac:structured-macro ac:name=\"note\"><ac:rich-text-body><p>a</p></ac:rich-text-body></ac:structured-macro>",
     "-[panel]\n+[note]\n=a\n",
     {0, 0}},
});
TEST(Diff, Cases) {
  for (const auto& [name, before, after, rows, size] : diff_cases) {
    SCOPED_TRACE(name);
    const auto diff = diff_bodies(before, after);
    EXPECT_EQ(shown(diff), rows);
    EXPECT_EQ(diff.size, size);
    EXPECT_FALSE(diff.whole);
    EXPECT_EQ(change_size(before, after), size);
    // The way back is the same with the sides exchanged.
    EXPECT_EQ(change_size(after, before), (ChangeSize{size.removed_words, size.added_words}));
  }
}

/// Length of the longest common subsequence, the slow and certain way.
std::size_t common_length(const std::vector<int>& a, const std::vector<int>& b) {
  std::vector<std::vector<std::size_t>> best(a.size() + 1, std::vector<std::size_t>(b.size() + 1, 0));
  for (std::size_t i = a.size(); i-- > 0;)
    for (std::size_t j = b.size(); j-- > 0;)
      best[i][j] = a[i] == b[j] ? best[i + 1][j + 1] + 1 : std::max(best[i + 1][j], best[i][j + 1]);
  return best[0][0];
}
TEST(Align, FindsTheLongestCommonSubsequence) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    const auto make = [&] {
      std::vector<int> out(random() % 12);
      for (auto& symbol : out) symbol = static_cast<int>(random() % 4);
      return out;
    };
    const auto a = make(), b = make();
    Effort effort;
    const auto aligned = align(a, b, 100, effort);
    ASSERT_TRUE(aligned.complete);
    ASSERT_EQ(aligned.matches.size(), common_length(a, b));
    for (std::size_t i = 0; i < aligned.matches.size(); ++i) {
      const auto [x, y] = aligned.matches[i];
      ASSERT_EQ(a[x], b[y]);
      ASSERT_TRUE(i == 0 || (aligned.matches[i - 1].before < x && aligned.matches[i - 1].after < y));
    }
  }
}
TEST(Align, BeyondItsBoundsOnlyTheEndsMatch) {
  const std::vector<int> a{1, 2, 3, 4, 5, 9}, b{1, 5, 4, 3, 2, 9};
  Effort effort;
  const auto few = align(a, b, 3, effort);
  EXPECT_FALSE(few.complete);
  EXPECT_EQ(few.matches, (std::vector<Match>{{0, 0}, {5, 5}}));
  Effort spent{5};
  EXPECT_FALSE(align(a, b, 100, spent).complete);
}

TEST(Diff, HugeAndHostileBodiesAreBounded) {
  // Two shuffles of few different words and blocks: the worst for any such algorithm.
  std::mt19937 random(3);
  const auto body = [&] {
    std::string out;
    for (int block = 0; block < 20'000; ++block) {
      out += "<p>";
      for (int word = 0; word < 10; ++word) out += random() % 2 ? "a " : "b ";
      out += "</p>";
    }
    std::string paragraph;
    for (int word = 0; word < 200'000; ++word) paragraph += random() % 2 ? "x " : "y ";
    return out + "<h1>" + paragraph + "</h1>";
  };
  const auto before = body(), after = body();
  const auto start = std::chrono::steady_clock::now();
  const auto diff = diff_bodies(before, after);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20)) << "sanitizers are slow, not this slow";
  EXPECT_TRUE(diff.whole);
  EXPECT_GT(diff.size.added_words, 0);
}

}  // namespace
}  // namespace afloat::wiki
