#pragma once
#include <boost/json/fwd.hpp>
#include <vector>

#include "version/index.h"

namespace afloat::cli {

/// The plan of a node that judges single hops only (releases before 1.2.0): it calls a target beyond the next feature
/// release impossible, where a run goes there in several hops. Puts in what the run will find: `verdict`, `hops`, the
/// check of the way, and so whether it is possible. `known`: what the catalogue tells. Leaves a newer node's plan
/// alone.
void find_way(boost::json::object& plan, const std::vector<version::KnownRelease>& known);

}  // namespace afloat::cli
