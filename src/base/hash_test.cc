#include "base/hash.h"

#include <gtest/gtest.h>

#include <set>

#include "base/text.h"

namespace afloat {
namespace {

class Hash : public testing::Test {
 protected:
  static void SetUpTestSuite() { init_crypto(); }
};

TEST_F(Hash, Sha256OfKnownTexts) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_F(Hash, StreamedInAnyPiecesItIsTheSame) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += static_cast<char>(i * 7);
  for (const std::size_t piece : {1u, 63u, 64u, 65u, 1000u}) {
    SCOPED_TRACE(piece);
    Sha256 stream;
    for (std::size_t at = 0; at < text.size(); at += piece) stream.update(std::string_view(text).substr(at, piece));
    EXPECT_EQ(stream.hex(), sha256_hex(text));
  }
  EXPECT_EQ(Sha256().hex(), sha256_hex(""));
}

TEST_F(Hash, KeyedHashDependsOnKeyAndText) {
  const std::string key(32, 'k'), other(32, 'o');
  EXPECT_EQ(keyed_hash(key, "a").size(), 32u);
  EXPECT_EQ(keyed_hash(key, "a"), keyed_hash(key, "a"));
  EXPECT_NE(keyed_hash(key, "a"), keyed_hash(other, "a"));
  EXPECT_NE(keyed_hash(key, "a"), keyed_hash(key, "b"));
  EXPECT_THROW(keyed_hash("short", "a"), std::logic_error);
}

TEST_F(Hash, EqualSecrets) {
  EXPECT_TRUE(equal_secrets("", ""));
  EXPECT_TRUE(equal_secrets("abc", "abc"));
  EXPECT_FALSE(equal_secrets("abc", "abd"));
  EXPECT_FALSE(equal_secrets("abc", "abcd"));
}

TEST_F(Hash, PasswordsAreArgon2idAndVerify) {
  const auto encoded = hash_password("pässword");
  EXPECT_TRUE(encoded.starts_with("$argon2id$v=19$m=19456,t=2,p=1$")) << encoded;
  EXPECT_TRUE(verify_password(encoded, "pässword"));
  EXPECT_FALSE(verify_password(encoded, "password"));
  for (const std::string& broken : {std::string(), std::string("x"), encoded.substr(0, 40), std::string(500, 'a')}) {
    SCOPED_TRACE(broken);
    EXPECT_FALSE(verify_password(broken, "pässword"));
  }
}

TEST_F(Hash, RandomTextHasTheRightFormAndDiffers) {
  EXPECT_EQ(random_hex(16).size(), 32u);
  EXPECT_TRUE(from_hex(random_hex(16)));
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const auto uuid = random_uuid();
    ASSERT_EQ(uuid.size(), 36u);
    EXPECT_EQ(uuid[8], '-');
    EXPECT_EQ(uuid[23], '-');
    EXPECT_EQ(uuid[14], '4');
    EXPECT_NE(std::string_view("89ab").find(uuid[19]), std::string_view::npos);
    seen.insert(uuid);
  }
  EXPECT_EQ(seen.size(), 100u);
}

}  // namespace
}  // namespace afloat
