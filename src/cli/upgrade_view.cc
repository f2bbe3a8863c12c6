#include "cli/upgrade_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <vector>

#include "base/json_fields.h"
#include "base/log_line.h"
#include "base/text.h"
#include "cli/moment.h"
#include "rollout/offline.h"

namespace afloat::cli {
namespace json = boost::json;
namespace {

constexpr int bar_width = 30;

bool ended(const json::object& run) { return int_or(run, "ended_at_ms") > 0; }

/// "no conductor is at work since Thu 2026-11-26 03:12"; "" while one is, or where the run needs none any more.
std::string without_conductor(const json::object& run) {
  if (ended(run) || !run.contains("conductor") || !string_or(run, "conductor").empty()) return {};
  // Older nodes don't tell since when.
  const auto since = int_or(run, "conductor_silent_since_ms");
  return since > 0 ? "no conductor is at work since " + shown_moment(since) : "no conductor is at work";
}

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

bool is_held(const json::object& run) {
  const auto* steps = array_at(run, "steps");
  return string_or(run, "state") == "paused" && steps && !steps->empty() &&
         string_or(steps->back().as_object(), "name") == "hold_before_finalize";
}

std::string step_line(const json::object& run, const json::object& step) {
  const auto state = string_or(step, "state");
  const auto detail = string_or(step, "detail");
  const double since = static_cast<double>(int_or(step, "started_at_ms") - int_or(run, "started_at_ms")) / 1000.0;
  const auto took = state == "running" ? std::string("...") : fmt::format("{:.3f} s", double_or(step, "seconds"));
  return fmt::format("{:>8.3f}  {:<42} {:<11} {:>9}{}{}", since, string_or(step, "title"), state, took,
                     detail.empty() ? "" : "  ", detail);
}

namespace {

constexpr std::size_t columns = 80;

/// `left`, and `right` at the end of the line.
std::string spread(const std::string& left, const std::string& right) {
  const auto used = left.size() + right.size();
  return left + std::string(used < columns ? columns - used : 1, ' ') + right + "\n";
}

/// In lines of at most 80 columns, broken between words.
std::string wrapped(const std::string& text, std::size_t indent) {
  std::string out, line(indent, ' ');
  for (const auto& word : split(text, ' ')) {
    if (line.size() + word.size() + 1 > columns && line.size() > indent) {
      out += line + "\n";
      line.assign(indent, ' ');
    }
    line += (line.size() > indent ? " " : "") + word;
  }
  return out + line + "\n";
}

/// One line of a node: what it has reached, from its last step.
std::string node_line(const json::object& last, std::int64_t to_active_ms) {
  const auto name = string_or(last, "name"), state = string_or(last, "state");
  const bool back = bool_or(last, "back");
  const bool whole = state == "done" && (name == "soak" || name == "balance");
  std::string what = whole ? (back ? "back" : "done") : string_or(last, "title");
  if (const auto colon = what.find(": "); colon != std::string::npos) what = what.substr(colon + 2);
  if (!whole && back) what = "back: " + what;
  auto line = fmt::format("  {:<14} {:<34}", string_or(last, "node").substr(0, 14), what.substr(0, 34));
  if (whole && !back && to_active_ms > 0) line += fmt::format(" start to ACTIVE {} ms", to_active_ms);
  if (state == "paused") line += " paused";
  return line + "\n";
}

}  // namespace

namespace {

/// Where a hop began: a way back leads there.
std::string went_from(const json::object& run, std::int64_t hop) {
  const auto* hops = array_at(run, "hops");
  const auto before = static_cast<std::size_t>(std::max<std::int64_t>(hop - 2, 0));
  if (hop < 2 || !hops || before >= hops->size() || !hops->at(before).is_string()) return string_or(run, "from");
  return std::string(hops->at(before).get_string());
}

}  // namespace

std::string watch_text(const json::object& run) {
  const auto* hops = array_at(run, "hops");
  const auto state = string_or(run, "state");
  std::map<std::string, const json::object*> last;
  std::vector<std::string> order;
  std::int64_t hop = 1, counted = 0;
  for_each_object(run, "steps", [&](const json::object& step) {
    counted += string_or(step, "state") == "done" ? 1 : 0;
    hop = std::max(hop, int_or(step, "hop"));
    const auto node = string_or(step, "node");
    if (node.empty()) return;
    if (!last.contains(node)) order.push_back(node);
    last[node] = &step;
  });
  std::map<std::string, std::int64_t> to_active;
  for_each_object(run, "nodes", [&](const json::object& node) {
    to_active[string_or(node, "name")] = int_or(node, "start_to_active_ms");
  });
  const auto done = int_or(run, "steps_done"), total = std::max<std::int64_t>({int_or(run, "steps_total"), done, 1});
  const auto filled = static_cast<std::size_t>(bar_width * done / total);
  const bool back = bool_or(run, "back") || state == "rolling_back";
  const auto where = back                       ? fmt::format(" back to {}", went_from(run, hop))
                     : hops && hops->size() > 1 ? fmt::format(", hop {} of {}", hop, hops->size())
                                                : std::string();
  // A node of an older release knows neither the hops nor the way back, and so not how many steps there are.
  const auto bar = run.contains("steps_done")
                       ? fmt::format("[{}{}] {} of {}{}{}", std::string(filled, '#'),
                                     std::string(bar_width - filled, '-'), done, total, back ? "" : " steps", where)
                       : fmt::format("{} steps so far{}", counted, back ? ", on the way back" : "");
  const auto left = int_or(run, "left_ms");
  const auto idle = without_conductor(run);
  auto text = spread(fmt::format("Upgrade run {}: {} to {}", int_or(run, "id"), string_or(run, "from"), string_or(run, "to")),
                     state);
  text += spread(bar, left > 0 && !ended(run) && state != "paused" && idle.empty()
                          ? "about " + duration_text(left) + " left"
                          : "");
  if (!idle.empty()) text += idle + "\n";
  for (const auto& node : order) text += node_line(*last[node], to_active[node]);
  if (const auto current = string_or(run, "current"); !current.empty()) text += wrapped("now: " + current, 0);
  if (const auto message = string_or(run, "message"); !message.empty()) text += wrapped(message, 2);
  return text;
}

std::string status_text(const json::object& run) {
  std::string text = fmt::format("Upgrade run {}: {} to {}, {}\n", int_or(run, "id"), string_or(run, "from"),
                                 string_or(run, "to"), string_or(run, "state"));
  if (const auto reason = string_or(run, "reason"); !reason.empty()) text += fmt::format("  reason:    {}\n", reason);
  text += fmt::format("  asked by:  {} at {}\n", string_or(run, "actor"), iso_time(int_or(run, "started_at_ms")));
  const auto idle = without_conductor(run);
  if (!ended(run) && run.contains("conductor"))
    text += fmt::format("  conductor: {}\n", idle.empty() ? string_or(run, "conductor") : idle);
  if (const auto message = string_or(run, "message"); !message.empty()) text += fmt::format("  {}\n", message);
  for_each_object(run, "steps", [&](const json::object& step) { text += step_line(run, step) + "\n"; });
  if (const auto* evidence = object_at(run, "evidence"); evidence && !evidence->empty()) {
    text += fmt::format("Evidence of {}: exit code {}, state {}, release {}, config {}\n", string_or(*evidence, "node"),
                        int_or(*evidence, "exit_code"), string_or(*evidence, "state", "unknown"),
                        string_or(*evidence, "release"), string_or(*evidence, "config_hash").substr(0, 12));
    if (const auto lines = string_or(*evidence, "last_lines"); !lines.empty()) text += readable_log(lines) + "\n";
  }
  return text;
}

namespace {

/// Also where a node of an older release answers, on which the site may be after a cancel: it tells only the steps.
std::int64_t downtime_of(const json::object& run) {
  if (run.contains("downtime_ms")) return int_or(run, "downtime_ms");
  rollout::Run known;
  known.options.offline = true;
  known.state = rollout::run_state_from(string_or(run, "state"));
  known.ended_at_ms = int_or(run, "ended_at_ms");
  for_each_object(run, "steps", [&](const json::object& step) {
    const auto kind = rollout::step_kind_from(string_or(step, "name"));
    if (!kind) return;
    // A run that rolls asks of each node whether it may go.
    if (*kind == rollout::StepKind::ok_to_stop) known.options.offline = false;
    auto& taken = known.steps.emplace_back();
    taken.kind = *kind;
    taken.node = string_or(step, "node");
    taken.back = bool_or(step, "back");
    taken.state = rollout::step_state_from(string_or(step, "state"));
    taken.started_at_ms = int_or(step, "started_at_ms");
    taken.ended_at_ms = int_or(step, "ended_at_ms");
  });
  return rollout::downtime_ms(known, known.ended_at_ms);
}

}  // namespace

std::string report_text(const json::object& run) {
  auto text = status_text(run);
  const auto mode_on = int_or(run, "mode_on_at_ms");
  const auto stable = int_or(run, "stable_at_ms");
  if (mode_on > 0 && stable > mode_on)
    text += fmt::format("Upgrade mode on to STABLE: {:.2f} s\n", static_cast<double>(stable - mode_on) / 1000.0);
  if (const auto down = downtime_of(run); down > 0)
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
  std::string text = fmt::format("From {} to {}\n", string_or(plan, "from"), string_or(plan, "to"));
  const auto* hops = array_at(plan, "hops");
  const bool chain = hops && hops->size() > 1;
  if (chain) {
    text += fmt::format("{} hops, {}: {}", hops->size(), string_or(plan, "verdict"), string_or(plan, "from"));
    for (const auto& hop : *hops) text += fmt::format(" to {}", hop.is_string() ? hop.get_string().c_str() : "?");
    text += "\n";
  }
  text += "\nChecks\n";
  for_each_object(plan, "checks", [&](const json::object& check) {
    text += fmt::format("  {:<8} {}: {}\n", string_or(check, "result"), string_or(check, "title"),
                        string_or(check, "found"));
    const auto action = string_or(check, "action");
    if (string_or(check, "result") == "fail")
      text += fmt::format("           {}\n           {}\n", string_or(check, "why"), action);
  });
  // A node that knows of no chain tells the steps of one hop, without its number.
  std::int64_t hop = 0;
  text += "\nSteps\n";
  for_each_object(plan, "steps", [&](const json::object& step) {
    if (chain && (hop == 0 || int_or(step, "hop") > hop)) {
      hop = std::max<std::int64_t>(int_or(step, "hop"), 1);
      text += step.contains("hop") ? fmt::format(" hop {}\n", hop) : " of each hop\n";
    }
    const auto deadline = int_or(step, "deadline_s");
    const bool yours = string_or(step, "name") == "hold_before_finalize";
    text += fmt::format("  {:<42} {}{}{}\n", string_or(step, "title"),
                        yours ? "waits for you" : "about " + seconds_text(int_or(step, "expected_ms")),
                        deadline > 0 ? fmt::format(", pauses after {} s", deadline) : "",
                        bool_or(step, "point_of_no_return") ? "  (no way back from here)" : "");
  });
  if (const auto expected = int_or(plan, "expected_ms"); expected > 0)
    text += fmt::format("\nAbout {} in all, without waiting for you.\n", duration_text(expected));
  const bool offline = bool_or(plan, "offline");
  if (offline) {
    bool backup = false;
    for_each_object(plan, "steps", [&](const json::object& step) { backup |= string_or(step, "name") == "backup"; });
    text += fmt::format("The site is closed for about {} of it. {}\n", duration_text(int_or(plan, "downtime_ms")),
                        backup ? "That is with your backup command, which runs once nobody writes any more, for as "
                                 "long as it took in past runs."
                               : "A backup command of the conductor comes on top: it runs once nobody writes any more, "
                                 "and no run of this site has had one, so how long it takes is not known.");
  }
  text += bool_or(plan, "possible") ? fmt::format("\nPossible. Start it with: afloat upgrade run --to {}{}\n",
                                                  string_or(plan, "to"), offline ? " --offline" : "")
                                    : "\nNot possible now: see the failed checks above.\n";
  return text;
}

}  // namespace afloat::cli
