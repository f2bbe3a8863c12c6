#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>

#include "base/text.h"
#include "docs/pages.h"
#include "local/process.h"
#include "support/support.h"

// Everything that docs/procedure.md names must exist; what does not must say so.
namespace afloat::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

constexpr std::size_t columns = 5;  // step, our command, console page, REST call, test
enum Column { step, command, console, call, test };

/// The rows of all tables, without headings, `code` marks kept.
std::vector<std::vector<std::string>> rows_of(const std::string& page) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& line : split(page, '\n')) {
    if (!line.starts_with("| ") || line.starts_with("| ---") || line.starts_with("| step |")) continue;
    std::vector<std::string> cells;
    for (const auto& cell : split(line.substr(1, line.size() - 2), '|')) cells.emplace_back(trim(cell));
    rows.push_back(std::move(cells));
  }
  return rows;
}

/// What stands between back ticks.
std::vector<std::string> codes_in(const std::string& cell) {
  std::vector<std::string> codes;
  for (auto at = cell.find('`'); at != std::string::npos; at = cell.find('`', at + 1)) {
    const auto end = cell.find('`', at + 1);
    if (end == std::string::npos) break;
    codes.push_back(cell.substr(at + 1, end - at - 1));
    at = end;
  }
  return codes;
}

/// "method path" of every route in the sources, with each {capture} as {}.
std::set<std::string> routes() {
  std::string all;
  for (const auto& entry : fs::recursive_directory_iterator(AFLOAT_SOURCE_DIR "/src/server")) {
    if (entry.path().extension() != ".cc") continue;
    std::ifstream file(entry.path(), std::ios::binary);
    all.append(std::istreambuf_iterator<char>(file), {});
  }
  std::set<std::string> found;
  // router.add("GET", "/path", ..), with a prefix that a loop or a lambda puts before it.
  const std::regex pattern(R"re(add(?:_call)?\((?:router, context, )?"([A-Z]+)",\s*(prefix \+ )?"([^"]*)")re");
  for (auto it = std::sregex_iterator(all.begin(), all.end(), pattern); it != std::sregex_iterator(); ++it) {
    const auto path = std::regex_replace((*it)[3].str(), std::regex(R"(\{[^}]*\})"), "{}");
    if ((*it)[2].matched)
      found.insert((*it)[1].str() + " /rest/zdu" + path);
    else if (path.starts_with("/rest") || path.starts_with("/status") || path.starts_with("/health"))
      found.insert((*it)[1].str() + " " + path);
    else
      found.insert((*it)[1].str() + " /rest/afloat/1/runs" + path);
  }
  return found;
}

class Procedure : public testing::Test {
 protected:
  const std::vector<std::vector<std::string>> rows = rows_of(read_page("docs/procedure.md"));
};

TEST_F(Procedure, EachCellNamesSomethingOrSaysThatItIsNotBuilt) {
  ASSERT_GT(rows.size(), 30U);
  for (const auto& row : rows) {
    ASSERT_EQ(row.size(), columns) << join(row, " | ");
    for (std::size_t column = command; column < columns; ++column) {
      const auto& cell = row[column];
      const bool honest = cell.starts_with("not built yet") || cell.starts_with("not part of the site") ||
                          cell.starts_with("the agent's own socket") || cell.starts_with("HAProxy's socket");
      EXPECT_TRUE(honest || !codes_in(cell).empty()) << row[step] << ": \"" << cell << "\"";
      if (cell.starts_with("not built yet") && column == test)
        EXPECT_TRUE(codes_in(cell).empty()) << row[step] << ": not built, and yet it names " << cell;
    }
  }
}

TEST_F(Procedure, EveryCommandAcceptsItsVerbsAndOptions) {
  int commands = 0;
  for (const auto& row : rows)
    for (const auto& code : codes_in(row.at(command))) {
      if (!code.starts_with("afloat ")) continue;
      SCOPED_TRACE(code);
      std::vector<std::string> argv{bundles().program}, options;
      for (const auto& word : split(code.substr(7), ' ')) {
        if (word.starts_with("--")) options.push_back(word);
        // V and NAME stand for the reader's; the word after an option is its value.
        else if (options.empty() && word != "V" && word != "NAME")
          argv.push_back(word);
      }
      argv.push_back("--help");
      const auto help = local::run_command({.argv = argv}, seconds(10));
      ASSERT_TRUE(help) << help.error().message();
      EXPECT_EQ(help->exit_code, 0) << help->output;
      EXPECT_TRUE(help->output.contains(argv[argv.size() - 2])) << help->output;
      for (const auto& option : options) EXPECT_TRUE(help->output.contains(option)) << option << "\n" << help->output;
      ++commands;
    }
  EXPECT_GT(commands, 15);
}

TEST_F(Procedure, EveryRestCallHasARoute) {
  const auto known = routes();
  int calls = 0;
  for (const auto& row : rows)
    for (const auto& code : codes_in(row.at(call))) {
      auto path = std::regex_replace(code, std::regex(R"(\{[^}]*\})"), "{}");
      path = path.substr(0, path.find('?'));
      EXPECT_TRUE(known.contains(path)) << code << " is not among\n"
                                        << join(std::vector<std::string>(known.begin(), known.end()), "\n");
      ++calls;
    }
  EXPECT_GT(calls, 20);
}

TEST_F(Procedure, EveryTestAndPageIsThere) {
  for (const auto& row : rows)
    for (const auto& code : codes_in(row.at(test))) {
      if (code == "./run demo") {
        EXPECT_TRUE(read_page("run").contains("\n  demo) demo "));
        continue;
      }
      ASSERT_TRUE(code.ends_with("_test.cc")) << code;
      EXPECT_TRUE(read_page(code).contains("\nTEST")) << code << " has no test";
    }
  const auto served = read_page("src/server/pages/admin.cc");
  for (const auto& row : rows)
    for (const auto& code : codes_in(row.at(console)))
      EXPECT_TRUE(served.contains("\"" + code + "\"")) << code << " is no page of the console";
  const auto page = read_page("docs/procedure.md");
  const std::regex link(R"(\]\(([^)#]+)\))");
  int pages = 0;
  for (auto it = std::sregex_iterator(page.begin(), page.end(), link); it != std::sregex_iterator(); ++it, ++pages)
    EXPECT_FALSE(read_page("docs/" + (*it)[1].str()).empty());
  EXPECT_GE(pages, 3);
}

TEST(Pitfalls, EachIsAnsweredByATestThatIsThereOrSaidToBeOpen) {
  std::set<std::string> tests;
  const std::regex declared(R"(\nTEST(?:_F|_P)?\((\w+),\s*(\w+)\))");
  for (const auto* folder : {"src", "tests"})
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(AFLOAT_SOURCE_DIR) / folder)) {
      if (!entry.path().string().ends_with("_test.cc")) continue;
      const auto text = read_file(entry.path().string());
      for (auto it = std::sregex_iterator(text.begin(), text.end(), declared); it != std::sregex_iterator(); ++it)
        tests.insert((*it)[1].str() + "." + (*it)[2].str());
    }
  int pitfalls = 0;
  for (const auto& row : rows_of(read_page("docs/pitfalls.md"))) {
    if (row.front() == "#") continue;
    ASSERT_EQ(row.size(), 4U) << row.front();
    EXPECT_EQ(row.front(), std::to_string(++pitfalls));
    const auto named = codes_in(row.back());
    if (named.empty()) EXPECT_EQ(row.back(), "open") << row.front();
    if (row.back() == "open") EXPECT_TRUE(row[2].starts_with("open")) << row.front();
    for (const auto& name : named) EXPECT_TRUE(tests.contains(name)) << row.front() << ": " << name << " is not there";
  }
  EXPECT_EQ(pitfalls, 52);
}

}  // namespace
}  // namespace afloat::test
