#include "cli/upgrade_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/json_fields.h"
#include "base/text.h"

namespace afloat::cli {
namespace json = boost::json;
namespace {

constexpr int bar_width = 30;

bool ended(const json::object& run) { return int_or(run, "ended_at_ms") > 0; }

template <class Each>
void for_each_object(const json::object& parent, std::string_view field, Each each) {
  if (const auto* array = array_at(parent, field))
    for (const auto& value : *array)
      if (value.is_object()) each(value.get_object());
}

std::string seconds_text(std::int64_t ms) {
  return ms < 10'000 ? fmt::format("{:.1f} s", static_cast<double>(ms) / 1000.0) : duration_text(ms);
}

}  // namespace

std::string step_line(const json::object& run, const json::object& step) {
  const auto state = string_or(step, "state");
  const auto detail = string_or(step, "detail");
  const double since = static_cast<double>(int_or(step, "started_at_ms") - int_or(run, "started_at_ms")) / 1000.0;
  const auto took = state == "running" ? std::string("...") : fmt::format("{:.3f} s", double_or(step, "seconds"));
  return fmt::format("{:>8.3f}  {:<42} {:<11} {:>9}{}{}", since, string_or(step, "title"), state, took,
                     detail.empty() ? "" : "  ", detail);
}

std::string progress_line(const json::object& run, std::int64_t now_ms) {
  std::int64_t done = 0;
  for_each_object(run, "steps", [&](const json::object& step) { done += string_or(step, "state") == "done" ? 1 : 0; });
  // Nodes before 1.2.0 count the steps of one hop and expect nothing.
  if (run.contains("steps_done")) done = int_or(run, "steps_done");
  const auto total = std::max<std::int64_t>({int_or(run, "steps_total"), done, 1});
  const auto filled = static_cast<std::size_t>(bar_width * done / total);
  std::string left;
  const auto elapsed = now_ms - int_or(run, "started_at_ms");
  if (const auto expected = int_or(run, "left_ms"); expected > 0 && string_or(run, "state") != "paused")
    left = ", about " + duration_text(expected) + " left";
  else if (!run.contains("left_ms") && done > 3 && string_or(run, "state") == "running" && elapsed > 0)
    left = ", about " + duration_text(elapsed / done * (total - done)) + " left";
  const auto message = string_or(run, "message");
  return fmt::format("[{}{}] {} of {} steps{}: {}{}{}", std::string(filled, '#'), std::string(bar_width - filled, '-'),
                     done, total, left, string_or(run, "current", string_or(run, "state")),
                     message.empty() ? "" : " - ", message);
}

std::string status_text(const json::object& run) {
  std::string text = fmt::format("Upgrade run {}: {} to {}, {}\n", int_or(run, "id"), string_or(run, "from"),
                                 string_or(run, "to"), string_or(run, "state"));
  if (const auto reason = string_or(run, "reason"); !reason.empty()) text += fmt::format("  reason:    {}\n", reason);
  text += fmt::format("  asked by:  {} at {}\n", string_or(run, "actor"), iso_time(int_or(run, "started_at_ms")));
  const auto conductor = string_or(run, "conductor");
  if (!ended(run)) text += fmt::format("  conductor: {}\n", conductor.empty() ? "none at work" : conductor);
  if (const auto message = string_or(run, "message"); !message.empty()) text += fmt::format("  {}\n", message);
  for_each_object(run, "steps", [&](const json::object& step) { text += step_line(run, step) + "\n"; });
  if (const auto* evidence = object_at(run, "evidence"); evidence && !evidence->empty()) {
    text += fmt::format("Evidence of {}: exit code {}, state {}, release {}, config {}\n", string_or(*evidence, "node"),
                        int_or(*evidence, "exit_code"), string_or(*evidence, "state", "unknown"),
                        string_or(*evidence, "release"), string_or(*evidence, "config_hash").substr(0, 12));
    if (const auto lines = string_or(*evidence, "last_lines"); !lines.empty()) text += lines + "\n";
  }
  return text;
}

std::string report_text(const json::object& run) {
  auto text = status_text(run);
  const auto mode_on = int_or(run, "mode_on_at_ms");
  const auto stable = int_or(run, "stable_at_ms");
  if (mode_on > 0 && stable > mode_on)
    text += fmt::format("Upgrade mode on to STABLE: {:.2f} s\n", static_cast<double>(stable - mode_on) / 1000.0);
  if (const auto down = int_or(run, "downtime_ms"); down > 0)
    text += fmt::format("Down for: {:.2f} s\n", static_cast<double>(down) / 1000.0);
  for_each_object(run, "nodes", [&](const json::object& node) {
    text += fmt::format("  {:<12} drain {:>5} ms, start to ACTIVE {:>5} ms\n", string_or(node, "name"),
                        int_or(node, "drain_ms"), int_or(node, "start_to_active_ms"));
  });
  text += fmt::format("Outcome: {}\n", ended(run) ? string_or(run, "outcome") : "not ended");
  return text;
}

std::string task_line(const json::object& task) {
  const auto total = int_or(task, "total");
  const auto error = string_or(task, "error");
  return fmt::format("  {:<34} {:<9}{}{}", string_or(task, "id"), string_or(task, "state"),
                     total > 0 ? fmt::format(" {} of {} rows", int_or(task, "done"), total) : "",
                     error.empty() ? "" : "  " + error);
}

std::string plan_text(const json::object& plan) {
  std::string text = fmt::format("From {} to {}\n\nChecks\n", string_or(plan, "from"), string_or(plan, "to"));
  for_each_object(plan, "checks", [&](const json::object& check) {
    text += fmt::format("  {:<8} {}: {}\n", string_or(check, "result"), string_or(check, "title"),
                        string_or(check, "found"));
    const auto action = string_or(check, "action");
    if (string_or(check, "result") == "fail")
      text += fmt::format("           {}\n           {}\n", string_or(check, "why"), action);
  });
  text += "\nSteps\n";
  for_each_object(plan, "steps", [&](const json::object& step) {
    const auto deadline = int_or(step, "deadline_s");
    text += fmt::format("  {:<42} {}{}\n", string_or(step, "title"),
                        deadline > 0 ? fmt::format("about {}, pauses after {} s",
                                                   seconds_text(int_or(step, "expected_ms")), deadline)
                                     : "waits for you",
                        bool_or(step, "point_of_no_return") ? "  (no way back from here)" : "");
  });
  if (const auto expected = int_or(plan, "expected_ms"); expected > 0)
    text += fmt::format("\nAbout {} in all, without waiting for you.\n", duration_text(expected));
  text += bool_or(plan, "possible")
              ? "\nPossible. Start it with: afloat upgrade run --to " + string_or(plan, "to") + "\n"
              : "\nNot possible now: see the failed checks above.\n";
  return text;
}

}  // namespace afloat::cli
