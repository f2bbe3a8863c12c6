#include "version/policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

namespace afloat::version {
namespace {

constexpr int any = std::numeric_limits<int>::max();

// Confluence: what the vendor publishes on rolling upgrades. Its page lets 7.8 fall in two rows ("7.8 and earlier":
// downtime; "7.8 to 7.13": bugfix releases roll). The interface that a rolling upgrade needs exists since 7.9, so the
// safe reading is taken here, and the note below is shown to whoever asks about a 7.8.
constexpr auto confluence_rows = std::to_array<PolicyRow>({
    // from                                      bugfix          next feature    further         platform
    {{0, 0}, {7, 8}, "7.8 and earlier", Rule::downtime, Rule::downtime, Rule::downtime, Rule::downtime},
    {{7, 9}, {7, 13}, "7.9 to 7.13", Rule::rolling, Rule::downtime, Rule::downtime, Rule::downtime},
    {{7, 14}, {any, any}, "7.14 and later", Rule::rolling, Rule::rolling, Rule::downtime, Rule::downtime},
});
constexpr auto confluence_notes = std::to_array<PolicyNote>({
    {{7, 8},
     "The vendor's page lets 7.8 fall in two rows (\"7.8 and earlier\": downtime; \"7.8 to 7.13\": bugfix releases "
     "roll). The interface for rolling upgrades exists since 7.9, so the safe reading is taken: 7.8 needs downtime."},
});
constexpr auto confluence_lts = std::to_array<FeatureLine>({{7, 4}, {7, 13}, {7, 19}, {8, 5}, {9, 2}});

constexpr auto afloat_rows = std::to_array<PolicyRow>({
    {{0, 0}, {any, any}, "any", Rule::rolling, Rule::rolling, Rule::chain, Rule::from_last_feature},
});

constexpr Policy policies[] = {
    {Product::afloat, afloat_rows, {}, {}},
    {Product::confluence, confluence_rows, confluence_notes, confluence_lts},
};

/// Two pre-releases, or a pre-release and its release. For Afloat builds decide: the writer window knows only them.
HopVerdict within_one_version(Product product, const Version& from, const Version& to) {
  const auto order = product == Product::afloat ? build_number(to) <=> build_number(from) : to <=> from;
  return order > 0 ? HopVerdict::rolling : order < 0 ? HopVerdict::downgrade : HopVerdict::same;
}

/// The highest version that must have been finalized before `to`, where `from` lies below it.
std::optional<Version> stop_between(const Version& from, const HopFacts& facts) {
  std::optional<Version> highest = facts.upgrade_from_min;
  for (const auto& stop : facts.required_stops)
    if (!highest || stop > *highest) highest = stop;
  return highest && from < *highest ? highest : std::nullopt;
}

Rule rule_for(const Policy& policy, const Version& from, const Version& to) {
  const auto& row = row_for(policy, from);
  switch (release_kind(from, to)) {
    case ReleaseKind::bugfix:
      return row.bugfix;
    case ReleaseKind::feature:
      return to.minor == from.minor + 1 ? row.next_feature : row.further;
    case ReleaseKind::platform:
      return row.platform;
    case ReleaseKind::same:
    case ReleaseKind::downgrade:
      break;
  }
  return Rule::downtime;
}

std::string chain(const Version& from, const Version& to) {
  constexpr int most = 8;  // further on it is clear how it goes on
  std::string text = to_string(from);
  for (int minor = from.minor + 1; minor < to.minor; ++minor) {
    if (minor - from.minor > most) {
      text += " -> ...";
      break;
    }
    text += fmt::format(" -> {}.{}.x", from.major, minor);
  }
  return text + " -> " + to_string(to);
}

std::string older_text(const Version& from, const Version& to) {
  return fmt::format(
      "{} is older than {}; data that {} wrote may be unknown to it. To go back after finalize, restore a backup.",
      to_string(to), to_string(from), to_string(from));
}

std::string same_text(const Version& from, const Version& to) {
  if (from == to) return fmt::format("The site is on {} already.", to_string(to));
  return fmt::format(
      "{} and {} share the build number {}, so the cluster cannot tell them apart; use a release, or a "
      "pre-release of another kind.",
      to_string(from), to_string(to), build_number(to));
}

std::string rolling_text(const Version& from, const Version& to) {
  const auto old_text = to_string(from), text = to_string(to);
  switch (release_kind(from, to)) {
    case ReleaseKind::bugfix:
      return fmt::format("{} to {} is a bugfix release: it can roll.", old_text, text);
    case ReleaseKind::feature:
      return fmt::format("{} to {} is the next feature release: it can roll.", old_text, text);
    case ReleaseKind::platform:
      return fmt::format(
          "{} to {} is a platform release, from the last feature release before it, and its manifest "
          "allows that: it can roll.",
          old_text, text);
    case ReleaseKind::same:
    case ReleaseKind::downgrade:
      break;
  }
  return fmt::format("{} to {} stays within one version: it can roll.", old_text, text);
}

std::string downtime_text(const Policy& policy, const Version& from, const Version& to, const HopFacts& facts) {
  const auto old_text = to_string(from), text = to_string(to);
  if (!facts.rolling)
    return fmt::format("{} to {} needs downtime: the manifest of {} asks for downtime.", old_text, text, text);
  const auto kind = release_kind(from, to);
  if (kind == ReleaseKind::platform && policy.product == Product::afloat)
    return fmt::format(
        "{} to {} is a platform release. It rolls only from the last feature release before {}.0.0, and "
        "only if its manifest says so; otherwise plan a downtime.",
        old_text, text, to.major);
  const auto rule = rule_for(policy, from, to);
  if (kind == ReleaseKind::feature && to.minor > from.minor + 1) {
    const auto skipped = to.minor - from.minor - 1;
    const auto head = fmt::format("{} to {} skips {} feature release{}, so it cannot roll in one hop.", old_text, text,
                                  skipped, skipped == 1 ? "" : "s");
    if (rule == Rule::chain || row_for(policy, from).next_feature == Rule::rolling)
      return fmt::format("{} Without downtime go step by step, each hop finalized before the next: {}.", head,
                         chain(from, to));
    return head;
  }
  return fmt::format("{} to {} is a {} release, and from {} of {} it needs downtime.", old_text, text,
                     kind == ReleaseKind::platform  ? "platform"
                     : kind == ReleaseKind::feature ? "feature"
                                                    : "bugfix",
                     row_for(policy, from).from, to_string(policy.product));
}

}  // namespace

std::string_view to_string(Product product) { return product == Product::afloat ? "afloat" : "confluence"; }

Result<Product> parse_product(std::string_view text) {
  for (const auto& policy : policies)
    if (to_string(policy.product) == text) return policy.product;
  return fail(
      ErrorKind::invalid_argument,
      fmt::format("\"{}\" is no product that Afloat knows; there are afloat and confluence.", text.substr(0, 100)));
}

std::string_view to_string(Rule rule) {
  switch (rule) {
    case Rule::rolling:
      return "rolling";
    case Rule::downtime:
      return "downtime";
    case Rule::chain:
      return "chain";
    case Rule::from_last_feature:
      break;
  }
  return "from_last_feature";
}

std::string_view words_of(Rule rule) {
  switch (rule) {
    case Rule::rolling:
    case Rule::downtime:
      return to_string(rule);
    case Rule::chain:
      return "rolling, as a chain of hops";
    case Rule::from_last_feature:
      break;
  }
  return "rolling from the last feature release before it, if its manifest says so";
}

const Policy& policy_of(Product product) { return policies[product == Product::afloat ? 0 : 1]; }

const PolicyRow& row_for(const Policy& policy, const Version& from) {
  const auto line = line_of(from);
  const auto row = std::ranges::find_if(policy.rows, [&](const PolicyRow& each) { return line <= each.last; });
  return row == policy.rows.end() ? policy.rows.back() : *row;
}

std::string_view note_on(const Policy& policy, const Version& version) {
  const auto note = std::ranges::find(policy.notes, line_of(version), &PolicyNote::line);
  return note == policy.notes.end() ? std::string_view() : note->text;
}

bool is_lts(const Policy& policy, const Version& version) {
  return std::ranges::find(policy.lts, line_of(version)) != policy.lts.end();
}

std::string_view to_string(HopVerdict verdict) {
  switch (verdict) {
    case HopVerdict::rolling:
      return "rolling";
    case HopVerdict::downtime:
      return "downtime";
    case HopVerdict::same:
      return "same";
    case HopVerdict::downgrade:
      return "downgrade";
    case HopVerdict::blocked:
      break;
  }
  return "blocked";
}

HopVerdict hop_verdict(const Policy& policy, const Version& from, const Version& to, const HopFacts& facts) {
  const auto kind = release_kind(from, to);
  if (kind == ReleaseKind::downgrade) return HopVerdict::downgrade;
  const auto within = kind == ReleaseKind::same ? within_one_version(policy.product, from, to) : HopVerdict::rolling;
  if (within != HopVerdict::rolling) return within;
  if (stop_between(from, facts)) return HopVerdict::blocked;
  if (!facts.rolling) return HopVerdict::downtime;
  if (kind == ReleaseKind::same) return HopVerdict::rolling;
  const auto rule = rule_for(policy, from, to);
  const bool rolls = rule == Rule::rolling ||
                     (rule == Rule::from_last_feature && facts.from_last_feature && to.major == from.major + 1);
  return rolls ? HopVerdict::rolling : HopVerdict::downtime;
}

HopAdvice advise_hop(const Policy& policy, const Version& from, const Version& to, const HopFacts& facts) {
  const auto verdict = hop_verdict(policy, from, to, facts);
  switch (verdict) {
    case HopVerdict::rolling:
      return {verdict, rolling_text(from, to)};
    case HopVerdict::downtime:
      return {verdict, downtime_text(policy, from, to, facts)};
    case HopVerdict::same:
      return {verdict, same_text(from, to)};
    case HopVerdict::downgrade:
      return {verdict, older_text(from, to)};
    case HopVerdict::blocked:
      break;
  }
  const auto stop = to_string(*stop_between(from, facts));
  return {verdict, fmt::format("{} can't be reached from {} in one hop, not even with downtime: its manifest asks that "
                               "the site be finalized at {} or above first.",
                               to_string(to), to_string(from), stop)};
}

HopAdvice advise_hop(const Version& from, const Version& to) {
  return advise_hop(policy_of(Product::afloat), from, to);
}

}  // namespace afloat::version
