#include "docs/pages.h"

#include <fstream>
#include <iterator>

#include "base/json_fields.h"

namespace afloat::test {

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path << " is not there";
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string read_page(const std::string& path) { return read_file(std::string(AFLOAT_SOURCE_DIR "/") + path); }

std::vector<std::string> shell_blocks(const std::string& page) {
  constexpr std::string_view opening = "\n```bash\n", closing = "\n```";
  std::vector<std::string> blocks;
  for (auto at = page.find(opening); at != std::string::npos; at = page.find(opening, at)) {
    at += opening.size();
    const auto end = page.find(closing, at);
    if (end == std::string::npos) break;
    blocks.push_back(page.substr(at, end - at + 1));
    at = end + closing.size();
  }
  return blocks;
}

std::map<std::string, std::string> versions_of(SiteFixture& site) {
  std::map<std::string, std::string> versions;
  const auto cluster = site.admin().get_json("/rest/zdu/cluster");
  if (const auto* nodes = array_at(cluster, "nodes"))
    for (const auto& node : *nodes)
      versions[string_or(node.as_object(), "name")] = string_or(node.as_object(), "version");
  EXPECT_EQ(versions.size(), site->nodes().size());
  return versions;
}

}  // namespace afloat::test
