#include "version/bundle_signature.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "version/signed_text.h"

namespace afloat::version {
namespace {

bool agrees(std::string_view comment, const Manifest& manifest, const std::string& digest) {
  auto fields = comment_fields(comment);
  return fields && (*fields)["product"] == manifest.product && (*fields)["version"] == manifest.version &&
         (*fields)["digest"] == digest;
}

}  // namespace

std::string signature_comment(const Manifest& manifest, std::string_view digest) {
  return fmt::format("product:{} version:{} digest:{}", manifest.product, manifest.version, digest);
}

Result<minisign::PublicKey> check_signature(const SignedManifest& bundle,
                                            const std::vector<minisign::PublicKey>& trusted) {
  const std::string file = fmt::format("{}/{}", bundle.folder, signature_file);
  const auto what = "manifest of " + bundle.manifest.version;
  if (!bundle.signature)
    return fail(ErrorKind::failed_precondition,
                fmt::format("{} is missing: the bundle of {} is not signed, and this site takes only bundles signed by "
                            "{}. Get it with its signature, or sign it with 'afloat releases sign'.",
                            file, bundle.manifest.version, ids_of(trusted)));
  auto checked = check_signed({file, "bundle", what, bundle.text, bundle.signature,
                               "Do not use the bundle; get manifest.json and its signature again from where they were "
                               "published."},
                              trusted);
  if (!checked) return std::unexpected(checked.error());
  const std::string digest = sha256_hex(bundle.text);
  if (!agrees(checked->trusted_comment, bundle.manifest, digest))
    return fail(ErrorKind::data_corrupted,
                fmt::format("{}, made with key {}, says '{}', but the manifest is '{}'. Sign the bundle again with "
                            "'afloat releases sign'.",
                            file, minisign::shown_id(checked->key.id), checked->trusted_comment,
                            signature_comment(bundle.manifest, digest)));
  return checked->key;
}

}  // namespace afloat::version
