#include "agent/release_store.h"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "adapters/files/archive.h"
#include "agent/catalogue.h"
#include "base/hash.h"

namespace afloat::agent {
namespace {

namespace fs = std::filesystem;

void write(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

/// A catalogue with a bundle of 1.1.0, and an empty store.
class ReleaseStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    init_crypto();
    root_ = fs::temp_directory_path() / ("afloat-store-" + random_hex(6));
    write(root_ / "build/afloat", std::string(300'000, 'b') + "binary");
    write(root_ / "build/web/templates/view.mustache", "<p>{{title}}</p>");
    write(root_ / "build/web/assets/site.css", "p{}");
    write(root_ / "build/NOTES.md", "# Notes");
    pack("1.1.0");
    store_ = std::make_unique<ReleaseStore>(path("releases"), path("catalogue"),
                                            [this](const std::string&) { return in_use_; });
    ASSERT_TRUE(store_->clean());
  }
  void TearDown() override { fs::remove_all(root_); }

  void pack(const std::string& version) {
    auto packed = pack_bundle(
        {version, path("build/afloat"), path("build/web"), path("build/NOTES.md"), path("catalogue/" + version)});
    ASSERT_TRUE(packed) << packed.error().message();
  }
  std::string path(const std::string& name) const { return (root_ / name).string(); }
  std::string archive() const { return path("catalogue/1.1.0/afloat-1.1.0.tar.zst"); }
  /// Makes the manifest agree with whatever archive is there now, as an attacker or a bad build would.
  void rewrite_manifest(std::function<void(version::Manifest&)> change) {
    auto manifest = version::parse_manifest(*files::read_file(path("catalogue/1.1.0/manifest.json")));
    ASSERT_TRUE(manifest);
    change(*manifest);
    write(root_ / "catalogue/1.1.0/manifest.json", version::to_json(*manifest));
  }
  void expect_refused(ErrorKind kind) {
    auto result = store_->distribute("1.1.0");
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind(), kind) << result.error().message();
    EXPECT_FALSE(store_->has("1.1.0"));
    for (const auto& entry : fs::directory_iterator(root_ / "releases"))
      ADD_FAILURE() << "left behind: " << entry.path();
  }

  fs::path root_;
  bool in_use_ = false;
  std::unique_ptr<ReleaseStore> store_;
};

TEST_F(ReleaseStoreTest, UnpacksAVerifiedReleaseAndTellsTheSameTwice) {
  auto done = store_->distribute("1.1.0");
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(store_->versions(), std::vector<std::string>{"1.1.0"});
  EXPECT_EQ(files::read_file(path("releases/1.1.0/share/web/assets/site.css")).value(), "p{}");
  EXPECT_EQ(fs::status(path("releases/1.1.0/bin/afloat")).permissions() & fs::perms::owner_exec, fs::perms::owner_exec);
  EXPECT_EQ(files::read_file(path("releases/1.1.0/manifest.json")).value(),
            files::read_file(path("catalogue/1.1.0/manifest.json")).value());
  EXPECT_TRUE(store_->distribute("1.1.0"));
  EXPECT_TRUE(store_->verify("1.1.0"));
}

TEST_F(ReleaseStoreTest, PackingTwiceGivesTheSameBytes) {
  const auto before = files::sha256_of_file(archive()).value();
  fs::last_write_time(path("build/afloat"), fs::file_time_type::clock::now() - std::chrono::hours(5));
  pack("1.1.0");
  EXPECT_EQ(files::sha256_of_file(archive()).value(), before);
}

TEST_F(ReleaseStoreTest, RefusesATruncatedArchive) {
  fs::resize_file(archive(), fs::file_size(archive()) / 2);
  expect_refused(ErrorKind::data_corrupted);
}

TEST_F(ReleaseStoreTest, RefusesATruncatedArchiveEvenWhenTheManifestAgrees) {
  fs::resize_file(archive(), fs::file_size(archive()) / 2);
  rewrite_manifest([&](auto& manifest) { manifest.archive_sha256 = files::sha256_of_file(archive()).value(); });
  expect_refused(ErrorKind::data_corrupted);
}

TEST_F(ReleaseStoreTest, RefusesAFlippedByte) {
  auto bytes = files::read_file(archive()).value();
  bytes[bytes.size() / 2] ^= 1;
  write(archive(), bytes);
  expect_refused(ErrorKind::data_corrupted);
  auto entry = find_release(path("catalogue"), "1.1.0");
  ASSERT_TRUE(entry);
  EXPECT_FALSE(verify_bundle(*entry));
}

TEST_F(ReleaseStoreTest, RefusesAFileThatIsNotWhatTheManifestLists) {
  rewrite_manifest([](auto& manifest) { manifest.files["NOTES.md"] = sha256_hex("other"); });
  expect_refused(ErrorKind::data_corrupted);
}

TEST_F(ReleaseStoreTest, RefusesAFileThatTheManifestDoesNotList) {
  rewrite_manifest([](auto& manifest) { manifest.files.erase("NOTES.md"); });
  expect_refused(ErrorKind::data_corrupted);
}

TEST_F(ReleaseStoreTest, RefusesTheManifestOfAnotherVersion) {
  fs::rename(path("catalogue/1.1.0"), path("catalogue/1.2.0"));
  auto result = store_->distribute("1.2.0");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::failed_precondition) << result.error().message();
}

TEST_F(ReleaseStoreTest, RefusesAnotherProduct) {
  auto text = files::read_file(path("catalogue/1.1.0/manifest.json")).value();
  text.replace(text.find("\"afloat\""), 8, "\"adrift\"");
  write(root_ / "catalogue/1.1.0/manifest.json", text);
  EXPECT_FALSE(store_->distribute("1.1.0"));
}

TEST_F(ReleaseStoreTest, RefusesAnotherArchitecture) {
  rewrite_manifest([](auto& manifest) { manifest.architecture = "riscv64"; });
  expect_refused(ErrorKind::failed_precondition);
}

TEST_F(ReleaseStoreTest, RefusesPathsThatLeaveTheFolder) {
  for (const char* name : {"../escaped", "/tmp/afloat-escaped", "share/../../escaped", "share//x"}) {
    SCOPED_TRACE(name);
    archive_entry* entry = archive_entry_new();
    struct archive* writer = archive_write_new();
    archive_write_set_format_pax_restricted(writer);
    archive_write_add_filter_zstd(writer);
    archive_write_open_filename(writer, archive().c_str());
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, 1);
    archive_write_header(writer, entry);
    archive_write_data(writer, "x", 1);
    archive_entry_free(entry);
    archive_write_free(writer);
    rewrite_manifest([&](auto& manifest) {
      manifest.archive_sha256 = files::sha256_of_file(archive()).value();
      manifest.files = {{"bin/afloat", sha256_hex("x")}};
    });
    expect_refused(ErrorKind::data_corrupted);
    EXPECT_FALSE(fs::exists(root_ / "escaped"));
    EXPECT_FALSE(fs::exists("/tmp/afloat-escaped"));
  }
}

