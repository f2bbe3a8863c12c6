#include "version/index.h"

#include <gtest/gtest.h>

#include "base/hash.h"
#include "base/text.h"

namespace afloat::version {
namespace {

Manifest manifest_of(const std::string& version, const std::string& notes = "# Notes\n\nWhat is new.") {
  Manifest manifest;
  manifest.version = version;
  manifest.build = build_number(parse_version(version).value());
  manifest.upgrade_from_min = "1.0.0";
  manifest.notes = notes;
  return manifest;
}

class IndexTest : public ::testing::Test {
 protected:
  IndexTest() : key_((init_crypto(), minisign::generate_key())) {
    auto stable = manifest_of("1.2.0");
    stable.lts = true;
    stable.required_stops = {"1.1.0"};
    auto big = manifest_of("2.0.0");
    big.rolling = false;
    index_ = {.serial = 17, .date = "2026-11-23T10:00:00.000Z", .releases = {}};
    for (const auto& manifest : {manifest_of("1.1.3"), stable, big})
      index_.releases.push_back(index_entry(manifest, sha256_hex(manifest.version), index_.date));
  }
  std::string sign(const std::string& text, const std::string& comment) const {
    return minisign::sign(text, comment, key_);
  }
  Result<ReleaseIndex> read(const std::string& text, std::optional<std::string> signature) const {
    return read_signed_index({"https://releases.example.org", text, std::move(signature)}, {key_.public_key()});
  }
  minisign::SecretKey key_;
  ReleaseIndex index_;
};

TEST_F(IndexTest, SaysTheSameAfterWritingAndReading) {
  const auto text = to_json(index_);
  const auto again = parse_index(text);
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(to_json(*again), text);
  EXPECT_EQ(again->serial, 17);
  ASSERT_EQ(again->releases.size(), 3U);
  EXPECT_EQ(again->releases[0].kind, "bugfix");
  EXPECT_EQ(again->releases[1].kind, "feature");
  EXPECT_TRUE(again->releases[1].lts);
  EXPECT_EQ(again->releases[1].required_stops, std::vector<std::string>{"1.1.0"});
  EXPECT_EQ(again->releases[2].kind, "platform");
  EXPECT_FALSE(again->releases[2].rolling);
  EXPECT_NE(again->releases[2].notes.find("What is new"), std::string::npos);
}

TEST_F(IndexTest, IsTakenOnlyWithASignatureOfItsOwn) {
  const auto text = to_json(index_);
  const auto comment = index_comment(index_, sha256_hex(text));
  ASSERT_TRUE(read(text, sign(text, comment))) << read(text, sign(text, comment)).error().message();

  struct Case {
    std::string name;
    std::string text;
    std::optional<std::string> signature;
    std::string says;
  };
  const auto changed = replace_all(text, "1.1.3", "1.1.4"),
             swapped = replace_all(text, "\"serial\": 17", "\"serial\": 18");
  const auto other = minisign::generate_key();
  for (const auto& [name, bytes, signature, says] : {
           Case{"not signed", text, std::nullopt, "index.json.minisig is missing"},
           Case{"a release altered", changed, sign(text, comment), "another index"},
           Case{"the serial raised", swapped, sign(text, comment), "another index"},
           Case{"truncated", text.substr(0, text.size() / 2), sign(text, comment), "another index"},
           Case{"another's key", text, minisign::sign(text, comment, other), "none of this site's trusted_keys"},
           Case{"signed as something else", text, sign(text, "product:afloat version:1.1.3 digest:" + sha256_hex(text)),
                "but the index is"},
           Case{"signed as another index", text,
                sign(text, index_comment({.serial = 18, .date = {}, .releases = {}}, sha256_hex(text))),
                "but the index is"},
       }) {
    SCOPED_TRACE(name);
    const auto taken = read(bytes, signature);
    ASSERT_FALSE(taken);
    EXPECT_NE(taken.error().message().find(says), std::string::npos) << taken.error().message();
    EXPECT_NE(taken.error().message().find("https://releases.example.org"), std::string::npos);
  }
}

TEST_F(IndexTest, BrokenOnesAreRefusedWithTheReason) {
  const auto text = to_json(index_);
  for (const auto& [replace, by, says] : {
           std::tuple("\"product\": \"afloat\"", "\"product\": \"confluence\"", "not for afloat"),
           std::tuple("\"serial\": 17", "\"serial\": 0", "serial"),
           std::tuple("\"releases\"", "\"relases\"", "no \"releases\""),
           std::tuple("\"1.1.3\"", "\"../1.1.3\"", "not a version"),
           std::tuple("\"1.1.3\"", "\"1.2.0\"", "build"),
           std::tuple("\"lts\":true", "\"lts\":\"yes\"", "true or false"),
           std::tuple("[\"1.1.0\"]", "[\"one\"]", "required stop"),
       }) {
    SCOPED_TRACE(replace);
    const auto changed = replace_all(text, replace, by);
    ASSERT_NE(changed, text);
    const auto parsed = parse_index(changed);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().kind(), ErrorKind::data_corrupted);
    EXPECT_NE(parsed.error().message().find(says), std::string::npos) << parsed.error().message();
  }
}

TEST_F(IndexTest, AnOlderOneThanWasAcceptedIsRefused) {
  auto older = index_, newer = index_;
  older.serial = 16;
  newer.serial = 18;
  const auto text = to_json(index_);
  EXPECT_TRUE(check_newer(newer, to_json(newer), index_, text));
  EXPECT_TRUE(check_newer(index_, text, index_, text)) << "the same again";
  const auto replayed = check_newer(older, to_json(older), index_, text);
  ASSERT_FALSE(replayed);
  EXPECT_NE(replayed.error().message().find("number 16"), std::string::npos) << replayed.error().message();
  EXPECT_NE(replayed.error().message().find("accepted number 17"), std::string::npos);
  const auto twin = check_newer(index_, text + " ", index_, text);
  ASSERT_FALSE(twin);
  EXPECT_EQ(twin.error().kind(), ErrorKind::data_corrupted);
}

TEST_F(IndexTest, KnownAreTheManifestsAndWhatOnlyTheIndexOffers) {
  const auto known = merge_known({manifest_of("1.0.1"), manifest_of("1.2.0", "# Own notes\n\nOurs.")}, &index_);
  ASSERT_EQ(known.size(), 4U);
  EXPECT_EQ(to_string(known[0].release.version), "1.0.1");
  EXPECT_TRUE(known[0].release.fetched);
  EXPECT_FALSE(known[1].release.fetched);
  EXPECT_TRUE(known[2].release.fetched);
  EXPECT_NE(known[2].notes.find("Ours"), std::string::npos);
  EXPECT_EQ(known[2].date, index_.date);
  EXPECT_EQ(merge_known({manifest_of("1.0.1")}, nullptr).size(), 1U);
}

TEST_F(IndexTest, NotesAreThoseOfTheTargetAndOfEveryVersionInBetween) {
  const auto known = merge_known({manifest_of("1.0.0"), manifest_of("1.0.1", "\n \n"), manifest_of("1.1.0-rc.1"),
                                  manifest_of("1.1.0"), manifest_of("1.2.0"), manifest_of("1.3.0")},
                                 &index_);
  const auto versions = [&](const char* from, const char* to) {
    std::vector<std::string> names;
    for (const auto& each : notes_between(known, parse_version(from).value(), parse_version(to).value()))
      names.push_back(each.version);
    return join(names, " ");
  };
  EXPECT_EQ(versions("1.0.0", "1.2.0"), "1.2.0 1.1.3 1.1.0")
      << "without those that say nothing, pre-releases and others";
  EXPECT_EQ(versions("1.1.0", "1.1.3"), "1.1.3");
  EXPECT_EQ(versions("1.0.0", "1.1.0-rc.1"), "1.1.0-rc.1");
  EXPECT_EQ(versions("1.3.0", "1.3.0"), "");

  const auto notes = notes_between(known, parse_version("1.1.0").value(), parse_version("1.1.3").value());
  EXPECT_TRUE(find_read({{"1.1.3", notes[0].digest, "admin", 1}}, notes[0]));
  EXPECT_FALSE(find_read({{"1.1.3", sha256_hex("other text"), "admin", 1}}, notes[0])) << "notes that have changed";
}

TEST(Index, WhoTypesPartOfAVersionIsToldWhichThereAre) {
  std::vector<KnownRelease> known;
  for (const auto* version : {"1.1.1", "1.2.0", "1.2.3", "1.20.0"})
    known.emplace_back().release.version = *parse_version(version);
  EXPECT_EQ(nearest_text(known, "1.2"), "Of 1.2 there are 1.2.0, 1.2.3.");
  EXPECT_EQ(nearest_text(known, "v1.1"), "Of 1.1 there is 1.1.1.");
  EXPECT_EQ(nearest_text(known, "latest"), "There are 1.1.1, 1.2.0, 1.2.3, 1.20.0.");
  EXPECT_EQ(nearest_text({}, "1.2"), "");
}

}  // namespace
}  // namespace afloat::version
