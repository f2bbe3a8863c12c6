#include "store/page_index.h"

#include <gtest/gtest.h>

#include <array>

namespace afloat::store {
namespace {

struct WordsCase {
  std::string_view name, text, words;
};
constexpr auto words_cases = std::to_array<WordsCase>({
    {"nothing", "", ""},
    {"nothing but signs", " .,;:-_!?/\\'\"()\n\t", ""},
    {"an identifier", "max_connections", "max connections"},
    {"a path", "/etc/pg_hba.conf.", "etc pg hba conf"},
    {"case stays", "PostgreSQL 15.2", "PostgreSQL 15 2"},
    {"letters of other scripts", "\xC3\x84rger \xE6\x97\xA5\xE6\x9C\xAC \xD0\x9C\xD0\xB8\xD1\x80",
     "\xC3\x84rger \xE6\x97\xA5\xE6\x9C\xAC \xD0\x9C\xD0\xB8\xD1\x80"},
    {"a space that does not break",
     "a\xC2\xA0"
     "b",
     "a b"},
    {"a soft hyphen",
     "up\xC2\xAD"
     "grade",
     "upgrade"},
    {"an em dash and curly quotes",
     "\xE2\x80\x9C"
     "a\xE2\x80\x9D\xE2\x80\x94"
     "b",
     "a b"},
    {"a Japanese comma, and 3 letters that lie beside it", "\xE6\x97\xA5\xE3\x80\x81\xE6\x9C\xAC\xE3\x80\x85",
     "\xE6\x97\xA5 \xE6\x9C\xAC\xE3\x80\x85"},
    {"a text cut in the middle of a letter", "a \xE6\x97", "a \xE6\x97"},
});

TEST(PageIndex, KeepsLettersAndDigits) {
  for (const auto& [name, text, words] : words_cases) {
    SCOPED_TRACE(name);
    EXPECT_EQ(index_words(text), words);
  }
}

TEST(PageIndex, TakesTheTextWithoutItsMarkupUpToTheLimit) {
  const auto page = indexed_page("The_Title", "<p>One &amp; <b>two</b></p>", 500);
  EXPECT_EQ(page.title_words, "The Title");
  EXPECT_EQ(page.words, "One two");
  EXPECT_NE(page.plain.find("One & two"), std::string::npos) << page.plain;
  EXPECT_EQ(indexed_page("T", "<p>" + std::string(1'000, 'x') + "</p>", 500).plain.size(), 500U);
}

}  // namespace
}  // namespace afloat::store
