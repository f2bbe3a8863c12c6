#include "cli/plan_way.h"

#include <boost/json.hpp>

#include "base/json_fields.h"
#include "version/path.h"

namespace afloat::cli {

namespace json = boost::json;

void find_way(json::object& plan, const std::vector<version::KnownRelease>& known) {
  const auto from = version::parse_version(string_or(plan, "from"));
  const auto to = version::parse_version(string_or(plan, "to"));
  if (plan.contains("verdict") || !from || !to) return;
  const auto path =
      version::find_path(version::policy_of(version::Product::afloat), *from, *to, version::releases_of(known));
  plan["verdict"] = std::string(version::to_string(path.verdict));
  json::array hops;
  for (const auto& hop : path.hops) hops.push_back(json::string(version::shown_stop(hop.to, hop.any)));
  plan["hops"] = std::move(hops);
  const bool rolls = path.verdict == version::HopVerdict::rolling && path.missing.empty();
  bool possible = true;
  if (auto* checks = plan.contains("checks") ? plan["checks"].if_array() : nullptr)
    for (auto& value : *checks) {
      if (!value.is_object()) continue;
      auto& check = value.get_object();
      if (string_or(check, "id") == "hop_allowed") {
        check["result"] = rolls ? "pass" : "fail";
        check["found"] = path.message;
      }
      possible = possible && string_or(check, "result") != "fail";
    }
  plan["possible"] = rolls && possible;
}

}  // namespace afloat::cli
