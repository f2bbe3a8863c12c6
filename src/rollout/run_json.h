#pragma once
#include <boost/json/fwd.hpp>
#include <string>

#include "rollout/model.h"

namespace afloat::rollout {

/// The run as REST, report and command line see it (field names are a contract, see docs).
boost::json::object run_json(const Run& run);
boost::json::object step_json(const StepRecord& step);

}  // namespace afloat::rollout
