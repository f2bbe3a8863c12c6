#include "version/version.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "base/text.h"

namespace afloat::version {
namespace {

// 213.999.999 is the last version whose build fits the `int` columns of cluster_state.
constexpr int highest_major = 213;
constexpr int highest_part = 999;

bool all_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

std::optional<int> number_part(std::string_view text, int highest) {
  if (!all_digits(text) || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  const auto number = parse_int(text);
  if (!number || *number > highest) return std::nullopt;
  return static_cast<int>(*number);
}

bool good_pre_release(std::string_view text) {
  for (const std::string& part : split(text, '.')) {
    const bool good_characters = std::ranges::all_of(part, [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
    });
    if (part.empty() || !good_characters) return false;
    if (all_digits(part) && part.size() > 1 && part.front() == '0') return false;
  }
  return true;
}

// semver 2.0.0, 11.4: numbers by value and below words, words by ASCII, the longer list wins a tie.
std::strong_ordering compare_pre_releases(std::string_view left, std::string_view right) {
  if (left.empty() || right.empty()) return left.empty() <=> right.empty();  // a release is above its pre-releases
  const auto a = split(left, '.'), b = split(right, '.');
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const bool a_number = all_digits(a[i]), b_number = all_digits(b[i]);
    if (a_number != b_number) return b_number <=> a_number;
    // Without leading zeros a longer number is a greater one, whatever its size.
    if (a_number && a[i].size() != b[i].size()) return a[i].size() <=> b[i].size();
    if (a[i] != b[i]) return a[i] <=> b[i];
  }
  return a.size() <=> b.size();
}

}  // namespace

std::strong_ordering Version::operator<=>(const Version& other) const {
  if (major != other.major) return major <=> other.major;
  if (minor != other.minor) return minor <=> other.minor;
  if (patch != other.patch) return patch <=> other.patch;
  return compare_pre_releases(pre_release, other.pre_release);
}

Result<Version> parse_version(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorKind::invalid_argument,
                fmt::format("\"{}\" is not a version: {}. A version looks like 1.2.3, or 1.2.0-rc.1 for a pre-release.",
                            text.substr(0, 100), why));
  };
  const auto dash = text.find('-');
  const auto parts = split(text.substr(0, dash), '.');
  if (parts.size() != 3) return refuse("it needs three numbers with dots between them");
  const auto major = number_part(parts[0], highest_major);
  const auto minor = number_part(parts[1], highest_part);
  const auto patch = number_part(parts[2], highest_part);
  if (!major)
    return refuse(fmt::format("the first part must be a number from 0 to {} without leading zeros", highest_major));
  if (!minor || !patch)
    return refuse(
        fmt::format("the second and third part must be numbers from 0 to {} without leading zeros", highest_part));
  Version version{*major, *minor, *patch, {}};
  if (dash != std::string_view::npos) {
    version.pre_release = text.substr(dash + 1);
    if (version.pre_release.size() > 60) return refuse("what follows the dash is longer than 60 characters");
    if (!good_pre_release(version.pre_release))
      return refuse("after the dash come words of letters, digits and dashes with dots between them");
  }
  return version;
}

std::string to_string(const Version& version) {
  const auto numbers = fmt::format("{}.{}.{}", version.major, version.minor, version.patch);
  return version.pre_release.empty() ? numbers : numbers + "-" + version.pre_release;
}

int build_number(const Version& version) {
  const std::string_view pre = version.pre_release;
  const int last = pre.empty()                ? 9
                   : pre == "dev"             ? 0
                   : pre.starts_with("alpha") ? 1
                   : pre.starts_with("beta")  ? 4
                   : pre.starts_with("rc")    ? 7
                                              : 2;
  return (version.major * 1'000'000 + version.minor * 1'000 + version.patch) * 10 + last;
}

std::string describe_build(int build) {
  const int release = build / 10;
  const auto numbers = fmt::format("{}.{}.{}", release / 1'000'000, release / 1'000 % 1'000, release % 1'000);
  switch (build % 10) {
    case 9:
      return numbers;
    case 0:
      return numbers + "-dev";
    default:
      return "a pre-release of " + numbers;  // several share a number
  }
}

ReleaseKind release_kind(const Version& from, const Version& to) {
  if (to.major != from.major) return to.major > from.major ? ReleaseKind::platform : ReleaseKind::downgrade;
  if (to.minor != from.minor) return to.minor > from.minor ? ReleaseKind::feature : ReleaseKind::downgrade;
  if (to.patch != from.patch) return to.patch > from.patch ? ReleaseKind::bugfix : ReleaseKind::downgrade;
  return ReleaseKind::same;
}

Result<Version> parse_typed_version(std::string_view text) {
  auto typed = trim(text);
  if (typed.starts_with('v') || typed.starts_with('V')) typed.remove_prefix(1);
  const auto dash = typed.find('-');
  auto numbers = split(typed.substr(0, dash), '.');
  if (numbers.size() == 3 && (numbers[2] == "x" || numbers[2] == "X")) numbers.pop_back();
  if (numbers.size() != 2) return parse_version(typed);
  const auto whole = join(numbers, ".") + ".0" + std::string(dash == typed.npos ? "" : typed.substr(dash));
  auto version = parse_version(whole);
  // Its message must name what was typed, not what was made of it.
  if (!version)
    return fail(version.error().kind(), replace_all(version.error().message(), "\"" + whole + "\"",
                                                    fmt::format("\"{}\"", text.substr(0, 100))));
  return version;
}

ReleaseKind kind_of(const Version& version) {
  return version.patch > 0 ? ReleaseKind::bugfix : version.minor > 0 ? ReleaseKind::feature : ReleaseKind::platform;
}

std::string_view to_string(ReleaseKind kind) {
  switch (kind) {
    case ReleaseKind::same:
      return "same";
    case ReleaseKind::bugfix:
      return "bugfix";
    case ReleaseKind::feature:
      return "feature";
    case ReleaseKind::platform:
      return "platform";
    case ReleaseKind::downgrade:
      break;
  }
  return "downgrade";
}

const Version& this_version() {
  static const Version version = [] {
    auto parsed = parse_version(stamp().version);
    if (!parsed) throw std::runtime_error("This binary's version stamp is broken: " + parsed.error().message());
    return *parsed;
  }();
  return version;
}

int this_build() { return build_number(this_version()); }

}  // namespace afloat::version
