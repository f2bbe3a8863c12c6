#include "server/gzip.h"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "base/hash.h"
#include "local/process.h"
#include "local/workplace.h"
#include "server/assets.h"

namespace afloat::server {
namespace {

/// As `gzip` itself reads it, with its checks of sum and length.
std::string unpacked(const std::string& bytes) {
  local::TempDir folder;
  const auto file = folder.path() + "/file.gz";
  std::ofstream(file, std::ios::binary) << bytes;
  local::ProcessOptions run;
  run.argv = {"gzip", "-dc", file};
  auto said = local::run_checked(std::move(run), std::chrono::seconds(10));
  return said ? *said : said.error().message();
}

TEST(Gzip, GivesWhatGzipReads) {
  std::string mixed;
  for (int i = 0; i < 20'000; ++i) mixed += std::to_string(i * 7919) + (i % 3 ? " and " : "\n");
  for (const auto& text : {std::string("a"), std::string(300'000, 'x'), mixed, random_hex(5000)}) {
    const auto packed = gzip(text);
    EXPECT_TRUE(unpacked(packed) == text) << text.size();
  }
  EXPECT_LT(gzip(mixed).size(), mixed.size() / 2);
}

struct AcceptCase {
  std::string_view header;
  bool expected;
};
constexpr auto accept_cases = std::to_array<AcceptCase>({
    {"", false},
    {"br", false},
    {"gzip", true},
    {"gzip, deflate, br, zstd", true},
    {"br;q=1.0, GZIP;q=0.5", true},
    {"gzip;q=0", false},
    {"gzip; q=0.0, br", false},
    {"x-gzip", false},
});

TEST(Gzip, IsTakenByWhomTheHeaderSays) {
  for (const auto& [header, expected] : accept_cases) EXPECT_EQ(accepts_gzip(header), expected) << header;
}

TEST(Assets, AreSentPackedToWhomTakesIt) {
  local::TempDir folder;
  const auto web = folder.path() + "/web", home = folder.path() + "/home";
  std::filesystem::create_directories(web);
  const std::string style(5000, ' ');
  std::ofstream(web + "/app.css") << style;
  std::ofstream(web + "/dot.png") << style;
  auto assets = Assets::publish(web, home);
  ASSERT_TRUE(assets) << assets.error().message();
  const auto name = [&](std::string_view file) { return (*assets)->url(file).substr(std::string("/assets/").size()); };
  for (int again = 0; again < 2; ++again) {
    const auto plain = (*assets)->serve(name("app.css"), "");
    EXPECT_EQ(*plain.body, style);
    EXPECT_EQ(plain.headers.get("Content-Encoding"), "");
    EXPECT_EQ(plain.headers.get("Vary"), "Accept-Encoding");
    const auto packed = (*assets)->serve(name("app.css"), "gzip, br");
    EXPECT_EQ(packed.headers.get("Content-Encoding"), "gzip");
    EXPECT_EQ(packed.headers.get("Content-Type"), "text/css; charset=utf-8");
    EXPECT_LT(packed.body->size(), 100U);
    EXPECT_EQ(unpacked(*packed.body), style);
  }
  const auto picture = (*assets)->serve(name("dot.png"), "gzip");
  EXPECT_EQ(*picture.body, style) << "a picture is packed already";
  EXPECT_EQ(picture.headers.get("Content-Encoding"), "");
  EXPECT_EQ((*assets)->serve("app.0123456789abcdef.css", "gzip").status, 404);
}

}  // namespace
}  // namespace afloat::server
