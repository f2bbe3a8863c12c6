#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <vector>

#include "base/json_fields.h"
#include "base/text.h"
#include "cli/report.h"

/// The picture of a run: a lane per node, then requests, failures and latency on the same time axis.
/// Colours and sizes are attributes, not CSS, so that the file alone looks the same as in the page.
namespace afloat::cli {
namespace json = boost::json;
namespace {

constexpr std::string_view ink = "#1d2733", faint = "#5b6876", rule = "#d8dee5", red = "#c0392b";

struct Paint {
  std::string_view fill, text;
};
Paint paint_of(std::string_view state, bool upgraded) {
  if (state == "drain") return {"#f2c14e", "#3d2c00"};
  if (state == "down") return {"#59636e", "#ffffff"};
  if (state == "start") return {"#7fb7e6", "#0b2a45"};
  if (state == "ramp") return {"#8fd0b0", "#0f3d29"};
  return upgraded ? Paint{"#2e8b62", "#ffffff"} : Paint{"#c3cedb", "#24313f"};
}

std::string_view words_of(std::string_view state) {
  if (state == "drain") return "drains: serves what it has, takes nothing new";
  if (state == "down") return "stopped, release is switched";
  if (state == "start") return "starts and warms up";
  if (state == "ramp") return "takes load again, weight rising";
  return "serves";
}

/// 1, 2 or 5 times a power of ten, at least `value`.
double round_up(double value) {
  if (value <= 0) return 1;
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (const double factor : {1.0, 2.0, 2.5, 5.0, 10.0})
    if (factor * power >= value) return factor * power;
  return 10 * power;
}

class Drawing {
 public:
  Drawing(const json::object& report, int width, bool standalone)
      : report_(report), width_(width), narrow_(width < 500), standalone_(standalone) {
    if (const auto* series = object_at(report, "series")) series_ = *series;
    from_ = int_or(series_, "from_ms");
    step_ = std::max<std::int64_t>(1, int_or(series_, "step_ms", 1000));
    const auto* rate = array_at(series_, "requests_per_second");
    to_ = from_ + step_ * static_cast<std::int64_t>(rate ? std::max<std::size_t>(rate->size(), 1) : 1);
    mode_on_ = int_or(report, "mode_on_at_ms");
    stable_ = int_or(report, "stable_at_ms");
    left_ = narrow_ ? 58 : 92;
    right_ = width - (narrow_ ? 8 : 24);
  }

  std::string svg() {
    if (standalone_) heading();
    marks_at_ = y_ + 14;
    y_ += narrow_ ? 36 : 22;
    const double top = y_;
    node_lanes();
    y_ += 14;
    panel("requests_per_second", "", "#3f6fb0", "#dbe6f4", 74);
    failures();
    panel("p99", "p50", "#8a4fa3", "#f0e5f4", 84);
    axis(top);
    legend();
    const auto height = static_cast<int>(y_ + 8);
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\" "
        "aria-label=\"Timeline of the upgrade\" font-family=\"system-ui,-apple-system,'Segoe UI',Roboto,sans-serif\" "
        "font-size=\"12\">{2}{3}</svg>",
        width_, height,
        standalone_ ? fmt::format("<rect width=\"{}\" height=\"{}\" fill=\"#ffffff\"/>", width_, height) : "", body_);
  }

 private:
  double x(std::int64_t ms) const {
    const double share = static_cast<double>(std::clamp(ms, from_, to_) - from_) / static_cast<double>(to_ - from_);
    return left_ + share * (right_ - left_);
  }

  void text(double at_x, double at_y, std::string_view anchor, std::string_view fill, std::string_view words,
            std::string_view more = {}) {
    body_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" fill=\"{}\"{}>{}</text>", at_x, at_y,
                         anchor, fill, more, escape_html(words));
  }

  void heading() {
    const json::object none;
    const auto* requests = object_at(report_, "requests");
    const auto* writes = object_at(report_, "writes");
    text(left_, 28, "start", ink, fmt::format("{} → {}", string_or(report_, "from"), string_or(report_, "to")),
         " font-size=\"17\" font-weight=\"600\"");
    text(right_, 28, "end", faint,
         fmt::format("{} of {} requests failed · {} of {} acknowledged writes lost · {:.1f} s",
                     int_or(requests ? *requests : none, "failed"), int_or(requests ? *requests : none, "total"),
                     int_or(writes ? *writes : none, "lost"), int_or(writes ? *writes : none, "acknowledged"),
                     double_or(report_, "wall_s")));
    y_ = 40;
  }

