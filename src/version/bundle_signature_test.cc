#include "version/bundle_signature.h"

#include <gtest/gtest.h>

#include "base/hash.h"
#include "base/text.h"

namespace afloat::version {
namespace {

using minisign::shown_id;

struct Case {
  std::string name;
  std::string text, signature;
  ErrorKind kind;
  std::string says;  ///< beside file and key id
};

class BundleSignatureTest : public ::testing::Test {
 protected:
  BundleSignatureTest() : key_((init_crypto(), minisign::generate_key())) {}
  static std::string manifest_of(const std::string& version) {
    Manifest manifest;
    manifest.version = version;
    manifest.build = build_number(*parse_version(version));
    manifest.architecture = "x86_64";
    manifest.archive = "afloat-" + version + ".tar.zst";
    manifest.archive_sha256 = sha256_hex(version);
    manifest.upgrade_from_min = "1.0.0";
    manifest.files = {{"bin/afloat", sha256_hex("binary")}};
    return to_json(manifest);
  }
  std::string signed_as(const std::string& text, const std::string& comment) const {
    return minisign::sign(text, comment, key_);
  }
  std::string properly_signed(const std::string& text) const {
    return signed_as(text, signature_comment(*parse_manifest(text), sha256_hex(text)));
  }
  Result<minisign::PublicKey> check(const std::string& text, std::optional<std::string> signature) const {
    const auto manifest = parse_manifest(text);
    if (!manifest) return std::unexpected(manifest.error());
    return check_signature({"catalogue/1.1.0", text, *manifest, std::move(signature)}, {other_, key_.public_key()});
  }
  minisign::SecretKey key_;
  minisign::PublicKey other_ = minisign::generate_key().public_key();
  std::string text_ = manifest_of("1.1.0");
};

TEST_F(BundleSignatureTest, NamesTheKeyThatSigned) {
  auto key = check(text_, properly_signed(text_));
  ASSERT_TRUE(key) << key.error().message();
  EXPECT_EQ(*key, key_.public_key());
  EXPECT_TRUE(check(text_, signed_as(text_, signature_comment(*parse_manifest(text_), sha256_hex(text_)) + " by:ci")))
      << "a word that only later releases know";
}

TEST_F(BundleSignatureTest, EveryRefusalNamesFileKeyFindingAndRemedy) {
  const auto digest = sha256_hex(text_);
  const auto old = manifest_of("1.0.0");
  auto changed = text_;
  changed.replace(changed.find("x86_64"), 3, "arm");
  auto lines = split(properly_signed(text_), '\n');
  const auto with_line = [&](std::size_t at, std::string line) {
    auto all = lines;
    all[at] = std::move(line);
    return join(all, "\n");
  };
  auto bytes = *from_base64(lines[1]);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  const std::vector<Case> cases = {
      {"manifest changed", changed, properly_signed(text_), ErrorKind::data_corrupted, "another bundle"},
      {"signature changed", text_, with_line(1, to_base64(bytes)), ErrorKind::data_corrupted, "did not sign"},
      {"comment changed", text_, with_line(2, "trusted comment: product:afloat version:9.9.9 digest:" + digest),
       ErrorKind::data_corrupted, "comment"},
      {"signature of another version", text_, properly_signed(old), ErrorKind::data_corrupted, "version:1.0.0"},
      {"comment of another version", text_, signed_as(text_, "product:afloat version:1.0.0 digest:" + digest),
       ErrorKind::data_corrupted, "version:1.0.0"},
      {"comment of another digest", text_, signed_as(text_, "product:afloat version:1.1.0 digest:" + sha256_hex("")),
       ErrorKind::data_corrupted, "digest:" + digest},
      {"comment of another product", text_, signed_as(text_, "product:other version:1.1.0 digest:" + digest),
       ErrorKind::data_corrupted, "product:other"},
      {"comment says it twice", text_,
       signed_as(text_, signature_comment(*parse_manifest(text_), digest) + " version:1.0.0"),
       ErrorKind::data_corrupted, "version:1.0.0"},
      {"comment of minisign's own", text_, signed_as(text_, "timestamp:1 file:manifest.json hashed"),
       ErrorKind::data_corrupted, "timestamp"},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.name);
    auto key = check(one.text, one.signature);
    if (key) {
      ADD_FAILURE() << "taken";
      continue;
    }
    const auto& message = key.error().message();
    EXPECT_EQ(key.error().kind(), one.kind) << message;
    for (const auto& part : {std::string("catalogue/1.1.0/manifest.json.minisig"), shown_id(key_.id()), one.says})
      EXPECT_NE(message.find(part), std::string::npos) << part << " is not in: " << message;
    EXPECT_TRUE(message.contains("Do not use") || message.contains("Sign the bundle again")) << message;
  }
}

TEST_F(BundleSignatureTest, UnknownKeyAndNoSignature) {
  const auto stranger = minisign::generate_key();
  const auto by_stranger =
      minisign::sign(text_, signature_comment(*parse_manifest(text_), sha256_hex(text_)), stranger);
  auto unknown = check(text_, by_stranger);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind(), ErrorKind::failed_precondition);
  for (const auto& id : {stranger.id(), key_.id(), other_.id})
    EXPECT_NE(unknown.error().message().find(shown_id(id)), std::string::npos) << unknown.error().message();

  auto none = check(text_, std::nullopt);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind(), ErrorKind::failed_precondition);
  for (const auto* part : {"catalogue/1.1.0/manifest.json.minisig is missing", "1.1.0", "afloat releases sign"})
    EXPECT_NE(none.error().message().find(part), std::string::npos) << none.error().message();
  EXPECT_NE(none.error().message().find(shown_id(key_.id())), std::string::npos);
}

}  // namespace
}  // namespace afloat::version
