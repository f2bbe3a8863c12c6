#include "cli/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "base/json_fields.h"
#include "base/text.h"

namespace afloat::cli {
namespace json = boost::json;
namespace {

constexpr std::int64_t before_ms = 20'000;

double rounded(double value) { return std::round(value * 100) / 100; }

/// Nearest rank.
double percentile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())));
  const auto at = std::max<std::size_t>(rank, 1) - 1;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

json::object quantiles(std::vector<double>& values) {
  return {{"p50", rounded(percentile(values, 0.5))},
          {"p99", rounded(percentile(values, 0.99))},
          {"requests", values.size()}};
}

/// Times of the run that everything else is laid against.
struct Span {
  std::int64_t mode_on = 0, stable = 0;
  std::int64_t wall() const { return std::max<std::int64_t>(0, stable - mode_on); }
};

Span span_of(const json::object& run, const LedgerContents& ledger) {
  Span span{int_or(run, "mode_on_at_ms"), int_or(run, "stable_at_ms")};
  if (span.mode_on <= 0) span.mode_on = int_or(run, "started_at_ms");
  if (span.mode_on <= 0 && !ledger.outcomes.empty()) span.mode_on = ledger.meta.started_at_ms;
  if (span.stable <= 0) span.stable = int_or(run, "ended_at_ms");
  if (span.stable <= 0 && ledger.totals().at_ms > 0) span.stable = ledger.totals().at_ms;
  span.stable = std::max(span.stable, span.mode_on);
  return span;
}

/// Before: 20 s up to the start. During: the upgrade itself, however short. From start: 20 s from the start, the
/// window of equal length in which percentiles of few requests can be compared.
json::object latency(const LedgerContents& ledger, const Span& span) {
  enum Window { before, during, from_start, windows };
  using Values = std::array<std::vector<double>, windows>;
  std::map<std::string, Values> kinds;
  Values all;
  for (const auto& o : ledger.outcomes) {
    const bool started = o.at_ms >= span.mode_on;
    const auto note = [&](Window window, bool inside) {
      if (!inside) return;
      kinds[o.kind][window].push_back(o.latency_ms);
      all[window].push_back(o.latency_ms);
    };
    note(before, !started && o.at_ms >= span.mode_on - before_ms);
    note(during, started && o.at_ms <= span.stable);
    note(from_start, started && o.at_ms < span.mode_on + before_ms);
  }
  const auto within_goal = [](Values& values, Window window) {
    const double p99 = percentile(values[before], 0.99);
    return values[before].empty() || percentile(values[window], 0.99) <= std::max(1.5 * p99, p99 + 10);
  };
  json::object by_kind;
  for (auto& [kind, values] : kinds)
    by_kind[kind] = json::object{{"before", quantiles(values[before])},
                                 {"during", quantiles(values[during])},
                                 {"from_start", quantiles(values[from_start])},
                                 {"within_goal", within_goal(values, during)},
                                 {"within_goal_from_start", within_goal(values, from_start)}};
  return {{"before", quantiles(all[before])},
          {"during", quantiles(all[during])},
          {"from_start", quantiles(all[from_start])},
          {"by_kind", std::move(by_kind)}};
}

std::int64_t end_of(const json::object& step) {
  return int_or(step, "started_at_ms") + static_cast<std::int64_t>(double_or(step, "seconds") * 1000);
}

/// The part of the wall time in which nothing but the conductor itself was under way.
double conductor_share(const json::array& steps, const Span& span) {
  static const std::set<std::string, std::less<>> work{"drain",   "stop",   "start",    "await_active",
                                                       "balance", "expand", "finalize", "await_stable"};
  if (span.wall() == 0) return 0;
  std::vector<std::pair<std::int64_t, std::int64_t>> busy;
  for (const auto& entry : steps) {
    const auto& step = entry.get_object();
    if (!work.contains(string_or(step, "name"))) continue;
    const auto from = std::max(int_or(step, "started_at_ms"), span.mode_on);
    const auto to = std::min(end_of(step), span.stable);
    if (from < to) busy.emplace_back(from, to);
  }
  std::sort(busy.begin(), busy.end());
  std::int64_t covered = 0, reached = span.mode_on;
  for (const auto& [from, to] : busy) {
    covered += std::max<std::int64_t>(0, to - std::max(from, reached));
    reached = std::max(reached, to);
  }
  return static_cast<double>(span.wall() - covered) / static_cast<double>(span.wall());
}