  void node_lanes() {
    const auto* lanes = array_at(report_, "lanes");
    if (!lanes) return;
    for (const auto& entry : *lanes) {
      const auto& lane = entry.get_object();
      constexpr double height = 26;
      text(left_ - 10, y_ + 17, "end", ink, string_or(lane, "node"),
           narrow_ ? " font-weight=\"600\" font-size=\"11\"" : " font-weight=\"600\"");
      const auto* segments = array_at(lane, "segments");
      for (std::size_t i = 0; segments && i < segments->size(); ++i) {
        const auto& s = (*segments)[i].get_object();
        const auto state = string_or(s, "state"), version = string_or(s, "version");
        const auto a = int_or(s, "from_ms"), b = int_or(s, "to_ms");
        if (b <= from_ || a >= to_) continue;
        const auto paint = paint_of(state, version == string_or(report_, "to"));
        const double from = x(a), wide = std::max(1.2, x(b) - from);
        body_ += fmt::format(
            "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{}\" fill=\"{}\"><title>{}: {} ({}), {:.2f} "
            "s</title></rect>",
            from, y_, wide, height, paint.fill, escape_html(string_or(lane, "node")), words_of(state),
            escape_html(version), static_cast<double>(b - a) / 1000);
        const std::string label = state == "serving" ? version : state;
        if (wide > 8.0 + 6.6 * static_cast<double>(label.size()))
          text(from + wide / 2, y_ + 17, "middle", paint.text, label);
      }
      y_ += height + 7;
    }
  }

  std::vector<double> values(std::string_view name) const {
    std::vector<double> out;
    if (const auto* list = array_at(series_, name))
      for (const auto& v : *list)
        out.push_back(v.is_double() ? v.get_double() : static_cast<double>(v.to_number<std::int64_t>()));
    return out;
  }

  /// Points of a line, one per bucket, in the bucket's middle.
  std::string points(const std::vector<double>& list, double top, double height, double highest) const {
    std::string out;
    for (std::size_t i = 0; i < list.size(); ++i)
      out += fmt::format("{}{:.1f},{:.1f}", i ? " " : "", x(from_ + step_ * static_cast<std::int64_t>(i) + step_ / 2),
                         top + height - height * std::min(list[i], highest) / highest);
    return out;
  }

  void panel(std::string_view name, std::string_view second, std::string_view colour, std::string_view fill,
             double height) {
    const auto list = values(name);
    const auto lower = second.empty() ? std::vector<double>() : values(second);
    const double highest = round_up(list.empty() ? 1 : *std::max_element(list.begin(), list.end()));
    const std::string label = second.empty() ? "requests per second" : "latency in ms: p99 (line), p50 (dashes)";
    text(left_, y_ + 10, "start", colour, label, " font-weight=\"600\"");
    y_ += 20;
    for (const double share : {0.0, 0.5, 1.0}) {
      const double at = y_ + height - share * height;
      body_ += fmt::format("<line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"/>", left_,
                           right_, at, at, rule);
      text(left_ - 8, at + 4, "end", faint, fmt::format("{:g}", highest * share), " font-size=\"11\"");
    }
    if (!list.empty()) {
      body_ +=
          fmt::format("<polygon fill=\"{}\" points=\"{:.1f},{:.1f} {} {:.1f},{:.1f}\"/>", fill, x(from_ + step_ / 2),
                      y_ + height, points(list, y_, height, highest), x(to_ - step_ / 2), y_ + height);
      body_ += fmt::format("<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\" points=\"{}\"/>", colour,
                           points(list, y_, height, highest));
    }
    if (!lower.empty())
      body_ += fmt::format(
          "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.4\" stroke-dasharray=\"4 3\" points=\"{}\"/>", colour,
          points(lower, y_, height, highest));
    y_ += height + 16;
  }

