#pragma once
#include <boost/json.hpp>
#include <map>
#include <string>

namespace afloat::test {

/// A release whose programs run a whole site: agents, conductor and nodes, which are upgraded to `next`, a later
/// version of the same code.
struct HarvestedRelease {
  std::string program;    ///< afloat of that release
  std::string catalogue;  ///< with both
  std::string version, next;
};

/// What it writes for other releases, by the names of formats::documents(): a site of two nodes is used, drained and
/// upgraded, and what was left behind collected. Times, and folders of this machine, are replaced by fixed ones.
/// A document that this release does not write is missing. ASSERT_NO_FATAL_FAILURE.
void harvest(const HarvestedRelease& release, std::map<std::string, boost::json::value>& documents);

}  // namespace afloat::test
