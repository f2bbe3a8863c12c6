#include "base/hash.h"

#include <sodium.h>

#include <array>
#include <new>
#include <stdexcept>

#include "base/text.h"

namespace afloat {
namespace {

const unsigned char* raw(std::string_view bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
unsigned char* raw(std::string& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

std::string random_bytes(std::size_t count) {
  std::string bytes(count, '\0');
  randombytes_buf(bytes.data(), bytes.size());
  return bytes;
}

crypto_hash_sha256_state* state_in(unsigned char* buffer) {
  return std::launder(reinterpret_cast<crypto_hash_sha256_state*>(buffer));
}

}  // namespace

void init_crypto() {
  if (sodium_init() < 0) throw std::runtime_error("libsodium could not be initialised: no source of random numbers");
}

std::string sha256_hex(std::string_view bytes) {
  std::string digest(crypto_hash_sha256_BYTES, '\0');
  crypto_hash_sha256(raw(digest), raw(bytes), bytes.size());
  return to_hex(digest);
}

std::string keyed_hash(std::string_view key, std::string_view bytes) {
  if (key.size() < crypto_generichash_KEYBYTES_MIN || key.size() > crypto_generichash_KEYBYTES_MAX)
    throw std::logic_error("keyed_hash: the key must have 16 to 64 bytes");
  std::string digest(32, '\0');
  crypto_generichash(raw(digest), digest.size(), raw(bytes), bytes.size(), raw(key), key.size());
  return digest;
}

Sha256::Sha256() {
  static_assert(sizeof(crypto_hash_sha256_state) <= sizeof(state_));
  static_assert(alignof(crypto_hash_sha256_state) <= 16);
  crypto_hash_sha256_init(new (state_) crypto_hash_sha256_state);
}

void Sha256::update(std::string_view bytes) { crypto_hash_sha256_update(state_in(state_), raw(bytes), bytes.size()); }

std::string Sha256::hex() {
  std::string digest(crypto_hash_sha256_BYTES, '\0');
  crypto_hash_sha256_final(state_in(state_), raw(digest));
  return to_hex(digest);
}

bool equal_secrets(std::string_view a, std::string_view b) {
  // The length of a secret is no secret; its content is.
  return a.size() == b.size() && (a.empty() || sodium_memcmp(a.data(), b.data(), a.size()) == 0);
}

std::string hash_password(std::string_view password) {
  constexpr std::size_t memory = 19 * 1024 * 1024;
  std::array<char, crypto_pwhash_STRBYTES> encoded{};
  if (crypto_pwhash_str_alg(encoded.data(), password.data(), password.size(), 2, memory,
                            crypto_pwhash_ALG_ARGON2ID13) != 0)
    throw std::bad_alloc();
  return encoded.data();
}

bool verify_password(std::string_view encoded_hash, std::string_view password) {
  // libsodium reads up to the NUL: a stored hash that is cut or padded must not be read past its end.
  if (encoded_hash.size() >= crypto_pwhash_STRBYTES) return false;
  const std::string encoded(encoded_hash);
  return crypto_pwhash_str_verify(encoded.c_str(), password.data(), password.size()) == 0;
}

std::string random_hex(std::size_t count) { return to_hex(random_bytes(count)); }

std::string random_uuid() {
  std::string bytes = random_bytes(16);
  bytes[6] = static_cast<char>((bytes[6] & 0x0F) | 0x40);
  bytes[8] = static_cast<char>((bytes[8] & 0x3F) | 0x80);
  std::string text = to_hex(bytes);
  for (const std::size_t dash : {20, 16, 12, 8}) text.insert(dash, 1, '-');
  return text;
}

}  // namespace afloat
