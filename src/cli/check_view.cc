#include "cli/check_view.h"

#include <fmt/format.h>

#include <array>
#include <boost/json.hpp>
#include <string_view>
#include <vector>

#include "base/json_fields.h"

namespace afloat::cli {
namespace {

namespace json = boost::json;

constexpr auto worst_first = std::to_array<std::string_view>({"fail", "warn", "unknown", "pass"});

std::string group_text(std::string_view title, const std::vector<const json::object*>& checks) {
  std::string text = fmt::format("{}\n", title);
  for (const auto result : worst_first)
    for (const auto* check : checks) {
      if (string_or(*check, "result") != result) continue;
      text += fmt::format("  {:<8} {:<22} {}\n", result, string_or(*check, "id"), string_or(*check, "title"));
      if (result == "pass") continue;
      text += fmt::format("           found: {}\n           why:   {}\n           do:    {}\n           see:   {}\n",
                          string_or(*check, "found"), string_or(*check, "why"), string_or(*check, "action"),
                          string_or(*check, "link"));
    }
  return text;
}

}  // namespace

std::string checks_text(const json::object& answer) {
  std::vector<const json::object*> health, upgrade;
  if (const auto* checks = array_at(answer, "checks"))
    for (const auto& value : *checks)
      if (const auto* check = value.if_object())
        (string_or(*check, "group") == "upgrade" ? upgrade : health).push_back(check);
  std::string text;
  if (!health.empty()) text += group_text("Health", health);
  if (!upgrade.empty()) {
    const auto verdict = string_or(answer, "verdict");
    text +=
        fmt::format("{}{}", text.empty() ? "" : "\n",
                    group_text(fmt::format("Upgrade, {} to {} ({})", string_or(answer, "from"), string_or(answer, "to"),
                                           verdict == "downtime" ? "needs downtime" : verdict),
                               upgrade));
  }
  if (const auto* counts = object_at(answer, "counts"))
    text += fmt::format("\n{} passed, {} warnings, {} failed, {} could not be found out; {} ms, asked {}\n",
                        int_or(*counts, "pass"), int_or(*counts, "warn"), int_or(*counts, "fail"),
                        int_or(*counts, "unknown"), int_or(answer, "took_ms"), string_or(answer, "node"));
  return text;
}

int checks_code(const json::object& answer) {
  if (string_or(answer, "verdict") == "downtime") return 3;
  const auto* counts = object_at(answer, "counts");
  return counts && int_or(*counts, "fail") > 0 ? 4 : 0;
}

}  // namespace afloat::cli
