#include "agent/fetch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "adapters/files/archive.h"
#include "adapters/files/releases.h"
#include "adapters/http/download.h"
#include "base/hash.h"
#include "base/text.h"

namespace afloat::agent {
namespace {

namespace fs = std::filesystem;

void write(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

/// A publisher's folder with signed bundles of 1.1.0 and 1.2.0 and their index, and a site's empty catalogue.
class FetchTest : public ::testing::Test {
 protected:
  FetchTest() : key_((init_crypto(), minisign::generate_key())) {}
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("afloat fetch-" + random_hex(6));
    write(root_ / "build/afloat", std::string(200'000, 'b') + random_hex(20'000));
    write(root_ / "build/web/site.css", "p{}");
    write(root_ / "build/NOTES.md", "# Notes\n\nNew things.");
    publish("1.1.0");
    publish("1.2.0");
    index(100);
    source_ = {
        .from = path("published"), .catalogue = path("catalogue"), .ca_file = {}, .trusted = {key_.public_key()}};
  }
  void TearDown() override { fs::remove_all(root_); }

  void publish(const std::string& version, const std::string& fault = "none") {
    PackRequest request{version, path("build/afloat"), path("build/web"), path("build/NOTES.md"),
                        path("published/" + version)};
    request.fault_profile = fault;
    auto packed = pack_bundle(request);
    ASSERT_TRUE(packed) << packed.error().message();
    ASSERT_TRUE(sign_bundle(path("published/" + version), key_));
  }
  MadeIndex index(std::int64_t seconds) {
    auto made =
        make_index({.catalogue = path("published"), .date = "2026-11-23T10:00:00.000Z", .unix_seconds = seconds}, key_);
    if (!made) throw std::runtime_error(made.error().message());
    return *made;
  }
  std::string path(const std::string& name) const { return (root_ / name).string(); }
  std::string archive(const std::string& folder) const { return path(folder + "/1.1.0/afloat-1.1.0.tar.zst"); }
  std::vector<std::string> catalogue() const {
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(path("catalogue"), error))
      names.push_back(entry.path().filename().string());
    std::ranges::sort(names);
    return names;
  }
  Result<Fetched> fetch(const std::string& version) {
    auto index = fetch_index(source_);
    if (!index) return std::unexpected(index.error());
    return fetch_release(source_, *index, version);
  }
  /// Refused with these words, and the catalogue has nothing but an index.
  void expect_refused(const std::string& says) {
    const auto done = fetch("1.1.0");
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().message().find(says), std::string::npos) << done.error().message();
    for (const auto& name : catalogue()) EXPECT_TRUE(name.starts_with("index.json")) << "left behind: " << name;
  }

  fs::path root_;
  minisign::SecretKey key_;
  FetchSource source_;
};

TEST_F(FetchTest, AReleaseComesWholeAndTheIndexStaysWithIt) {
  const auto done = fetch("1.1.0");
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_FALSE(done->was_there);
  EXPECT_EQ(catalogue(), (std::vector<std::string>{"1.1.0", "index.json", "index.json.minisig"}));
  const auto entry = find_release(path("catalogue"), "1.1.0");
  ASSERT_TRUE(entry);
  EXPECT_TRUE(verify_bundle(*entry));
  EXPECT_TRUE(signed_by(*entry, source_.trusted));
  EXPECT_EQ(*files::read_file(archive("catalogue")), *files::read_file(archive("published")));
  const auto again = fetch("1.1.0");
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_TRUE(again->was_there);
  const auto known = files::known_releases(path("catalogue"));
  ASSERT_TRUE(known);
  ASSERT_EQ(known->size(), 2U);
  EXPECT_TRUE((*known)[0].release.fetched);
  EXPECT_FALSE((*known)[1].release.fetched);
}

TEST_F(FetchTest, ATruncatedOrAlteredFileIsRefusedAndLeavesNothingBehind) {
  const auto whole = *files::read_file(archive("published"));
  write(archive("published"), whole.substr(0, whole.size() / 2));
  expect_refused("SHA-256");
  auto flipped = whole;
  flipped[whole.size() / 2] ^= 1;
  write(archive("published"), flipped);
  expect_refused("SHA-256");
  fs::remove(archive("published"));
  expect_refused("is not there");
  write(archive("published"), whole);

  const auto manifest_file = path("published/1.1.0/manifest.json");
  const auto manifest = *files::read_file(manifest_file);
  write(manifest_file, replace_all(manifest, "New things", "Old things"));
  expect_refused("but the index says");
  write(manifest_file, manifest.substr(0, 40));
  expect_refused("but the index says");
  write(manifest_file, manifest);
  fs::remove(path("published/1.1.0/manifest.json.minisig"));
  expect_refused("manifest.json.minisig is missing");
  ASSERT_TRUE(sign_bundle(path("published/1.1.0"), key_));
  EXPECT_TRUE(fetch("1.1.0"));
}

