#include "version/manifest.h"

#include <gtest/gtest.h>

#include <array>

#include "base/text.h"

namespace afloat::version {
namespace {

Manifest sample() {
  Manifest m;
  m.version = "1.1.0";
  m.build = 10010009;
  m.architecture = "x86_64";
  m.archive = "afloat-1.1.0.tar.zst";
  m.archive_sha256 = std::string(64, 'a');
  m.files = {{"share/web/assets/site.css", std::string(64, 'c')}, {"bin/afloat", std::string(64, 'b')}};
  m.upgrade_from_min = "1.0.0";
  m.notes = "# 1.1.0\n\n\"Bodies\" move.\n";
  return m;
}

TEST(Manifest, ComesBackAsItWasWritten) {
  const auto text = to_json(sample());
  const auto back = parse_manifest(text);
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(to_json(*back), text);
  EXPECT_EQ(back->notes, sample().notes);
  EXPECT_EQ(back->files, sample().files);
  EXPECT_TRUE(back->rolling);
}

// Its digest is what member rows carry: a change of this text would make two digests of one version.
TEST(Manifest, TheTextIsFixed) {
  auto m = sample();
  m.files.erase("share/web/assets/site.css");
  m.notes = "n";
  m.rolling = false;
  const std::string a(64, 'a'), b(64, 'b');
  EXPECT_EQ(to_json(m),
            "{\n  \"product\": \"afloat\",\n  \"version\": \"1.1.0\",\n  \"build\": 10010009,\n  \"architecture\": "
            "\"x86_64\",\n"
            "  \"archive\": \"afloat-1.1.0.tar.zst\",\n  \"archive_sha256\": \"" +
                a +
                "\",\n  \"upgrade_from_min\": \"1.0.0\",\n"
                "  \"rolling\": false,\n  \"fault_profile\": \"none\",\n  \"notes\": \"n\",\n  \"files\": {\n    "
                "\"bin/afloat\": \"" +
                b + "\"\n  }\n}\n");
}

TEST(Manifest, UnknownFieldsOfLaterReleasesAreIgnored) {
  EXPECT_TRUE(parse_manifest(replace_all(to_json(sample()), "\"product\"", "\"signed_by\": [1], \"product\"")));
}

struct BrokenCase {
  std::string_view name, replace, by, says;
};
constexpr auto broken_cases = std::to_array<BrokenCase>({
    {"not JSON", "{\n  \"product\"", "\"product\"", "not valid JSON"},
    {"another product", "\"afloat\",", "\"confluence\",", "not for afloat"},
    {"no version", "\"version\"", "\"vorsion\"", "has no \"version\""},
    {"no version at all", "\"1.1.0\"", "\"1.1\"", "version is broken"},
    {"build of another version", "10010009", "10000009", "is build 10010009"},
    {"build of the wrong type", "10010009", "[]", "\"build\""},
    {"archive elsewhere", "afloat-1.1.0.tar.zst", "../afloat.tar.zst", "not the name of a file"},
    {"archive digest cut", "\"archive_sha256\": \"a", "\"archive_sha256\": \"", "archive_sha256"},
    {"rolling is text", "\"rolling\": true", "\"rolling\": \"false\"", "true or false"},
    {"a required stop that is no version", "  \"fault_profile\"",
     "  \"required_stops\": [\"one\"],\n  \"fault_profile\"", "list of versions"},
    {"lts is text", "  \"fault_profile\"", "  \"lts\": \"yes\",\n  \"fault_profile\"", "\"lts\""},
    {"path that climbs out", "bin/afloat", "bin/../../etc/passwd", "leaves the release's folder"},
    {"absolute path", "bin/afloat", "/bin/afloat", "leaves the release's folder"},
    {"file digest in capitals", "bbbb", "BBBB", "digest of \"bin/afloat\""},
    {"no files", "\"files\"", "\"folders\"", "has no \"files\""},
    {"lowest version broken", "\"1.0.0\"", "\"one\"", "upgrade_from_min"},
});

TEST(Manifest, BrokenOnesAreRefusedWithTheReason) {
  for (const auto& [name, replace, by, says] : broken_cases) {
    SCOPED_TRACE(name);
    const auto text = to_json(sample());
    const auto changed = replace_all(text, replace, by);
    ASSERT_NE(changed, text);
    const auto manifest = parse_manifest(changed);
    ASSERT_FALSE(manifest);
    EXPECT_EQ(manifest.error().kind(), ErrorKind::data_corrupted);
    EXPECT_NE(manifest.error().message().find(says), std::string::npos) << manifest.error().message();
    EXPECT_NE(manifest.error().message().find("Do not install"), std::string::npos);
  }
}

TEST(Manifest, FieldsOfLaterReleasesAreWrittenOnlyWhereTheySaySomething) {
  auto manifest = sample();
  EXPECT_EQ(to_json(manifest).find("lts"), std::string::npos);
  EXPECT_EQ(to_json(manifest).find("required_stops"), std::string::npos);
  manifest.lts = true;
  manifest.required_stops = {"1.2.0", "1.4.0"};
  const auto read = parse_manifest(to_json(manifest));
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_TRUE(read->lts);
  EXPECT_EQ(read->required_stops, manifest.required_stops);
  EXPECT_EQ(to_json(*read), to_json(manifest));
}

}  // namespace
}  // namespace afloat::version
