#pragma once
#include <string>
#include <string_view>

/// Digests, by libsodium. `init_crypto()` must have run once (main does).
namespace afloat {

void init_crypto();
/// Lower-case hex, 64 characters: the names of blobs and bundle files.
std::string sha256_hex(std::string_view bytes);
/// 32 raw bytes of keyed BLAKE2b: remembered credentials, session ids. `key` is 16 to 64 bytes.
std::string keyed_hash(std::string_view key, std::string_view bytes);
/// Streaming SHA-256 for files that do not fit in memory.
class Sha256 {
 public:
  Sha256();
  void update(std::string_view bytes);
  std::string hex();  ///< ends the computation

 private:
  alignas(16) unsigned char state_[256];
};
/// Comparison in constant time.
bool equal_secrets(std::string_view a, std::string_view b);
/// argon2id at 19 MiB, 2 passes (OWASP's minimum): 20 to 40 ms of CPU, so call it off the event loop.
std::string hash_password(std::string_view password);
bool verify_password(std::string_view encoded_hash, std::string_view password);
/// `count` random bytes from the operating system, hex: session ids, tokens, incarnations.
std::string random_hex(std::size_t count);
/// A random UUID (version 4) as text.
std::string random_uuid();

}  // namespace afloat