json::array copied_steps(const json::object& run) {
  json::array steps;
  if (const auto* source = array_at(run, "steps"))
    for (const auto& entry : *source) {
      if (!entry.is_object()) continue;
      const auto& step = entry.get_object();
      const auto at = int_or(step, "started_at_ms");
      steps.push_back(json::object{{"seq", int_or(step, "seq")},
                                   {"name", string_or(step, "name")},
                                   {"title", string_or(step, "title", string_or(step, "name"))},
                                   {"node", string_or(step, "node")},
                                   {"started_at", iso_time(at)},
                                   {"started_at_ms", at},
                                   {"seconds", double_or(step, "seconds")},
                                   {"state", string_or(step, "state")},
                                   {"back", bool_or(step, "back")},
                                   {"detail", string_or(step, "detail")}});
    }
  // Restarted steps may be journaled out of their order in time.
  std::sort(steps.begin(), steps.end(), [](const json::value& a, const json::value& b) {
    const auto key = [](const json::object& o) { return std::pair(int_or(o, "started_at_ms"), int_or(o, "seq")); };
    return key(a.get_object()) < key(b.get_object());
  });
  return steps;
}

/// What each node was doing, as segments: serving, drain, down, start, ramp.
json::array lanes(const json::object& run, const json::array& steps, std::int64_t from, std::int64_t to) {
  std::vector<std::string> names;
  if (const auto* nodes = array_at(run, "nodes"))
    for (const auto& node : *nodes)
      if (node.is_object()) names.push_back(string_or(node.get_object(), "name"));
  json::array all;
  for (const auto& name : names) {
    json::array segments;
    std::string state = "serving", version = string_or(run, "from");
    std::int64_t since = from;
    const auto enter = [&](std::string_view next, std::int64_t at) {
      at = std::clamp(at, since, to);
      if (at > since)
        segments.push_back(json::object{{"state", state}, {"version", version}, {"from_ms", since}, {"to_ms", at}});
      state = next;
      since = at;
    };
    for (const auto& entry : steps) {
      const auto& step = entry.get_object();
      if (string_or(step, "node") != name) continue;
      const auto kind = string_or(step, "name");
      const auto at = int_or(step, "started_at_ms");
      if (kind == "drain") enter("drain", at);
      if (kind == "undrain") enter("serving", end_of(step));
      if (kind == "stop") enter("down", at);
      if (kind == "switch") version = string_or(run, bool_or(step, "back") ? "from" : "to");
      if (kind == "start") enter("start", at);
      if (kind == "await_active" && string_or(step, "state") == "done") enter("serving", end_of(step));
      if (kind == "balance") {
        enter("ramp", at);
        enter("serving", end_of(step));
      }
    }
    enter("end", to);
    all.push_back(json::object{{"node", name}, {"segments", std::move(segments)}});
  }
  return all;
}

