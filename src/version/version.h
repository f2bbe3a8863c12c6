#pragma once
#include <compare>
#include <string>
#include <string_view>

#include "base/error.h"

namespace afloat::version {

/// `major.minor.patch` with an optional pre-release: 1.2.0-dev, 1.2.0-rc.1 (semver order:
/// a pre-release is lower than its release).
struct Version {
  int major = 0;
  int minor = 0;
  int patch = 0;
  std::string pre_release;  ///< without the dash; "" for a release

  friend bool operator==(const Version&, const Version&) = default;
  std::strong_ordering operator<=>(const Version& other) const;
};

/// Errors: invalid_argument that says what a version looks like. minor and patch at most 999.
Result<Version> parse_version(std::string_view text);
/// As people type it: spaces around it and a leading v are taken off, and 7.14 or 7.14.x stand for 7.14.0 (bugfix
/// releases hardly matter for what may roll). Errors: as parse_version, with what was typed.
Result<Version> parse_typed_version(std::string_view text);
std::string to_string(const Version& version);

/// Builds are integers in the order of versions: (major*1000000 + minor*1000 + patch)*10 + 9 for a
/// release, +0 for "dev", +1 for "alpha*", +4 for "beta*", +7 for "rc*", +2 for any other pre-release.
/// 1.1.0 is 10010009, 1.2.0-dev is 10020000.
int build_number(const Version& version);
/// The version that a build number stands for, for messages: "1.1.0", "1.2.0-dev", "a pre-release of 1.2.0".
std::string describe_build(int build);

enum class ReleaseKind { same, bugfix, feature, platform, downgrade };
/// What going from `from` to `to` is; pre-releases count as their release.
ReleaseKind release_kind(const Version& from, const Version& to);

/// What a release is by its own number: x.0.0 platform, x.y.0 feature, else bugfix.
ReleaseKind kind_of(const Version& version);
std::string_view to_string(ReleaseKind kind);

/// What this binary is: chosen at link (version_stamp.cc is generated for each build), never by a compiler flag.
struct Stamp {
  std::string_view version;        ///< "1.1.0-dev"
  std::string_view fault_profile;  ///< "none" in every release
};
Stamp stamp();
/// stamp().version parsed; it is a broken build that cannot do so.
const Version& this_version();
int this_build();

}  // namespace afloat::version
