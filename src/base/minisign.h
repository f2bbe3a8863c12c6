#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

/// Signatures and keys in minisign's formats, by libsodium, so that Debian's `minisign -Vm FILE -P KEY` verifies
/// what we signed and we verify what it signed. Only the prehashed kind ("ED": Ed25519 over BLAKE2b-512 of the
/// file) is known; the older kind ("Ed") is refused. Pure and reentrant; `init_crypto()` must have run.
///
/// `file` in the readers below is the name that their messages begin with. Errors: data_corrupted for what is
/// not in the format, failed_precondition for what somebody must change.
namespace afloat::minisign {

struct PublicKey {
  std::string id;   ///< 8 bytes as in the file
  std::string key;  ///< 32 bytes
  bool operator==(const PublicKey&) const = default;
};

/// Overwritten in memory when it ends. Move-only.
class SecretKey {
 public:
  SecretKey(std::string id, std::string key) : id_(std::move(id)), key_(std::move(key)) {}
  SecretKey(SecretKey&&) = default;
  SecretKey& operator=(SecretKey&&) = default;
  ~SecretKey();
  const std::string& id() const { return id_; }
  const std::string& key() const { return key_; }  ///< 64 bytes: seed and public key
  PublicKey public_key() const;

 private:
  std::string id_, key_;
};

struct Signature {
  std::string id;               ///< of the key that made it
  std::string signature;        ///< 64 bytes, over BLAKE2b-512 of the file
  std::string trusted_comment;
  std::string comment_signature;  ///< 64 bytes, over signature and trusted comment
};

/// "E8F5...", as minisign prints key ids.
std::string shown_id(std::string_view id);

SecretKey generate_key();

/// A key file's content, or its second line alone ("RW..."), as in `minisign -P`.
Result<PublicKey> read_public_key(std::string_view text, std::string_view file);
/// "RW...": what `trusted_keys` lists.
std::string public_key_text(const PublicKey& key);
std::string public_key_file(const PublicKey& key);

/// How hard a password is to guess from a stolen key file: scrypt's operations and bytes of memory.
struct PasswordCost {
  std::uint64_t operations = 33'554'432;        ///< minisign's own: some seconds
  std::uint64_t memory_bytes = 1'073'741'824;
};
/// `password` is asked for only where the file is encrypted; then it takes the time and memory that the file says.
Result<SecretKey> read_secret_key(std::string_view text, std::string_view password, std::string_view file);
/// Not encrypted with an empty password. Errors: resource_exhausted (memory).
Result<std::string> secret_key_file(const SecretKey& key, std::string_view password, PasswordCost cost = {});

/// The content of FILE.minisig.
std::string sign(std::string_view bytes, std::string_view trusted_comment, const SecretKey& key);
Result<Signature> read_signature(std::string_view text, std::string_view file);

enum class Verdict {
  good,
  other_bytes,    ///< a true signature by that key, but of another file: its trusted comment says of which
  bad_signature,  ///< neither the file nor the comment is signed
  bad_comment,    ///< the file is signed, the trusted comment is not
};
/// `key` must be the one that the signature names.
Verdict verify(std::string_view bytes, const Signature& signature, const PublicKey& key);

}  // namespace afloat::minisign