json::object series(const LedgerContents& ledger, std::int64_t from, std::int64_t to) {
  std::int64_t width = to - from > 60'000 ? 1000 : 500;
  while ((to - from) / width > 300) width *= 2;
  const auto count = static_cast<std::size_t>(std::max<std::int64_t>(1, (to - from) / width));
  struct Bucket {
    std::vector<double> latencies;
    std::int64_t failed = 0;
  };
  std::vector<Bucket> buckets(count);
  for (const auto& o : ledger.outcomes) {
    if (o.at_ms < from) continue;
    const auto at = static_cast<std::size_t>((o.at_ms - from) / width);
    if (at >= count) continue;
    buckets[at].latencies.push_back(o.latency_ms);
    buckets[at].failed += !o.failure.empty();
  }
  json::array rate, failed, p50, p99;
  for (auto& bucket : buckets) {
    rate.push_back(static_cast<double>(bucket.latencies.size()) * 1000 / static_cast<double>(width));
    failed.push_back(bucket.failed);
    p50.push_back(rounded(percentile(bucket.latencies, 0.5)));
    p99.push_back(rounded(percentile(bucket.latencies, 0.99)));
  }
  return {{"from_ms", from},
          {"step_ms", width},
          {"requests_per_second", std::move(rate)},
          {"failed", std::move(failed)},
          {"p50", std::move(p50)},
          {"p99", std::move(p99)}};
}

Result<std::string> file_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(ErrorKind::not_found, fmt::format("{} cannot be read; the report needs it.", path));
  return std::string{std::istreambuf_iterator<char>(in), {}};
}

Result<json::object> object_from(const std::string& path) {
  auto text = file_text(path);
  if (!text) return std::unexpected(text.error());
  return parse_json_object(*text, path);
}

}  // namespace

