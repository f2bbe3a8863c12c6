#include "version/path.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <limits>

#include "base/text.h"

namespace afloat::version {
namespace json = boost::json;
namespace {

constexpr int highest_patch = 999;

/// A place on the way. `version` of "any release of 1.2" has the highest patch: it passes every stop of its line.
struct Stop {
  Release release;
  bool any = false, missing = false;
};

/// A release of which nothing else is known.
Stop plain(const Version& version, bool any, bool missing) {
  Stop stop{{}, any, missing};
  stop.release.version = version;
  return stop;
}

struct Cost {
  int windows = std::numeric_limits<int>::max(), hops = 0;
  friend auto operator<=>(const Cost&, const Cost&) = default;
  bool reached() const { return windows != std::numeric_limits<int>::max(); }
};

Version shown(const Stop& stop) {
  auto version = stop.release.version;
  if (stop.any) version.patch = 0;
  return version;
}

HopFacts facts_from(const Release& to, bool from_last_feature) {
  return {to.rolling, to.upgrade_from_min, to.required_stops, from_last_feature};
}

/// No feature release above `from`'s is known in its major version.
bool last_feature(const Version& from, const std::vector<Stop>& stops) {
  return std::ranges::none_of(stops, [&](const Stop& stop) {
    return stop.release.version.major == from.major && stop.release.version.minor > from.minor;
  });
}

struct Found {
  std::vector<std::size_t> way;  ///< indices of the stops after the first; empty: there is none
  Cost cost;
};

/// `stops` are sorted; the first is where the site is, the last where it wants to be. `universe` is all that is known
/// of, got or not: it tells which feature release is the last of its major version. nullptr: nobody knows.
Found cheapest(const Policy& policy, const std::vector<Stop>& stops, const std::vector<Stop>* universe) {
  std::vector<Cost> costs(stops.size());
  std::vector<std::size_t> before(stops.size(), 0);
  costs[0] = {0, 0};
  std::vector<bool> last(stops.size());
  for (std::size_t i = 0; i < stops.size(); ++i)
    last[i] = universe && last_feature(stops[i].release.version, *universe);
  for (std::size_t to = 1; to < stops.size(); ++to)
    for (std::size_t from = 0; from < to; ++from) {
      if (!costs[from].reached()) continue;
      const auto verdict = hop_verdict(policy, stops[from].release.version, stops[to].release.version,
                                       facts_from(stops[to].release, last[from]));
      if (verdict != HopVerdict::rolling && verdict != HopVerdict::downtime) continue;
      const Cost cost{costs[from].windows + (verdict == HopVerdict::downtime ? 1 : 0), costs[from].hops + 1};
      // Of equals the later one wins: the highest bugfix release of a stop.
      if (cost <= costs[to]) {
        costs[to] = cost;
        before[to] = from;
      }
    }
  Found found{{}, costs.back()};
  if (!costs.back().reached()) return found;
  for (std::size_t at = stops.size() - 1; at != 0; at = before[at]) found.way.push_back(at);
  std::ranges::reverse(found.way);
  return found;
}

void fill_hops(const Policy& policy, const std::vector<Stop>& stops, const Found& found,
               const std::vector<Stop>* universe, Path& path) {
  path.windows = found.cost.windows;
  std::size_t at = 0;
  for (const auto next : found.way) {
    const auto& stop = stops[next];
    const auto facts = facts_from(stop.release, universe && last_feature(stops[at].release.version, *universe));
    const auto from = shown(stops[at]), to = shown(stop);
    auto advice = advise_hop(policy, stops[at].release.version, stop.release.version, facts);
    for (const auto* each : {&stops[at], &stop})
      if (each->any)
        advice.message =
            replace_all(advice.message, to_string(each->release.version), shown_stop(each->release.version, true));
    path.hops.push_back({from, to, stop.any, advice.verdict == HopVerdict::rolling,
                         stop.release.lts || is_lts(policy, to), stop.missing, std::move(advice.message)});
    at = next;
  }
}

std::string chain_of(const Path& path) {
  std::string text = to_string(path.from);
  for (const auto& hop : path.hops)
    text += fmt::format(" -> {}{}", shown_stop(hop.to, hop.any), hop.rolls ? "" : " (downtime)");
  return text;
}

std::string chain_text(const Path& path) {
  const auto from = to_string(path.from), to = to_string(path.to);
  if (path.windows == 0) {
    if (path.hops.size() == 1) return fmt::format("{} to {} rolls in one hop.", from, to);
    return fmt::format("{} to {} rolls, in {} hops, each finalized before the next: {}.", from, to, path.hops.size(),
                       chain_of(path));
  }
  if (path.hops.size() == 1)
    return fmt::format("{} to {} needs one downtime window; in it, go straight there.", from, to);
  return fmt::format("{} to {} needs {} downtime window{}: {}.", from, to, path.windows, path.windows == 1 ? "" : "s",
                     chain_of(path));
}

/// Every release between the two that may be a stop, and the two. Pre-releases are no stop.
std::vector<Stop> known_stops(const Version& from, const Version& to, const std::vector<Release>& catalogue) {
  std::vector<Stop> stops{plain(from, false, false)};
  bool target = false;
  for (const auto& release : catalogue) {
    const bool is_target = release.version == to;
    target = target || is_target;
    if (is_target || (release.version > from && release.version < to && release.version.pre_release.empty()))
      stops.push_back({release, false, !release.fetched});
  }
  if (!target) stops.push_back(plain(to, false, true));
  return stops;
}

void put_in_order(std::vector<Stop>& stops) {
  std::ranges::sort(stops, {}, [](const Stop& stop) { return stop.release.version; });
}

/// With what could be got: required stops by name, and any release of each feature line that has none here.
std::vector<Stop> thinkable_stops(std::vector<Stop> stops, const Version& from, const Version& to, bool missing) {
  const auto has_line = [&](FeatureLine line) {
    return std::ranges::any_of(stops, [&](const Stop& stop) { return line_of(stop.release.version) == line; });
  };
  std::vector<Version> wanted;
  for (const auto& stop : stops) {
    wanted.insert(wanted.end(), stop.release.required_stops.begin(), stop.release.required_stops.end());
    if (stop.release.upgrade_from_min) wanted.push_back(*stop.release.upgrade_from_min);
  }
  for (const auto& version : wanted)
    if (version > from && version < to &&
        std::ranges::none_of(
            stops,
            [&](const Stop& stop) {
              return line_of(stop.release.version) == line_of(version) && stop.release.version >= version &&
                     stop.release.version < to;
            }))
      stops.push_back(plain(version, false, missing));
  // Of another major version nobody knows how many feature releases there are.
  const int end = to.major == from.major ? to.minor : from.minor;
  for (int minor = from.minor + 1; minor < end; ++minor)
    if (!has_line({from.major, minor})) stops.push_back(plain({from.major, minor, highest_patch, {}}, true, missing));
  put_in_order(stops);
  return stops;
}

std::vector<std::string> missing_of(const std::vector<Stop>& stops, const Found& found) {
  std::vector<std::string> names;
  for (const auto at : found.way)
    if (stops[at].missing) names.push_back(shown_stop(stops[at].release.version, stops[at].any));
  return names;
}

}  // namespace

std::string shown_stop(const Version& version, bool any) {
  return any ? fmt::format("{}.{}.x", version.major, version.minor) : to_string(version);
}

Result<Release> release_of(const Manifest& manifest) {
  Release release;
  auto version = parse_version(manifest.version);
  if (!version) return std::unexpected(version.error());
  release.version = std::move(*version);
  release.rolling = manifest.rolling;
  release.lts = manifest.lts;
  auto lowest = parse_version(manifest.upgrade_from_min);
  if (!lowest) return std::unexpected(lowest.error());
  release.upgrade_from_min = std::move(*lowest);
  for (const auto& text : manifest.required_stops) {
    auto stop = parse_version(text);
    if (!stop) return std::unexpected(stop.error());
    release.required_stops.push_back(std::move(*stop));
  }
  return release;
}

std::vector<std::string> rolling_way(std::string_view from, std::string_view to, std::vector<Release> catalogue) {
  const auto source = parse_version(from), target = parse_version(to);
  if (!source || !target) return {};
  std::erase_if(catalogue, [](const Release& release) { return !release.fetched; });
  const auto path = find_path(policy_of(Product::afloat), *source, *target, std::move(catalogue));
  if (path.verdict != HopVerdict::rolling || !path.missing.empty()) return {};
  std::vector<std::string> way;
  for (const auto& hop : path.hops) way.push_back(to_string(hop.to));
  return way;
}

HopFacts facts_of(const Version& from, const Version& to, const std::vector<Release>& catalogue) {
  const auto stops = known_stops(from, to, catalogue);
  for (const auto& stop : stops)
    if (stop.release.version == to && !(to == from)) return facts_from(stop.release, last_feature(from, stops));
  return {};
}

Path find_path(const Policy& policy, const Version& from, const Version& to,
               const std::optional<std::vector<Release>>& catalogue) {
  Path path;
  path.product = policy.product;
  path.from = from;
  path.to = to;
  for (const auto& version : {from, to})
    if (const auto note = note_on(policy, version);
        !note.empty() && std::ranges::find(path.notes, note) == path.notes.end())
      path.notes.emplace_back(note);
  const auto straight = advise_hop(policy, from, to);
  if (straight.verdict == HopVerdict::same || straight.verdict == HopVerdict::downgrade) {
    path.verdict = straight.verdict;
    path.message = straight.message;
    return path;
  }
  const bool known = catalogue.has_value();
  auto here = known_stops(from, to, catalogue.value_or(std::vector<Release>()));
  if (!known) here.back().missing = false;
  const auto thinkable = thinkable_stops(here, from, to, known);
  std::erase_if(here, [](const Stop& stop) { return stop.missing; });
  put_in_order(here);
  const bool target_here = here.back().release.version == to && here.size() > 1;
  const auto* universe = known ? &thinkable : nullptr;
  const auto best = cheapest(policy, thinkable, universe);
  const auto now = known && target_here ? cheapest(policy, here, universe) : Found{};
  const bool use_now = now.cost.reached();

  if (use_now)
    fill_hops(policy, here, now, universe, path);
  else if (best.cost.reached())
    fill_hops(policy, thinkable, best, universe, path);
  if (path.hops.empty()) {
    path.verdict = HopVerdict::blocked;
    path.message = fmt::format("There is no way from {} to {}: required stops lie between that nothing leads to.",
                               to_string(from), to_string(to));
    return path;
  }
  path.verdict = path.windows == 0 ? HopVerdict::rolling : HopVerdict::downtime;
  path.message = chain_text(path);
  if (!use_now || best.cost.windows < now.cost.windows) path.missing = missing_of(thinkable, best);
  if (path.missing.empty()) return path;
  if (!use_now)
    path.message += fmt::format(" Not in the catalogue yet: {}.", join(path.missing, ", "));
  else {
    Path other;
    other.from = from;
    other.to = to;
    fill_hops(policy, thinkable, best, universe, other);
    path.message +=
        fmt::format(" With {} in the catalogue too it takes {}: {}.", join(path.missing, ", "),
                    other.windows == 0 ? "none" : fmt::format("{} window(s)", other.windows), chain_of(other));
  }
  return path;
}

json::object path_json(const Path& path) {
  json::array hops;
  for (const auto& hop : path.hops)
    hops.push_back(json::object{{"from", to_string(hop.from)},
                                {"to", shown_stop(hop.to, hop.any)},
                                {"any", hop.any},
                                {"rolls", hop.rolls},
                                {"kind", std::string(to_string(release_kind(hop.from, hop.to)))},
                                {"lts", hop.lts},
                                {"missing", hop.missing},
                                {"why", hop.why}});
  const auto texts = [](const std::vector<std::string>& list) {
    json::array array;
    for (const auto& text : list) array.emplace_back(text);
    return array;
  };
  return {{"product", std::string(to_string(path.product))},
          {"from", to_string(path.from)},
          {"to", to_string(path.to)},
          {"verdict", std::string(to_string(path.verdict))},
          {"windows", path.windows},
          {"hops", std::move(hops)},
          {"missing", texts(path.missing)},
          {"message", path.message},
          {"notes", texts(path.notes)}};
}

json::object policy_json(const Policy& policy) {
  json::array rows, notes, lts;
  for (const auto& row : policy.rows)
    rows.push_back(json::object{{"from", std::string(row.from)},
                                {"bugfix", std::string(to_string(row.bugfix))},
                                {"nextFeature", std::string(to_string(row.next_feature))},
                                {"furtherFeature", std::string(to_string(row.further))},
                                {"platform", std::string(to_string(row.platform))}});
  for (const auto& note : policy.notes)
    notes.push_back(json::object{{"line", fmt::format("{}.{}", note.line.major, note.line.minor)},
                                 {"text", std::string(note.text)}});
  for (const auto& line : policy.lts) lts.push_back(json::value(fmt::format("{}.{}", line.major, line.minor)));
  return {{"product", std::string(to_string(policy.product))},
          {"rows", std::move(rows)},
          {"notes", std::move(notes)},
          {"lts", std::move(lts)}};
}

}  // namespace afloat::version