TEST_F(FetchTest, ADamagedReleaseInTheCatalogueIsReplacedOnlyByAWholeOne) {
  ASSERT_TRUE(fetch("1.1.0"));
  const auto whole = *files::read_file(archive("published"));
  write(archive("catalogue"), "damaged");
  write(archive("published"), "damaged too");
  EXPECT_FALSE(fetch("1.1.0"));
  EXPECT_EQ(*files::read_file(archive("catalogue")), "damaged");
  write(archive("published"), whole);
  const auto done = fetch("1.1.0");
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_FALSE(done->was_there);
  EXPECT_EQ(*files::read_file(archive("catalogue")), whole);
  EXPECT_EQ(catalogue().size(), 3U);
}

TEST_F(FetchTest, ADownloadThatWasCutOffGoesOnWhereItStopped) {
  const auto index = fetch_index(source_);
  ASSERT_TRUE(index) << index.error().message();
  // As a broken connection leaves it: the beginning, under the stage of this build.
  const auto digest = version::find_entry(*index, "1.1.0")->digest;
  const auto part = path("catalogue/.fetch-" + digest.substr(0, 16) + "/1.1.0/afloat-1.1.0.tar.zst.part");
  const auto whole = *files::read_file(archive("published"));
  write(part, whole.substr(0, 1000));
  // What comes from here on proves it: the publisher's beginning is gone, and yet the file is whole.
  write(archive("published"), std::string(1000, '?') + whole.substr(1000));
  const auto done = fetch_release(source_, *index, "1.1.0");
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(*files::read_file(archive("catalogue")), whole);
  EXPECT_EQ(catalogue().size(), 3U);
}

TEST_F(FetchTest, ABeginningThatIsLongerThanTheFileIsThrownAway) {
  const auto index = fetch_index(source_);
  ASSERT_TRUE(index);
  const auto digest = version::find_entry(*index, "1.1.0")->digest;
  write(path("catalogue/.fetch-" + digest.substr(0, 16) + "/1.1.0/afloat-1.1.0.tar.zst.part"),
        std::string(2'000'000, '?'));
  const auto done = fetch_release(source_, *index, "1.1.0");
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(*files::read_file(archive("catalogue")), *files::read_file(archive("published")));
}

TEST_F(FetchTest, AnOldIndexShownAgainIsRefused) {
  const auto old = *files::read_file(path("published/index.json")),
             signature = *files::read_file(path("published/index.json.minisig"));
  publish("1.2.1");
  index(200);
  ASSERT_TRUE(fetch_index(source_));
  write(path("published/index.json"), old);
  write(path("published/index.json.minisig"), signature);
  const auto replayed = fetch_index(source_);
  ASSERT_FALSE(replayed);
  EXPECT_NE(replayed.error().message().find("number 100"), std::string::npos) << replayed.error().message();
  EXPECT_NE(replayed.error().message().find("accepted number 200"), std::string::npos);
  EXPECT_EQ(files::accepted_index(path("catalogue"))->serial, 200);
}

TEST_F(FetchTest, NothingIsTakenWithoutATrustedKeyOrFromAnothersIndex) {
  source_.trusted.clear();
  auto refused = fetch_index(source_);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("trusted_keys"), std::string::npos);
  source_.trusted = {minisign::generate_key().public_key()};
  refused = fetch_index(source_);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("none of this site's trusted_keys"), std::string::npos)
      << refused.error().message();
  EXPECT_TRUE(catalogue().empty());
}

TEST_F(FetchTest, WhatIsNotOfferedIsNamedWithWhatIs) {
  const auto done = fetch("1.9.0");
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message().find("it has: 1.1.0, 1.2.0"), std::string::npos) << done.error().message();
  source_.from = path("nothing");
  const auto none = fetch_index(source_);
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message().find("has no index.json"), std::string::npos) << none.error().message();
}

TEST_F(FetchTest, TheIndexLeavesOutWhatNoSiteShouldTakeAndItsNumberRises) {
  publish("1.3.0", "slow");
  publish("1.4.0");
  fs::remove(path("published/1.4.0/manifest.json.minisig"));
  const auto made = index(50);
  EXPECT_EQ(made.index.serial, 101) << "above the last, although the clock went back";
  EXPECT_EQ(made.index.releases.size(), 2U);
  ASSERT_EQ(made.left_out.size(), 2U);
  EXPECT_NE(made.left_out[0].find("1.3.0: a test build"), std::string::npos);
  EXPECT_NE(made.left_out[1].find("1.4.0"), std::string::npos);
}

TEST(Addresses, FoldersAndAddressesButNoOtherKind) {
  EXPECT_EQ(http::address_of("https://example.org/afloat/").value(), "https://example.org/afloat");
  EXPECT_EQ(http::address_of("/srv/my releases").value(), "file:///srv/my%20releases");
  for (const auto* place : {"http://example.org", "ftp://example.org", ""})
    EXPECT_FALSE(http::address_of(place)) << place;
}

}  // namespace
}  // namespace afloat::agent
