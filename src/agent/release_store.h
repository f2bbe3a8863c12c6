#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/minisign.h"

namespace afloat::agent {

/// Unpacked releases of one host: <folder>/V/{manifest.json, manifest.json.minisig, bin, share, ...}. A release appears there by one
/// rename after every digest has been checked, so whatever has a manifest.json is whole. Nothing of a release
/// that a node's link points to is ever removed or changed.
/// Blocking; one command at a time (the agent holds a lock).
class ReleaseStore {
 public:
  /// `in_use`: whether some node's link points to that version. `trusted`: with at least one key, only bundles
  /// that one of them signed are unpacked, or taken for good where they are unpacked already.
  ReleaseStore(std::string folder, std::string catalogue, std::function<bool(const std::string&)> in_use,
               std::vector<minisign::PublicKey> trusted = {});
  /// Removes what unfinished unpacking has left behind. Call once at start.
  Result<void> clean();
  /// Unpacks and verifies; already there and intact is not an error. Errors: not_found (not in the catalogue),
  /// data_corrupted (truncated, wrong digest or signature, path outside), failed_precondition (other product,
  /// version or architecture; not signed by a trusted key; another digest of that version is unpacked already),
  /// resource_exhausted (disk).
  Result<void> distribute(const std::string& version);
  /// Versions unpacked, lowest first.
  std::vector<std::string> versions() const;
  bool has(const std::string& version) const;
  std::string path_of(const std::string& version) const { return folder_ + "/" + version; }
  /// Every file against the manifest kept with it, and its signature where keys are trusted. Errors: not_found,
  /// data_corrupted naming the file, and those of the signature.
  Result<void> verify(const std::string& version) const;

 private:
  std::string signature_path(const std::string& version) const;
  std::string folder_;
  std::string catalogue_;
  std::function<bool(const std::string&)> in_use_;
  std::vector<minisign::PublicKey> trusted_;
};

}  // namespace afloat::agent