json::object make_report(const json::object& run, const LedgerContents& ledger, const json::object& verify) {
  const Span span = span_of(run, ledger);
  const auto totals = ledger.totals();
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> by_kind;
  std::map<std::string, std::int64_t> by_failure;
  json::array failures;
  std::int64_t failed = 0;
  std::int64_t first = span.mode_on, last = span.stable;
  for (const auto& o : ledger.outcomes) {
    auto& [total, bad] = by_kind[o.kind];
    ++total;
    first = std::min(first, o.at_ms);
    last = std::max(last, o.at_ms);
    if (o.failure.empty()) continue;
    ++bad;
    ++failed;
    ++by_failure[std::string(failure_kind(o.failure))];
    if (failures.size() < 50)
      failures.push_back(json::object{{"time", iso_time(o.at_ms)},
                                      {"time_ms", o.at_ms},
                                      {"kind", o.kind},
                                      {"what", o.failure},
                                      {"node", o.node},
                                      {"latency_ms", o.latency_ms}});
  }
  const auto total = static_cast<std::int64_t>(ledger.outcomes.size());
  json::object kinds, failure_kinds;
  for (const auto& [kind, counts] : by_kind)
    kinds[kind] = json::object{{"total", counts.first}, {"failed", counts.second}};
  for (const auto& [kind, count] : by_failure) failure_kinds[kind] = count;

  json::array reasons;
  if (total == 0) reasons.emplace_back("The load sent nothing, so nothing is proved.");
  if (failed > 0) reasons.emplace_back(fmt::format("{} of {} requests failed.", failed, total));
  if (static_cast<double>(totals.sent) < 0.98 * static_cast<double>(totals.offered))
    reasons.emplace_back(
        fmt::format("Only {} of {} requests that were due were sent; below 98 % the measurement does not count.",
                    totals.sent, totals.offered));
  if (!ledger.ended) reasons.emplace_back("The load ended before its time, so the record is not complete.");
  for (const auto& [name, text] : {std::pair{"lost", "lost"},
                                   {"stale", "right on one node and old on another"},
                                   {"duplicated", "there more often than written"}})
    if (const auto count = int_or(verify, name); count > 0)
      reasons.emplace_back(
          fmt::format("{} acknowledged write{} {} {}.", count, count == 1 ? "" : "s", count == 1 ? "is" : "are", text));
  if (int_or(verify, "acknowledged") != ledger.acknowledged())
    reasons.emplace_back(fmt::format("{} writes were acknowledged, but {} were read back.", ledger.acknowledged(),
                                     int_or(verify, "acknowledged")));
  const auto state = string_or(run, "state");
  // An upgrade done by hand has no run; whether the site arrived is for the caller to see.
  if (run.contains("state") && state != "done" && state != "cancelled")
    reasons.emplace_back(
        fmt::format("The upgrade's run ended {}: {}", state, string_or(run, "reason", string_or(run, "message"))));

  auto steps = copied_steps(run);
  // The picture shows the upgrade with enough before and after it to see the difference.
  const auto lead = std::clamp<std::int64_t>(span.wall() * 4 / 10, 4'000, 25'000);
  const auto from = std::max(first, span.mode_on - lead),
             to = std::max(from + 1000, std::min(last, span.stable + lead * 3 / 4));
  json::array nodes;
  if (const auto* source = array_at(run, "nodes")) nodes = *source;
  auto latencies = latency(ledger, span);
  bool held = true;
  for (const auto& [kind, values] : latencies["by_kind"].get_object())
    held = held && bool_or(values.get_object(), "within_goal");
  json::object report{{"outcome", !reasons.empty()       ? "failed"
                                  : state == "cancelled" ? "cancelled"
                                                         : "succeeded"},
                      {"reasons", std::move(reasons)},
                      {"run", int_or(run, "id") > 0 ? std::to_string(int_or(run, "id")) : std::string()},
                      {"from", string_or(run, "from", "old release")},
                      {"to", string_or(run, "to", "new release")},
                      {"nodes", std::move(nodes)},
                      {"requests", json::object{{"offered", totals.offered},
                                                {"sent", totals.sent},
                                                {"late", totals.late},
                                                {"total", total},
                                                {"failed", failed},
                                                {"rate", ledger.meta.rate},
                                                {"users", ledger.meta.users},
                                                {"by_kind", std::move(kinds)},
                                                {"by_failure", std::move(failure_kinds)}}},
                      {"writes", json::object{{"acknowledged", ledger.acknowledged()},
                                              {"verified", int_or(verify, "verified")},
                                              {"lost", int_or(verify, "lost")},
                                              {"stale", int_or(verify, "stale")},
                                              {"duplicated", int_or(verify, "duplicated")},
                                              {"altered", int_or(verify, "altered")}}},
                      {"latency_ms", std::move(latencies)},
                      {"latency_held", held},
                      {"wall_s", rounded(static_cast<double>(span.wall()) / 1000)},
                      {"mode_on_at_ms", span.mode_on},
                      {"stable_at_ms", span.stable},
                      {"mode_on_at", iso_time(span.mode_on)},
                      {"conductor_share", rounded(conductor_share(steps, span))},
                      {"lanes", lanes(run, steps, from, to)},
                      {"series", series(ledger, from, to)},
                      {"failures", std::move(failures)}};
  report["steps"] = std::move(steps);
  if (const auto* offenders = array_at(verify, "offenders")) report["offenders"] = *offenders;
  if (const auto* evidence = object_at(run, "evidence"); evidence && !evidence->empty()) report["evidence"] = *evidence;
  return report;
}

Result<json::object> write_report(const std::string& run_file, const std::string& ledger_folder,
                                  const std::string& verify_file, const std::string& folder) {
  auto run = object_from(run_file);
  if (!run) return run;
  auto ledger = read_ledger(ledger_folder);
  if (!ledger) return std::unexpected(ledger.error());
  auto verify = object_from(verify_file);
  if (!verify) return verify;
  auto report = make_report(*run, *ledger, *verify);
  std::error_code ignored;
  std::filesystem::create_directories(folder, ignored);
  for (const auto& [name, text] : {std::pair<std::string, std::string>{"report.json", json::serialize(report) + "\n"},
                                   {"report.html", report_html(report)},
                                   {"timeline.svg", timeline_svg(report, 1000, true)}}) {
    std::ofstream out(std::filesystem::path(folder) / name, std::ios::binary);
    out << text;
    if (!out.flush())
      return fail(ErrorKind::failed_precondition, fmt::format("{}/{} cannot be written.", folder, name));
  }
  return report;
}

}  // namespace afloat::cli
