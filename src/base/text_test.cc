#include "base/text.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>

namespace afloat {
namespace {

using Parts = std::vector<std::string>;
using namespace std::string_view_literals;

TEST(Text, TrimAndSplitAndJoin) {
  EXPECT_EQ(trim(" \t a b \r\n"), "a b");
  EXPECT_EQ(trim("  "), "");
  EXPECT_EQ(split("a,,b", ','), (Parts{"a", "", "b"}));
  EXPECT_EQ(split("", ','), Parts{""});
  EXPECT_EQ(split("a,", ','), (Parts{"a", ""}));
  EXPECT_EQ(join({"a", "b", "c"}, ", "), "a, b, c");
  EXPECT_EQ(join({}, ", "), "");
}

TEST(Text, CaseAndReplace) {
  EXPECT_EQ(to_lower("Content-TYPE"), "content-type");
  EXPECT_TRUE(equals_ignoring_case("Content-Type", "content-type"));
  EXPECT_FALSE(equals_ignoring_case("a", "ab"));
  EXPECT_EQ(replace_all("aaa", "a", "aa"), "aaaaaa");
  EXPECT_EQ(replace_all("abc", "", "x"), "abc");
}

struct IntCase {
  std::string_view text;
  std::optional<std::int64_t> expected;
};
constexpr auto int_cases = std::to_array<IntCase>({
    {"0", 0},
    {"-12", -12},
    {"9223372036854775807", std::numeric_limits<std::int64_t>::max()},
    {"9223372036854775808", std::nullopt},
    {"", std::nullopt},
    {" 1", std::nullopt},
    {"1x", std::nullopt},
    {"+1", std::nullopt},
    {"0x10", std::nullopt},
});

TEST(Text, ParseInt) {
  for (const auto& [text, expected] : int_cases) {
    SCOPED_TRACE(text);
    EXPECT_EQ(parse_int(text), expected);
  }
}

TEST(Text, ParseDouble) {
  EXPECT_EQ(parse_double("1.5"), 1.5);
  EXPECT_EQ(parse_double("-2e3"), -2000);
  for (const auto text : {"", "nan", "inf", "1.5s", " 1"}) {
    SCOPED_TRACE(text);
    EXPECT_EQ(parse_double(text), std::nullopt);
  }
}

TEST(Text, EscapeHtml) { EXPECT_EQ(escape_html("<a b=\"c\" d='e'>&"), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;"); }

TEST(Text, UrlEncoding) {
  EXPECT_EQ(url_encode("a/b c~-._\xC3\xA4"), "a%2Fb%20c~-._%C3%A4");
  EXPECT_EQ(url_decode("a%2fb+c", false), "a/b+c");
  EXPECT_EQ(url_decode("a%2Fb+c", true), "a/b c");
  for (const auto broken : {"%", "%1", "%g0", "a%2"}) {
    SCOPED_TRACE(broken);
    EXPECT_EQ(url_decode(broken, false), std::nullopt);
  }
  std::string every;
  for (int i = 0; i < 256; ++i) every += static_cast<char>(i);
  EXPECT_EQ(url_decode(url_encode(every), true), every);
}

TEST(Text, HexAndBase64) {
  EXPECT_EQ(to_hex("\x00\xff\x10"sv), "00ff10");
  EXPECT_EQ(from_hex("00FF10"), "\x00\xff\x10"sv);
  EXPECT_EQ(from_hex("0"), std::nullopt);
  EXPECT_EQ(from_hex("0g"), std::nullopt);
  struct Pair {
    std::string_view plain, encoded;
  };
  for (const auto& [plain, encoded] : std::to_array<Pair>(
           {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"admin:p\xC3\xA4ss", "YWRtaW46cMOkc3M="}})) {
    SCOPED_TRACE(encoded);
    EXPECT_EQ(to_base64(plain), encoded);
    EXPECT_EQ(from_base64(encoded), plain);
  }
  for (const auto broken : {"Zg", "Zg=", "Z", "Zm9v!", "Zm 9v"}) {
    SCOPED_TRACE(broken);
    EXPECT_EQ(from_base64(broken), std::nullopt);
  }
}

struct Utf8Case {
  std::string_view name, text;
  bool expected;
};
constexpr auto utf8_cases = std::to_array<Utf8Case>({
    {"empty", "", true},
    {"ASCII", "abc", true},
    {"two, three and four bytes", "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x9A\xA2", true},
    {"last code point", "\xF4\x8F\xBF\xBF", true},
    {"beyond Unicode", "\xF4\x90\x80\x80", false},
    {"NUL", "a\0b"sv, false},
    {"overlong slash", "\xC0\xAF", false},
    {"overlong in three", "\xE0\x80\xAF", false},
    {"surrogate", "\xED\xA0\x80", false},
    {"cut short", "\xE2\x82", false},
    {"lone continuation", "\x80", false},
    {"first byte, then ASCII", "\xC3x", false},
});

TEST(Text, IsUtf8) {
  for (const auto& [name, text, expected] : utf8_cases) {
    SCOPED_TRACE(name);
    EXPECT_EQ(is_utf8(text), expected);
  }
}

TEST(Text, ForPeople) {
  EXPECT_EQ(human_bytes(0), "0 bytes");
  EXPECT_EQ(human_bytes(1), "1 byte");
  EXPECT_EQ(human_bytes(840), "840 bytes");
  EXPECT_EQ(human_bytes(1000), "1.0 kB");
  EXPECT_EQ(human_bytes(999'999), "1.0 MB");
  EXPECT_EQ(human_bytes(12'300'000), "12.3 MB");
  EXPECT_EQ(iso_time(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(iso_time(1795477675123), "2026-11-23T23:47:55.123Z");
  EXPECT_EQ(iso_time(-1), "1969-12-31T23:59:59.999Z");
}

TEST(Text, DurationsForPeopleHaveTwoUnitsAtMost) {
  for (const auto& [ms, text] : std::vector<std::pair<std::int64_t, std::string>>{{-5, "0 s"},
                                                                                  {59'999, "59 s"},
                                                                                  {60'000, "1 min"},
                                                                                  {125'000, "2 min 5 s"},
                                                                                  {1'025'000, "17 min"},
                                                                                  {7'500'000, "2 h 5 min"},
                                                                                  {86'400'000, "1 day"},
                                                                                  {273'600'000, "3 days 4 h"}})
    EXPECT_EQ(duration_text(ms), text);
}

}  // namespace
}  // namespace afloat
