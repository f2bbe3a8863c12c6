#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/minisign.h"

/// What a file with a signature beside it must pass, whatever it says. Pure and reentrant.
namespace afloat::version {

struct SignedText {
  std::string file;                      ///< of the signature: messages begin with it
  std::string kind;                      ///< "bundle"
  std::string what;                      ///< "manifest of 1.1.0"
  std::string_view text;                 ///< the bytes that were signed
  std::optional<std::string> signature;  ///< bytes of the signature's file; nullopt: there is none
  std::string remedy;                    ///< a sentence: what to do with files that were changed
};
struct CheckedText {
  minisign::PublicKey key;      ///< that signed it
  std::string trusted_comment;  ///< signed too; whether it fits the text is the caller's question
};
/// Errors: failed_precondition (no signature, unknown key, old kind), data_corrupted (all else). They name file, key
/// id, what was found and what to do.
Result<CheckedText> check_signed(const SignedText& signed_text, const std::vector<minisign::PublicKey>& trusted);

/// Words of a trusted comment that have the form name:value; nullopt where one comes twice. Other names are for later
/// releases.
std::optional<std::map<std::string, std::string>> comment_fields(std::string_view comment);
/// "E8F5..., 1C3A...".
std::string ids_of(const std::vector<minisign::PublicKey>& keys);

}  // namespace afloat::version
