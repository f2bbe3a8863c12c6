#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

/// Rules of the architecture that a program can check. A failure names file, line and rule.
/// `base <- version <- cluster <- rollout <- ports <- {wiki, store, conductor, adapters} <- {server, agent} <- cli`
namespace {

namespace fs = std::filesystem;

struct Include {
  int line;
  std::string path;
  bool quoted;  ///< "ours", not <theirs>
};
struct Source {
  std::string path;  ///< from the source folder: src/cluster/phase.cc
  std::string text;
  std::vector<Include> includes;
  /// phase_test.cc, and what several tests share: test_site.h.
  bool is_test() const {
    return path.ends_with("_test.cc") || fs::path(path).filename().string().starts_with("test_");
  }
  /// The folder under src/: "cluster", "adapters/http".
  std::string folder() const { return fs::path(path).parent_path().lexically_relative("src").generic_string(); }
  std::string top() const { return folder().substr(0, folder().find('/')); }
};

Source read(const fs::path& root, const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  Source source{fs::relative(file, root).generic_string(), text.str(), {}};
  static const std::regex include(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
  std::istringstream lines(source.text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::smatch match;
    if (std::regex_search(line, match, include)) source.includes.push_back({number, match[2], match[1] == "\""});
  }
  return source;
}

const std::vector<Source>& sources() {
  static const std::vector<Source> all = [] {
    const fs::path root = AFLOAT_SOURCE_DIR;
    std::vector<Source> found;
    for (const auto* folder : {"src", "tests"})
      for (const auto& entry : fs::recursive_directory_iterator(root / folder))
        if (entry.is_regular_file() && (entry.path().extension() == ".cc" || entry.path().extension() == ".h"))
          found.push_back(read(root, entry.path()));
    std::ranges::sort(found, {}, &Source::path);
    return found;
  }();
  return all;
}

/// Every source under src/ whose top folder is one of these.
std::vector<Source> in_folders(const std::set<std::string>& tops) {
  std::vector<Source> some;
  for (const auto& source : sources())
    if (source.path.starts_with("src/") && tops.contains(source.top())) some.push_back(source);
  return some;
}

void complain(const Source& source, int line, const std::string& rule) {
  ADD_FAILURE_AT(source.path.c_str(), line) << source.path << ":" << line << ": " << rule;
}

bool starts_with_any(const std::string& path, const std::vector<std::string>& prefixes) {
  return std::ranges::any_of(prefixes, [&](const auto& prefix) { return path.starts_with(prefix); });
}

const std::regex& all_columns() {
  // Behind the word itself, or further on in its list.
  static const std::regex star(R"(\b(select|returning)\s+((distinct|all)\s+)?([a-z_]+\.)?\*|,\s*[a-z_]+\.\*(?=[\s,"]|$))",
                               std::regex::icase);
  return star;
}

const std::regex& unnamed_insert() {
  static const std::regex unnamed(R"(\binsert\s+into\s+[a-z_]+\s+(values|select|default)\b)", std::regex::icase);
  return unnamed;
}

TEST(Tidy, TheSourcesAreThere) { EXPECT_GT(sources().size(), 20u) << "nothing to check under " << AFLOAT_SOURCE_DIR; }

TEST(Tidy, PureFoldersIncludeOnlyTheStandardLibraryAFewOthersAndFoldersInward) {
  const std::map<std::string, std::vector<std::string>> inward = {
      {"base", {"base/"}},
      {"version", {"base/", "version/"}},
      {"cluster", {"base/", "version/", "cluster/"}},
      {"rollout", {"base/", "version/", "cluster/", "rollout/"}},
      {"faults", {"base/", "version/", "faults/"}}};
  static const std::regex standard("[a-z_0-9]+");
  for (const auto& source : in_folders({"base", "version", "cluster", "rollout", "faults"}))
    for (const auto& include : source.includes) {
      const bool good = include.quoted
                            ? starts_with_any(include.path, inward.at(source.top()))
                            : std::regex_match(include.path, standard) ||
                                  starts_with_any(include.path, {"fmt/", "boost/json"}) || include.path == "sodium.h" ||
                                  (source.is_test() && include.path.starts_with("gtest/"));
      if (!good)
        complain(source, include.line,
                 "a pure folder includes " + include.path +
                     "; it may use std, fmt, boost/json, sodium and the folders inward of it");
    }
}

TEST(Tidy, PureFoldersReadNoClock) {
  static const std::regex clock(R"((system_clock|steady_clock)::now|\b(clock_gettime|gettimeofday)\b)");
  for (const auto& source : in_folders({"base", "version", "cluster", "rollout"}))
    if (std::regex_search(source.text, clock))
      complain(source, 1, "a pure folder reads a clock; take the time as an argument");
}