TEST_F(ReleaseStoreTest, RefusesTwoBuildsOfOneVersion) {
  ASSERT_TRUE(store_->distribute("1.1.0"));
  write(root_ / "build/NOTES.md", "# Other notes");
  pack("1.1.0");
  auto result = store_->distribute("1.1.0");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::failed_precondition);
}

TEST_F(ReleaseStoreTest, RepairsADamagedReleaseUnlessANodeUsesIt) {
  ASSERT_TRUE(store_->distribute("1.1.0"));
  write(root_ / "releases/1.1.0/NOTES.md", "scribbled");
  in_use_ = true;
  auto kept = store_->distribute("1.1.0");
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().kind(), ErrorKind::data_corrupted);
  in_use_ = false;
  EXPECT_TRUE(store_->distribute("1.1.0"));
  EXPECT_TRUE(store_->verify("1.1.0"));
  ASSERT_TRUE(store_->clean());
  EXPECT_EQ(std::distance(fs::directory_iterator(path("releases")), {}), 1);
}

/// A store that trusts one key.
class SignedReleaseTest : public ReleaseStoreTest {
 protected:
  void SetUp() override {
    ReleaseStoreTest::SetUp();
    store_ = std::make_unique<ReleaseStore>(path("releases"), path("catalogue"),
                                            [this](const std::string&) { return in_use_; },
                                            std::vector{key_.public_key()});
  }
  std::string signature() const { return path("catalogue/1.1.0/manifest.json.minisig"); }
  void sign(const std::string& version = "1.1.0") {
    auto entry = sign_bundle(path("catalogue/" + version), key_);
    ASSERT_TRUE(entry) << entry.error().message();
  }
  minisign::SecretKey key_ = [] {
    init_crypto();
    return minisign::generate_key();
  }();
};

