#include "store/search_terms.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>

#include "base/text.h"
#include "store/page_rows.h"

namespace afloat::store {
namespace {

TEST(Excerpt, ShowsTheSurroundingsOfTheFirstWordFound) {
  const std::string text = std::string(500, 'a') + " before the Needle and after " + std::string(500, 'b');
  const auto excerpt = excerpt_around(text, {"thread", "needle"});
  EXPECT_NE(excerpt.find("the Needle and"), std::string::npos) << excerpt;
  EXPECT_TRUE(excerpt.starts_with("... "));
  EXPECT_TRUE(excerpt.ends_with(" ..."));
  EXPECT_EQ(excerpt_around("short\ntext", {"absent"}), "short text");
  EXPECT_EQ(excerpt_around("", {"x"}), "");
}

TEST(Excerpt, ShowsWholeWordsAndTheirBeginnings) {
  const std::string filler(120, '.');
  const auto text = "started " + filler + " the art of naming " + filler + " max_connections";
  EXPECT_NE(excerpt_around(text, {"art"}).find("the art of"), std::string::npos);
  EXPECT_NE(excerpt_around(text, {"nam"}).find("the art of"), std::string::npos);
  EXPECT_NE(excerpt_around(text, {"Max_Conn"}).find("max_connections"), std::string::npos);
  EXPECT_TRUE(excerpt_around(text, {"arted"}).starts_with("started")) << "no word begins with it";
}

TEST(Excerpt, NeverCutsACharacterInTwo) {
  std::string text;
  for (int i = 0; i < 400; ++i) text += "\xC3\xA4";
  const auto around = fmt::format("{0} zz {0}", text);
  for (const auto* word : {"zz", "\xC3\xA4", "q"}) {
    EXPECT_TRUE(is_utf8(excerpt_around(around, {word}))) << word;
  }
  for (std::size_t n = 0; n < 8; ++n) EXPECT_TRUE(is_utf8(cut_utf8(text, n)));
}

/// Stands in for PostgreSQL: lower case, a few stop words, and "s" or "ing" cut off.
std::string stem(std::string word) {
  for (const auto* stop : {"the", "how", "to", "don", "t"})
    if (word == stop) return {};
  for (const std::string_view ending : {"ing", "s"})
    if (word.size() > ending.size() + 2 && word.ends_with(ending)) return word.substr(0, word.size() - ending.size());
  return word;
}

TermForms forms_of(const SearchTerm& term) {
  TermForms forms;
  for (const auto& word : split(to_lower(term.words), ' ')) {
    forms.exact += (forms.exact.empty() ? "'" : " <-> '") + word + "'";
    if (const auto stemmed = stem(word); !stemmed.empty())
      forms.stem += (forms.stem.empty() ? "'" : " <-> '") + stemmed + "'";
  }
  return forms;
}

struct QueryCase {
  std::string_view name, typed, words;
};
constexpr auto query_cases = std::to_array<QueryCase>({
    {"nothing", "", ""},
    {"only operators", " & | ! () <-> : ' \\ - \"\" ", ""},
    {"a star alone", "*", ""},
    {"stars alone", "** \"*\" -*", ""},
    {"a word that is its own stem", "Vacuum", "('vacuum')"},
    {"a word and its stem", "running", "('running' | 'runn')"},
    {"several words", "vacuum tables", "('vacuum') & ('tables' | 'table')"},
    {"the beginning of a word", "vac*", "('vac':*)"},
    {"the beginning of the last part", "max_conn*", "('max' <-> 'conn':*)"},
    {"a stop word beside others", "the vacuum", "('vacuum')"},
    {"stop words alone", "how to", "('how') & ('to')"},
    {"a stop word that is a beginning", "the* vacuum", "('the':*) & ('vacuum')"},
    {"quotes keep stop words and stems apart", "\"How to running\"", "('how' <-> 'to' <-> 'running')"},
    {"quotes with a beginning", "\"how to ru*\"", "('how' <-> 'to' <-> 'ru':*)"},
    {"a star behind quotes", "\"to ru\"*", "('to' <-> 'ru':*)"},
    {"an open quote", "\"to run", "('to' <-> 'run')"},
    {"an identifier is exact", "max_connections", "('max' <-> 'connections')"},
    {"a file name", "pg_hba.conf", "('pg' <-> 'hba' <-> 'conf')"},
    {"words with a hyphen are prose", "multi-nodes", "('multi' <-> 'nodes' | 'multi' & 'node')"},
    {"an apostrophe", "don't run", "('run')"},
    {"what must not be there", "run -tables", "('run') & !('tables' | 'table')"},
    {"nothing but what must not be there", "-tables", "!('tables' | 'table')"},
    {"alternatives", "run or tables now", "('run') | ('tables' | 'table') & ('now')"},
    {"an or without a left side", "or run", "('or') & ('run')"},
    {"an or without a right side", "run OR", "('run')"},
    {"an or before nothing", "run or * fast", "('run') | ('fast')"},
    {"another script", "\xC3\x84rger", "('\xC3\x84rger')"},
});

TEST(SearchTerms, BecomeAQuery) {
  for (const auto& [name, typed, words] : query_cases) {
    SCOPED_TRACE(name);
    const auto terms = search_terms(typed);
    std::vector<TermForms> forms;
    for (const auto& term : terms) forms.push_back(forms_of(term));
    EXPECT_EQ(words_query(terms, forms), words);
  }
}

TEST(SearchTerms, AreFewAndShortWhateverIsTyped) {
  std::string many, quotes(10'000, '"'), stars(10'000, '*');
  for (int i = 0; i < 2'000; ++i) many += "word" + std::to_string(i) + " ";
  EXPECT_EQ(search_terms(many).size(), 50U);
  EXPECT_TRUE(search_terms(quotes).empty());
  EXPECT_TRUE(search_terms(stars).empty());
  const auto longest = search_terms(std::string(10'000, 'x'));
  ASSERT_EQ(longest.size(), 1U);
  EXPECT_EQ(longest[0].words.size(), 1'000U);
  for (const auto& term : search_terms("\xFF\xC3 half\xE2\x82 \"\xF0\x9F")) EXPECT_TRUE(is_utf8(term.typed));
}

TEST(SearchTerms, SayWhatAnExcerptShouldShow) {
  const auto terms = search_terms("the running max_conn* -tables \"how to\"");
  std::vector<TermForms> forms;
  for (const auto& term : terms) forms.push_back(forms_of(term));
  EXPECT_EQ(join(shown_words(terms, forms), ","), "running,runn,max_conn,how to");
}

}  // namespace
}  // namespace afloat::store
