#include "version/bundle_signature.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/hash.h"
#include "base/text.h"

namespace afloat::version {
namespace {

using minisign::Verdict;

std::string ids_of(const std::vector<minisign::PublicKey>& keys) {
  std::vector<std::string> ids;
  for (const auto& key : keys) ids.push_back(minisign::shown_id(key.id));
  return join(ids, ", ");
}

/// Words of the form name:value; nullopt where one comes twice. Other names are for later releases.
std::optional<std::map<std::string, std::string>> fields_of(std::string_view comment) {
  std::map<std::string, std::string> fields;
  for (const auto& word : split(comment, ' ')) {
    const auto colon = word.find(':');
    if (colon == std::string::npos) continue;
    if (!fields.emplace(word.substr(0, colon), word.substr(colon + 1)).second) return std::nullopt;
  }
  return fields;
}

bool agrees(std::string_view comment, const Manifest& manifest, const std::string& digest) {
  auto fields = fields_of(comment);
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
  if (!bundle.signature)
    return fail(ErrorKind::failed_precondition,
                fmt::format("{} is missing: the bundle of {} is not signed, and this site takes only bundles signed by "
                            "{}. Get it with its signature, or sign it with 'afloat releases sign'.",
                            file, bundle.manifest.version, ids_of(trusted)));
  auto signature = minisign::read_signature(*bundle.signature, file);
  if (!signature) return std::unexpected(signature.error());
  const auto id = minisign::shown_id(signature->id);
  const auto key = std::ranges::find(trusted, signature->id, &minisign::PublicKey::id);
  if (key == trusted.end())
    return fail(ErrorKind::failed_precondition,
                fmt::format("{} was made with key {}, which is none of this site's trusted_keys ({}). Do not use the "
                            "bundle unless you know that key; if you trust it, add it to trusted_keys.",
                            file, id, ids_of(trusted)));
  const std::string digest = sha256_hex(bundle.text);
  constexpr std::string_view remedy = "Do not use the bundle; get manifest.json and its signature again from where "
                                      "they were published.";
  switch (minisign::verify(bundle.text, *signature, *key)) {
    case Verdict::good:
      break;
    case Verdict::other_bytes:
      return fail(ErrorKind::data_corrupted,
                  fmt::format("{}, made with key {}, is the signature of another bundle ('{}'), not of this manifest of "
                              "{} (digest {}). {}",
                              file, id, signature->trusted_comment, bundle.manifest.version, digest, remedy));
    case Verdict::bad_signature:
      return fail(ErrorKind::data_corrupted,
                  fmt::format("{} names key {}, but that key did not sign this manifest of {} (digest {}): one of the "
                              "two files was changed. {}",
                              file, id, bundle.manifest.version, digest, remedy));
    case Verdict::bad_comment:
      return fail(ErrorKind::data_corrupted,
                  fmt::format("The trusted comment of {} ('{}') is not what key {} signed: it was changed. {}", file,
                              signature->trusted_comment, id, remedy));
  }
  if (!agrees(signature->trusted_comment, bundle.manifest, digest))
    return fail(ErrorKind::data_corrupted,
                fmt::format("{}, made with key {}, says '{}', but the manifest is '{}'. Sign the bundle again with "
                            "'afloat releases sign'.",
                            file, id, signature->trusted_comment, signature_comment(bundle.manifest, digest)));
  return *key;
}

}  // namespace afloat::version