TEST(Tidy, MiddleFoldersIncludeNothingOutward) {
  const std::vector<std::string> pure = {"base/", "version/", "cluster/", "rollout/"};
  const auto plus = [](std::vector<std::string> all, const std::vector<std::string>& more) {
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  const std::map<std::string, std::vector<std::string>> allowed = {
      {"ports", plus(pure, {"ports/"})},
      {"wiki", plus(pure, {"ports/", "wiki/"})},
      {"store", plus(pure, {"ports/", "wiki/", "store/", "faults/"})}};
  for (const auto& source : in_folders({"ports", "wiki", "store"}))
    for (const auto& include : source.includes)
      if (include.quoted && !source.is_test() && !starts_with_any(include.path, allowed.at(source.top())))
        complain(source, include.line, source.top() + " includes " + include.path + ", which stands outward of it");
}

TEST(Tidy, OnlyPortsTaskBringsAsioIntoTheMiddle) {
  for (const auto& source : in_folders({"ports", "wiki", "store", "conductor"}))
    for (const auto& include : source.includes) {
      const bool asio = starts_with_any(include.path, {"boost/asio", "boost/beast", "adapters/asio/"});
      if (asio && !source.is_test() && source.path != "src/ports/task.h")
        complain(source, include.line,
                 "includes " + include.path + "; coroutines come from ports/task.h, time and threads from ports");
    }
}

TEST(Tidy, AdaptersKnowNoOtherAdapterButAsioAndHttp) {
  for (const auto& source : in_folders({"adapters"}))
    for (const auto& include : source.includes) {
      if (!include.quoted || source.is_test()) continue;
      if (starts_with_any(include.path, {"server/", "conductor/", "agent/", "local/", "cli/"}))
        complain(source, include.line, "an adapter includes " + include.path + ", which stands outward of it");
      if (include.path.starts_with("adapters/") &&
          !starts_with_any(include.path, {"adapters/asio/", "adapters/http/", source.folder() + "/"}))
        complain(source, include.line, "includes another adapter: " + include.path);
    }
}

// What it runs must be the product's own rules, and nothing that touches the system.
TEST(Tidy, TheSimulationKnowsRulesPortsAndTheConductorAlone) {
  for (const auto& source : in_folders({"sim"}))
    for (const auto& include : source.includes)
      if (include.quoted && !starts_with_any(include.path, {"sim/", "base/", "version/", "cluster/", "rollout/", "ports/",
                                                            "conductor/", "agent/authority.h"}))
        complain(source, include.line, "the simulation includes " + include.path);
}

// ADD COLUMN breaks both in prepared statements of running nodes (0A000): a released binary must survive later schemas.
TEST(Tidy, SqlNamesItsColumns) {
  for (const auto& source : sources()) {
    if (!source.path.starts_with("src/") || !source.path.ends_with(".cc")) continue;
    for (const auto* rule : {&all_columns(), &unnamed_insert()})
      for (auto match = std::sregex_iterator(source.text.begin(), source.text.end(), *rule);
           match != std::sregex_iterator(); ++match)
        complain(source,
                 1 + static_cast<int>(std::count(source.text.begin(), source.text.begin() + match->position(), '\n')),
                 "\"" + match->str() + "\": name the columns");
  }
}

TEST(Tidy, TheRuleAboutColumnsFindsThem) {
  for (const auto* bad : {"select * from a", "SELECT  * FROM a", "insert into a values (1) Returning *",
                          "select\n* from a", "select m.* from m", "select distinct * from a", "select a.b, m.* from a, m"})
    EXPECT_TRUE(std::regex_search(bad, all_columns())) << bad;
  for (const auto* good : {"select count(*) from a", "select a.b from a", "returning id", "select 2 * 3", "f(a, b.*field)"})
    EXPECT_FALSE(std::regex_search(good, all_columns())) << good;
  for (const auto* bad : {"insert into a values (1)", "INSERT INTO a\nselect b from c"})
    EXPECT_TRUE(std::regex_search(bad, unnamed_insert())) << bad;
  EXPECT_FALSE(std::regex_search("insert into a (b) values (1)", unnamed_insert()));
}

TEST(Tidy, NoFileIsTooLongToRead) {
  constexpr auto most = 900;
  for (const auto& source : sources()) {
    const auto lines = std::ranges::count(source.text, '\n');
    if (lines > most)
      complain(source, most, "has " + std::to_string(lines) + " lines; split it by topic (at most 900)");
  }
}

}  // namespace
