#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace afloat::wiki {

/// What a page says of its neighbours; "" where it says nothing. Paths in the folder.
struct PageLinks {
  std::string up, next;
};
/// Orders pages so that each parent comes before its children, as (path, parent path or ""). A page's
/// parent is where its up link points (if that page is there), else the index page of its folder, else of
/// the nearest folder above. Circles are cut. Siblings: along the next links, then by name. Pure.
std::vector<std::pair<std::string, std::string>> build_import_tree(const std::map<std::string, PageLinks>& pages);

}  // namespace afloat::wiki
