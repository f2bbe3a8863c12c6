#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/minisign.h"
#include "version/manifest.h"

/// The catalogue: a folder with one sub-folder V/ per release bundle (version/manifest.h).
namespace afloat::agent {

struct CatalogueEntry {
  std::string version;
  std::string folder;  ///< catalogue/V
  version::Manifest manifest;
  std::string digest;  ///< SHA-256 of manifest.json: what member rows carry
  std::uint64_t archive_bytes = 0;
  std::string manifest_text;             ///< bytes of manifest.json: what `manifest`, digest and signature are of
  std::optional<std::string> signature;  ///< bytes of manifest.json.minisig; nullopt: there is none
  std::optional<Error> problem;  ///< set when the bundle can't be read; the other fields are then not complete
};

/// Every bundle, lowest version first; broken ones are listed with their problem.
Result<std::vector<CatalogueEntry>> list_catalogue(const std::string& catalogue);
/// One bundle. Errors: invalid_argument (no version), not_found naming those there are, data_corrupted.
Result<CatalogueEntry> find_release(const std::string& catalogue, const std::string& version);
/// Archive digest and the digest of every file in it. Reads the whole archive, writes nothing.
Result<void> verify_bundle(const CatalogueEntry& entry);
/// The key that signed the bundle, out of `trusted`. Errors: version::check_signature's.
Result<minisign::PublicKey> signed_by(const CatalogueEntry& entry, const std::vector<minisign::PublicKey>& trusted);
/// Verifies the bundle and writes its manifest.json.minisig.
Result<CatalogueEntry> sign_bundle(const std::string& folder, const minisign::SecretKey& key);
/// "x86_64", as uname says.
std::string machine_architecture();

struct PackRequest {
  std::string version, binary, web, notes_file, out, upgrade_from_min = "1.0.0", fault_profile = "none";
  bool rolling = true, lts = false;
  std::vector<std::string> required_stops;
};
/// Writes out/manifest.json and out/afloat-V.tar.zst; the manifest last, so that a bundle with a manifest is whole.
Result<CatalogueEntry> pack_bundle(const PackRequest& request);

}  // namespace afloat::agent
