#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/json_fields.h"
#include "cli/report.h"

namespace afloat::cli {
namespace json = boost::json;
namespace {

std::string grouped(std::int64_t number) {
  std::string digits = std::to_string(number);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

/// One line per node, drawn with characters: the run in 56 columns.
std::string lane_text(const json::object& lane, std::int64_t from, std::int64_t to, std::string_view old_version) {
  constexpr int columns = 56;
  std::string line;
  const auto* segments = array_at(lane, "segments");
  for (int column = 0; column < columns && segments; ++column) {
    // A column shows the least usual thing that happens in it, so that a short restart stays visible.
    const auto left = from + (to - from) * column / columns, right = from + (to - from) * (column + 1) / columns;
    int best = -1;
    for (const auto& entry : *segments) {
      const auto& s = entry.get_object();
      if (int_or(s, "to_ms") <= left || int_or(s, "from_ms") >= right) continue;
      const auto state = string_or(s, "state");
      const int rank = state == "down"                          ? 5
                       : state == "start"                       ? 4
                       : state == "drain"                       ? 3
                       : state == "ramp"                        ? 2
                       : string_or(s, "version") == old_version ? 0
                                                                : 1;
      best = std::max(best, rank);
    }
    static constexpr const char* signs[] = {"─", "━", "╍", "▒", "▲", "▼"};
    line += best < 0 ? " " : signs[best];
  }
  return line;
}

}  // namespace

std::string report_text(const json::object& report, bool colour) {
  const auto paint = [colour](std::string_view code, std::string text) {
    return colour ? fmt::format("\033[{}m{}\033[0m", code, text) : text;
  };
  const json::object none;
  const auto part = [&none](const json::object& o, std::string_view name) -> const json::object& {
    const auto* found = object_at(o, name);
    return found ? *found : none;
  };
  const auto& requests = part(report, "requests");
  const auto& writes = part(report, "writes");
  const auto& latency = part(report, "latency_ms");
  const auto outcome = string_or(report, "outcome");
  const bool good = outcome != "failed";
  std::string out = "\n";
  const auto nodes = array_at(report, "nodes") ? array_at(report, "nodes")->size() : 0;
  out += paint("1", fmt::format("  {} → {}, {} node{}, {:.1f} s from upgrade mode on to {}", string_or(report, "from"),
                                string_or(report, "to"), nodes, nodes == 1 ? "" : "s", double_or(report, "wall_s"),
                                outcome == "cancelled" ? "back again" : "STABLE")) +
         "\n\n";
  const auto mark = [&](bool ok) { return ok ? paint("32", "✓") : paint("31", "✗"); };
  const auto failed = int_or(requests, "failed"), lost = int_or(writes, "lost");
  const auto stale = int_or(writes, "stale"), duplicated = int_or(writes, "duplicated");
  out += fmt::format("  {} {} of {} requests failed\n", mark(failed == 0), grouped(failed),
                     grouped(int_or(requests, "total")));
  out += fmt::format("  {} {} of {} acknowledged writes lost, {} stale, {} duplicated; {} read back from every node\n",
                     mark(lost + stale + duplicated == 0), grouped(lost), grouped(int_or(writes, "acknowledged")),
                     stale, duplicated, grouped(int_or(writes, "verified")));
  const auto& before = part(latency, "before");
  const auto& during = part(latency, "during");
  out += fmt::format("    p50 {:.1f} → {:.1f} ms, p99 {:.1f} → {:.1f} ms (before → during)\n", double_or(before, "p50"),
                     double_or(during, "p50"), double_or(before, "p99"), double_or(during, "p99"));
  out += fmt::format("    {} offered, {} sent, {} late", grouped(int_or(requests, "offered")),
                     grouped(int_or(requests, "sent")), grouped(int_or(requests, "late")));
  // By hand there was no conductor.
  if (!string_or(report, "run").empty())
    out += fmt::format("; the conductor itself took {:.0f} % of the time", double_or(report, "conductor_share") * 100);
  out += "\n\n";

  const auto from = int_or(report, "mode_on_at_ms"), to = std::max(from + 1, int_or(report, "stable_at_ms"));
  if (const auto* lanes = array_at(report, "lanes"); lanes && !lanes->empty()) {
    for (const auto& lane : *lanes)
      out += fmt::format("  {:>8} {}\n", string_or(lane.get_object(), "node"),
                         lane_text(lane.get_object(), from, to, string_or(report, "from")));
    out += fmt::format("           {}\n\n",
                       paint("2", fmt::format("─ on {}  ▒ drain  ▼ down  ▲ start  ╍ taking load  ━ on {}",
                                              string_or(report, "from"), string_or(report, "to"))));
  }
  if (const auto* list = array_at(report, "nodes"))
    for (const auto& entry : *list)
      if (entry.is_object() && entry.get_object().contains("start_to_active_ms"))
        out += fmt::format("  {:>8} start to ACTIVE {} ms, drain {} ms\n", string_or(entry.get_object(), "name"),
                           int_or(entry.get_object(), "start_to_active_ms"), int_or(entry.get_object(), "drain_ms"));
  out += "\n";
  if (const auto* reasons = array_at(report, "reasons"))
    for (const auto& reason : *reasons) out += "  " + paint("31", "✗ " + std::string(reason.as_string())) + "\n";
  int shown = 0;
  if (const auto* failures = array_at(report, "failures"))
    for (const auto& entry : *failures) {
      if (++shown > 8) break;
      const auto& f = entry.get_object();
      out += fmt::format("    {} {} {}\n", string_or(f, "time"), string_or(f, "kind"), string_or(f, "what"));
    }
  shown = 0;
  if (const auto* offenders = array_at(report, "offenders"))
    for (const auto& entry : *offenders) {
      if (++shown > 8 || !entry.is_object()) break;
      out +=
          fmt::format("    {}: {}\n", string_or(entry.get_object(), "verdict"), string_or(entry.get_object(), "what"));
    }
  out +=
      "  " +
      (good ? paint("1;32", outcome == "cancelled" ? "Cancelled: back where it began; nothing failed, nothing was lost."
                            : bool_or(report, "latency_held") ? "Nobody noticed."
                                                              : "Nothing failed and nothing was lost.")
            : paint("1;31", "This upgrade did not keep its promise.")) +
      "\n\n";
  return out;
}

}  // namespace afloat::cli
