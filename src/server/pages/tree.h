#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "server/context.h"
#include "server/pages/article.h"
#include "store/page_tree.h"

/// The tree of a space's pages, level by level: a space may have thousands, a page shows those around it.
namespace afloat::server {

struct Branch {
  std::vector<store::TreeEntry> entries;
  bool more = false;  ///< there are others after these
};
/// Children of a page, from `start` on. The first ones are kept in the cache.
Task<Branch> read_branch(Context& context, std::string space_key, std::int64_t parent, int start, Deadline deadline);
/// Entries as <li>; without scripts each is a link to its page, and what lies below it is shown there.
std::string branch_html(const Branch& branch, std::int64_t parent, int start);

/// What every page of a space shows of it.
struct SpaceHead {
  std::string name;
  CachedArticle::Step home;  ///< id 0 where the space has no home page
};
/// From the cache, if it is there. Errors: not_found.
Task<SpaceHead> space_head(Context& context, std::string space_key, Deadline deadline);
/// The home page, its children, and further levels opened along `path`, whose last page is the one that is shown;
/// an empty path shows the home page, or with `current` false none.
Task<std::string> tree_html(Context& context, std::string space_key, CachedArticle::Step home,
                            std::vector<CachedArticle::Step> path, bool current, Deadline deadline);

}  // namespace afloat::server
