#pragma once
#include <string>
#include <vector>

#include "base/error.h"

namespace afloat::cli {

struct ChecksDemoOptions {
  std::string version;    ///< release of the nodes
  std::string catalogue;  ///< folder of release bundles, absolute
  std::string data;       ///< folder of the site; "" = a temporary one
  std::vector<std::string> trusted_keys;
};

/// Starts a site of three nodes on this machine, makes much wrong with it, and prints what `afloat check` says. False
/// when it has not found all of it. What needs root or a program that is not there is left out, and said.
Result<bool> show_checks(const ChecksDemoOptions& options);

}  // namespace afloat::cli
