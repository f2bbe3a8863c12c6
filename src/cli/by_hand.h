#pragma once
#include <string>

#include "local/site.h"

namespace afloat::cli {

/// Shell functions (bash, curl, jq) with which a person upgrades a local site without the conductor:
/// balancer, agent and node each through its own interface. `source` it, then call the functions in order.
std::string by_hand_script(local::Site& site, const std::string& to);

}  // namespace afloat::cli
