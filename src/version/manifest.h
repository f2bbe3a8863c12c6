#pragma once
#include <map>
#include <string>
#include <vector>

#include "version/version.h"

namespace afloat::version {

/// manifest.json of a release bundle. A bundle is a folder V/ in the catalogue:
///   manifest.json, afloat-V.tar.zst (bin/afloat, share/web/..., NOTES.md)
/// The bundle's digest, which member rows carry, is the SHA-256 of manifest.json.
struct Manifest {
  std::string product = "afloat";
  std::string version;
  int build = 0;
  std::string architecture;               ///< "x86_64"
  std::string archive;                    ///< file name of the tar.zst beside the manifest
  std::string archive_sha256;
  std::map<std::string, std::string> files;  ///< path in the archive -> sha256
  std::string upgrade_from_min;           ///< lowest version that can be upgraded from: "1.0.0"
  /// Whoever comes from below one of these finalizes at it, or at a release above it, first: ["1.2.0", "1.4.0"].
  std::vector<std::string> required_stops;
  bool lts = false;                       ///< supported for long
  bool rolling = true;                    ///< false: this release needs downtime whatever the policy says
  std::string fault_profile = "none";
  std::string notes;                      ///< Markdown
};

Result<Manifest> parse_manifest(std::string_view json);
std::string to_json(const Manifest& manifest);  ///< pretty, keys in fixed order, newline at the end

}  // namespace afloat::version
