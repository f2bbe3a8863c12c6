#pragma once
#include <boost/json/fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "version/manifest.h"
#include "version/policy.h"

/// The upgrade path calculator: fewest downtime windows first, then fewest hops. Pure and reentrant.
namespace afloat::version {

/// One release that can be a stop.
struct Release {
  Version version;
  bool rolling = true;  ///< its manifest's
  bool lts = false;
  bool fetched = true;  ///< false: only the index of releases offers it
  std::optional<Version> upgrade_from_min;
  std::vector<Version> required_stops;
};
/// What a manifest says; errors: data_corrupted, as parse_manifest (a parsed manifest has none).
Result<Release> release_of(const Manifest& manifest);

struct PathHop {
  Version from, to;
  bool any = false;      ///< `to` stands for any release of its feature line
  bool rolls = false;    ///< false: in a downtime window
  bool lts = false;
  bool missing = false;  ///< not in the catalogue
  std::string why;       ///< for a person
};
struct Path {
  Product product = Product::afloat;
  Version from, to;
  /// rolling: every hop rolls. downtime: at least one does not. blocked: no way at all. same, downgrade: no hops.
  HopVerdict verdict = HopVerdict::same;
  std::vector<PathHop> hops;
  int windows = 0;                   ///< hops that need downtime
  std::vector<std::string> missing;  ///< releases to get: "1.2.x" is any of 1.2
  std::string message;               ///< the answer in a sentence or two
  std::vector<std::string> notes;    ///< of the policy, on the versions asked about
};

/// With a catalogue only what is in it is used, and `missing` names what it lacks: the target, required stops, and what
/// a way with fewer windows needs. Without one (nullopt) any release of a feature line will do, and nothing is missing.
/// Where several bugfix releases of a stop are there the highest is taken; pre-releases are never a stop.
Path find_path(const Policy& policy, const Version& from, const Version& to,
               const std::optional<std::vector<Release>>& catalogue);

/// The releases that a rolling run from one version to another stops at, the target last, of those that are there;
/// empty where no rolling way leads. Errors of the versions' text count as no way.
std::vector<std::string> rolling_way(std::string_view from, std::string_view to, std::vector<Release> catalogue);

/// What the catalogue tells of one hop: the facts that advise_hop asks for. Nothing of a release that is not in it.
HopFacts facts_of(const Version& from, const Version& to, const std::vector<Release>& catalogue);

/// "7.15.x" for any release of a line, else the version.
std::string shown_stop(const Version& version, bool any);
/// Field names are a contract: docs/upgrade-path.md.
boost::json::object path_json(const Path& path);
boost::json::object policy_json(const Policy& policy);

}  // namespace afloat::version
