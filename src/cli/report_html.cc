#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/json_fields.h"
#include "base/text.h"
#include "cli/report.h"

namespace afloat::cli {
namespace json = boost::json;
namespace {

constexpr std::string_view style = R"css(
:root{color-scheme:light}*{box-sizing:border-box}
body{margin:0;background:#f3f5f8;color:#1d2733;font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1080px;margin:0 auto;padding:28px 20px 60px}
header p{margin:.2em 0;color:#5b6876}h1{font-size:1.9rem;line-height:1.2;margin:.1em 0 .4em;letter-spacing:-.01em}
h2{font-size:1.1rem;margin:0 0 12px}
section{background:#fff;border:1px solid #dde3ea;border-radius:10px;padding:20px;margin:18px 0}
.verdict{border-left:8px solid #2e8b62}.verdict.bad{border-left-color:#c0392b}
.verdict ul{margin:.6em 0 0;padding-left:1.2em;color:#96281b}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:14px;margin-top:16px}
.facts div{background:#f6f8fa;border-radius:8px;padding:10px 14px}
.facts b{display:block;font-size:1.35rem;font-variant-numeric:tabular-nums}.facts span{color:#5b6876;font-size:.85rem}
svg{display:block;width:100%;height:auto}.narrow{display:none}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:6px 10px;border-bottom:1px solid #e6ebf0;vertical-align:top}
th{color:#5b6876;font-weight:600;white-space:nowrap}.n{text-align:right;white-space:nowrap}td.what{overflow-wrap:anywhere}
tr.bad td{color:#96281b}.quiet{color:#5b6876}pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.8rem;background:#f6f8fa;padding:12px;border-radius:8px}
@media(max-width:640px){main{padding:14px 8px 40px}section{padding:14px 12px}h1{font-size:1.45rem}.wide{display:none}.narrow{display:block}.hide{display:none}th,td{padding:6px}}
@media print{body{background:#fff}section{break-inside:avoid;border-color:#bbb}main{max-width:none;padding:0}.scroll{overflow:visible}}
)css";

std::string grouped(std::int64_t number) {
  std::string digits = std::to_string(number);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

const json::object& part(const json::object& o, std::string_view name) {
  static const json::object none;
  const auto* found = object_at(o, name);
  return found ? *found : none;
}

std::string fact(std::string_view value, std::string_view label) {
  return fmt::format("<div><b>{}</b><span>{}</span></div>", escape_html(value), escape_html(label));
}

std::string verdict(const json::object& report) {
  const auto& requests = part(report, "requests");
  const auto& writes = part(report, "writes");
  const auto& latency = part(report, "latency_ms");
  const bool bad = string_or(report, "outcome") == "failed";
  std::string out = fmt::format(
      "<section class=\"verdict{}\"><h1>{} of {} requests failed,<br>{} of {} acknowledged writes lost</h1>",
      bad ? " bad" : "", grouped(int_or(requests, "failed")), grouped(int_or(requests, "total")),
      grouped(int_or(writes, "lost")), grouped(int_or(writes, "acknowledged")));
  const auto* nodes = array_at(report, "nodes");
  out += fmt::format("<p>Version {} to {} on {} nodes, while {} users sent {:g} requests a second. {}</p>",
                     escape_html(string_or(report, "from")), escape_html(string_or(report, "to")),
                     nodes ? nodes->size() : 0, int_or(requests, "users"), double_or(requests, "rate"),
                     bad ? "It did not keep its promise:"
                     : string_or(report, "outcome") == "cancelled"
                         ? "The run was cancelled, and the site is back where it began."
                         : "The site answered all the while.");
  if (const auto* reasons = array_at(report, "reasons"); reasons && !reasons->empty()) {
    out += "<ul>";
    for (const auto& reason : *reasons)
      if (reason.is_string()) out += fmt::format("<li>{}</li>", escape_html(std::string_view(reason.get_string())));
    out += "</ul>";
  }
  const auto &before = part(latency, "before"), &during = part(latency, "during");
  out += "<div class=\"facts\">";
  out += fact(fmt::format("{:.1f} s", double_or(report, "wall_s")), "from upgrade mode on to STABLE");
  out += fact(fmt::format("{:.1f} → {:.1f} ms", double_or(before, "p99"), double_or(during, "p99")),
              "p99 before → during");
  out += fact(fmt::format("{:.1f} → {:.1f} ms", double_or(before, "p50"), double_or(during, "p50")),
              "p50 before → during");
  out += fact(grouped(int_or(writes, "verified")), "writes read back from every node");
  out +=
      fact(fmt::format("{} / {}", int_or(writes, "stale"), int_or(writes, "duplicated")), "writes stale / duplicated");
  if (!string_or(report, "run").empty())
    out += fact(fmt::format("{:.0f} %", double_or(report, "conductor_share") * 100),
                "of the time was the conductor's own");
  out += "</div></section>";
  return out;
}

std::string latency_table(const json::object& report) {
  const auto& latency = part(report, "latency_ms");
  const auto& kinds = part(part(report, "requests"), "by_kind");
  std::string out =
      "<section><h2>Requests by kind</h2><div class=\"scroll\"><table><thead><tr><th>kind</th><th "
      "class=\"n\">requests</th>"
      "<th class=\"n\">failed</th><th class=\"n\">p50 before</th><th class=\"n\">during</th><th class=\"n\">p99 "
      "before</th>"
      "<th class=\"n\">during</th></tr></thead><tbody>";
  for (const auto& [kind, counts] : kinds) {
    if (!counts.is_object()) continue;
    const auto& of_kind = part(part(latency, "by_kind"), kind);
    const auto &before = part(of_kind, "before"), &during = part(of_kind, "during");
    const auto failed = int_or(counts.get_object(), "failed");
    out += fmt::format(
        "<tr{}><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{:.1f}</td><td "
        "class=\"n\">{:.1f}</td>"
        "<td class=\"n\">{:.1f}</td><td class=\"n\">{:.1f}</td></tr>",
        failed ? " class=\"bad\"" : "", escape_html(kind), grouped(int_or(counts.get_object(), "total")),
        grouped(failed), double_or(before, "p50"), double_or(during, "p50"), double_or(before, "p99"),
        double_or(during, "p99"));
  }
  const auto& requests = part(report, "requests");
  out += fmt::format(
      "</tbody></table></div><p class=\"quiet\">Milliseconds from the moment a request was due. Before: up to 20 s "
      "ahead of upgrade mode; "
      "during: until STABLE. {} requests were due, {} sent, {} of them more than 50 ms late. No request was "
      "repeated.</p></section>",
      grouped(int_or(requests, "offered")), grouped(int_or(requests, "sent")), grouped(int_or(requests, "late")));
  return out;
}

std::string nodes_table(const json::object& report) {
  std::string out =
      "<section><h2>Nodes</h2><div class=\"scroll\"><table><thead><tr><th>node</th><th class=\"n\">start to ACTIVE</th>"
      "<th class=\"n\">drain</th></tr></thead><tbody>";
  if (const auto* nodes = array_at(report, "nodes"))
    for (const auto& entry : *nodes) {
      if (!entry.is_object()) continue;
      const auto& node = entry.get_object();
      if (!node.contains("start_to_active_ms")) continue;  // by hand: seen from outside, not measured
      out += fmt::format("<tr><td>{}</td><td class=\"n\">{} ms</td><td class=\"n\">{} ms</td></tr>",
                         escape_html(string_or(node, "name")), grouped(int_or(node, "start_to_active_ms")),
                         grouped(int_or(node, "drain_ms")));
    }
  return out + "</tbody></table></div></section>";
}

std::string steps_table(const json::object& report) {
  std::string out =
      "<section><h2>Steps</h2><div class=\"scroll\"><table><thead><tr><th class=\"n\">at</th><th>step</th><th>node</th>"
      "<th class=\"n\">took</th><th class=\"hide\">detail</th></tr></thead><tbody>";
  const auto zero = int_or(report, "mode_on_at_ms");
  if (const auto* steps = array_at(report, "steps"))
    for (const auto& entry : *steps) {
      const auto& step = entry.get_object();
      const auto state = string_or(step, "state");
      out += fmt::format(
          "<tr{}><td class=\"n\">{:+.1f} s</td><td>{}{}</td><td>{}</td><td class=\"n\">{:.2f} s</td><td class=\"what "
          "hide\">{}</td></tr>",
          state == "done" || state.empty() ? "" : " class=\"bad\"",
          static_cast<double>(int_or(step, "started_at_ms") - zero) / 1000, escape_html(string_or(step, "name")),
          state == "done" || state.empty() ? "" : " (" + escape_html(state) + ")", escape_html(string_or(step, "node")),
          double_or(step, "seconds"), escape_html(string_or(step, "detail").substr(0, 300)));
    }
  return out + "</tbody></table></div></section>";
}

std::string failures_table(const json::object& report) {
  std::string out;
  if (const auto* failures = array_at(report, "failures"); failures && !failures->empty()) {
    out +=
        "<section><h2>Failed requests (the first 50)</h2><div "
        "class=\"scroll\"><table><thead><tr><th>time</th><th>kind</th><th>node</th>"
        "<th>what</th></tr></thead><tbody>";
    for (const auto& entry : *failures) {
      const auto& f = entry.get_object();
      out += fmt::format("<tr class=\"bad\"><td>{}</td><td>{}</td><td>{}</td><td class=\"what\">{}</td></tr>",
                         escape_html(string_or(f, "time")), escape_html(string_or(f, "kind")),
                         escape_html(string_or(f, "node")), escape_html(string_or(f, "what")));
    }
    out += "</tbody></table></div></section>";
  }
  if (const auto* offenders = array_at(report, "offenders"); offenders && !offenders->empty()) {
    out += "<section><h2>Writes that are not as they were acknowledged</h2><div class=\"scroll\"><table><tbody>";
    for (const auto& entry : *offenders)
      if (entry.is_object())
        out += fmt::format("<tr class=\"bad\"><td>{}</td><td class=\"what\">{}</td></tr>",
                           escape_html(string_or(entry.get_object(), "verdict")),
                           escape_html(string_or(entry.get_object(), "what")));
    out += "</tbody></table></div></section>";
  }
  if (const auto* evidence = object_at(report, "evidence"))
    out += fmt::format("<section><h2>Evidence</h2><pre>{}</pre></section>", escape_html(json::serialize(*evidence)));
  return out;
}

}  // namespace

std::string report_html(const json::object& report) {
  const auto title = fmt::format("Upgrade {} to {}", string_or(report, "from"), string_or(report, "to"));
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\">"
      "<title>{0}</title><style>{1}</style></head><body><main><header><p>Afloat upgrade report · run {2} · "
      "{3}</p></header>{4}"
      "<section><h2>Timeline</h2><div class=\"wide\">{5}</div><div "
      "class=\"narrow\">{6}</div></section>{7}{8}{9}{10}</main></body></html>\n",
      escape_html(title), style, escape_html(string_or(report, "run")), escape_html(string_or(report, "mode_on_at")),
      verdict(report), timeline_svg(report, 1000, false), timeline_svg(report, 340, false), failures_table(report),
      latency_table(report), nodes_table(report), steps_table(report));
}

}  // namespace afloat::cli
