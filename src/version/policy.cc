#include "version/policy.h"

#include <fmt/format.h>

#include <array>

namespace afloat::version {
namespace {

HopAdvice within_one_version(const Version& from, const Version& to) {
  // Two pre-releases, or a pre-release and its release: builds decide, for the writer window knows only them.
  const int old_build = build_number(from), other_build = build_number(to);
  if (other_build > old_build)
    return {HopVerdict::rolling,
            fmt::format("{} to {} stays within one version: it can roll.", to_string(from), to_string(to))};
  if (other_build < old_build)
    return {HopVerdict::downgrade,
            fmt::format("{} is older than {}; data that {} wrote may be unknown to it. To go back "
                        "after finalize, restore a backup.",
                        to_string(to), to_string(from), to_string(from))};
  if (from == to) return {HopVerdict::same, fmt::format("The site is on {} already.", to_string(to))};
  return {HopVerdict::same, fmt::format("{} and {} share the build number {}, so the cluster cannot tell them apart; "
                                        "use a release, or a pre-release of another kind.",
                                        to_string(from), to_string(to), other_build)};
}

std::string chain(const Version& from, const Version& to) {
  std::string text = to_string(from);
  for (int minor = from.minor + 1; minor < to.minor; ++minor) text += fmt::format(" -> {}.{}.x", from.major, minor);
  return text + " -> " + to_string(to);
}

}  // namespace

HopAdvice advise_hop(const Version& from, const Version& to) {
  const std::string old_text = to_string(from), text = to_string(to);
  switch (release_kind(from, to)) {
    case ReleaseKind::same:
      return within_one_version(from, to);
    case ReleaseKind::downgrade:
      return {HopVerdict::downgrade,
              fmt::format("{} is older than {}; data that {} wrote may be unknown to it. To go back "
                          "after finalize, restore a backup.",
                          text, old_text, old_text)};
    case ReleaseKind::bugfix:
      return {HopVerdict::rolling, fmt::format("{} to {} is a bugfix release: it can roll.", old_text, text)};
    case ReleaseKind::feature:
      if (to.minor == from.minor + 1)
        return {HopVerdict::rolling, fmt::format("{} to {} is the next feature release: it can roll.", old_text, text)};
      return {HopVerdict::downtime,
              fmt::format(
                  "{} to {} skips {} feature release{}, so it cannot roll in one hop. Without downtime go step by "
                  "step, each hop finalized before the next: {}.",
                  old_text, text, to.minor - from.minor - 1, to.minor - from.minor == 2 ? "" : "s", chain(from, to))};
    case ReleaseKind::platform:
      return {
          HopVerdict::downtime,
          fmt::format("{} to {} is a platform release. It rolls only from the last feature release before {}.0.0, and "
                      "only if its manifest says so; otherwise plan a downtime.",
                      old_text, text, to.major)};
  }
  return {HopVerdict::downtime, fmt::format("{} to {}: no rule fits.", old_text, text)};
}

}  // namespace afloat::version
