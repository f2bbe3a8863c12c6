#include "version/signed_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "base/text.h"

namespace afloat::version {

using minisign::Verdict;

std::string ids_of(const std::vector<minisign::PublicKey>& keys) {
  std::vector<std::string> ids;
  for (const auto& key : keys) ids.push_back(minisign::shown_id(key.id));
  return join(ids, ", ");
}

std::optional<std::map<std::string, std::string>> comment_fields(std::string_view comment) {
  std::map<std::string, std::string> fields;
  for (const auto& word : split(comment, ' ')) {
    const auto colon = word.find(':');
    if (colon == std::string::npos) continue;
    if (!fields.emplace(word.substr(0, colon), word.substr(colon + 1)).second) return std::nullopt;
  }
  return fields;
}

Result<CheckedText> check_signed(const SignedText& given, const std::vector<minisign::PublicKey>& trusted) {
  const auto& [file, kind, what, text, bytes, remedy] = given;
  if (!bytes)
    return fail(ErrorKind::failed_precondition,
                fmt::format("{} is missing: the {} is not signed, and this site takes only what {} signed. {}", file,
                            what, ids_of(trusted), remedy));
  auto signature = minisign::read_signature(*bytes, file);
  if (!signature) return std::unexpected(signature.error());
  const auto id = minisign::shown_id(signature->id);
  const auto key = std::ranges::find(trusted, signature->id, &minisign::PublicKey::id);
  if (key == trusted.end())
    return fail(ErrorKind::failed_precondition,
                fmt::format("{} was made with key {}, which is none of this site's trusted_keys ({}). Do not use the "
                            "{} unless you know that key; if you trust it, add it to trusted_keys.",
                            file, id, ids_of(trusted), kind));
  const std::string digest = sha256_hex(text);
  switch (minisign::verify(text, *signature, *key)) {
    case Verdict::good:
      break;
    case Verdict::other_bytes:
      return fail(ErrorKind::data_corrupted,
                  fmt::format("{}, made with key {}, is the signature of another {} ('{}'), not of this {} (digest "
                              "{}). {}",
                              file, id, kind, signature->trusted_comment, what, digest, remedy));
    case Verdict::bad_signature:
      return fail(ErrorKind::data_corrupted,
                  fmt::format("{} names key {}, but that key did not sign this {} (digest {}): one of the two files "
                              "was changed. {}",
                              file, id, what, digest, remedy));
    case Verdict::bad_comment:
      return fail(ErrorKind::data_corrupted,
                  fmt::format("The trusted comment of {} ('{}') is not what key {} signed: it was changed. {}", file,
                              signature->trusted_comment, id, remedy));
  }
  return CheckedText{*key, signature->trusted_comment};
}

}  // namespace afloat::version