  void failures() {
    const auto list = values("failed");
    const double highest = list.empty() ? 0 : *std::max_element(list.begin(), list.end());
    constexpr double height = 20;
    const auto* requests = object_at(report_, "requests");
    const auto total = requests ? int_or(*requests, "failed") : 0;
    text(left_, y_ + 10, "start", total > 0 ? red : faint,
         total > 0 ? fmt::format("failed requests: {}", total) : "failed requests: none", " font-weight=\"600\"");
    y_ += 16;
    body_ += fmt::format("<line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"/>", left_, right_,
                         y_ + height, y_ + height, rule);
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (list[i] <= 0) continue;
      const auto at = from_ + step_ * static_cast<std::int64_t>(i);
      const double tall = std::max(3.0, height * list[i] / highest);
      body_ += fmt::format(
          "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"><title>{:g} "
          "failed</title></rect>",
          x(at), y_ + height - tall, std::max(1.5, x(at + step_) - x(at) - 0.5), tall, red, list[i]);
    }
    text(left_ - 8, y_ + height + 4, "end", faint, "0", " font-size=\"11\"");
    y_ += height + 16;
  }

  void axis(double top) {
    const double bottom = y_ - 10;
    const auto seconds = static_cast<double>(to_ - from_) / 1000;
    double every = round_up(seconds / (narrow_ ? 5 : 12));
    if (every == 2.5) every = 5;
    every = std::max(1.0, every);
    const auto first = static_cast<std::int64_t>(std::ceil(static_cast<double>(from_ - mode_on_) / 1000 / every));
    for (std::int64_t i = first;; ++i) {
      const auto at = mode_on_ + static_cast<std::int64_t>(static_cast<double>(i) * every * 1000);
      if (at > to_) break;
      body_ += fmt::format("<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\" stroke=\"{3}\"/>", x(at),
                           bottom, bottom + 5, faint);
      text(x(at), bottom + 18, "middle", faint,
           fmt::format("{}{:g} s", i > 0 ? "+" : "", static_cast<double>(i) * every), " font-size=\"11\"");
    }
    mark(mode_on_, top, bottom, "upgrade mode on", false);
    mark(stable_, top, bottom, string_or(report_, "outcome") == "cancelled" ? "mode off" : "STABLE", true);
    y_ = bottom + 30;
  }

  void mark(std::int64_t at, double top, double bottom, std::string_view label, bool after) {
    if (at < from_ || at > to_) return;
    body_ += fmt::format(
        "<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\" stroke=\"{3}\" stroke-dasharray=\"2 3\"/>",
        x(at), top - 6, bottom, ink);
    const bool late = x(at) > (left_ + right_) / 2;
    text(x(at), marks_at_ + (narrow_ && after ? 15 : 0),
         late && narrow_ ? "end"
         : narrow_       ? "start"
                         : "middle",
         ink, label, " font-size=\"11\"");
  }

  void legend() {
    struct Entry {
      std::string_view state;
      std::string label;
    };
    const Entry entries[] = {{"old", "serves " + string_or(report_, "from")},
                             {"drain", "drains"},
                             {"down", "down"},
                             {"start", "starts"},
                             {"ramp", "weight rising"},
                             {"serving", "serves " + string_or(report_, "to")}};
    double at = narrow_ ? 8 : left_;
    for (const auto& [state, label] : entries) {
      const double wide = 24 + 6.6 * static_cast<double>(label.size()) + 8;
      if (at + wide > right_ + 8) {
        at = narrow_ ? 8 : left_;
        y_ += 20;
      }
      body_ += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"13\" height=\"13\" fill=\"{}\"/>", at, y_,
                           paint_of(state, state != "old").fill);
      text(at + 18, y_ + 11, "start", ink, label);
      at += wide;
    }
    y_ += 20;
  }

  const json::object& report_;
  json::object series_;
  int width_;
  bool narrow_, standalone_;
  std::int64_t from_ = 0, to_ = 0, step_ = 0, mode_on_ = 0, stable_ = 0;
  double left_ = 0, right_ = 0, y_ = 0, marks_at_ = 0;
  std::string body_;
};

}  // namespace

std::string timeline_svg(const json::object& report, int width, bool standalone) {
  return Drawing(report, width, standalone).svg();
}

}  // namespace afloat::cli