TEST_F(SignedReleaseTest, UnpacksWhatATrustedKeySignedAndKeepsItsSignature) {
  expect_refused(ErrorKind::failed_precondition);
  sign();
  auto done = store_->distribute("1.1.0");
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(files::read_file(path("releases/1.1.0/manifest.json.minisig")).value(),
            files::read_file(signature()).value());
  EXPECT_TRUE(store_->distribute("1.1.0"));
  fs::remove_all(root_ / "catalogue/1.1.0");
  EXPECT_TRUE(store_->distribute("1.1.0")) << "it is unpacked, and the signature lies beside it";
  fs::remove(root_ / "releases/1.1.0/manifest.json.minisig");
  EXPECT_FALSE(store_->distribute("1.1.0"));
}

TEST_F(SignedReleaseTest, RefusesChangedFilesOfASignedBundle) {
  sign();
  const auto good = files::read_file(signature()).value();
  const auto refused_with = [&](const std::string& path_in_bundle, std::size_t at) {
    SCOPED_TRACE(path_in_bundle + " at " + std::to_string(at));
    const auto file = path("catalogue/1.1.0/" + path_in_bundle);
    const auto before = files::read_file(file).value();
    auto bytes = before;
    bytes[at] ^= 1;
    write(file, bytes);
    expect_refused(ErrorKind::data_corrupted);
    write(file, before);
  };
  refused_with("afloat-1.1.0.tar.zst", fs::file_size(archive()) / 2);
  refused_with("manifest.json", files::read_file(path("catalogue/1.1.0/manifest.json"))->find("Notes"));
  refused_with("manifest.json.minisig", good.find('\n') + 40);
  refused_with("manifest.json.minisig", good.find("version:1.1.0") + 8);
  write(signature(), good.substr(0, good.size() / 2));
  expect_refused(ErrorKind::data_corrupted);
  write(signature(), good);
  EXPECT_TRUE(store_->distribute("1.1.0"));
}

TEST_F(SignedReleaseTest, RefusesAnOldBundleUnderANewNameAndASignatureOfAnotherVersion) {
  pack("1.0.0");
  sign("1.0.0");
  sign();
  fs::copy_file(path("catalogue/1.0.0/manifest.json.minisig"), signature(), fs::copy_options::overwrite_existing);
  expect_refused(ErrorKind::data_corrupted);
  fs::remove_all(root_ / "catalogue/1.1.0");
  fs::rename(root_ / "catalogue/1.0.0", root_ / "catalogue/1.1.0");
  expect_refused(ErrorKind::failed_precondition);
}

TEST_F(SignedReleaseTest, AReleaseUnpackedBeforeKeysWereSetIsCheckedToo) {
  ASSERT_TRUE(ReleaseStore(path("releases"), path("catalogue"), [](const std::string&) { return false; })
                  .distribute("1.1.0"));
  in_use_ = true;
  auto refused = store_->distribute("1.1.0");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::failed_precondition) << refused.error().message();
  sign();
  auto taken = store_->distribute("1.1.0");
  EXPECT_TRUE(taken) << taken.error().message();
}

TEST_F(ReleaseStoreTest, NamesTheReleasesThereAre) {
  auto result = store_->distribute("1.3.0");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::not_found);
  EXPECT_NE(result.error().message().find("1.1.0"), std::string::npos);
  EXPECT_FALSE(store_->distribute("../1.1.0"));
}

}  // namespace
}  // namespace afloat::agent
