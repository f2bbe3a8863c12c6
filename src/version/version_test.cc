#include "version/version.h"

#include <gtest/gtest.h>

#include <array>

namespace afloat::version {
namespace {

Version v(std::string_view text) { return parse_version(text).value(); }

TEST(Version, ReadsAndWritesTheSameText) {
  for (const auto text :
       {"0.0.0", "1.0.0", "1.2.3", "10.20.30", "213.999.999", "1.2.0-dev", "1.2.0-rc.1", "1.2.0-a-b.0"}) {
    SCOPED_TRACE(text);
    const auto version = parse_version(text);
    ASSERT_TRUE(version);
    EXPECT_EQ(to_string(*version), text);
  }
}

TEST(Version, RefusesWhatIsNone) {
  for (const auto text : {"",           "1",           "1.2",
                          "1.2.3.4",    "v1.2.3",      "1.2.x",
                          "1..3",       "01.2.3",      "1.02.3",
                          "1.1000.0",   "1.0.1000",    "214.0.0",
                          "1.2.3-",     "1.2.3-rc..1", "1.2.3-rc.01",
                          "1.2.3-rc_1", "1.2.3+build", " 1.2.3",
                          "1.2.3 ",     "-1.2.3",      "1.2.99999999999999999999"}) {
    SCOPED_TRACE(text);
    const auto version = parse_version(text);
    ASSERT_FALSE(version);
    EXPECT_EQ(version.error().kind(), ErrorKind::invalid_argument);
    EXPECT_NE(version.error().message().find("1.2.0-rc.1"), std::string::npos) << "says what a version looks like";
  }
}

TEST(Version, OrderIsThatOfSemver) {
  constexpr auto ascending = std::to_array<std::string_view>(
      {"0.9.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
       "1.0.0-rc.1", "1.0.0", "1.0.1-1", "1.0.1-2", "1.0.1-99999999999999999999999", "1.0.1-x", "1.0.1", "1.0.10",
       "1.1.0-dev", "1.1.0", "2.0.0"});
  for (std::size_t i = 0; i < ascending.size(); ++i)
    for (std::size_t k = 0; k < ascending.size(); ++k) {
      SCOPED_TRACE(std::string(ascending[i]) + " and " + std::string(ascending[k]));
      EXPECT_EQ(v(ascending[i]) <=> v(ascending[k]), i <=> k);
    }
}

struct BuildCase {
  std::string_view version;
  int build;
  std::string_view described;
};
constexpr auto build_cases = std::to_array<BuildCase>({
    {"1.0.0", 10000009, "1.0.0"},
    {"1.1.0", 10010009, "1.1.0"},
    {"1.0.999", 10009999, "1.0.999"},
    {"1.2.0-dev", 10020000, "1.2.0-dev"},
    {"1.2.0-alpha", 10020001, "a pre-release of 1.2.0"},
    {"1.2.0-alpha.7", 10020001, "a pre-release of 1.2.0"},
    {"1.2.0-snapshot", 10020002, "a pre-release of 1.2.0"},
    {"1.2.0-beta.2", 10020004, "a pre-release of 1.2.0"},
    {"1.2.0-rc.1", 10020007, "a pre-release of 1.2.0"},
    {"213.999.999", 2139999999, "213.999.999"},
});

TEST(Version, BuildNumbers) {
  for (const auto& [text, build, described] : build_cases) {
    SCOPED_TRACE(text);
    EXPECT_EQ(build_number(v(text)), build);
    EXPECT_EQ(describe_build(build), described);
  }
  // What the writer window rests on: a pre-release lies above every release before it and below its own.
  EXPECT_GT(build_number(v("1.2.0-dev")), build_number(v("1.1.999")));
  EXPECT_LT(build_number(v("1.2.0-rc.9")), build_number(v("1.2.0")));
}

struct KindCase {
  std::string_view from, to;
  ReleaseKind kind;
};
constexpr auto kind_cases = std::to_array<KindCase>({
    {"1.0.0", "1.0.0", ReleaseKind::same},
    {"1.1.0-dev", "1.1.0", ReleaseKind::same},
    {"1.0.0", "1.0.1", ReleaseKind::bugfix},
    {"1.0.1", "1.0.0", ReleaseKind::downgrade},
    {"1.0.9", "1.1.0", ReleaseKind::feature},
    {"1.0.0", "1.1.0-dev", ReleaseKind::feature},
    {"1.1.0", "1.0.9", ReleaseKind::downgrade},
    {"1.9.9", "2.0.0", ReleaseKind::platform},
    {"2.0.0", "1.9.9", ReleaseKind::downgrade},
});

TEST(Version, ReleaseKinds) {
  for (const auto& [from, to, kind] : kind_cases) {
    SCOPED_TRACE(std::string(from) + " to " + std::string(to));
    EXPECT_EQ(release_kind(v(from), v(to)), kind);
  }
}

TEST(Version, TheStampIsChosenAtLink) {
  EXPECT_EQ(to_string(this_version()), "1.1.0");
  EXPECT_EQ(this_build(), 10010009);
  EXPECT_EQ(stamp().fault_profile, "none");
}

struct TypedCase {
  std::string_view typed, version;  ///< "" for one that can't be read
};
constexpr auto typed_cases = std::to_array<TypedCase>({
    {"7.14", "7.14.0"},       {"7.14.2", "7.14.2"},       {"v7.14.2", "7.14.2"}, {"V7.14", "7.14.0"},
    {"  7.14.2\t", "7.14.2"}, {"7.14.x", "7.14.0"},       {" v1.2-rc.1 ", "1.2.0-rc.1"},
    {"1.2.0-dev", "1.2.0-dev"}, {"", ""},                  {"   ", ""},           {"v", ""},
    {"7", ""},                {"7.", ""},                 {"7.14.2.1", ""},      {"seven", ""},
    {"7. 14", ""},            {"-7.14", ""},              {"7.x", ""},           {"7.14.2-", ""},
    {"7.14.99999999999999999999", ""}, {"999999999999999999999999.1", ""},        {"7.1000", ""},
    {"vv7.14", ""},           {"7.14 -> 7.15", ""},       {"7.014", ""},
});

TEST(Version, AsPeopleTypeIt) {
  for (const auto& [typed, version] : typed_cases) {
    SCOPED_TRACE(typed);
    const auto parsed = parse_typed_version(typed);
    ASSERT_EQ(parsed.has_value(), !version.empty());
    if (parsed) {
      EXPECT_EQ(to_string(*parsed), version);
    } else {
      EXPECT_EQ(parsed.error().kind(), ErrorKind::invalid_argument);
      EXPECT_NE(parsed.error().message().find("A version looks like 1.2.3"), std::string::npos)
          << parsed.error().message();
    }
  }
  EXPECT_NE(parse_typed_version("7.1000").error().message().find("\"7.1000\""), std::string::npos);
}

TEST(Version, AReleaseIsNamedByItsOwnNumber) {
  EXPECT_EQ(to_string(kind_of(parse_version("2.0.0").value())), "platform");
  EXPECT_EQ(to_string(kind_of(parse_version("2.1.0").value())), "feature");
  EXPECT_EQ(to_string(kind_of(parse_version("2.1.3").value())), "bugfix");
}

}  // namespace
}  // namespace afloat::version
