#include "server/rest/cql.h"

#include <gtest/gtest.h>

#include <array>

namespace afloat::server {
namespace {

TEST(Cql, ReadsWhatClientsSend) {
  auto query = parse_cql(R"(type = page AND space="PG" and siteSearch ~ 'vacuum full' order by lastmodified desc)");
  ASSERT_TRUE(query) << query.error().message();
  EXPECT_FALSE(query->nothing);
  EXPECT_EQ(query->search.space_key, "PG");
  EXPECT_EQ(query->search.text, "vacuum full");
  EXPECT_EQ(query->search.order, "modified");

  query = parse_cql(R"(title~"say \"hi\"" and label=x and ancestor=12 and type in (blogpost, page))");
  ASSERT_TRUE(query) << query.error().message();
  EXPECT_EQ(query->search.title_like, "say \"hi\"");
  EXPECT_EQ(query->search.label, "x");
  EXPECT_EQ(query->search.ancestor, 12);
  EXPECT_FALSE(query->nothing);
}

TEST(Cql, ATypeThatIsNotKeptFindsNothing) {
  auto query = parse_cql("type=blogpost");
  ASSERT_TRUE(query);
  EXPECT_TRUE(query->nothing);
}

struct RefusedCase {
  std::string_view name;
  std::string_view text;
  std::string_view said;
};
constexpr auto refused_cases = std::to_array<RefusedCase>({
    {"nothing at all", "", "expected a field"},
    {"a bare word", "vacuum", "expected = or ~"},
    {"an unknown field", "colour = red", "colour = is not known"},
    {"an operator that the field lacks", "space ~ PG", "space ~ is not known"},
    {"an open quote", "title = \"abc", "not closed"},
    {"no and", "space=A label=b", "expected \"and\""},
    {"a value is missing", "space = ", "found the end"},
    {"an ancestor that is no number", "ancestor = x", "wants a page id"},
    {"or is not known", "label=a or label=b", "expected \"and\""},
    {"a list that is not closed", "label in (a", "\",\" or \")\""},
});

TEST(Cql, RefusesWithAMessage) {
  for (const auto& [name, text, said] : refused_cases) {
    SCOPED_TRACE(name);
    auto query = parse_cql(text);
    ASSERT_FALSE(query);
    EXPECT_EQ(query.error().kind(), ErrorKind::invalid_argument);
    EXPECT_NE(query.error().message().find(said), std::string::npos) << query.error().message();
  }
}

}  // namespace
}  // namespace afloat::server
