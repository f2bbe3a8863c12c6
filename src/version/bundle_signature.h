#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/minisign.h"
#include "version/manifest.h"

/// What a bundle's signature must say. Signed is manifest.json (manifest.json.minisig beside it): it carries the
/// digest of the archive and of every file in it, so one signature covers the whole bundle. The trusted comment
/// repeats product, version and digest and must agree with the manifest, so that an older bundle, though well
/// signed, does not pass for another.
namespace afloat::version {

inline constexpr std::string_view signature_file = "manifest.json.minisig";

/// "product:afloat version:1.1.0 digest:<SHA-256 of manifest.json>".
std::string signature_comment(const Manifest& manifest, std::string_view digest);

struct SignedManifest {
  std::string folder;        ///< of the bundle, for messages
  std::string_view text;     ///< bytes of manifest.json
  const Manifest& manifest;  ///< what they say
  std::optional<std::string> signature;  ///< bytes of manifest.json.minisig; nullopt: there is none
};
/// The key that signed it. Every refusal names file, key id, what was found and what to do. Errors:
/// failed_precondition (no signature, unknown key, old kind), data_corrupted (all else).
Result<minisign::PublicKey> check_signature(const SignedManifest& bundle,
                                            const std::vector<minisign::PublicKey>& trusted);

}  // namespace afloat::version
