#include "wiki/import_tree.h"

#include <algorithm>
#include <set>

namespace afloat::wiki {
namespace {

/// The index page that stands for the folder of `path`, or the nearest above; never the page itself.
std::string index_above(const std::string& path, const std::map<std::string, PageLinks>& pages) {
  auto slash = path.rfind('/');
  std::string folder = slash == std::string::npos ? "" : path.substr(0, slash + 1);
  for (;;) {
    for (const char* name : {"index.html", "index.htm", "index.xhtml"})
      if (auto index = folder + name; index != path && pages.contains(index)) return index;
    if (folder.empty()) return {};
    folder.pop_back();
    slash = folder.rfind('/');
    folder = slash == std::string::npos ? "" : folder.substr(0, slash + 1);
  }
}

}  // namespace

std::vector<std::pair<std::string, std::string>> build_import_tree(const std::map<std::string, PageLinks>& pages) {
  std::map<std::string, std::string> parent;
  for (const auto& [path, links] : pages) {
    std::string up = links.up != path && pages.contains(links.up) ? links.up : index_above(path, pages);
    // Cut circles: a page never gets a parent that already hangs below it.
    for (std::string at = up; !at.empty();) {
      if (at == path) {
        up.clear();
        break;
      }
      auto next = parent.find(at);
      at = next == parent.end() ? "" : next->second;
    }
    parent[path] = up;
  }
  std::set<std::string> has_previous;
  for (const auto& [path, links] : pages) has_previous.insert(links.next);
  std::map<std::string, std::size_t> position;
  const auto follow = [&](std::string at) {
    while (!at.empty() && pages.contains(at) && position.emplace(at, position.size()).second) at = pages.at(at).next;
  };
  for (const auto& [path, links] : pages)
    if (!links.next.empty() && !has_previous.contains(path)) follow(path);
  for (const auto& [path, links] : pages) follow(path);

  std::map<std::string, std::vector<std::string>> below;
  for (const auto& [path, up] : parent) below[up].push_back(path);
  for (auto& [up, list] : below)
    std::ranges::sort(list, {}, [&](const std::string& path) { return position.at(path); });
  std::vector<std::pair<std::string, std::string>> out;
  std::vector<std::string> open(below[""].rbegin(), below[""].rend());
  while (!open.empty()) {
    const std::string path = open.back();
    open.pop_back();
    out.emplace_back(path, parent.at(path));
    if (auto found = below.find(path); found != below.end())
      open.insert(open.end(), found->second.rbegin(), found->second.rend());
  }
  return out;
}

}  // namespace afloat::wiki
