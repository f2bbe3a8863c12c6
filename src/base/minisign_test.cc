#include "base/minisign.h"

#include <gtest/gtest.h>

#include "base/hash.h"
#include "base/text.h"

namespace afloat::minisign {
namespace {

constexpr PasswordCost cheap{32'768, 16'777'216};

class MinisignTest : public ::testing::Test {
 protected:
  void SetUp() override { init_crypto(); }
  SecretKey key_ = [] {
    init_crypto();
    return generate_key();
  }();
};

// Made by Debian's minisign 0.11 (-G -W, then -S -t "x:y" of a file that holds "hi\n").
constexpr std::string_view known_public = "RWQ3QShUYcpG1fZvZsIBzGF8EKKnUK1sZGYErBoYbw+amQ/27JLX8EUE";
constexpr std::string_view known_secret =
    "untrusted comment: minisign encrypted secret key\n"
    "RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAN0EoVGHKRtVTTKtgox7w2eBgKUnujL5ZK3RbJV4B0m"
    "x1VGhjlaEl3fZvZsIBzGF8EKKnUK1sZGYErBoYbw+amQ/27JLX8EUEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
constexpr std::string_view known_signature =
    "untrusted comment: signature from minisign secret key\n"
    "RUQ3QShUYcpG1UhtPlKZbcqIflAGJ5WD7Ht+CQLO+daKUu7g4IfGG8aLh35DnQf8AIGK7xS20t/knCcjQ6bqtyceRYJKP2zLig8=\n"
    "trusted comment: x:y\n"
    "aAJ4SEumoeTNEWap52Un4Llo/DALY4MJNWkKqhrAXajWKl5OI0AnojTlSYByl5mgXGdd8Fek+zGaa9mnIIq0Cw==\n";

TEST_F(MinisignTest, ReadsAndMakesWhatMinisignMade) {
  auto open = read_public_key(known_public, "a.pub");
  ASSERT_TRUE(open) << open.error().message();
  EXPECT_EQ(shown_id(open->id), "D546CA6154284137");
  auto secret = read_secret_key(known_secret, "", "a.key");
  ASSERT_TRUE(secret) << secret.error().message();
  EXPECT_EQ(secret->public_key(), *open);
  auto signature = read_signature(known_signature, "f.minisig");
  ASSERT_TRUE(signature) << signature.error().message();
  EXPECT_EQ(verify("hi\n", *signature, *open), Verdict::good);
  EXPECT_EQ(sign("hi\n", "x:y", *secret), known_signature) << "Ed25519 gives the same bytes each time";
}

TEST_F(MinisignTest, EveryFlippedBitIsNoticed) {
  const std::string file = "the manifest", text = sign(file, "product:afloat", key_);
  const auto good = read_signature(text, "f.minisig");
  ASSERT_TRUE(good) << good.error().message();
  ASSERT_EQ(verify(file, *good, key_.public_key()), Verdict::good);
  const auto flipped = [](std::string bytes, std::size_t at) {
    bytes[at / 8] = static_cast<char>(bytes[at / 8] ^ (1 << at % 8));
    return bytes;
  };
  for (std::size_t i = 0; i < file.size() * 8; ++i)
    EXPECT_EQ(verify(flipped(file, i), *good, key_.public_key()), Verdict::other_bytes) << i;
  for (std::size_t i = 0; i < 64 * 8; ++i) {
    auto bad = *good;
    bad.signature = flipped(bad.signature, i);
    EXPECT_EQ(verify(file, bad, key_.public_key()), Verdict::bad_signature) << i;
    bad = *good;
    bad.comment_signature = flipped(bad.comment_signature, i);
    EXPECT_EQ(verify(file, bad, key_.public_key()), Verdict::bad_comment) << i;
  }
  for (std::size_t i = 0; i < good->trusted_comment.size() * 8; ++i) {
    auto bad = *good;
    bad.trusted_comment = flipped(bad.trusted_comment, i);
    EXPECT_EQ(verify(file, bad, key_.public_key()), Verdict::bad_comment) << i;
  }
}

TEST_F(MinisignTest, AnotherKeyOfTheSameIdVerifiesNothing) {
  const auto other = generate_key();
  auto signature = read_signature(sign("file", "c", SecretKey(key_.id(), other.key())), "f.minisig");
  ASSERT_TRUE(signature);
  EXPECT_EQ(verify("file", *signature, key_.public_key()), Verdict::bad_signature);
  EXPECT_EQ(verify("file", *signature, other.public_key()), Verdict::bad_signature) << "its id is another";
}

TEST_F(MinisignTest, TruncatedAndForeignFilesAreRefusedByName) {
  const std::string text = sign("file", "comment", key_);
  // The line end alone may be missing.
  for (std::size_t length = 0; length + 1 < text.size(); ++length) {
    auto read = read_signature(std::string_view(text).substr(0, length), "x/f.minisig");
    if (read) {
      ADD_FAILURE() << "taken at " << length << " of " << text.size();
      continue;
    }
    EXPECT_EQ(read.error().kind(), ErrorKind::data_corrupted);
    EXPECT_TRUE(read.error().message().starts_with("x/f.minisig")) << read.error().message();
  }
  EXPECT_TRUE(read_signature(std::string_view(text).substr(0, text.size() - 1), "f"));
  EXPECT_FALSE(read_signature(text + "more\n", "f"));
  EXPECT_FALSE(read_signature(std::string(100'000, 'x'), "f"));
  const auto open = public_key_file(key_.public_key());
  for (std::size_t length = 0; length + 1 < open.size(); ++length)
    EXPECT_FALSE(read_public_key(std::string_view(open).substr(0, length), "k.pub")) << length;
  const auto secret = *secret_key_file(key_, "");
  for (std::size_t length = 0; length + 1 < secret.size(); ++length)
    EXPECT_FALSE(read_secret_key(std::string_view(secret).substr(0, length), "", "k.key")) << length;
}

TEST_F(MinisignTest, TheOldKindIsRefusedAndNamesItsKey) {
  std::string text = sign("file", "comment", key_);
  auto lines = split(text, '\n');
  auto bytes = *from_base64(lines[1]);
  bytes[1] = 'd';
  lines[1] = to_base64(bytes);
  auto read = read_signature(join(lines, "\n"), "f.minisig");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind(), ErrorKind::failed_precondition);
  EXPECT_NE(read.error().message().find(shown_id(key_.id())), std::string::npos) << read.error().message();
  EXPECT_NE(read.error().message().find("old kind"), std::string::npos) << read.error().message();
}

TEST_F(MinisignTest, KeysSurviveTheirFiles) {
  auto open = read_public_key(public_key_file(key_.public_key()), "k.pub");
  ASSERT_TRUE(open) << open.error().message();
  EXPECT_EQ(*open, key_.public_key());
  EXPECT_EQ(*read_public_key(public_key_text(key_.public_key()), "-P"), key_.public_key());
  auto plain = read_secret_key(*secret_key_file(key_, ""), "", "k.key");
  ASSERT_TRUE(plain) << plain.error().message();
  EXPECT_EQ(plain->key(), key_.key());

  const auto hidden = secret_key_file(key_, "correct horse", cheap);
  ASSERT_TRUE(hidden) << hidden.error().message();
  auto back = read_secret_key(*hidden, "correct horse", "k.key");
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(back->key(), key_.key());
  EXPECT_EQ(back->id(), key_.id());
  auto wrong = read_secret_key(*hidden, "wrong horse", "k.key");
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message().find("password"), std::string::npos);
  auto none = read_secret_key(*hidden, "", "k.key");
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message().find("--password-file"), std::string::npos);
}

TEST_F(MinisignTest, ADamagedSecretKeyIsNotUsed) {
  auto lines = split(*secret_key_file(key_, ""), '\n');
  auto bytes = *from_base64(lines[1]);
  bytes[80] = static_cast<char>(bytes[80] ^ 1);
  lines[1] = to_base64(bytes);
  EXPECT_FALSE(read_secret_key(join(lines, "\n"), "", "k.key"));
}

}  // namespace
}  // namespace afloat::minisign
