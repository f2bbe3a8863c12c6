#include "base/minisign.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/text.h"

namespace afloat::minisign {
namespace {

// The files are lines; the parts of a decoded line, in bytes:
//   public key  "Ed" id:8 key:32
//   signature   "ED" id:8 signature:64                     then a line with the comment's signature:64
//   secret key  "Ed" kdf:2 "B2" salt:32 operations:8 memory:8 [id:8 key:64 checksum:32]
// kdf "Sc": what stands in brackets is xored with scrypt of the password; two zero bytes: it is plain.
constexpr std::size_t id_bytes = 8, salt_bytes = 32, checksum_bytes = 32, hidden_bytes = id_bytes + 64 + checksum_bytes;
constexpr std::string_view untrusted_prefix = "untrusted comment: ", trusted_prefix = "trusted comment: ";
constexpr std::string_view key_kind = "Ed", prehashed_kind = "ED", checksum_kind = "B2", scrypt_kind = "Sc";
constexpr std::string_view no_kdf{"\0\0", 2};
constexpr std::size_t max_text = 16 * 1024;
/// A forged file must not make us use up the machine: minisign's own cost is the highest there is.
constexpr std::uint64_t max_operations = 33'554'432, max_memory = 1'073'741'824;

static_assert(hidden_bytes == 104 && crypto_sign_SECRETKEYBYTES == 64 && crypto_sign_PUBLICKEYBYTES == 32 &&
              crypto_sign_BYTES == 64 && crypto_pwhash_scryptsalsa208sha256_SALTBYTES == salt_bytes);

const unsigned char* raw(std::string_view bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
unsigned char* raw(std::string& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }
void wipe(std::string& secret) { sodium_memzero(secret.data(), secret.size()); }

std::string blake2b(std::string_view bytes, std::size_t length) {
  std::string digest(length, '\0');
  crypto_generichash(raw(digest), digest.size(), raw(bytes), bytes.size(), nullptr, 0);
  return digest;
}

std::string signed_bytes(std::string_view bytes, const SecretKey& key) {
  std::string signature(crypto_sign_BYTES, '\0');
  crypto_sign_detached(raw(signature), nullptr, raw(bytes), bytes.size(), raw(key.key()));
  return signature;
}

bool is_signed(std::string_view bytes, std::string_view signature, const PublicKey& key) {
  return crypto_sign_verify_detached(raw(signature), raw(bytes), bytes.size(), raw(key.key)) == 0;
}

std::string number(std::uint64_t value) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xFF);
  return bytes;
}

std::uint64_t number_in(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 8; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

/// Lines without their ends; the last may have none.
std::vector<std::string> lines_of(std::string_view text) {
  auto lines = split(text, '\n');
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  for (auto& line : lines)
    if (line.ends_with('\r')) line.pop_back();
  return lines;
}

std::optional<std::string> decoded(std::string_view line, std::size_t bytes) {
  if (line.size() > max_text) return std::nullopt;
  auto found = from_base64(trim(line));
  if (!found || found->size() != bytes) return std::nullopt;
  return found;
}

Error not_in_format(std::string_view file, std::string_view what, std::string_view remedy) {
  return Error(ErrorKind::data_corrupted, fmt::format("{} is not {}. {}", file, what, remedy));
}

std::string checksum_of(const SecretKey& key) {
  return blake2b(std::string(key_kind) + key.id() + key.key(), checksum_bytes);
}

Result<std::string> password_stream(std::string_view password, std::string_view salt, PasswordCost cost) {
  std::string stream(hidden_bytes, '\0');
  if (crypto_pwhash_scryptsalsa208sha256(raw(stream), stream.size(), password.data(), password.size(), raw(salt),
                                         cost.operations, cost.memory_bytes) != 0)
    return fail(ErrorKind::resource_exhausted,
                fmt::format("The key's password needs {} of memory to be checked, which this machine could not give. "
                            "Use the key on one that has it.",
                            human_bytes(cost.memory_bytes)));
  return stream;
}

void exclusive_or(std::string& bytes, const std::string& stream) {
  std::ranges::transform(bytes, stream, bytes.begin(), [](char a, char b) { return static_cast<char>(a ^ b); });
}

}  // namespace

SecretKey::~SecretKey() { wipe(key_); }

PublicKey SecretKey::public_key() const { return {id_, key_.substr(32)}; }

std::string shown_id(std::string_view id) { return fmt::format("{:016X}", number_in(id)); }

SecretKey generate_key() {
  std::string id(id_bytes, '\0'), key(crypto_sign_SECRETKEYBYTES, '\0'), open(crypto_sign_PUBLICKEYBYTES, '\0');
  randombytes_buf(id.data(), id.size());
  crypto_sign_keypair(raw(open), raw(key));
  return {std::move(id), std::move(key)};
}

Result<PublicKey> read_public_key(std::string_view text, std::string_view file) {
  constexpr std::string_view what = "a minisign public key", remedy = "It is the line that begins with RW in the .pub file.";
  auto lines = lines_of(trim(text));
  if (lines.size() == 2 && lines[0].starts_with(untrusted_prefix)) lines.erase(lines.begin());
  if (lines.size() != 1) return std::unexpected(not_in_format(file, what, remedy));
  const auto bytes = decoded(lines[0], 2 + id_bytes + 32);
  if (!bytes || !bytes->starts_with(key_kind)) return std::unexpected(not_in_format(file, what, remedy));
  return PublicKey{bytes->substr(2, id_bytes), bytes->substr(2 + id_bytes)};
}

std::string public_key_text(const PublicKey& key) { return to_base64(std::string(key_kind) + key.id + key.key); }

std::string public_key_file(const PublicKey& key) {
  return fmt::format("{}minisign public key {}\n{}\n", untrusted_prefix, shown_id(key.id), public_key_text(key));
}

Result<SecretKey> read_secret_key(std::string_view text, std::string_view password, std::string_view file) {
  const auto broken = [&] {
    return std::unexpected(not_in_format(file, "a minisign secret key", "Make one with 'afloat releases keygen'."));
  };
  const auto lines = lines_of(text);
  if (lines.size() != 2 || !lines[0].starts_with(untrusted_prefix)) return broken();
  const auto bytes = decoded(lines[1], 6 + salt_bytes + 16 + hidden_bytes);
  if (!bytes || !bytes->starts_with(key_kind) || bytes->substr(4, 2) != checksum_kind) return broken();
  const std::string kdf = bytes->substr(2, 2);
  std::string hidden = bytes->substr(bytes->size() - hidden_bytes);
  if (kdf == scrypt_kind) {
    if (password.empty())
      return fail(ErrorKind::failed_precondition,
                  fmt::format("The key {} is encrypted. Give its password with --password-file.", file));
    const PasswordCost cost{number_in(std::string_view(*bytes).substr(6 + salt_bytes)),
                            number_in(std::string_view(*bytes).substr(6 + salt_bytes + 8))};
    if (cost.operations > max_operations || cost.memory_bytes > max_memory) return broken();
    auto stream = password_stream(password, std::string_view(*bytes).substr(6, salt_bytes), cost);
    if (!stream) return std::unexpected(stream.error());
    exclusive_or(hidden, *stream);
    wipe(*stream);
  } else if (kdf != no_kdf) {
    return broken();
  }
  SecretKey key(hidden.substr(0, id_bytes), hidden.substr(id_bytes, 64));
  const std::string checksum = hidden.substr(id_bytes + 64);
  wipe(hidden);
  // minisign leaves the checksum of a key without a password zero.
  const bool unchecked = kdf == no_kdf && checksum == std::string(checksum_bytes, '\0');
  if (!unchecked && checksum != checksum_of(key)) {
    if (kdf == scrypt_kind)
      return fail(ErrorKind::failed_precondition, fmt::format("The password of the key {} is another one.", file));
    return broken();
  }
  return key;
}

Result<std::string> secret_key_file(const SecretKey& key, std::string_view password, PasswordCost cost) {
  std::string hidden = key.id() + key.key() + checksum_of(key);
  std::string salt(salt_bytes, '\0');
  if (password.empty()) {
    cost = {0, 0};
  } else {
    randombytes_buf(salt.data(), salt.size());
    auto stream = password_stream(password, salt, cost);
    if (!stream) return std::unexpected(stream.error());
    exclusive_or(hidden, *stream);
    wipe(*stream);
  }
  std::string bytes = fmt::format("{}{}{}{}{}{}{}", key_kind, password.empty() ? no_kdf : scrypt_kind, checksum_kind,
                                  salt, number(cost.operations), number(cost.memory_bytes), hidden);
  std::string text = fmt::format("{}minisign {}secret key\n{}\n", untrusted_prefix,
                                 password.empty() ? "" : "encrypted ", to_base64(bytes));
  wipe(bytes);
  wipe(hidden);
  return text;
}

std::string sign(std::string_view bytes, std::string_view trusted_comment, const SecretKey& key) {
  const std::string signature = signed_bytes(blake2b(bytes, 64), key);
  const std::string over_comment = signed_bytes(signature + std::string(trusted_comment), key);
  return fmt::format("{}signature from minisign secret key\n{}\n{}{}\n{}\n", untrusted_prefix,
                     to_base64(std::string(prehashed_kind) + key.id() + signature), trusted_prefix, trusted_comment,
                     to_base64(over_comment));
}

Result<Signature> read_signature(std::string_view text, std::string_view file) {
  const auto broken = [&](std::string_view found) {
    return fail(ErrorKind::data_corrupted,
                fmt::format("{} is no whole minisign signature: {}. Get it again, or sign anew.", file, found));
  };
  if (text.size() > max_text) return broken("it is too long");
  const auto lines = lines_of(text);
  if (lines.size() != 4) return broken(fmt::format("it has {} lines of 4", lines.size()));
  if (!lines[0].starts_with(untrusted_prefix)) return broken("line 1 is no untrusted comment");
  const auto bytes = decoded(lines[1], 2 + id_bytes + 64);
  if (!bytes) return broken("line 2 is no signature");
  if (bytes->starts_with(key_kind))
    return fail(ErrorKind::failed_precondition,
                fmt::format("{}, made with key {}, is of minisign's old kind (Ed), which is not accepted. Sign again "
                            "with 'afloat releases sign', or with minisign without -l.",
                            file, shown_id(std::string_view(*bytes).substr(2, id_bytes))));
  if (!bytes->starts_with(prehashed_kind)) return broken("line 2 is of an unknown kind");
  if (!lines[2].starts_with(trusted_prefix)) return broken("line 3 is no trusted comment");
  const auto over_comment = decoded(lines[3], 64);
  if (!over_comment) return broken("line 4 is no signature");
  return Signature{bytes->substr(2, id_bytes), bytes->substr(2 + id_bytes), lines[2].substr(trusted_prefix.size()),
                   *over_comment};
}

Verdict verify(std::string_view bytes, const Signature& signature, const PublicKey& key) {
  if (signature.id != key.id) return Verdict::bad_signature;
  const bool file = is_signed(blake2b(bytes, 64), signature.signature, key);
  const bool comment = is_signed(signature.signature + signature.trusted_comment, signature.comment_signature, key);
  if (file) return comment ? Verdict::good : Verdict::bad_comment;
  return comment ? Verdict::other_bytes : Verdict::bad_signature;
}

}  // namespace afloat::minisign
